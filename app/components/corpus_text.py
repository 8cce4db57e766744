"""One text in full, with its metadata and what people decided about it."""

from collections.abc import Mapping, Sequence

import streamlit as st

from app import session
from app.components import decide, find_similar, token_view
from lorif_core.corpus.filters import TextSearch
from lorif_core.corpus.highlighting import spans_of
from lorif_core.corpus.value_types import ValueType
from lorif_core.journal.entries import ExampleEvent
from lorif_core.views.decision_words import kind_word
from lorif_core.views.hit_filters import statuses_of
from lorif_core.views.shown_values import instant_text
from lorif_core.views.text import visible
from lorif_core.workspace.datasets.datasets import ShownText

KEYS = decide.Shortcuts(flag="f", exclude="x")


def draw(shown: ShownText, *, key: str, status: str, reason: str | None, search: TextSearch | None = None) -> None:
    """The text itself, under its id and status; what a search found in it is framed."""
    found = spans_of(search, [shown.text])[0] if search else []
    with st.container(border=True, key=f"{key}-text"):
        st.text(visible(f"{shown.train_id}  ·  {status}" + (f"  ·  {reason}" if reason else "")))
        token_view.text(shown.text, key=f"{key}-literal", found=found)


def whole(train_id: str, dataset: str, *, key: str, search: TextSearch | None = None) -> None:
    """A text with everything known about it."""
    workspace = session.workspace()
    (shown,) = workspace.data.texts([train_id], dataset)
    status, reason = statuses_of(workspace.decisions.states(dataset=dataset)).get(train_id, ("kept", None))
    draw(shown, key=key, status=status, reason=reason, search=search)
    find_similar.link(train_id, dataset, key=key)
    metadata(shown, workspace.data.types(dataset), key=key)
    time_line(workspace.decisions.events_of(train_id, dataset=dataset))


def short(train_id: str, dataset: str) -> None:
    """A text alone, with its status."""
    (shown,) = session.workspace().data.texts([train_id], dataset)
    status, reason = statuses_of(session.workspace().decisions.states(dataset=dataset)).get(train_id, ("kept", None))
    draw(shown, key="corpus-short", status=status, reason=reason)


def reader(dataset: str, *, search: TextSearch | None = None) -> None:
    """A drawer with the text that the URL names as open; what a search found in it is framed."""
    if st.query_params.get("open"):
        _drawer(dataset, search)


def _close() -> None:
    session.set_url(open=None)


@st.dialog("Training text", width=680, position="right", on_dismiss=_close)
def _drawer(dataset: str, search: TextSearch | None) -> None:
    train_id = st.query_params.get("open")
    if train_id is None:
        return
    with session.errors():
        known = statuses_of(session.workspace().decisions.states(dataset=dataset))
        status = known.get(train_id, ("kept", None))[0]
        with st.container(horizontal=True, key="actions-corpus-reader"):
            decide.buttons([train_id], status, key="corpus-reader", dataset=dataset, shortcuts=KEYS)
        whole(train_id, dataset, key="corpus", search=search)


def metadata(shown: ShownText, types: Mapping[str, ValueType], *, key: str) -> None:
    """Its columns and their values, instants in the zone of the browser."""
    zone = session.zone()
    if shown.metadata:
        st.dataframe(
            {
                "column": [visible(name) for name in shown.metadata],
                "value": [
                    "" if value is None else visible(instant_text(value, types.get(name), zone))
                    for name, value in shown.metadata.items()
                ],
            },
            hide_index=True,
            key=session.table_key(f"{key}-metadata", [shown.train_id]),
            alt="Metadata of the text",
        )


def time_line(events: Sequence[ExampleEvent]) -> None:
    """Who decided what, newest first."""
    if not events:
        st.text("Nobody has decided anything about this text.")
    for event in events:
        batch = event.batch
        said = [f"{batch.at:%Y-%m-%d %H:%M} UTC", batch.actor, kind_word(batch.kind)]
        said += [part for part in (batch.reason, batch.text) if part]
        said.append(f"{event.status_before} → {event.status_after}")
        st.text(visible(" · ".join(said)) + (" (undone)" if event.is_undone else ""))
