"""Decide about groups of texts: all of a group, those on top, or a sample first, which goes to Review."""

from collections.abc import Callable, Mapping, Sequence

import polars as pl
import streamlit as st

from app import session
from app.components import decide
from lorif_core.views.choices import of_values
from lorif_core.views.hit_filters import statuses_of
from lorif_core.views.text import counted
from lorif_core.workspace.failures.question_groups import SAMPLE_TEXTS, Part

MOST_LINKED = 100
"""Texts that a link to Corpus may name one by one."""

PARTS: dict[Part, str] = {"all": "All texts", "top": "Those on top", "sample": "A sample first"}
WHAT: dict[Part, str] = {
    "all": "Every text of the chosen groups.",
    "top": "Only their texts that are among the top.",
    "sample": f"{SAMPLE_TEXTS} texts drawn at random: flag them, and they wait in Review.",
}


def draw(
    names: Sequence[str],
    ids_of: Callable[[Part], list[str]],
    conditions: Mapping[str, str | None],
    *,
    key: str,
    dataset: str,
    query: str | None = None,
) -> list[str]:
    """Which texts of the chosen groups are meant, and what to do with them; the ids that are meant.

    Args:
        names: Of the chosen groups.
        ids_of: Ids of a part of their texts.
        conditions: How to find a group's texts in Corpus, by its name; None: not at all.
        key: Unique on the page.
        dataset: Id of the data set.
        query: Id of the question that led here.
    """
    with st.container(horizontal=True, vertical_alignment="center", key=f"selection-{key}"):
        if not names:
            st.text("Select groups to decide about their texts.")
            return []
        part: Part = st.segmented_control(
            "Which of their texts",
            list(PARTS),
            default="all",
            required=True,
            format_func=lambda one: PARTS[one],
            key=f"{key}-part",
            label_visibility="collapsed",
            help=" ".join(f"{PARTS[one]}: {WHAT[one]}" for one in PARTS),
        )
        ids = ids_of(part)
        st.text(counted(len(ids), "text"))
        decide.buttons(ids, status_of(ids, dataset), key=key, dataset=dataset, query=query)
        st.space("stretch")
        _links(_where(names, ids, conditions), part, dataset)
    return ids


def strongest(frame: pl.DataFrame, most: int) -> pl.DataFrame:
    """The groups that a table shows; says so where these are not all."""
    if len(frame) > most:
        st.text(f"The {most} groups with the largest sums, of {len(frame):,}.")
    return frame.head(most)


def status_of(ids: Sequence[str], dataset: str) -> str:
    """The status of some texts if it is one, else mixed."""
    known = statuses_of(session.workspace().decisions.states(dataset=dataset))
    decided = {known[one][0] for one in ids if one in known}
    if len(decided) == 1 and all(one in known for one in ids):
        return decided.pop()
    return "mixed" if decided else "kept"


def statuses(ids: Sequence[str], dataset: str) -> list[str]:
    """The status of each text."""
    known = statuses_of(session.workspace().decisions.states(dataset=dataset))
    return [known[one][0] if one in known else "kept" for one in ids]


def chosen_names(frame: pl.DataFrame, rows: Sequence[int]) -> list[str]:
    """Names of the groups in selected rows of a table."""
    return [frame["group"][row] for row in rows]


def _where(names: Sequence[str], ids: Sequence[str], conditions: Mapping[str, str | None]) -> str | None:
    """How to find the groups in Corpus: by their column, else by their ids where these are few."""
    found = [one for name in names if (one := conditions.get(name)) is not None]
    if len(found) == len(names):
        return found[0] if len(found) == 1 else " or ".join(f"({one})" for one in found)
    return of_values("train_id", ids) if 0 < len(ids) <= MOST_LINKED else None


def _links(where: str | None, part: Part, dataset: str) -> None:
    pages = st.session_state.get("pages", {})
    if "corpus" in pages and where is not None:
        st.page_link(pages["corpus"], label="Open in Corpus", query_params={"where": where, "dataset": dataset})
    if "review" in pages and part == "sample":
        st.page_link(pages["review"], label="Review flagged", query_params={"from": "Flagged", "dataset": dataset})
