"""What is asked: prompt, completion, tokens, and the settings behind them."""

from dataclasses import replace

import streamlit as st

from app import session
from app.background import Task, tasks, watch
from app.components import chat_form, refine_choice, table_question, token_view
from lorif_core.catalog import IndexRecord, QueryRecord
from lorif_core.config import GenerateConfig, Normalisation, ScoreConfig, Search
from lorif_core.files import fingerprint_of_value
from lorif_core.views.text import visible
from lorif_core.workspace.asking.answer import Answer
from lorif_core.workspace.asking.question import Question, Spoken
from lorif_core.workspace.folder.index_losses import IndexLosses
from lorif_core.workspace.folder.index_members import Members
from lorif_core.workspace.folder.progress import ProgressSink
from lorif_core.workspace.studio.beside_answers import completion_tokens

SHORT_WAIT_S = 0.6
"""How long a run waits for the model before it says so and polls."""

ANSWER_WAIT_S = 1.0
"""The same for an answer: one that comes within it is drawn at once, without a page that says to wait."""

NORMALISATIONS: dict[Normalisation, str] = {
    "unit": "Without a unit: a text against itself is 1 (unit)",
    "none": "Influence in nats, as it is added up (none)",
    "relatif": "Divide by the root of self-influence (RelatIF)",
    "tempered": "Divide by its fourth root",
}
SEARCHES: dict[Search | None, str] = {
    None: "Fast for large indexes, else exact",
    "exact": "Exact: score every text",
    "fast": "Fast: read what matters most",
}
LENGTHS = [10, 20, 50, 100]
NUM_EARLIER = 12


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
    state["ask-index"] = answer.index_id
    if answer.question.question_id is not None:
        state["ask-table"] = answer.question.question_id
    state["ask-tokens"] = list(answer.question.tokens or ())
    state["ask-spoken"], state["ask-ends"] = answer.question.spoken, answer.question.ends
    chat_form.seed(answer.question)


@st.cache_data(ttl=5, show_spinner=False)
def _complete_indexes(path: str) -> tuple[list[IndexRecord], dict[str, Members]]:
    """Records, the newest first, and the members of those that have any."""
    indexes = session.workspace().indexes
    return [one for one in indexes.records() if one.status == "complete"][::-1], indexes.all_members()


def index_names(dataset: str | None = None) -> dict[str, str]:
    """Complete indexes, of one data set or of all, the newest first: what they are, by their ids.

    Those that are members of another one's scores come last.
    """
    records, members = _complete_indexes(session.workspace_path())
    linked = {other.index_id for one in members.values() for other in one.others}
    found = [one for one in records if dataset in (None, one.dataset_id)]
    labels = {index_id: visible(f" {one.label}") for index_id, one in members.items()}
    return {
        one.index_id: f"{one.method}{labels.get(one.index_id, '')}, {one.num_examples:,} texts ({one.index_id})"
        for one in sorted(found, key=lambda one: one.index_id in linked)
    }


@st.fragment
def draw() -> None:
    """The form; a click in it draws the form only, until the question is asked."""
    indexes = index_names()
    if not session.datasets():
        session.empty_of_data()
        return
    if not indexes:
        session.empty("No index is complete yet: build one first.", "lorif index {workspace} --model FOLDER")
        return
    if st.session_state.get("ask-index") not in indexes:
        st.session_state["ask-index"] = next(iter(indexes))
    index_id = str(st.session_state["ask-index"])
    if (losses := table_question.losses_without_a_model(index_id)) is not None:
        _of_table(index_id, losses, indexes)
        return
    chat = chat_form.draw(index_id)
    prompt = st.text_area(
        "Message" if chat.form == "chat" else "Prompt", key="ask-prompt", height=96, persist_state="session"
    )
    completion = st.text_area(
        "Completion",
        key="ask-completion",
        height=80,
        persist_state="session",
        placeholder="What the model said. Leave empty to let it speak.",
        help="Exactly this is explained. White space counts: a new word begins with a space.",
    )
    asked = Question(prompt=prompt, index_id=index_id, form=chat.form, system=chat.system, messages=chat.messages)
    asked = replace(asked, generate=_generation(asked))
    asked = _with_completion(asked, completion)
    contrast, settings, (k, search) = _options(indexes)
    chosen = _tokens(asked)
    if st.button("Run", type="primary", width="stretch", key="ask-run", disabled=not prompt and not completion):
        question = replace(
            asked,
            contrast=contrast or None,
            tokens=tuple(chosen) or None,
            settings=settings,
            k=k,
            num_opposing=k,
            search=search,
            actor=session.actor(),
        )
        ask(question)
        st.rerun()


def _of_table(index_id: str, losses: IndexLosses, indexes: dict[str, str]) -> None:
    """The form of an index that has no model."""
    asked = table_question.draw(index_id, losses)
    _, settings, (k, _) = _options(indexes, is_of_table=True)
    is_pressed = st.button("Run", type="primary", width="stretch", key="ask-run", disabled=asked is None)
    if asked is not None and is_pressed:
        ask(table_question.as_asked(asked, k, settings))
        st.rerun()


def _with_completion(asked: Question, completion: str) -> Question:
    """The question with what stands in the box: the model's own tokens while nobody changed its words."""
    if not completion:
        return asked
    spoken: Spoken | None = st.session_state.get("ask-spoken")
    if spoken is not None and spoken.text == completion:
        st.caption("As the model said it, token by token.")
        return replace(asked, spoken=spoken)
    ends = st.checkbox(
        "It ends there",
        key="ask-ends",
        persist_state="session",
        help="Explain the end token behind the completion, too. Without it, exactly what is typed is explained.",
    )
    return replace(asked, completion=completion, ends=ends)


def ask(question: Question) -> None:
    """Start to answer a question; the URL names what is being done."""
    questions = session.workspace().questions

    def work(report: ProgressSink) -> Answer:
        return questions.ask(question, report)

    task = tasks().start_stoppable(["ask", repr(question)], work)
    session.set_url(asking=task.task_id)
    task.wait(ANSWER_WAIT_S)


def is_waiting() -> bool:
    """Whether a question of this tab is being answered."""
    return "asking" in st.query_params


def waiting() -> None:
    """What is shown until the answer is there."""
    task = tasks().find(st.query_params["asking"])
    if task is None:
        return
    with st.container(border=True, key="asking"):
        st.text("Searching the training texts…" if task.elapsed_s > 1 else "Asking the model…")
        st.progress(min(0.95, task.elapsed_s / (task.elapsed_s + 4)), width="stretch")
        st.caption("You can go on clicking; the answer comes when it is ready.")
        if st.button("Cancel", key="ask-cancel"):
            tasks().forget(task.task_id)
            session.set_url(asking=None)
            st.rerun()
    watch(task.task_id)


def _generation(asked: Question) -> GenerateConfig:
    with st.popover("Let the model say it", width="stretch", help="The model completes the prompt."):
        length = st.number_input("Longest, in tokens", 1, 512, 32, key="ask-length", persist_state="session")
        heat = st.slider("Temperature", 0.0, 2.0, 0.0, 0.1, key="ask-temperature", persist_state="session")
        seed_number = st.number_input("Seed", 0, 2**31, 0, key="ask-seed", persist_state="session")
        st.caption("Temperature 0 takes the likeliest token each time; the seed matters above 0.")
        settings = GenerateConfig(max_new_tokens=int(length), temperature=heat, sampling_seed=int(seed_number))
        if st.button("Complete the prompt", key="ask-generate", disabled=not asked.conversation, width="stretch"):
            st.session_state["generating"] = _generate(replace(asked, generate=settings)).task_id
    task = tasks().find(st.session_state.get("generating", ""))
    if task is not None and not task.wait(SHORT_WAIT_S):
        st.text("The model is writing…")
        watch(task.task_id)
    elif task is not None:
        del st.session_state["generating"]
        with session.errors():
            st.session_state["ask-said"] = task.result()
            st.rerun()
    return settings


def _generate(asked: Question) -> Task:
    from lorif_core.workspace.asking.generate_completion import generate_completion

    workspace = session.workspace()
    return tasks().start(
        ["generate", repr(asked)],
        lambda: generate_completion(workspace.indexes.open(asked.index_id).engine.loaded, asked),
    )


def _options(
    indexes: dict[str, str], *, is_of_table: bool = False
) -> tuple[str, ScoreConfig, tuple[int, Search | None]]:
    with st.expander("Compare with, index, list length"):
        contrast = st.text_area(
            "Rather than",
            key="ask-contrast",
            height=68,
            persist_state="session",
            placeholder="A second completion: why the first and not this one?",
            disabled=is_of_table,
        )
        st.selectbox("Index", list(indexes), format_func=lambda key: indexes[key], key="ask-index")
        k = st.selectbox("Texts per list", LENGTHS, key="ask-k", persist_state="session")
        normalisation = st.selectbox(
            "Scores",
            list(NORMALISATIONS),
            format_func=lambda name: NORMALISATIONS[name],
            key="ask-normalisation",
            persist_state="session",
        )
        search = st.selectbox(
            "Search",
            list(SEARCHES),
            format_func=lambda name: SEARCHES[name],
            key="ask-search",
            persist_state="session",
            help="Percentiles, comparisons and what-ifs need the scores of all texts, which an exact search keeps.",
        )
        refined = {} if is_of_table else refine_choice.draw()
    objective = "contrast" if contrast else "loss"
    return contrast, ScoreConfig(objective=objective, normalisation=normalisation, **refined), (k, search)


def _tokens(asked: Question) -> list[int]:
    """Places of the chosen tokens; none means all."""
    if asked.completion is None:
        return []
    workspace = session.workspace()
    what = ["tokens", repr(asked)]
    task = tasks().start(what, lambda: completion_tokens(workspace, asked))
    st.markdown("**Tokens to explain**")
    if not task.wait(SHORT_WAIT_S):
        st.caption("Reading the tokens…")
        watch(task.task_id)
        return list(st.session_state.get("ask-tokens", []))
    with session.errors():
        found = task.result()
        key = f"strip-{fingerprint_of_value([*what, st.session_state.get('seeded')])}"
        before = [place for place in st.session_state.get("ask-tokens", []) if place < len(found)]
        shown = st.session_state.get("shown_query")
        chosen = token_view.picker(found, before if shown == st.session_state.get("seeded") else [], key=key)
        said = f"{len(chosen)} of {len(found)} chosen" if chosen else f"all {len(found)}"
        st.caption(f"{said} · log-probabilities in nats · click, shift-click, or arrows and space; escape for all")
        return chosen
    return []


def earlier_questions() -> None:
    """What to do when no answer is open: the latest questions, to open one."""
    asked = session.workspace().questions.records()[: -NUM_EARLIER - 1 : -1]
    if not asked and not index_names():
        return  # the form says what to do first
    if not asked:
        session.empty(
            "Nothing was asked yet. Type a prompt on the left and what the model said, then Run.",
            'lorif ask {workspace} --prompt "…" --generate',
        )
        return
    st.subheader("Asked before", anchor=False)
    st.caption("Choose a row to open its answer, or ask something new on the left.")
    chosen = st.dataframe(
        {
            "query": [one.query_id for one in asked],
            "prompt": [visible(one.prompt) for one in asked],
            "completion": [visible(one.completion) for one in asked],
            "asked by": [visible(one.asked_by) for one in asked],
            "when (UTC)": [f"{one.created_at:%Y-%m-%d %H:%M}" for one in asked],
        },
        key=session.table_key("earlier", [one.query_id for one in asked]),
        on_select="rerun",
        selection_mode="single-row",
        hide_index=True,
        alt="Questions asked before, newest first",
    )
    _open_row(asked, chosen["selection"]["rows"])


def _open_row(asked: list[QueryRecord], rows: list[int]) -> None:
    if rows:
        session.set_url(query=asked[rows[0]].query_id)
        st.rerun()
