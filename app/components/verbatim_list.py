"""The tab of the texts that hold the answer word for word, influential or not: a list of its own, without scores."""

import streamlit as st

from app import session
from app.components import corpus_text, decide, token_view
from app.components.answers import Context
from app.components.corpus_tasks import data_tasks, wait
from lorif_core.views.text import visible
from lorif_core.views.verbatim_lists import NOTE, VerbatimText, verbatim_card, verbatim_whole
from lorif_core.workspace.asking.answer import Answer
from lorif_core.workspace.datasets.find_verbatim import VerbatimTexts

LISTED = 20


def draw(answer: Answer, context: Context) -> None:
    """The list, or that it is being made; and the text that the URL names, if the answer does not list it."""
    with session.errors():
        if (found := _found(answer, context.dataset_id)) is None:
            return
        st.text(visible(" · ".join(found.facts())))
        st.text(f"{NOTE} A line above marks them.")
        listed = {hit.train_id: f"supports #{hit.rank}" for hit in answer.supports}
        listed |= {hit.train_id: f"opposes #{hit.rank}" for hit in answer.opposes}
        with st.container(key="verbatim-hits"):
            for one in found.texts:
                _card(answer, one, context, listed.get(one.train_id))
        opened = st.query_params.get("open")
        shown = next((one for one in found.texts if one.train_id == opened and opened not in listed), None)
        if shown is not None and not decide.is_asking():
            _drawer(answer, shown, context)


def _found(answer: Answer, dataset: str) -> VerbatimTexts | None:
    """The list, looked for beside the script and kept; None while it is."""
    workspace, said = session.workspace(), answer.question.said
    task = data_tasks().start(
        ["verbatim", dataset, said, LISTED], lambda: workspace.data.verbatim(said, LISTED, dataset=dataset)
    )
    return task.result() if task.wait(3.0) else wait(task, "Looking in every text")


def _card(answer: Answer, one: VerbatimText, context: Context, listed: str | None) -> None:
    key = f"verbatim-{one.train_id}"
    with st.container(horizontal=True, wrap=False, key=f"card-{key}", gap="small"):
        token_view.draw(verbatim_card(one, context.decided(one.train_id), listed), key=f"{key}-text")
        with st.container(horizontal=True, width="content", gap="xsmall", key=f"actions-{key}"):
            status = context.status(one.train_id)
            decide.buttons([one.train_id], status, key=key, dataset=context.dataset_id, query=answer.query_id)
            st.button("Read", key=f"{key}-open", on_click=session.set_url, kwargs={"open": one.train_id})


def _close() -> None:
    session.set_url(open=None)


@st.dialog("Training text", width=680, position="right", on_dismiss=_close)
def _drawer(answer: Answer, one: VerbatimText, context: Context) -> None:
    head = verbatim_card(one, context.decided(one.train_id), None) | {"parts": []}
    token_view.draw(head, key="verbatim-head")
    with st.container(border=True, key="verbatim-whole"):
        token_view.draw(verbatim_whole(one), key="verbatim-whole-text")
    with st.container(horizontal=True, key="verbatim-actions"):
        decide.buttons(
            [one.train_id],
            context.status(one.train_id),
            key="verbatim-reader",
            dataset=context.dataset_id,
            query=answer.query_id,
        )
    workspace = session.workspace()
    (shown,) = workspace.data.texts([one.train_id], context.dataset_id)
    corpus_text.metadata(shown, workspace.data.types(context.dataset_id), key="verbatim")
    corpus_text.time_line(workspace.decisions.events_of(one.train_id, dataset=context.dataset_id))
