"""Facets against counts made by loops."""

import math
from collections import Counter

import pytest
from corpora import nasty_text, passes, write_corpus
from hypothesis import given, settings
from hypothesis import strategies as st

from lorif_core.corpus import Bin, Corpus, Filter, HistogramFacet, Range, TextSearch, ValueCount, ValuesFacet
from lorif_core.corpus.bins import NUM_BINS
from lorif_core.corpus.facets import MAX_VALUES

numbers = st.one_of(
    st.none(), st.floats(-10, 10), st.sampled_from([math.nan, math.inf, -math.inf, 0.0, 5e-324, 1.7e308, -1.7e308])
)
rows_of_corpus = st.lists(
    st.fixed_dictionaries(
        {
            "text": st.sampled_from(["foo", "bar", "foo bar"]),
            "source": st.one_of(st.none(), st.sampled_from(["forum", "book"]), nasty_text),
            "year": st.one_of(st.none(), st.integers(0, 3)),
            "score": numbers,
            "is_old": st.one_of(st.none(), st.booleans()),
        }
    ),
    min_size=1,
    max_size=15,
)
choices = st.fixed_dictionaries(
    {},
    optional={
        "source": st.just((None, "forum")),
        "year": st.one_of(st.just((1, 2)), st.just(Range(1, includes_missing=True))),
        "score": st.just(Range(-5, 5)),
        "is_old": st.just((True,)),
    },
)


def without(chosen, name):
    return Filter({other: choice for other, choice in chosen.choices.items() if other != name})


@settings(max_examples=25)
@given(rows=rows_of_corpus, chosen=st.builds(Filter, choices), search=st.sampled_from([None, "foo", "zzz"]))
def test_facets_count_what_passes_all_other_choices(tmp_path_factory, rows, chosen, search):
    file = write_corpus(tmp_path_factory.mktemp("corpus"), rows)
    text_search = None if search is None else TextSearch("contains", search)
    with Corpus(file) as corpus:
        facets = {facet.column: facet for facet in corpus.facets(Filter(chosen.choices, text_search))}
    assert list(facets) == list(file.metadata_columns)
    for name, facet in facets.items():
        passing = [row for row in rows if passes(row, without(chosen, name)) and (search or "") in row["text"]]
        values = [row[name] for row in passing]
        present = [value for value in values if value is not None]
        assert facet.num_missing == len(values) - len(present)
        if isinstance(facet, ValuesFacet):
            expected = sorted(Counter(present).items(), key=lambda item: (-item[1], item[0]))
            assert [(value.value, value.count) for value in facet.values] == expected
            assert (facet.num_others, facet.num_other_values, facet.is_high_cardinality) == (0, 0, False)
        else:
            check_histogram(facet, present)


def check_histogram(facet, present):
    finite = [value for value in present if math.isfinite(value)]
    assert facet.num_nan == sum(map(math.isnan, present))
    assert facet.num_infinite == sum(map(math.isinf, present))
    assert facet.minimum == min(finite, default=None)
    assert facet.maximum == max(finite, default=None)
    assert len(facet.bins) <= NUM_BINS
    for place, one in enumerate(facet.bins):
        assert one.count == sum(passes({"x": value}, Filter({"x": one.range})) for value in finite)
        assert one.range.includes_maximum == (place == len(facet.bins) - 1)
    assert sum(one.count for one in facet.bins) == len(finite)


@pytest.mark.parametrize("name", ["year", "score"])
def test_choosing_a_bin_gives_as_many_examples_as_it_says(tmp_path, name):
    rows = [{"text": "x", "year": 5 * number, "score": float(number)} for number in range(101)]
    with Corpus(write_corpus(tmp_path, rows)) as corpus:
        facet = next(facet for facet in corpus.facets() if facet.column == name)
        assert isinstance(facet, HistogramFacet)
        assert [corpus.count(Filter({name: one.range})) for one in facet.bins] == [one.count for one in facet.bins]


def test_bins_are_equally_wide(tmp_path):
    with Corpus(
        write_corpus(tmp_path, [{"text": "x", "score": float(n), "year": 3 * n} for n in range(101)])
    ) as corpus:
        years, scores = sorted(corpus.facets(), key=lambda facet: facet.column != "year")
    assert isinstance(years, HistogramFacet)
    assert isinstance(scores, HistogramFacet)
    assert scores.bins[0] == Bin(Range(0.0, 5.0, includes_maximum=False), 5)
    assert scores.bins[-1] == Bin(Range(95.0, 100.0), 6)
    assert [(one.range.minimum, one.range.maximum) for one in years.bins[:2]] == [(0, 16), (16, 32)]
    assert years.bins[-1] == Bin(Range(288, 300), 5)


def test_whole_numbers_over_the_whole_range_get_exact_bins(tmp_path):
    values = [-(2**63), *range(MAX_VALUES), 2**63 - 1]
    with Corpus(write_corpus(tmp_path, [{"text": "x", "year": value} for value in values])) as corpus:
        (facet,) = corpus.facets()
    assert isinstance(facet, HistogramFacet)
    check_histogram(facet, values)


def test_rare_values_are_counted_together(tmp_path):
    rows = [{"text": "x", "source": f"s{number:02d}"} for number in range(60) for _ in range(2 if number < 50 else 3)]
    with Corpus(write_corpus(tmp_path, rows)) as corpus:
        (facet,) = corpus.facets()
    assert isinstance(facet, ValuesFacet)
    assert facet.values[:2] == (ValueCount("s50", 3), ValueCount("s51", 3))
    assert [value.value for value in facet.values] == [f"s{number:02d}" for number in (*range(50, 60), *range(40))]
    assert len(facet.values) == MAX_VALUES
    assert (facet.num_other_values, facet.num_others) == (10, 20)
    assert not facet.is_high_cardinality


def test_a_column_of_ids_is_marked_and_keeps_its_mark_under_a_filter(tmp_path):
    rows = [{"text": "x", "source": f"id{number}", "year": number % 2} for number in range(60)]
    with Corpus(write_corpus(tmp_path, rows)) as corpus:
        for chosen in (Filter(), Filter({"year": (1,)})):
            facet = corpus.facets(chosen)[0]
            assert isinstance(facet, ValuesFacet)
            assert facet.is_high_cardinality
            assert len(facet.values) + facet.num_other_values == corpus.count(chosen)


def test_json_is_counted_as_text(tmp_path):
    rows = [{"text": "x", "tags": tags} for tags in ('["a"]', '["a"]', '{"b": 1}', None)]
    with Corpus(write_corpus(tmp_path, rows)) as corpus:
        (facet,) = corpus.facets()
    assert isinstance(facet, ValuesFacet)
    assert facet.values == (ValueCount('["a"]', 2), ValueCount('{"b": 1}', 1))
    assert facet.num_missing == 1


def test_a_column_of_numbers_keeps_its_histogram_under_a_filter(tmp_path):
    rows = [{"text": "x", "year": number, "source": "a" if number < 3 else "b"} for number in range(60)]
    with Corpus(write_corpus(tmp_path, rows)) as corpus:
        facet = corpus.facets(Filter({"source": ("a",)}))[0]
    assert isinstance(facet, HistogramFacet)
    assert [(one.range.minimum, one.count) for one in facet.bins] == [(0, 1), (1, 1), (2, 1)]
