"""What figures and cells of probabilities show."""

import pytest

from lorif_core.views.effect_figures import MAX_ROWS, effect_lines, predicted_against_actual_probability
from lorif_core.views.effect_text import completion_text, predicted_text, probability_text, range_text


@pytest.mark.parametrize(
    ("probability", "text"),
    [(0.6874, "68.7 %"), (0.0, "0.0 %"), (1e-9, "< 0.1 %"), (1.0, "100.0 %"), (0.99999, "> 99.9 %"), (None, "—")],
)
def test_a_probability_is_never_rounded_to_nothing_or_to_certainty(probability, text):
    assert probability_text(probability) == text


def test_a_range_has_two_ends_unless_they_read_the_same():
    assert range_text(0.02, 0.4) == "2.0 % to 40.0 %"
    assert range_text(1e-9, 2e-9) == "< 0.1 %"
    assert range_text(None, None) == "—"


def test_what_is_out_of_range_has_no_number():
    assert predicted_text(None, "above 100 %") == "out of range: above 100 %"
    assert predicted_text(0.5, None) == "50.0 %"


def test_a_long_completion_says_that_it_is_told_per_token():
    assert completion_text("a b", 40, is_per_token=True) == "a b (per token, 40 tokens)"
    assert completion_text("a b", 2, is_per_token=False) == "a b"


def lines(now, predicted, ranges, outcomes):
    ids = [str(place) for place in range(len(now))]
    return effect_lines(ids, ["<b>" for _ in ids], now, predicted, ranges, outcomes)


def test_points_and_ranges_lie_where_the_values_are():
    figure = lines([0.7, 0.2], [0.1, None], [(0.05, 0.3), (None, None)], ["helped", "unchanged"])
    drawn = {trace.name: (list(trace.x), list(trace.y)) for trace in figure.data if trace.mode == "markers"}
    assert drawn == {"now": ([0.2, 0.7], ["#1", "#0"]), "predicted, helped": ([0.1], ["#0"])}
    spans = [list(trace.x) for trace in figure.data if trace.mode == "lines"]
    assert spans == [[0.05, 0.3], [0.7, 0.1]]  # nothing is drawn of what is not to be believed
    assert all("<b>" not in str(trace.customdata) for trace in figure.data)


def test_the_largest_moves_are_shown():
    count = MAX_ROWS + 5
    figure = lines(
        [0.5] * count, [0.5 - place / 100 for place in range(count)], [(None, None)] * count, ["helped"] * count
    )
    (now,) = [trace for trace in figure.data if trace.name == "now"]
    assert set(now.y) == {f"#{place}" for place in range(5, count)}


def test_predictions_that_were_none_are_crosses():
    figure = predicted_against_actual_probability(["1", "2"], ["a", "b"], [0.0, 0.4], [0.6, 0.5], [False, True])
    marks = {trace.marker.symbol: (list(trace.x), list(trace.y)) for trace in figure.data if trace.mode == "markers"}
    assert marks == {"x": ([0.0], [0.6]), "circle": ([0.4], [0.5])}
    (diagonal,) = [trace for trace in figure.data if trace.mode == "lines"]
    assert list(diagonal.x) == list(diagonal.y) == [0, 1]
