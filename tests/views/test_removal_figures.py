"""What the figures of a removal show."""

from lorif_core.views.removal_figures import predicted_against_actual

ACTUAL = [-22.0, -4.0, 0.5]


def test_predictions_do_not_flatten_the_actual_changes():
    figure = predicted_against_actual(["1", "2", "3"], ["a", "b", "c"], [-470.0, -430.0, 1.0], ACTUAL)
    low, high = figure.layout.yaxis.range
    assert low < min(ACTUAL)
    assert max(ACTUAL) < high
    assert high - low < 2 * (max(ACTUAL) - min(ACTUAL))


def test_changes_of_nothing_have_the_scale_of_the_library():
    assert predicted_against_actual(["1"], ["a"], [-3.0], [0.0]).layout.yaxis.range is None
