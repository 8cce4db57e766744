"""Every act as a table; one of them in full, with the button that takes it back."""

from collections import Counter
from collections.abc import Sequence

import polars as pl
import streamlit as st

from app import session
from app.components.history_texts import snippets
from lorif_core.journal.entries import STATUS_OF, ExampleEvent, HistoryEntry, Status
from lorif_core.views.decision_words import counted_texts, kind_word
from lorif_core.views.text import visible


def table(entries: Sequence[HistoryEntry], dataset: str) -> HistoryEntry | None:
    """The acts, newest first, each with the first text that it is about; the selected one."""
    batches = [entry.batch for entry in entries]
    first = session.workspace().journal.first_examples([batch.batch_id for batch in batches])
    text_of = snippets(list(first.values()), dataset)
    chosen = st.dataframe(
        {
            "when (UTC)": [batch.at.replace(tzinfo=None) for batch in batches],
            "who": [visible(batch.actor) for batch in batches],
            "what": [kind_word(batch.kind) + (" (settles)" if batch.settles else "") for batch in batches],
            "texts": [batch.num_events for batch in batches],
            "the first of them": [text_of.get(first.get(batch.batch_id, ""), "") for batch in batches],
            "reason": [batch.reason or "" for batch in batches],
            "comment": [visible(batch.text or "") for batch in batches],
            "question": [f"#{batch.query_id}" if batch.query_id else "" for batch in batches],
            "undone": ["undone" if entry.is_undone else "" for entry in entries],
            "act": [batch.batch_id for batch in batches],
        },
        hide_index=True,
        column_config={
            "when (UTC)": st.column_config.DatetimeColumn(format="YYYY-MM-DD HH:mm:ss", width=150),
            "who": st.column_config.TextColumn(width=100),
            "what": st.column_config.TextColumn(width=100),
            "the first of them": st.column_config.TextColumn(width=320),
            "texts": st.column_config.NumberColumn(format="localized", width=60),
            "reason": st.column_config.TextColumn(width=110),
            "comment": st.column_config.TextColumn(width=180),
            "question": st.column_config.TextColumn(width=75),
            "undone": st.column_config.TextColumn(width=75),
        },
        key=session.table_key("history-acts", [batch.batch_id for batch in batches]),
        on_select="rerun",
        selection_mode="single-row",
        alt="Every act; select one to see its texts and to revert it",
    )
    rows = chosen["selection"]["rows"]
    return entries[rows[0]] if rows and rows[0] < len(entries) else None


def details(
    entry: HistoryEntry, train_ids: Sequence[str], changes: Sequence[ExampleEvent], dataset: str
) -> str | None:
    """One act with its rule, the status of its texts before and after, and the way back; the selected text.

    Args:
        entry: The act.
        train_ids: All its texts.
        changes: What it did to the first of them.
        dataset: The data set on screen.
    """
    batch = entry.batch
    with st.container(border=True, key="history-act"):
        with st.container(horizontal=True, vertical_alignment="center"):
            after = STATUS_OF.get(batch.kind)
            said = [kind_word(batch.kind), counted_texts(batch.num_events), f"by {batch.actor}"]
            said += [f"now {after}"] if after and not entry.is_undone else []
            said += [f"of act {batch.of_batch}"] if batch.of_batch else []
            said += ["undone"] if entry.is_undone else []
            st.text(visible(" · ".join(said)))
            st.space("stretch")
            _revert(entry, dataset)
        if batch.rule:
            st.text(visible(f"Rule: {batch.rule}"))
        if batch.text:
            st.text(visible(batch.text))
        return _changes(train_ids, changes, dataset)


def _changes(train_ids: Sequence[str], changes: Sequence[ExampleEvent], dataset: str) -> str | None:
    shown = train_ids[: len(changes)]
    text_of = snippets(shown, dataset)
    counts = Counter(f"{one.status_before} → {one.status_after}" for one in changes)
    more = f"; {len(train_ids) - len(shown):,} more" if len(train_ids) > len(shown) else ""
    st.text(", ".join(f"{count:,} × {change}" for change, count in counts.most_common()) + more)
    chosen = st.dataframe(
        {
            "before": [one.status_before for one in changes],
            "after": [one.status_after for one in changes],
            "text": [text_of[one] for one in shown],
            "id": [visible(one) for one in shown],
        },
        hide_index=True,
        height=min(40 + 36 * len(shown), 260),
        key=session.table_key("history-changes", shown),
        on_select="rerun",
        selection_mode="single-row",
        alt="Status of each text before and after the act; select one to see its time line",
    )
    rows = chosen["selection"]["rows"]
    return shown[rows[0]] if rows and rows[0] < len(shown) else None


def time_line(events: Sequence[ExampleEvent]) -> None:
    """Everything that happened to one text, with its status before and after."""
    batches = [event.batch for event in events]
    st.dataframe(
        {
            "when (UTC)": [batch.at.replace(tzinfo=None) for batch in batches],
            "who": [visible(batch.actor) for batch in batches],
            "what": [kind_word(batch.kind) for batch in batches],
            "before": [event.status_before for event in events],
            "after": [event.status_after for event in events],
            "reason": [batch.reason or "" for batch in batches],
            "comment": [visible(batch.text or "") for batch in batches],
            "undone": ["undone" if event.is_undone else "" for event in events],
        },
        hide_index=True,
        key=session.table_key("history-events", [str(event.event_id) for event in events]),
        alt="Time line of one text",
    )


def conflicts(found: pl.DataFrame, dataset: str) -> None:
    """What each person says about the texts on which they disagree, and how an admin ends it."""
    if found.is_empty():
        st.text("Nobody disagrees about any text.")
        return
    rows = found.to_dicts()
    text_of = snippets([row["train_id"] for row in rows], dataset)
    chosen = st.dataframe(
        {
            "id": [visible(row["train_id"]) for row in rows],
            "who": [visible(row["actor"]) for row in rows],
            "says": [row["status"] for row in rows],
            "reason": [row["reason"] or "" for row in rows],
            "comment": [visible(row["text"] or "") for row in rows],
            "text": [text_of[row["train_id"]] for row in rows],
            "when (UTC)": [row["at"].replace(tzinfo=None) for row in rows],
        },
        hide_index=True,
        key=session.table_key("history-conflicts", [f"{row['train_id']}\0{row['batch_id']}" for row in rows]),
        on_select="rerun",
        selection_mode="multi-row",
        alt="Decisions of each person on texts on which people disagree; select texts to settle",
    )
    ids = list(dict.fromkeys(rows[place]["train_id"] for place in chosen["selection"]["rows"]))
    reasons = [reason.name for reason in session.workspace().journal.reasons()]
    with st.container(horizontal=True, vertical_alignment="bottom", key="history-settle"):
        status = st.segmented_control(
            "Settle as", list(STATUS_OF.values()), default="kept", required=True, key="history-status"
        )
        reason = st.selectbox("Reason", reasons, index=None, key="history-reason", width=200)
        st.button(
            f"Settle {counted_texts(len(ids))}",
            key="history-settle-now",
            type="primary",
            disabled=not ids or (status == "excluded" and reason is None),
            help="For an admin: earlier decisions of others no longer conflict.",
            on_click=_settle,
            args=(ids, status, reason, session.request_id(f"settle-{status}-{reason}", ids), dataset),
        )


def _settle(ids: list[str], status: Status, reason: str | None, request: str, dataset: str) -> None:
    settle = session.workspace().decisions.settle
    why = {"actor": session.actor(), "client_id": request, "reason": reason}
    session.act(
        f"Settled {counted_texts(len(ids))} as {status}.", lambda: settle(ids, status, dataset=dataset, **why)
    )


def _revert(entry: HistoryEntry, dataset: str) -> None:
    batch = entry.batch
    undoes = batch.kind != "undo" and not entry.is_undone
    st.button(
        "Revert" if undoes else "Bring back",
        key=f"history-revert-{batch.batch_id}",
        help="Writes a new act; nothing is deleted.",
        on_click=_take_back if undoes else _bring_back,
        args=(batch.of_batch or batch.batch_id, dataset),
    )


def _take_back(batch_id: str, dataset: str) -> None:
    session.take_back(batch_id, dataset)


def _bring_back(batch_id: str, dataset: str) -> None:
    session.bring_back(batch_id, dataset)
