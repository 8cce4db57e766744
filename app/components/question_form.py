"""What is asked: prompt, completion, and the words of it that are explained.

No box starts a run of the page when it is left (``on_change="ignore"``): such a run took the click that followed, and
what was typed into the next box meanwhile. What stands in the boxes comes with the click on Ask, with Ctrl+Enter,
which presses it, and with every other run.
"""

from dataclasses import replace

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from app import session
from app.background import Task, tasks, watch
from app.components import ask_options, chat_form, table_question, token_view
from app.components.ask_options import Options
from app.components.asking_stages import ask
from lorif_core.files import fingerprint_of_value
from lorif_core.workspace.asking.answer import Answer
from lorif_core.workspace.asking.question import Question, Spoken
from lorif_core.workspace.folder.index_losses import IndexLosses
from lorif_core.workspace.studio.beside_answers import completion_tokens

SHORT_WAIT_S = 0.6
"""How long a run waits for the model before it says so and polls."""

SHORTCUT = "Ctrl+Enter"


def seed(answer: Answer | None) -> None:
    """Fill the form with the question of an answer that was opened, once."""
    state = st.session_state
    if (said := state.pop("ask-said", None)) is not None:
        state["ask-spoken"] = said
        state["ask-completion"] = said.text
    if answer is None or state.get("seeded") == answer.query_id:
        return
    state["seeded"] = answer.query_id
    state["ask-prompt"], state["ask-completion"] = answer.question.prompt, answer.question.said
    state["ask-contrast"] = answer.question.contrast or ""
    if answer.question.question_id is not None:
        state["ask-table"] = answer.question.question_id
    state["ask-tokens"] = list(answer.question.tokens or ())
    state["ask-spoken"], state["ask-ends"] = answer.question.spoken, answer.question.ends
    chat_form.seed(answer.question)


@st.fragment
def draw() -> None:
    """The form; a click in it draws the form only, until the question is asked."""
    if not session.datasets():
        session.empty_of_data()
        return
    if not session.indexes():
        session.empty_of_indexes()
        return
    index_id = session.index_id()
    boxes, words = st.container(key="ask-boxes", gap="small"), st.container(key="ask-words", gap="xsmall")
    losses = table_question.losses_without_a_model(index_id)
    options = ask_options.draw(index_id, is_of_table=losses is not None)
    with boxes:
        if losses is not None:
            _of_table(index_id, losses, options)
        else:
            _of_model(index_id, options, words)


def _of_table(index_id: str, losses: IndexLosses, options: Options) -> None:
    """The form of an index that has no model."""
    asked = table_question.draw(index_id, losses)
    if _is_asked(is_ready=asked is not None) and asked is not None:
        ask(table_question.as_asked(asked, options.k, options.scoring))
        st.rerun()


def _of_model(index_id: str, options: Options, words: DeltaGenerator) -> None:
    """The boxes, and below the buttons the words of the completion."""
    chat = chat_form.draw() if options.form == "chat" else chat_form.Chat()
    prompt = _box("Message" if options.form == "chat" else "Prompt", "ask-prompt", 92, "What the model read")
    completion = _box("Completion", "ask-completion", 76, "What it said. Leave empty to let it write.")
    with st.expander("Compare with another completion", expanded=bool(st.session_state.get("ask-contrast"))):
        contrast = _box("Compare with", "ask-contrast", 68, "Why the first completion, and not this one?")
    asked = Question(prompt=prompt, index_id=index_id, form=options.form, system=chat.system, messages=chat.messages)
    asked = _with_completion(replace(asked, generate=options.generate), completion, ends=options.ends)
    with st.container(horizontal=True, gap="small", key="ask-buttons"):
        is_asked = _is_asked()
        if st.button(
            "Generate", key="ask-generate", help="The model completes the prompt; nothing is explained yet."
        ):
            _begin_to_generate(asked)
    _generated()
    if is_asked or st.session_state.pop("asks-again", False):
        _ask(asked, contrast, options)
    with words:
        _words(asked)


def _box(label: str, key: str, height: int, placeholder: str) -> str:
    return st.text_area(
        label, key=key, height=height, placeholder=placeholder, persist_state="session", on_change="ignore"
    )


def _is_asked(*, is_ready: bool = True) -> bool:
    return st.button("Ask", type="primary", width="stretch", key="ask-run", shortcut=SHORTCUT, disabled=not is_ready)


def _ask(asked: Question, contrast: str, options: Options) -> None:
    if not asked.conversation and asked.completion is None and asked.spoken is None:
        st.text("Type a prompt first, or what the model said.")
        return
    objective = "contrast" if contrast else "loss"
    ask(
        replace(
            asked,
            contrast=contrast or None,
            tokens=tuple(_chosen(asked)) or None,
            settings=replace(options.scoring, objective=objective),
            k=options.k,
            num_opposing=options.k,
            search=options.search,
            actor=session.actor(),
        )
    )
    st.rerun()


def _with_completion(asked: Question, completion: str, *, ends: bool) -> Question:
    """The question with what stands in the box: the model's own tokens while nobody changed its words."""
    if not completion:
        return asked
    spoken: Spoken | None = st.session_state.get("ask-spoken")
    if spoken is not None and spoken.text == completion:
        return replace(asked, spoken=spoken)
    return replace(asked, completion=completion, ends=ends)


def _begin_to_generate(asked: Question) -> None:
    from lorif_core.workspace.asking.generate_completion import generate_completion

    if not asked.conversation:
        st.text("Type a prompt first.")
        return
    workspace, asked = session.workspace(), replace(asked, completion=None, spoken=None, ends=False)
    task = tasks().start(
        ["generate", repr(asked)],
        lambda: generate_completion(workspace.indexes.open(asked.index_id).engine.loaded, asked),
    )
    st.session_state["generating"] = task.task_id


def _generated() -> None:
    """What the model was asked to write, into the box as soon as it is there."""
    task: Task | None = tasks().find(st.session_state.get("generating", ""))
    if task is not None and not task.wait(SHORT_WAIT_S):
        st.text("The model is writing…")
        watch(task.task_id)
    elif task is not None:
        del st.session_state["generating"]
        with session.errors():
            st.session_state["ask-said"] = task.result()
            st.rerun()


def _strip_key(asked: Question) -> str:
    """Of the widget that holds which tokens are chosen: another one for another completion."""
    return f"strip-{fingerprint_of_value(['tokens', repr(asked), st.session_state.get('seeded')])}"


def _chosen(asked: Question) -> list[int]:
    """Places of the tokens that were chosen of exactly this completion; none means all."""
    held = st.session_state.get(_strip_key(asked))
    return sorted(held["selected"] or []) if held else []


def _words(asked: Question) -> None:
    """The words of the completion to choose from."""
    if asked.completion is None and asked.spoken is None:
        return
    workspace = session.workspace()
    task = tasks().start(["tokens", repr(asked)], lambda: completion_tokens(workspace, asked))
    st.markdown("**Words to explain**")
    if not task.wait(SHORT_WAIT_S):
        st.caption("Reading the words…")
        watch(task.task_id)
        return
    with session.errors():
        found = task.result()
        before = [place for place in st.session_state.get("ask-tokens", []) if place < len(found)]
        is_of_answer = st.session_state.get("shown_query") == st.session_state.get("seeded")
        chosen = token_view.picker(found, before if is_of_answer else [], key=_strip_key(asked))
        _what_is_chosen(len(chosen), len(found))


def _what_is_chosen(num_chosen: int, num_tokens: int) -> None:
    with st.container(horizontal=True, vertical_alignment="center", key="ask-chosen"):
        if not num_chosen:
            st.caption("All of it. Click a word to explain it alone; below each, its log-probability in nats.")
            return
        st.caption(f"{num_chosen} of {num_tokens} tokens. Escape: all.")
        if st.button("Explain these", key="ask-words-alone"):
            st.session_state["asks-again"] = True
            st.rerun(scope="fragment")
