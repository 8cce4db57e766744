"""From how many texts on an index is searched by a cascade, and what such a search says of itself."""

from typing import TYPE_CHECKING

from lorif_core.config import Search
from lorif_core.views.search_report import FastSearch

if TYPE_CHECKING:
    from lorif_core.passes.cascade import CascadeReport

FAST_FROM = 100_000
"""Texts from which on a search is fast unless it is asked to be exact; below, reading everything takes no time."""


READ_WHOLE = "the index is in an object store, whose files are read whole, so a search by parts would save nothing"
"""Why such an index is searched exactly."""


def usual_search(num_texts: int) -> Search:
    """How an index of so many texts is searched where nobody says."""
    return "fast" if num_texts >= FAST_FROM else "exact"


def told(report: "CascadeReport", list_length: int) -> FastSearch:
    """What readers are told of a search by a cascade."""
    return FastSearch(
        share_read=report.share_read,
        num_scored_in_full=report.sample_size + report.num_candidates,
        sample_size=report.sample_size,
        list_length=list_length,
        expected_recall=report.expected_recall,
        num_hits=report.num_hits,
        expected_hit_recall=report.expected_hit_recall,
        ceiling=report.ceiling,
        is_proved=report.is_proved,
    )
