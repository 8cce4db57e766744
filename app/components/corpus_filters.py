"""What of the data is shown: search, condition, status, clicked facets, order. All of it lies in the URL."""

from collections.abc import Sequence
from typing import NamedTuple, get_args

import streamlit as st

from app import session
from lorif_core.corpus.filters import SearchMode, Status
from lorif_core.views.text import visible
from lorif_core.workspace.datasets.view import View

MODES = get_args(SearchMode)
STATUSES = get_args(Status)
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
            width=270,
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
        where = st.text_input(
            "Condition",
            key="where",
            bind="query-params",
            on_change=first_page,
            placeholder='source = trivia-board and not text contains "Sydney"',
            max_chars=10_000,
            help=WHERE_HELP,
            width=430,
        )
        with st.popover("Order", width="content"):
            orders = [IMPORTED, *([RELEVANCE] if search and mode == "words" else []), *sort_columns]
            sort = st.selectbox("Order by", orders, key="sort", bind="query-params", on_change=first_page)
            descending = st.toggle("Largest first", key="desc", bind="query-params", on_change=first_page)
            st.caption("Or click the heading of a column: it sorts all texts, not only this page.")
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


def chips(picks: Sequence[str]) -> None:
    """The clicked facets, each of which can be taken away."""
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
            label_visibility="collapsed",
            width=720,
        )


def first_page() -> None:
    """Go back to the first page, as the list is another one."""
    session.set_url(page=None)


def reset() -> None:
    """Show everything again."""
    session.set_url(page=None, pick=None, cluster=None)
    defaults = {"mode": "words", "status": [], "sort": IMPORTED, "desc": False}
    for key in KEYS:
        st.session_state[key] = defaults.get(key, "")


def _keep_chips(key: str) -> None:
    set_picks(st.session_state[key])


def set_picks(picks: Sequence[str]) -> None:
    """Write what was clicked in the columns into the URL."""
    first_page()
    if picks:
        st.query_params["pick"] = list(picks)
    else:
        session.set_url(pick=None)
