"""What is computed about one text only when a person asks: its score by module and by token of the question, and the
texts most like it."""

from typing import TYPE_CHECKING

import polars as pl
import streamlit as st

from app import session
from app.background import Task, tasks, watch
from app.components import decide, token_view
from app.components.answers import Context
from app.components.corpus_tasks import data_tasks
from lorif_core.views import tokens as payloads
from lorif_core.views.decision_words import counted_texts
from lorif_core.views.hits import Hit
from lorif_core.views.index_figures import part_map
from lorif_core.views.text import visible
from lorif_core.views.tokens import signed
from lorif_core.workspace.asking.answer import Answer
from lorif_core.workspace.indexes.neighbours import Neighbours

if TYPE_CHECKING:
    from lorif_core.workspace.asking.break_down import Breakdown

SHORT_WAIT_S = 0.6
NUM_NEIGHBOURS = 10
MAX_CELL = 200


def draw(answer: Answer, hit: Hit, context: Context) -> None:
    """A choice between both; nothing is computed before one is taken."""
    closer = st.segmented_control(
        "Look closer",
        ["Modules", "Question", "Neighbours"],
        key="closer",
        bind="query-params",
        label_visibility="collapsed",
    )
    workspace, query_id, train_id, index_id = session.workspace(), answer.query_id, hit.train_id, answer.index_id
    assert query_id is not None  # the page shows kept questions
    if closer in ("Modules", "Question"):
        what = ["breakdown", query_id, train_id]
        task = tasks().start(what, lambda: workspace.questions.breakdown(query_id, train_id))
        if _is_ready(task, "Splitting the score…"):
            (_modules if closer == "Modules" else _question)(task.result())
    elif closer == "Neighbours":
        what = ["neighbours", index_id, train_id]
        task = data_tasks().start(
            what, lambda: workspace.indexes.neighbours(train_id, NUM_NEIGHBOURS, index_id=index_id)
        )
        if _is_ready(task, "Comparing stored gradients…", in_data=True):
            _neighbours(task.result(), answer, context)


def _is_ready(task: Task, sentence: str, *, in_data: bool = False) -> bool:
    if task.wait(SHORT_WAIT_S):
        return True
    st.text(sentence)
    watch(task.task_id, data_tasks() if in_data else None)
    return False


def _modules(found: "Breakdown") -> None:
    st.plotly_chart(
        part_map(found.parts),
        key="reader-modules",
        config={"displayModeBar": False},
        alt="Part of the score by layer and kind of module",
    )
    strongest, part = max(found.parts.items(), key=lambda item: abs(item[1]))
    st.text(
        visible(f"The parts add up to the score, {signed(found.score)}. Most comes from {strongest}: {signed(part)}.")
    )
    if found.members:
        of_each = ", ".join(f"{signed(part)} {name}" for name, part in found.members.items())
        st.text(visible(f"Of the members of the index: {of_each}."))


def _question(found: "Breakdown") -> None:
    """The question's own tokens by their parts of the score."""
    if found.no_tokens is not None:
        st.text(f"No parts of tokens: {found.no_tokens}")
        return
    token_view.draw(payloads.heated(found.tokens), key="reader-question")
    if found.contrast_tokens:
        st.text("Behind the contrast:")
        token_view.draw(payloads.heated(found.contrast_tokens), key="reader-question-contrast")
    strongest = max([*found.tokens, *found.contrast_tokens], key=lambda token: abs(token.part))
    st.text(
        visible(
            f"The parts add up to the score, {signed(found.score)}. Most comes from reading {strongest.text!r} to "
            f"predict what follows: {signed(strongest.part)}."
        )
    )


def _neighbours(found: Neighbours, answer: Answer, context: Context) -> None:
    ids = found.texts["train_id"].to_list()
    chosen = st.dataframe(
        found.texts.select(
            "cosine",
            pl.Series("status", [context.status(one) for one in ids]),
            pl.col("text").str.slice(0, MAX_CELL).map_elements(visible, return_dtype=pl.String),
            pl.col("train_id").map_elements(visible, return_dtype=pl.String).alias("id"),
        ),
        hide_index=True,
        column_config={
            "cosine": st.column_config.NumberColumn(format="%.3f", width=70),
            "status": st.column_config.TextColumn(width=75),
            "text": st.column_config.TextColumn(width=330),
        },
        key=session.table_key("reader-neighbours", ids),
        on_select="rerun",
        selection_mode="multi-row",
        alt="Texts whose stored gradients are most like those of the open one",
    )
    selected = [ids[row] for row in chosen["selection"]["rows"]]
    statuses = {context.status(one) for one in selected}
    st.caption("Cosine of stored gradients over all modules: 1 would teach the model the same.")
    if found.fast_search is not None:
        st.caption(" · ".join(found.fast_search.sentences()))
    with st.container(horizontal=True, vertical_alignment="center", key="actions-neighbours"):
        st.text(f"{counted_texts(len(selected))} selected" if selected else "Select rows to decide about them.")
        decide.buttons(
            selected,
            statuses.pop() if len(statuses) == 1 else "mixed",
            key="neighbours",
            dataset=context.dataset_id,
            query=answer.query_id,
        )
