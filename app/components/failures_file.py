"""Choose a file of failing prompts, look at what counts as a failure and what is skipped, and ask it as a job."""

from collections.abc import Sequence
from typing import Any

import streamlit as st

from app import session
from app.components import jobs_progress, uploads
from app.components.corpus_tasks import data_tasks, wait
from lorif_core.data.failure_rows import FailureReading, FailureRow
from lorif_core.data.read_failures import SUFFIXES, FailuresFound
from lorif_core.views.text import counted, visible
from lorif_core.workspace.jobs.requests import failures_request
from lorif_core.workspace.jobs.submit import open_jobs, start_job

MAX_ROWS = 200
MAX_CELL = 400
FORMATS = "JSONL, CSV or Parquet; a sample log of lm-evaluation-harness (--log_samples) or Inspect (.eval, .json)."


def draw() -> None:
    """The form from top to bottom, then the latest jobs."""
    with session.errors():
        # Asked before the job does: the page shows rows of any file that the server can read.
        session.workspace().journal.require_role(session.actor(), "curator", "look into files and ask them")
        path = _file()
        if path:
            _look(path)
    st.subheader("Jobs", anchor=False)
    jobs_progress.follow("failures", "No file of failures was asked here yet.")


def finished_run() -> str | None:
    """Id of the run whose job this tab started, once it is done; None before."""
    job_id = st.session_state.get("failures-job")
    if job_id is None:
        return None
    job = open_jobs(session.workspace().files).job(job_id)
    if job.status in ("failed", "cancelled"):
        st.session_state.pop("failures-job")
    if job.status != "done" or job.result is None:
        return None
    st.session_state.pop("failures-job")
    return str(job.result["run_id"])


def _file() -> str:
    uploaded, typed = st.columns(2, gap="large")
    with uploaded:
        upload = st.file_uploader("A file of failing prompts", list(SUFFIXES), key="failures-upload", help=FORMATS)
    uploads.keep(upload, box="failures-path", kept="failures-kept")
    with typed:
        return st.text_input(
            "… or its path on the server",
            key="failures-path",
            placeholder="/data/samples_gsm8k.jsonl",
            max_chars=4000,
            help=FORMATS,
        ).strip()


def _look(path: str) -> None:
    found = _read(path, FailureReading())
    if found is None:
        return
    reading = _reading(found, path)
    if reading is not None and reading != FailureReading():
        found = _read(path, reading)
    if found is None or reading is None:
        return
    if found.problem is not None:
        with st.container(border=True, key="failures-problem"):
            st.text(visible(f"{found.problem[0].upper()}{found.problem[1:]}"))
        return
    _show(found)
    with st.container(horizontal=True, vertical_alignment="center", key="failures-start"):
        st.button(
            f"Ask {counted(len(found.failures), 'failure')}",
            key="failures-ask",
            type="primary",
            disabled=not found.failures,
            on_click=_start,
            args=(path, reading, session.index_id()),
        )
        st.text(f"of index {session.index_name(session.index_id())}; every score is kept")


def _read(path: str, reading: FailureReading) -> FailuresFound | None:
    """What the file holds, read beside the script and kept; None while it is being read."""
    workspace = session.workspace()
    stamp = workspace.data.stamp_of(path)
    task = data_tasks().start(
        ["failures", path, stamp, repr(reading)], lambda: workspace.failures.read(path, reading)
    )
    if not task.wait(3.0):
        wait(task, "Reading the file")
        return None
    return task.result()


def _reading(found: FailuresFound, path: str) -> FailureReading | None:
    """What a person chooses for a file: columns of rows, the score, the threshold."""
    chosen: dict[str, Any] = {}
    with st.container(horizontal=True, vertical_alignment="bottom", key="failures-columns"):
        if found.format == "rows":
            for role in ("prompt", "completion"):
                taken, columns = found.found.taken.get(role), found.found.columns
                picked = st.selectbox(
                    role.capitalize(),
                    columns,
                    index=columns.index(taken) if taken in columns else None,
                    placeholder="Choose a column",
                    key=session.table_key(f"failures-{role}", [path]),
                    format_func=visible,
                    width=180,
                )
                chosen |= {} if picked in (None, taken) else {role: picked}
        scores = found.found.scores
        score = st.selectbox(
            {"rows": "Score", "lm-eval": "Metric", "inspect": "Scorer"}[found.format],
            scores,
            index=scores.index(found.found.score) if found.found.score in scores else None,
            placeholder="None: every row counts",
            key=session.table_key("failures-score", [path]),
            format_func=visible,
            width=200,
        )
        chosen |= {} if score in (None, found.found.score) else {"score": score}
        below = st.number_input(
            "Fails below",
            value=0.5,
            step=0.1,
            key=session.table_key("failures-below", [path]),
            width=140,
            disabled=score is None,
            help="A row whose score is below this counts as a failure. Right is 1, partly right 0.5, wrong 0.",
        )
    return FailureReading(**chosen, below=float(below))


def _show(found: FailuresFound) -> None:
    passed = [row for row in found.found.rows if not row.is_failure]
    taken = "; ".join(f"{role}: {name}" for role, name in found.found.taken.items())
    st.text(visible(f"{found.sentence} Taken as {taken}."))
    lists = {
        f"Failures {len(found.failures):,}": found.failures,
        f"Passed {len(passed):,}": passed,
        f"Skipped {len(found.found.skipped):,}": None,
    }
    tab = st.segmented_control(
        "Rows",
        list(lists),
        default=next(iter(lists)),
        required=True,
        key="failures-rows",
        label_visibility="collapsed",
    )
    rows = lists[str(tab)] if tab in lists else found.failures
    if rows is not None:
        _rows(rows)
    else:
        _skipped(found)


def _rows(rows: Sequence[FailureRow]) -> None:
    shown = rows[:MAX_ROWS]
    if len(rows) > len(shown):
        st.caption(f"The first {len(shown):,} of {len(rows):,}.")
    st.dataframe(
        {
            "row": [one.line for one in shown],
            "prompt": [_cell(one.prompt) for one in shown],
            "completion": [_cell(one.completion) for one in shown],
            "expected": [_cell(one.expected or "") for one in shown],
            "why": [visible(one.why) for one in shown],
        },
        hide_index=True,
        height=min(40 + 36 * max(len(shown), 1), 330),
        column_config={
            "row": st.column_config.NumberColumn(width=60),
            "prompt": st.column_config.TextColumn(width=420),
            "completion": st.column_config.TextColumn(width=240),
        },
        alt="Rows of the file, with what was taken for prompt and completion and why they count",
    )


def _skipped(found: FailuresFound) -> None:
    for reason, count in found.skipped_by_reason.items():
        st.text(visible(f"{count:,} × {reason}"))
    shown = found.found.skipped[:MAX_ROWS]
    if shown:
        st.dataframe(
            {"row": [one.line for one in shown], "reason": [visible(one.reason) for one in shown]},
            hide_index=True,
            height=min(40 + 36 * len(shown), 260),
            column_config={"row": st.column_config.NumberColumn(width=60)},
            alt="Rows that cannot be asked, with the reason",
        )


def _start(path: str, reading: FailureReading, index_id: str) -> None:
    workspace = session.workspace()

    def start() -> Any:
        return start_job(workspace.files, failures_request(path, index_id, reading), session.actor())

    if (job := session.act("The failures wait for their worker.", start)) is not None:
        st.session_state["failures-job"] = job.job_id


def _cell(text: str) -> str:
    return visible(text if len(text) <= MAX_CELL else text[:MAX_CELL] + "…")
