"""A question that is being answered: beside the script, with the stages that the work itself reports."""

import streamlit as st

from app import session
from app.background import Task, tasks, watch
from lorif_core.workspace.asking.answer import Answer
from lorif_core.workspace.asking.question import Question
from lorif_core.workspace.folder.progress import ProgressSink

ANSWER_WAIT_S = 1.0
"""How long a run waits for an answer: one that comes within it is drawn at once, without a page that says to wait."""

STAGES = {
    "model": "Loading the model",
    "generate": "The model is writing",
    "gradient": "Taking the gradient of the completion",
    "refine": "Refining the question",
    "scores": "Scoring the texts",
    "texts": "Finding the words that taught it",
}
"""What asking reports, in the order in which it does; see ``Questions.ask``."""

WAITING = "Waiting for another question"


def start(question: Question) -> Task:
    """Start to answer a question, or find it being answered already."""
    questions = session.workspace().questions

    def work(report: ProgressSink) -> Answer:
        return questions.ask(question, report)

    return tasks().start_stoppable(["ask", repr(question)], work)


def ask(question: Question) -> None:
    """Start to answer a question; the URL names what is being done."""
    task = start(question)
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
        watch(task.task_id, draw=_stages)
        with st.container(horizontal=True, vertical_alignment="center"):
            st.caption("You can go on clicking; the answer comes when it is ready.")
            if st.button("Cancel", key="ask-cancel"):
                tasks().forget(task.task_id)
                session.set_url(asking=None)
                st.rerun()


def _stages(task: Task) -> None:
    """Every stage so far with how far it is; the last one is under way."""
    reported = [(name, *task.stages[name]) for name in STAGES if name in task.stages]
    if not reported:
        st.text(WAITING if task.elapsed_s > 1 else "Starting")
    for place, (name, done, total) in enumerate(reported):
        is_last = place == len(reported) - 1 and not task.is_done
        many = f": {done:,} of {total:,}" if total > 1 else ""
        st.text(f"{'●' if is_last else '✓'} {STAGES[name]}{many if is_last else ''}")
    _, done, total = reported[-1] if reported else ("", 0, 0)
    st.progress(min(1.0, done / total) if total > 1 else 0.0, text=f"{task.elapsed_s:.0f} s so far")
