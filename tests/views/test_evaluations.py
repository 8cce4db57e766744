import pytest

from lorif_core.views.evaluations import lds_figure, sweep_figure


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
    assert lines(lds_figure([plain, tempered])) == ["ekfac, none, nothing stored", "ekfac, tempered, nothing stored"]


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
