import pytest

from lorif_core.views.evaluations import lds_cost_table, lds_figure, lds_table, sweep_figure


def row(label, lds, *, codes_bytes=None, normalisation="none", **asked):
    return {
        "label": label,
        "lds": lds,
        "subsets_low": lds - 0.1,
        "subsets_high": lds + 0.1,
        "codes_bytes": codes_bytes,
        "normalisation": normalisation,
        **asked,
    }


def lines(figure):
    return [note.text for note in figure.layout.annotations]


def test_the_normalisation_is_named_only_where_there_are_several():
    plain, tempered = row("ekfac", 0.5), row("ekfac", 0.6, normalisation="tempered")
    assert lines(lds_figure([plain])) == ["ekfac, nothing stored"]
    figure = lds_figure([plain, tempered])
    assert lines(figure) == ["ekfac, tempered, nothing stored", "ekfac, none, nothing stored"]
    assert [note.xanchor for note in figure.layout.annotations] == ["right", "left"]  # close lines, apart


def test_partial_scores_have_a_panel_of_their_own():
    stored = row("small", 0.5, codes_bytes=250, partial=0.2, partial_subsets_low=0.1, partial_subsets_high=0.4)
    words, kfac = row("tokens", 0.6, partial=None), row("kfac", 0.7, partial=0.3)
    figure = lds_figure([stored, words, kfac])
    plain, partial = figure.data
    assert (plain.y, partial.y) == ((0.5,), (0.2,))
    assert (partial.error_y.array[0], partial.error_y.arrayminus[0]) == pytest.approx((0.2, 0.1))
    assert [note.text for note in figure.layout.annotations if note.yref == "y2"] == ["kfac, nothing stored"]
    assert figure.layout.yaxis2.range[0] < 0.1 < 0.4 < figure.layout.yaxis2.range[1]
    assert (plain.showlegend, partial.showlegend) == (True, False)


def shown(table, name):
    """Cells of a column."""
    return [str(cell) for column in table.columns if str(column.header) == name for cell in column.cells]


MEASURED = {
    "candidate": "ix",
    "queries_low": 0.3,
    "queries_high": 0.6,
    "partial": 0.25,
    "partial_queries_low": 0.1,
    "partial_queries_high": 0.3,
    "partial_subsets_low": 0.2,
    "partial_subsets_high": 0.4,
}
COSTS = {
    "total_bytes": None,
    "build_seconds": None,
    "query_seconds": 1.0,
    "difference": -0.1,
    "difference_low": -0.2,
    "difference_high": 0.05,
    "partial_difference": None,
}


def test_a_table_shows_both_scores_with_both_intervals():
    table = lds_table([row("one", 0.5, **MEASURED), row("tokens", 0.4, **MEASURED | {"partial": None})])
    assert shown(table, "LDS") == ["0.5000", "0.4000"]
    assert shown(table, "partial") == ["0.2500", "–"]
    assert shown(table, "queries") == ["0.30–0.60", "0.30–0.60", "0.10–0.30", "–"]
    assert shown(table, "subsets") == ["0.40–0.60", "0.30–0.50", "0.20–0.40", "–"]


def test_the_title_says_of_how_many_subsets_a_truth_in_part_is():
    whole, part = ({"num_subsets": 40, "planned_subsets": planned} for planned in (40, 64))
    assert str(lds_table([row("one", 0.5, **MEASURED, **whole)]).title) == "Linear datamodelling score"
    assert str(lds_table([row("one", 0.5, **MEASURED, **part)]).title).endswith(", 40 of 64 subsets")


def test_differences_have_their_intervals():
    table = lds_cost_table([row("one", 0.5, **COSTS, partial=0.3), row("tokens", 0.4, **COSTS, partial=None)])
    assert shown(table, "LDS") == ["-0.100 (-0.200…+0.050)"] * 2
    assert shown(table, "partial") == ["–", ""]  # the best one, and one that has none


def test_bars_and_reference_lines_lie_inside_the_figure():
    figure = lds_figure([row("small", 0.4, codes_bytes=250), row("large", 0.5, codes_bytes=4000), row("bm25", -0.2)])
    low, high = figure.layout.yaxis.range
    assert low < -0.2
    assert high > 0.5 + 0.1
    left, right = figure.layout.xaxis.range
    assert 10**left < 250 < 4000 < 10**right


def test_the_ticks_are_doublings_of_a_kilobyte():
    figure = lds_figure([row("small", 0.4, codes_bytes=600), row("large", 0.5, codes_bytes=1900)])
    told = dict(zip(figure.layout.xaxis.ticktext, figure.layout.xaxis.tickvals, strict=True))
    assert told["500 B"] == 500
    assert told["2.0 KB"] == pytest.approx(2000)


def test_lines_of_a_sweep_stand_in_the_order_of_their_ranks():
    rows = [row("x", 0.1, subspace_rank=rank, damping_ratio=1.0) for rank in (256, 16, 64)]
    assert [trace.name for trace in sweep_figure(rows).data] == ["16 directions", "64 directions", "256 directions"]
