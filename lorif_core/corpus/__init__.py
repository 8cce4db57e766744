"""Browsing, searching and describing the examples of imported data sets."""

from lorif_core.corpus.browse import Corpus, Page, last_offset
from lorif_core.corpus.connection import ExamplesFile
from lorif_core.corpus.facets import Bin, Facet, HistogramFacet, ValueCount, ValuesFacet
from lorif_core.corpus.filters import Filter, Range, SideTables, SortKey, TextSearch
from lorif_core.corpus.fulltext import FullText, TextHit, build_fulltext, ensure_fulltext
from lorif_core.corpus.highlighting import Snippet

__all__ = [
    "Bin",
    "Corpus",
    "ExamplesFile",
    "Facet",
    "Filter",
    "FullText",
    "HistogramFacet",
    "Page",
    "Range",
    "SideTables",
    "Snippet",
    "SortKey",
    "TextHit",
    "TextSearch",
    "ValueCount",
    "ValuesFacet",
    "build_fulltext",
    "ensure_fulltext",
    "last_offset",
]
