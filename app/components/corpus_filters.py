"""What of the data is shown: search, condition, status, clicked facets, order. All of it lies in the URL."""

from collections.abc import Sequence
from typing import NamedTuple, get_args

import streamlit as st

from app import session
from lorif_core.corpus.facets import Facet, HistogramFacet, ValuesFacet
from lorif_core.corpus.filters import SearchMode, Status
from lorif_core.views.choices import column_of, of_bins, of_values, values_of, with_choice, without_column
from lorif_core.views.facet_figures import chosen_bins, histogram
from lorif_core.views.shown_values import cell_text
from lorif_core.views.text import visible
from lorif_core.workspace.datasets.view import View

MODES = get_args(SearchMode)
STATUSES = get_args(Status)
MISSING = "(missing)"
KEYS = ("q", "mode", "where", "status", "sort", "desc")
IMPORTED, RELEVANCE = "order of import", "relevance"

WHERE_HELP = """
Chooses texts by what is known about them. Some conditions:

| Condition | Chooses texts |
|---|---|
| `source = forum` | whose column `source` is exactly `forum` |
| `year between 2019 and 2021` | both ends included |
| `lang in (de, fr, "pt-BR")` | any of these values |
| `text contains "Sydney"` | with these characters |
| `text matches "colou?r"` | with a match of this expression |
| `author is missing` | without an author |
| `reason = misinformation` | by the reason of the decision |
| `decided by anna` | by who decided |
| `label = "needs-review"` | with this label |
| `has conflict` | on which people disagree |
| `score in the top 25 for query 7` | strongest supporters of a question |

Join them with `and`, `or`, `not` and parentheses. All of it: `docs/reference/rules.md`.
"""


class Chosen(NamedTuple):
    """What the widgets say."""

    view: View
    """Without the clicked facets."""

    picks: list[str]
    """One condition for each column that was clicked."""


def bar(sort_columns: Sequence[str]) -> Chosen:
    """Search, condition, status and order."""
    with st.container(horizontal=True, vertical_alignment="bottom", key="corpus-search"):
        search = st.text_input(
            "Search the texts",
            key="q",
            bind="query-params",
            on_change=first_page,
            placeholder="Words to find",
            max_chars=1000,
            width=290,
        )
        mode = st.segmented_control(
            "How", MODES, default="words", required=True, key="mode", bind="query-params", on_change=first_page
        )
        statuses = st.pills(
            "Status",
            STATUSES,
            selection_mode="multi",
            key="status",
            bind="query-params",
            on_change=first_page,
        )
        orders = [IMPORTED, *([RELEVANCE] if search and mode == "words" else []), *sort_columns]
        sort = st.selectbox("Order by", orders, key="sort", bind="query-params", on_change=first_page, width=165)
        descending = st.toggle("Largest first", key="desc", bind="query-params", on_change=first_page)
    where = st.text_input(
        "Condition",
        key="where",
        bind="query-params",
        on_change=first_page,
        placeholder='source = trivia-board and not text contains "Sydney"',
        max_chars=10_000,
        help=WHERE_HELP,
    )
    key = {IMPORTED: "order:row", RELEVANCE: "order:relevance"}.get(sort or IMPORTED, f"data.{sort}")
    order = () if key == "order:row" and not descending else (f"-{key}" if descending else key,)
    view = View(
        where=where or None,
        search=search or None,
        mode=mode or "words",
        statuses=tuple(statuses or ()),
        sort=order,
        zone=session.zone(),
    )
    return Chosen(view, st.query_params.get_all("pick"))


def chips(picks: Sequence[str], *, is_filtered: bool) -> None:
    """The clicked facets, each of which can be taken away, and a way back to everything."""
    if not is_filtered:
        return
    with st.container(horizontal=True, vertical_alignment="bottom", key="corpus-chips"):
        if picks:
            key = session.table_key("corpus-chips", picks)
            st.multiselect(
                "Chosen in the columns",
                picks,
                default=picks,
                format_func=visible,
                key=key,
                on_change=_keep_chips,
                args=(key,),
                width=720,
            )
        st.button("Reset all", key="corpus-reset", on_click=reset)


def facets(found: Sequence[Facet], picks: Sequence[str]) -> None:
    """A list of values with counts, or a histogram, for each column; a click filters."""
    for place, facet in enumerate(found):
        with st.container(key=f"corpus-facet-{place}", gap="xsmall"):
            st.text(visible(facet.column))
            if isinstance(facet, HistogramFacet):
                _histogram(facet, picks)
            else:
                _values(facet, picks)


def first_page() -> None:
    """Go back to the first page, as the list is another one."""
    session.set_url(page=None)


def reset() -> None:
    """Show everything again."""
    session.set_url(page=None, pick=None)
    defaults = {"mode": "words", "status": [], "sort": IMPORTED, "desc": False}
    for key in KEYS:
        st.session_state[key] = defaults.get(key, "")


def _keep_chips(key: str) -> None:
    _set_picks(st.session_state[key])


def _set_picks(picks: Sequence[str]) -> None:
    first_page()
    if picks:
        st.query_params["pick"] = list(picks)
    else:
        session.set_url(pick=None)


def _values(facet: ValuesFacet, picks: Sequence[str]) -> None:
    values = [one.value for one in facet.values] + ([None] if facet.num_missing else [])
    counts = [one.count for one in facet.values] + ([facet.num_missing] if facet.num_missing else [])
    names = [MISSING if value is None else visible(cell_text(value)) for value in values]
    key = session.table_key(f"corpus-values-{facet.column}", [*picks, *names])
    own = next((pick for pick in picks if column_of(pick) == facet.column), None)
    st.dataframe(
        {"value": names, "texts": counts},
        hide_index=True,
        height=min(38 + 32 * len(names), 230),
        row_height=32,
        column_config={
            "value": st.column_config.TextColumn("value", width=98),
            "texts": st.column_config.ProgressColumn(
                "texts", format="localized", max_value=max(counts, default=1), width=95
            ),
        },
        key=key,
        on_select=lambda: _pick_values(key, facet, values, picks),
        selection_mode="multi-row",
        selection_default={"selection": {"rows": values_of(own, values) if own else []}},
        alt="Values of a column with the number of texts; select some to see only these",
    )
    if facet.num_other_values:
        st.text(f"{facet.num_other_values:,} more values in {facet.num_others:,} texts")


def _pick_values(key: str, facet: ValuesFacet, values: list, picks: Sequence[str]) -> None:
    if rows := st.session_state[key]["selection"]["rows"]:
        _set_picks(with_choice(picks, of_values(facet.column, [values[row] for row in rows])))
    else:
        _set_picks(without_column(picks, facet.column))


def _histogram(facet: HistogramFacet, picks: Sequence[str]) -> None:
    key = session.table_key(f"corpus-histogram-{facet.column}", [*picks, str(facet.minimum), str(facet.maximum)])
    st.plotly_chart(
        histogram(facet, session.zone()),
        key=key,
        on_select=lambda: _pick_bins(key, facet, picks),
        selection_mode=("points", "box"),
        config={"displayModeBar": False},
        alt="How the numbers of a column are spread; click or drag to see only some",
    )
    if facet.num_missing:
        st.text(f"{facet.num_missing:,} without a value")


def _pick_bins(key: str, facet: HistogramFacet, picks: Sequence[str]) -> None:
    places = [point["customdata"] for point in st.session_state[key]["selection"]["points"]]
    places = [one[0] if isinstance(one, list) else one for one in places]
    if bins := chosen_bins(facet, places):
        _set_picks(with_choice(picks, of_bins(facet.column, bins)))
