"""The drawer with one training text in full, and everything known about it."""

from collections.abc import Sequence

import streamlit as st

from app import session
from app.components import corpus_text, decide, find_similar, reader_closer, team_comments, token_view
from app.components.answers import Context, context_of
from lorif_core.views.hits import Hit
from lorif_core.views.text import visible
from lorif_core.views.tokens import card, heated, plain, signed, words_of_hit
from lorif_core.workspace.asking.answer import Answer
from lorif_core.workspace.datasets.datasets import ShownText
from lorif_core.workspace.studio.beside_answers import Appearance, appearances

KEYS = decide.Shortcuts(flag="f", exclude="x", restore="a")


def draw(answer: Answer, shown: Sequence[Hit]) -> None:
    """Open the text that the URL names, if the answer lists it.

    Args:
        answer: Whose hits they are.
        shown: The hits on screen, for previous and next.
    """
    if _open_hit(answer) is not None:
        _drawer(answer, [hit.train_id for hit in shown])


def _open_hit(answer: Answer) -> Hit | None:
    train_id = st.query_params.get("open")
    return next((hit for hit in answer.hits if hit.train_id == train_id), None)


def close() -> None:
    """Forget which text is open."""
    session.set_url(open=None)


@st.dialog("Training text", width=680, position="right", on_dismiss=close)
def _drawer(answer: Answer, order: list[str]) -> None:
    hit = _open_hit(answer)
    if hit is None:
        return
    context = context_of(answer)
    _navigation(hit, order)
    _text(answer, hit, context)
    with st.container(horizontal=True, key="reader-actions"):
        decide.buttons(
            [hit.train_id],
            context.status(hit.train_id),
            key="reader",
            dataset=context.dataset_id,
            query=answer.query_id,
            shortcuts=KEYS,
        )
    find_similar.link(hit.train_id, context.dataset_id, key="reader")
    with session.errors():
        reader_closer.draw(answer, hit, context)
    with session.errors():
        if hit.metadata:
            st.markdown("**Metadata**")
            shown = ShownText(hit.train_id, hit.text, hit.metadata)
            corpus_text.metadata(shown, session.workspace().data.types(context.dataset_id), key="reader")
        team_comments.draw(hit.train_id, context.dataset_id, key="reader")
        st.markdown("**Decisions**")
        corpus_text.time_line(session.workspace().decisions.events_of(hit.train_id, dataset=context.dataset_id))
        _others(appearances(session.workspace(), hit.train_id, context.dataset_id, answer.query_id))


def _navigation(hit: Hit, order: list[str]) -> None:
    place = order.index(hit.train_id) if hit.train_id in order else None
    before = order[place - 1] if place else None
    after = order[place + 1] if place is not None and place + 1 < len(order) else None
    with st.container(horizontal=True, vertical_alignment="center", key="reader-navigation"):
        for label, target, key in (("Previous", before, "k"), ("Next", after, "j")):
            st.button(
                label,
                key=f"reader-{label.lower()}",
                shortcut=key,
                disabled=target is None,
                on_click=session.set_url,
                kwargs={"open": target},
            )
        if place is not None:
            st.text(f"{place + 1} of {len(order)} on screen")


def _text(answer: Answer, hit: Hit, context: Context) -> None:
    head = card(
        hit,
        scale=context.scale,
        standing=context.standing(hit.score),
        status=context.status(hit.train_id),
        reason=context.reason(hit.train_id),
    )
    token_view.draw(head | {"parts": []}, key="reader-head")
    has_heat = st.toggle("Heat", value=True, key="reader-heat", disabled=not hit.tokens)
    with st.container(border=True, key="reader-text"):
        if has_heat and hit.tokens:
            token_view.draw(heated(words_of_hit(hit), hit), key="reader-heated")
        else:
            token_view.draw(plain(hit), key="reader-plain")
    if hit.verbatim.spans or (has_heat and hit.tokens):
        token_view.legend(key="reader-legend")


def _others(found: Sequence[Appearance]) -> None:
    st.markdown("**Other questions that bring it up**")
    if not found:
        st.text("None of the questions kept so far.")
        return
    chosen = st.dataframe(
        {
            "question": [one.query_id for one in found],
            "side": [one.side for one in found],
            "rank": [one.rank for one in found],
            "score": [signed(one.score) for one in found],
            "prompt": [visible(one.prompt) for one in found],
            "completion": [visible(one.completion) for one in found],
        },
        hide_index=True,
        key=session.table_key("reader-others", [one.query_id for one in found]),
        on_select="rerun",
        selection_mode="single-row",
        alt="Other questions in whose lists the text is",
    )
    if rows := chosen["selection"]["rows"]:
        session.set_url(query=found[rows[0]].query_id)
        st.rerun()
