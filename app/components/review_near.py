"""Texts near the open one, each with a box that lets the next decision be about it, too."""

from collections.abc import Mapping
from functools import partial

import streamlit as st

from app import session
from app.background import Task, watch
from app.components import decision_keys, token_view
from app.components.corpus_tasks import data_tasks
from lorif_core.errors import LorifError
from lorif_core.views.hit_filters import statuses_of
from lorif_core.workspace.indexes.neighbours import Neighbours

NUM_NEAR = 5
LEAST_COSINE = 0.3
"""Less alike than this, a text is not ticked with the others: it would be decided by accident."""

SHORT_WAIT_S = 0.6
MAX_CHARS = 240


def draw(train_id: str, index_id: str | None, dataset: str, *, is_blind: bool) -> None:
    """The near texts with their boxes.

    Args:
        train_id: The open text.
        index_id: Whose stored gradients are compared; None: the data set has no complete index.
        dataset: Id of the data set.
        is_blind: Leave out what was decided about them.
    """
    st.markdown("**Near texts**")
    if index_id is None:
        st.text("An index finds them: none of this data set is complete yet.")
        return
    task = _look(train_id, index_id)
    if not task.wait(SHORT_WAIT_S):
        st.text("Comparing stored gradients…")
        watch(task.task_id, data_tasks())
        return
    result: Neighbours = task.result()
    statuses = {} if is_blind else statuses_of(session.workspace().decisions.states(dataset=dataset))
    _list((train_id, index_id), list(result.texts.iter_rows(named=True)), statuses)


def chosen(train_id: str, index_id: str | None) -> list[str]:
    """Ids of the texts near one by an index whose boxes are ticked."""
    known: dict[str, bool] = st.session_state.get("review-near", {}).get((train_id, index_id), {})
    return [one for one, is_ticked in known.items() if is_ticked]


def _list(near: tuple[str, str], found: list[dict], statuses: Mapping[str, tuple[str, str | None]]) -> None:
    ids, ticked = [row["train_id"] for row in found if row["cosine"] >= LEAST_COSINE], chosen(*near)
    is_all = bool(ids) and set(ticked) >= set(ids)
    st.button(
        "Only this text" if is_all else "Decide about these, too",
        key="review-near-all",
        shortcut=decision_keys.NEAR,
        on_click=_tick,
        args=(near, {} if is_all else dict.fromkeys(ids, True)),
        disabled=not ids,
        help=f"Ticks those with a cosine of {LEAST_COSINE:g} or more: the next decision is about them, too.",
    )
    for place, row in enumerate(found):
        one = row["train_id"]
        key = session.table_key(f"review-near-{place}", [*near, one])
        st.session_state[key] = one in ticked
        with st.container(horizontal=True, wrap=False, gap="small", key=f"row-near-{place}"):
            st.checkbox(
                f"Decide about near text {place + 1}, too",
                key=key,
                label_visibility="collapsed",
                on_change=partial(_toggle, near, one, key),
                width="content",
            )
            status, reason = statuses.get(one, ("kept", None))
            with st.container(gap=None):
                token_view.text(
                    row["text"][:MAX_CHARS] + "…" * (len(row["text"]) > MAX_CHARS), key=f"near-text-{place}"
                )
                decided = "" if status == "kept" else f" · {status}" + (f" as {reason}" if reason else "")
                st.caption(f"cosine {row['cosine']:.2f}{decided}")
    st.caption("Cosine of stored gradients: 1 would teach the model the same.")


def _tick(near: tuple[str, str], ticked: dict[str, bool]) -> None:
    st.session_state["review-near"] = {near: ticked}


def _toggle(near: tuple[str, str], other: str, key: str) -> None:
    known = st.session_state.get("review-near", {}).get(near, {})
    st.session_state["review-near"] = {near: known | {other: st.session_state[key]}}


def prefetch(train_id: str | None, index_id: str | None) -> None:
    """Begin to look for the near texts of the one that comes next."""
    if train_id is not None and index_id is not None:
        _look(train_id, index_id)


def _look(train_id: str, index_id: str) -> Task:
    workspace = session.workspace()
    return data_tasks().start(
        ["neighbours", index_id, train_id, NUM_NEAR],
        lambda: workspace.indexes.neighbours(train_id, NUM_NEAR, index_id=index_id),
    )


def index_on_screen() -> str | None:
    """Id of the index that the header names; None while the data set has no complete one."""
    try:
        return session.index_id()
    except LorifError:
        return None
