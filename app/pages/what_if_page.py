"""What-if: what removing some texts would do to the questions that were asked."""

from collections.abc import Sequence
from typing import Literal

import streamlit as st

from app import session
from app.components import review_queue, what_if_result, what_if_verify
from lorif_core.catalog import QueryRecord
from lorif_core.views.text import counted
from lorif_core.workspace.curation.choice import Choice, Source, chosen_ids

SOURCES: dict[str, Source | Literal["group"]] = {
    "Flagged": "flagged",
    "Excluded": "excluded",
    "A question's list": "query",
    "A condition": "condition",
    "A group": "group",
}


def page() -> None:
    """Draw the page."""
    session.title("What-if", "What removing some texts would do to the questions that were asked.")
    if not session.datasets():
        session.empty_of_data()
        return
    dataset = session.dataset_id()
    queries = [record for record in session.workspace().questions.records() if record.dataset_id == dataset]
    if not queries:
        session.empty("No question was asked yet.", 'lorif ask {workspace} --prompt "…" --generate')
        return
    with session.errors():
        _predict(queries, dataset)
    with session.errors():
        what_if_verify.result(queries)
        what_if_result.all_verified(session.workspace().removals.verifications(dataset))


def _predict(queries: list[QueryRecord], dataset: str) -> None:
    st.subheader("Texts to remove", anchor=False)
    choice = review_queue.choose(queries, SOURCES, key="remove")
    if choice.source == "condition" and not choice.where.strip():
        st.text("Type a condition: it says which texts to remove.")
        return
    ids = chosen_ids(session.workspace().decisions, choice, dataset)
    st.text(f"{counted(len(ids), 'text')} {'is' if len(ids) == 1 else 'are'} meant.")
    targets = _targets(queries, choice, _asked_when_decided(ids, dataset))
    if _is_complete(ids, targets, choice):
        found = session.workspace().what_if(ids, targets)
        what_if_result.predicted(found)
        what_if_verify.draw(ids, [change.query_id for change in found.queries])


def _asked_when_decided(ids: Sequence[str], dataset: str) -> str | None:
    """The question whose answer was on screen when the texts were decided about, where it is one."""
    states = session.workspace().decisions.states(dataset=dataset)
    asked = states.filter(states["train_id"].is_in(list(ids)))["query_id"].drop_nulls().unique().to_list()
    return asked[0] if len(asked) == 1 else None


def _targets(queries: Sequence[QueryRecord], choice: Choice, asked: str | None) -> list[str]:
    """Preset: the question that the texts come from, and the same one asked in other ways."""
    known = {record.query_id: record for record in reversed(queries)}
    labels = {query_id: review_queue.label_of(record) for query_id, record in known.items()}
    named = choice.query or asked
    first = known[named] if named in known else next(iter(known.values()))
    said = (first.prompt, first.completion)
    alike = [query_id for query_id, record in known.items() if (record.prompt, record.completion) == said]
    return st.multiselect(
        "Questions whose completions you want to hear less",
        list(labels),
        default=alike,
        format_func=lambda one: labels[one],
        key=f"what-if-targets-{first.query_id}",
        help="All other questions are looked after: their completions should not change.",
        persist_state="session",
    )


def _is_complete(ids: Sequence[str], targets: Sequence[str], choice: Choice) -> bool:
    if not ids:
        word = {"flagged": "No text is flagged", "excluded": "No text is excluded"}.get(
            choice.source, "No text matches"
        )
        with st.container(border=True, key="what-if-empty"):
            st.text(f"{word}: a removal needs at least one. Choose other texts, or flag some first.")
        return False
    if not targets:
        st.text("Choose at least one question.")
        return False
    return True
