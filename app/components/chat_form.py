"""How a prompt is put: as a message of a chat, with a system message and earlier turns, or raw."""

from typing import Any, NamedTuple

import polars as pl
import streamlit as st

from app import session
from lorif_core.workspace.asking.question import Form, Question
from lorif_core.workspace.asking.usual_form import usual_form

FORMS: dict[Form, str] = {"chat": "Chat", "raw": "Raw"}
ROLES = ["user", "assistant", "system", "tool"]
COLUMNS = {"role": pl.String, "content": pl.String}


class Chat(NamedTuple):
    """How the prompt is put."""

    form: Form
    system: str | None = None
    messages: tuple[dict[str, Any], ...] = ()


def seed(question: Question) -> None:
    """Fill the fields with those of a question that was opened."""
    state = st.session_state
    state["ask-form"], state["ask-system"] = question.form or "raw", question.system or ""
    state["ask-turns"] = [{"role": one["role"], "content": str(one["content"])} for one in question.messages]
    state["turns-shown"] = state.get("turns-shown", 0) + 1


def draw(index_id: str) -> Chat:
    """The choice between chat and raw, and the turns before the prompt; an index of chats begins with a chat."""
    usual = _usual_form(session.workspace_path(), index_id)
    if st.session_state.get("ask-form-of") != index_id:
        st.session_state["ask-form-of"] = index_id
        st.session_state.setdefault("ask-form", usual)
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
    form: Form = "chat" if chosen == "chat" else "raw"
    if form == "raw":
        return Chat(form)
    with st.expander("System message, earlier turns", expanded=bool(st.session_state.get("ask-turns"))):
        system = st.text_area("System message", key="ask-system", height=68, persist_state="session")
        st.caption("Turns before the message, oldest first.")
        edited = st.data_editor(
            pl.DataFrame(st.session_state.get("ask-turns", []), schema=COLUMNS),
            num_rows="dynamic",
            hide_index=True,
            key=f"turns-{st.session_state.get('turns-shown', 0)}",
            column_config={"role": st.column_config.SelectboxColumn(options=ROLES, required=True)},
        )
    turns = [{"role": one["role"], "content": one["content"] or ""} for one in edited.to_dicts() if one["role"]]
    return Chat(form, system or None, tuple(turns))


@st.cache_data(show_spinner=False)
def _usual_form(path: str, index_id: str) -> Form:
    workspace = session.workspace()
    dataset = next(one.dataset_id for one in workspace.indexes.records() if one.index_id == index_id)
    return usual_form(workspace.files.examples(dataset))
