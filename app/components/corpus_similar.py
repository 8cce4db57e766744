"""Texts like one: by what they teach (stored gradients) or by what they mean to the model (its hidden states)."""

from collections.abc import Sequence

import streamlit as st

from app import session
from app.components import corpus_map, corpus_ranked, corpus_text
from app.components.answers import dataset_of
from app.components.corpus_outliers import fingerprint_of, newest_index
from app.components.corpus_tasks import data_tasks, wait
from lorif_core.config import Alike
from lorif_core.workspace.indexes.text_states import has_states

WAYS: dict[str, Alike] = {"By meaning": "meaning", "By gradient": "gradient"}
NUM_TEXTS = 100
SHORT_WAIT_S = 0.6
SAID = {
    "meaning": "Alike to the model: the mean over a text's tokens of its last hidden state, standardised over all "
    "texts. The cosine is 1 for texts that it cannot tell apart.",
    "gradient": "Would teach the model the same: the cosine of stored gradients over all modules.",
}


def draw(dataset: str) -> None:
    """The text, and those like it."""
    train_id = _chosen(dataset)
    index_id = newest_index(dataset) if train_id else None
    if train_id is None or index_id is None:
        return
    label = st.segmented_control(
        "Like this", list(WAYS), default=next(iter(WAYS)), required=True, key="by-what", bind="query-params"
    )
    by, workspace = WAYS[label or "By meaning"], session.workspace()
    corpus_text.short(train_id, dataset)
    if by == "meaning" and not has_states(workspace.files, index_id):
        corpus_map.compute(index_id)
        return
    task = data_tasks().start(
        ["similar", index_id, fingerprint_of(index_id), train_id, by],
        lambda: workspace.indexes.neighbours(train_id, NUM_TEXTS, by=by, index_id=index_id),
    )
    if not task.wait(SHORT_WAIT_S):
        wait(task, "Comparing with every text")
        return
    found = task.result()
    st.caption(SAID[by])
    if found.fast_search is not None:
        st.caption(" · ".join(found.fast_search.sentences()))
    numbers = {"rank": found.texts["rank"], "cosine": found.texts["cosine"]}
    ids: Sequence[str] = found.texts["train_id"].to_list()
    corpus_ranked.draw(ids, numbers, dataset_of(index_id), key="corpus-similar", takes_all=True)


def _chosen(dataset: str) -> str | None:
    """The text that the URL names; says how to choose one where it names none of this data."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        typed = st.text_input("Id of a text", key="like", bind="query-params", max_chars=2000, width=320)
    if not typed:
        st.text("Choose Find like this at a text, or type its id.")
        return None
    session.workspace().data.texts([typed], dataset)  # says what is wrong with it
    return typed
