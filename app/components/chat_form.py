"""How a prompt is put: as a message of a chat, with a system message and earlier turns, or raw."""

from typing import Any, NamedTuple

import streamlit as st

from app import session
from lorif_core.workspace.asking.question import Form, Question
from lorif_core.workspace.asking.usual_form import usual_form

FORMS: dict[Form, str] = {"chat": "Chat", "raw": "Raw"}
ROLES = ["user", "assistant", "system", "tool"]


class Chat(NamedTuple):
    """What stands before the message."""

    system: str | None = None
    messages: tuple[dict[str, Any], ...] = ()


def seed(question: Question) -> None:
    """Fill the fields with those of a question that was opened."""
    state = st.session_state
    state["ask-form"], state["ask-system"] = question.form or "raw", question.system or ""
    state["ask-form-opened"] = (question.index_id, state["ask-form"])
    _show([{"role": one["role"], "content": str(one["content"])} for one in question.messages])


def choose(index_id: str) -> Form:
    """The choice between chat and raw; an index of chats begins with a chat."""
    usual = _usual_form(session.workspace_path(), index_id)
    state, before = st.session_state, st.session_state.get("ask-form-of")
    if before != index_id:
        opened, form = state.get("ask-form-opened", (None, usual))
        state["ask-form-of"] = index_id
        if before is None:
            state.setdefault("ask-form", usual)
        else:
            state["ask-form"] = form if opened == index_id else usual
    chosen = st.segmented_control(
        "Ask as",
        list(FORMS),
        format_func=lambda name: FORMS[name],
        default=None if "ask-form" in st.session_state else usual,
        key="ask-form",
        required=True,
        persist_state="session",
        help="Chat: the model's own template is put around the message. Raw: the prompt as it stands.",
    )
    return "chat" if chosen == "chat" else "raw"


def draw() -> Chat:
    """The conversation before the message: the system message and the turns, oldest first."""
    with st.container(key="chat-turns", gap="small"):
        system = st.text_area(
            "System message",
            key="ask-system",
            height=68,
            persist_state="session",
            on_change="ignore",
            placeholder="Optional",
        )
        turns = [_turn(place, turn) for place, turn in enumerate(_turns())]
        st.button("Add a turn", key="ask-add-turn", type="tertiary", on_click=_add, args=(turns,))
    return Chat(system or None, tuple(turn for turn in turns if turn["content"]))


def _turn(place: int, turn: dict[str, Any]) -> dict[str, Any]:
    """One turn to edit, on the side of who speaks."""
    version = st.session_state.get("turns-shown", 0)
    with st.container(key=f"chat-turn-{turn['role']}-{place}", gap=None):
        role = st.selectbox(
            "Who speaks",
            ROLES,
            index=ROLES.index(turn["role"]) if turn["role"] in ROLES else 0,
            key=f"turn-{version}-{place}-role",
            label_visibility="collapsed",
            width=140,
        )
        said = st.text_area(
            f"Turn {place + 1}",
            turn["content"],
            key=f"turn-{version}-{place}-content",
            height=68,
            on_change="ignore",
            label_visibility="collapsed",
            placeholder="What was said. An empty turn is left out.",
        )
    return {"role": role, "content": said or ""}


def _turns() -> list[dict[str, Any]]:
    return st.session_state.setdefault("ask-turns", [])


def _show(turns: list[dict[str, Any]]) -> None:
    """Draw these turns from now on, in boxes of their own."""
    st.session_state["ask-turns"] = turns
    st.session_state["turns-shown"] = st.session_state.get("turns-shown", 0) + 1


def _add(turns: list[dict[str, Any]]) -> None:
    version = st.session_state.get("turns-shown", 0)  # what stands in the boxes is newer than the last run
    kept = [
        {name: st.session_state.get(f"turn-{version}-{place}-{name}", turn[name]) for name in turn}
        for place, turn in enumerate(turns)
    ]
    is_reply = bool(kept) and kept[-1]["role"] == "user"
    _show([*kept, {"role": "assistant" if is_reply else "user", "content": ""}])


@st.cache_data(show_spinner=False)
def _usual_form(path: str, index_id: str) -> Form:
    workspace = session.workspace()
    dataset = next(one.dataset_id for one in workspace.indexes.records() if one.index_id == index_id)
    return usual_form(workspace.files.examples(dataset))
