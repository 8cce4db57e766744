"""What the table of the corpus and its facets show, as JSON-serialisable values for their renderer."""

from collections.abc import Mapping, Sequence
from typing import Any

from lorif_core.corpus.facets import Facet, HistogramFacet
from lorif_core.corpus.highlighting import Snippet
from lorif_core.views.choices import of_bins, of_values, values_of
from lorif_core.views.shown_values import bin_text, cell_text
from lorif_core.views.text import visible
from lorif_core.views.tokens import found_parts

Payload = dict[str, Any]

MISSING = "(missing)"
MAX_CELL = 300
MAX_BARS = 12
USUAL_COLUMNS = 3


def usual_columns(facets: Sequence[Facet]) -> list[str]:
    """Columns that a table shows where nobody chose: the first ones that are no ids or free text."""
    told = [one for one in facets if isinstance(one, HistogramFacet) or not one.is_high_cardinality]
    return [one.column for one in told][:USUAL_COLUMNS]


def text_parts(text: str, passage: Snippet | None) -> list[Payload]:
    """A text of the table, with what a search found in it marked."""
    if passage is not None:
        return found_parts(passage.text, list(passage.spans))
    return [{"t": visible(text if len(text) <= MAX_CELL else f"{text[:MAX_CELL]}…")}]


def header_bars(facet: Facet) -> list[Payload]:
    """The small histogram above a column: bars of numbers and times, or of its most frequent values."""
    if isinstance(facet, HistogramFacet):
        counts = [(one.count, bin_text(facet, one)) for one in facet.bins]
    else:
        counts = [(one.count, cell_text(one.value)) for one in facet.values[:MAX_BARS]]
    most = max((count for count, _ in counts), default=0) or 1
    return [{"share": round(count / most, 3), "label": visible(f"{label}: {count:,}")} for count, label in counts]


def facet_box(facet: Facet, choice: str | None, zone: str | None) -> Payload:
    """Values or bars of a column to choose from.

    Args:
        facet: What the column holds.
        choice: The condition that was clicked together in this column.
        zone: IANA name of the person's time zone.
    """
    box: Payload = {"column": facet.column, "label": visible(facet.column)}
    if isinstance(facet, HistogramFacet):
        chosen = _chosen_bins(facet, choice)
        choices = [
            {"label": label, "count": one.count, "on": place in chosen}
            for place, (label, one) in enumerate(zip(bin_labels(facet, zone), facet.bins, strict=True))
        ]
        ends = [choices[0]["label"], choices[-1]["label"]] if choices else ["", ""]
        rest = f"{facet.num_missing:,} without a value" if facet.num_missing else ""
        return box | {"isHistogram": True, "choices": choices, "ends": ends, "rest": rest}
    values = facet_values(facet)
    on = set(values_of(choice, [value for value, _ in values])) if choice else set[int]()
    choices = [
        {"label": label, "count": count, "on": place in on}
        for place, (label, (_, count)) in enumerate(zip(value_labels(facet), values, strict=True))
    ]
    rest = f"{facet.num_other_values:,} more values in {facet.num_others:,} texts" if facet.num_other_values else ""
    return box | {"isHistogram": False, "choices": choices, "ends": ["", ""], "rest": rest}


def facet_values(facet: Any) -> list[tuple[Any, int]]:
    """Values that a facet lists with their counts; None for a missing one."""
    listed = [(one.value, one.count) for one in facet.values]
    return listed + ([(None, facet.num_missing)] if facet.num_missing else [])


def value_labels(facet: Any) -> list[str]:
    """What the values are called on screen."""
    return [MISSING if value is None else visible(cell_text(value)) for value, _ in facet_values(facet)]


def bin_labels(facet: HistogramFacet, zone: str | None) -> list[str]:
    """What the bars are called on screen."""
    return [visible(bin_text(facet, one, zone)) for one in facet.bins]


def picked(facets: Sequence[Facet], clicked: Mapping[str, Any], own: str | None, zone: str | None) -> str | None:
    """The condition of a column after a click into its facet; None: none is left.

    Args:
        facets: Those on screen.
        clicked: ``column``, ``label`` and, of bars that were dragged over, ``last``.
        own: The condition before.
        zone: IANA name of the person's time zone.

    Raises:
        StopIteration: There is no such column.
        ValueError: It has no such label.
    """
    facet = next(one for one in facets if one.column == clicked["column"])
    if isinstance(facet, HistogramFacet):
        labels = bin_labels(facet, zone)
        first, last = labels.index(clicked["label"]), labels.index(clicked.get("last") or clicked["label"])
        choice = of_bins(facet.column, facet.bins[first : last + 1])
        return None if choice == own else choice
    values = [value for value, _ in facet_values(facet)]
    places = set(values_of(own, values) if own else []) ^ {value_labels(facet).index(clicked["label"])}
    return of_values(facet.column, [values[one] for one in sorted(places)]) if places else None


def _chosen_bins(facet: HistogramFacet, choice: str | None) -> set[int]:
    """Bars that a choice of ``of_bins`` names."""
    if choice is None:
        return set()
    return next(
        (
            set(range(first, last + 1))
            for first in range(len(facet.bins))
            for last in range(first, len(facet.bins))
            if of_bins(facet.column, facet.bins[first : last + 1]) == choice
        ),
        set(),
    )
