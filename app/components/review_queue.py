"""What is reviewed: where the queue comes from, which text is open, what was done. Remembered per tab."""

from collections.abc import Mapping
from typing import Literal, NamedTuple

import streamlit as st

from app import session
from app.components import choose_group
from app.components.decision_keys import NEXT, PREVIOUS
from lorif_core.catalog import QueryRecord
from lorif_core.views.decision_words import counted_texts
from lorif_core.views.text import visible
from lorif_core.workspace.curation.choice import MAX_QUEUE, Choice, QueueReport, Source, review_report

MY_SHARE = "My share"
"""What a person still has to decide about of a queue that was shared out, see the Team page."""

SOURCES: dict[str, Source] = {
    "Flagged": "flagged",
    "A question's list": "query",
    "A condition": "condition",
    MY_SHARE: "share",
}
MAX_LABEL = 70


class Queue(NamedTuple):
    """Texts to review, in a fixed order."""

    ids: list[str]
    done: dict[str, str]
    """Train id → what was done with it in this tab."""

    trail: list[str]
    """Ids in the order in which they were decided."""

    report: QueueReport
    """Why it is as short as it is."""

    acts: dict[str, list[str]]
    """Act → its texts, the one that was open when it was done first."""

    @property
    def left(self) -> list[str]:
        """Those not done yet."""
        return [train_id for train_id in self.ids if train_id not in self.done]


def choose(
    queries: list[QueryRecord], sources: Mapping[str, Source | Literal["group"]] = SOURCES, *, key: str = "from"
) -> Choice:
    """Widgets that say which texts are meant; their state lies in the URL."""
    with st.container(horizontal=True, vertical_alignment="bottom", key=f"{key}-choice"):
        names = list(sources)
        name = st.segmented_control("Texts", names, default=names[0], required=True, key=key, bind="query-params")
        source = sources[name or names[0]]
        query, k, where = None, 10, ""
        if source == "query" and queries:
            labels = {record.query_id: label_of(record) for record in reversed(queries)}
            query = _choose_query(labels, key)
            k = st.number_input("Strongest", 1, 500, 10, key="k", bind="query-params", width=130)
        if source == "group":
            where = choose_group.draw(session.dataset_id())
            source = "condition"
        elif source == "condition":
            where = st.text_input(
                "Condition",
                key="where",
                bind="query-params",
                placeholder='source = trivia-board and text contains "Sydney"',
                max_chars=10_000,
                width=520,
            )
    return Choice(source, query, int(k), where or "", session.actor())


def _choose_query(labels: dict[str, str], key: str) -> str | None:
    named = st.query_params.get("query")
    widget = f"{key}-query-{named}"
    return st.selectbox(
        "Question",
        list(labels),
        index=list(labels).index(named) if named in labels else 0,
        format_func=lambda one: labels[one],
        key=widget,
        on_change=lambda: session.set_url(query=st.session_state[widget]),
        width=420,
    )


def label_of(record: QueryRecord) -> str:
    """A question in one line, with what sets it apart from the same one asked otherwise."""
    said = f"#{record.query_id} {record.prompt[-MAX_LABEL:]} → {record.completion.strip()[:MAX_LABEL]}"
    if record.contrast is not None:
        said += f" compared with {record.contrast.strip()[:MAX_LABEL]}"
    if record.tokens_json is not None:
        said += f" · tokens {record.tokens_json}"
    if record.normalisation != "none":
        said += f" · {record.normalisation}"
    return visible(said)


def open_queue(choice: Choice, dataset: str, *, with_decided: bool = False) -> Queue:
    """The queue of a choice, made when it is first asked for and then fixed until ``renew``.

    It begins with the text that a link names, also one that was decided since.
    """
    known, named = st.session_state.get("review-queue"), st.query_params.get("open")
    if known is None or known["of"] != (choice, dataset, with_decided):
        if known is not None and named in known["queue"].ids:
            named = None  # the text that was open in the queue before
        report = review_report(session.workspace().decisions, choice, dataset, with_decided=with_decided)
        known = {"of": (choice, dataset, with_decided), "queue": Queue(list(report.ids), {}, [], report, {})}
        st.session_state["review-queue"] = known
    queue: Queue = known["queue"]
    if named not in queue.ids:
        queue.ids[:0] = _linked(named, dataset)
    return queue


def _linked(named: str | None, dataset: str) -> list[str]:
    """The text that a link names; what names none leaves the address."""
    if named:
        with session.errors():
            return [shown.train_id for shown in session.workspace().data.texts([named], dataset)]
    session.set_url(open=None)
    return []


def renew() -> None:
    """Make the queue again on the next run."""
    st.session_state.pop("review-queue", None)
    session.set_url(open=None)


def current(queue: Queue) -> str | None:
    """The open text: the one that the URL names, else the first that is not done."""
    named = st.query_params.get("open")
    if named in queue.ids:
        return named
    return queue.left[0] if queue.left else None


def advance(queue: Queue, train_id: str, what: str) -> None:
    """Note what was done with a text and open the next one that is not done."""
    queue.done[train_id] = what
    if train_id not in queue.trail:
        queue.trail.append(train_id)
    place = queue.ids.index(train_id)
    order = queue.ids[place + 1 :] + queue.ids[:place]
    session.set_url(open=next((one for one in order if one not in queue.done), None))


def go_back(queue: Queue, train_id: str | None = None) -> None:
    """Open a text again, as not done: that of an act that was undone, or the one that was decided last."""
    if train_id is None and queue.trail:
        train_id = queue.trail[-1]
    if train_id is not None:
        queue.trail[:] = [one for one in queue.trail if one != train_id]
        queue.done.pop(train_id, None)
        session.set_url(open=train_id)


def follow_undo(queue: Queue) -> None:
    """Open the text again whose decision was taken back since, by whichever Undo."""
    act = st.session_state.pop("undone", None)
    if act in queue.acts:
        train_id, *others = queue.acts.pop(act)
        for other in others:
            queue.done.pop(other, None)
        go_back(queue, train_id)


def step(queue: Queue, train_id: str, by: int) -> None:
    """Open the next or the previous text; nothing is decided. For callbacks."""
    place = queue.ids.index(train_id) + by
    session.set_url(open=queue.ids[max(0, min(len(queue.ids) - 1, place))])


def header(queue: Queue, train_id: str | None) -> None:
    """How much of the queue is done, and why it is as short as it is."""
    with st.container(horizontal=True, vertical_alignment="center", key="review-progress"):
        if queue.ids:
            num_done = len(queue.ids) - len(queue.left)
            place = f" · text {queue.ids.index(train_id) + 1:,} of {len(queue.ids):,}" if train_id else ""
            st.progress(num_done / len(queue.ids), text=f"{num_done:,} of {len(queue.ids):,} done{place}")
        if train_id is not None:
            for label, letter, by in (("Previous", PREVIOUS, -1), ("Next", NEXT, 1)):
                key = f"review-{label.lower()}"
                st.button(label, key=key, shortcut=letter, on_click=step, args=(queue, train_id, by))
        st.button("Build the queue again", key="review-renew", on_click=renew)
    told = why_so_short(queue)
    if told is not None or st.session_state.get("review-decided"):
        with st.container(horizontal=True, vertical_alignment="center", key="review-short"):
            st.text(told or "Texts that were decided already are in the queue, too.", width="content")
            st.toggle("Include decided texts", key="review-decided", persist_state="session")


def why_so_short(queue: Queue) -> str | None:
    """What was left out of the queue, in one sentence; None if nothing was."""
    _, num_chosen, num_decided, num_beyond = queue.report
    said = []
    if num_decided:
        each = ", ".join(f"{count:,} {status}" for status, count in sorted(num_decided.items()))
        verb = "was" if sum(num_decided.values()) == 1 else "were"
        said.append(f"{sum(num_decided.values()):,} of {counted_texts(num_chosen)} {verb} decided already ({each}).")
    if num_beyond:
        said.append(f"A queue holds {MAX_QUEUE:,} texts: {num_beyond:,} more wait until these are done.")
    return " ".join(said) or None
