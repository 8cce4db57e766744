"""Checkboxes beside texts, and what the keys and the bar of the page are about. For every page with a list of texts.

with st.container(key=f"card-hit-{train_id}"):          # "card-" or "row-": what carries the cursor
    chosen_texts.tick(train_id, key=…)
    …
chosen_texts.offer([(train_id, status), …], dataset=…, query=…)
"""

from collections.abc import Sequence

import streamlit as st

from app.components import decide
from app.components.decision_keys import NOTHING, Desk, mount
from lorif_core.views.text import visible

TOP = 3
TICK = 24
"""Width of a checkbox in pixels."""

HINT = 80
"""Width of the button that lists the keys."""


def tick(train_id: str, *, key: str) -> None:
    """A checkbox for one text; nothing runs when it is clicked.

    Args:
        train_id: Of the text.
        key: Unique on the page.
    """
    mount({"mode": "tick", "id": train_id, "label": f"Select {visible(train_id)}"}, key, width=TICK)


def offer(rows: Sequence[tuple[str, str]], *, dataset: str, query: str | None = None) -> None:
    """Let the keys and the bar decide about the texts with a checkbox.

    Args:
        rows: Train id and status of each, in the order of the screen.
        dataset: Id of the data set.
        query: Id of the question that led here.
    """
    st.session_state["desk"] = Desk([(one, status, visible(one)) for one, status in rows], dataset, query)


def offer_table(
    rows: Sequence[tuple[str, str]],
    *,
    key: str,
    dataset: str,
    query: str | None = None,
    selected: Sequence[str] = (),
    row_height: int = 35,
    header: int = 35,
) -> None:
    """Let the keys decide about the rows of a ``st.dataframe`` that has a column with the ids.

    Args:
        rows: Train id and status of each.
        key: Beginning of the table's key, as given to ``session.table_key``.
        dataset: Id of the data set.
        query: Id of the question that led here.
        selected: Ids of the selected rows; keys are about these, else about the one under the cursor.
        row_height: Of a row, in pixels.
        header: Height of the heading, in pixels.
    """
    shown = [(one, status, visible(one)) for one, status in rows]
    st.session_state["desk"] = Desk(
        shown, dataset, query, f"st-key-{key}", tuple(selected), row_height=row_height, header=header
    )


def leave_to_buttons() -> None:
    """Let the keys press the buttons of the page, which bear the letters themselves."""
    st.session_state["desk"] = NOTHING._replace(is_quiet=True)


def exclude_top(rows: Sequence[tuple[str, str]], *, dataset: str, query: str | None = None) -> None:
    """A button that excludes the first texts of a list, as many as one says; those excluded already do not count.

    Args:
        rows: Train id and status of each, strongest first.
        dataset: Id of the data set.
        query: Id of the question that ranked them.
    """
    ids = [train_id for train_id, status in rows if status != "excluded"]
    st.button(
        "Exclude the top…",
        key="exclude-top",
        disabled=not ids,
        on_click=decide.ask,
        args=(ids, "exclude", {"dataset": dataset, "query": query}),
        kwargs={"top": min(TOP, len(ids))},
        help="The strongest texts of this list; you see them first.",
    )
    hint(key="keys-hint")


def hint(*, key: str) -> None:
    """A small button that lists the keys, for whoever does not know of the question mark yet."""
    mount({"mode": "hint"}, key, width=HINT)
