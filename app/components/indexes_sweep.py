"""How good an index is under other dampings, ranks and normalisations: a job, its figure, its table."""

from typing import Any, NamedTuple, get_args

import streamlit as st

from app import session
from app.components import jobs_progress
from lorif_core.catalog import IndexRecord
from lorif_core.config import Normalisation
from lorif_core.errors import ConfigError
from lorif_core.views.evaluations import sweep_figure
from lorif_core.views.text import visible
from lorif_core.workspace.indexes.method_of_index import method_of_index
from lorif_core.workspace.jobs.requests import evaluate_request
from lorif_core.workspace.jobs.submit import start_job
from lorif_core.workspace.studio.results import sweeps_of

NORMALISATIONS = get_args(Normalisation)


def draw() -> None:
    """The form, the jobs, and the latest result."""
    records = [one for one in session.workspace().indexes.records()[::-1] if one.status == "complete"]
    if not records:
        session.empty(
            "No index is complete yet.",
            "lorif index {workspace} --model FOLDER",
            page="indexes",
            label="Build one",
            tab="Build",
        )
        return
    of = {record.index_id: record for record in records}
    chosen = st.selectbox("Index", list(of), format_func=session.index_name, key="ix", bind="query-params", width=320)
    _form(of[chosen])
    jobs_progress.follow("evaluate", "")
    _results(chosen)


class Grid(NamedTuple):
    """What is measured, and with which settings; as it was typed."""

    queries: str
    truth: str
    ratios: str
    ranks: str
    normalisations: list[Normalisation]


def _form(record: IndexRecord) -> None:
    has_curvature = method_of_index(record).curvature.subspace_rank != 0
    st.caption(
        "A sweep scores a file of questions under every combination and compares with models that were really "
        "trained again. The ground truth comes from lorif evaluate retrain, once per data set and recipe."
    )
    with st.container(horizontal=True, vertical_alignment="bottom", key="sweep-form"):
        queries, truth = _files()
        ratios, ranks = _dampings(is_free=has_curvature)
        kinds = st.multiselect(
            "Normalisation",
            NORMALISATIONS,
            ["none", "tempered"],
            key="sweep-normalisation",
            width=230,
            help="What scores are divided by: nothing; unit: both norms; relatif: the root of the text's "
            "self-influence; tempered: its fourth root.",
        )
    if not has_curvature:
        st.text(
            "This index keeps no curvature beside its codes, so no damping changes its ranking. To try "
            "another damping, build another index."
        )
    st.button(
        "Sweep",
        key="sweep-start",
        type="primary",
        disabled=not (queries and truth and kinds),
        on_click=_start,
        args=(record.index_id, Grid(queries, truth, ratios, ranks, kinds)),
    )


def _files() -> tuple[str, str]:
    """Where the questions and the ground truth are; empty while nothing is typed."""
    queries = st.text_input(
        "File of questions",
        key="queries",
        bind="query-params",
        placeholder="/data/q.jsonl",
        width=300,
        help="JSON lines with prompt and completion, on the server.",
    )
    truth = st.text_input(
        "Ground truth",
        key="truth",
        bind="query-params",
        placeholder="/data/truth.npz",
        width=300,
        help="What models said that were trained again without parts of the data.",
    )
    return queries.strip(), truth.strip()


def _dampings(*, is_free: bool) -> tuple[str, str]:
    """Damping ratios and numbers of directions; empty where the index has no curvature to damp."""
    ratios = st.text_input(
        "Damping ratios",
        "0.01 0.1 0.5 1 10",
        key="ratios",
        bind="query-params",
        width=190,
        disabled=not is_free,
        help="Damping over the mean eigenvalue of the curvature; larger trusts the curvature less.",
    )
    ranks = st.text_input(
        "Directions",
        key="ranks",
        bind="query-params",
        placeholder="all, or 16 64 256",
        width=160,
        disabled=not is_free,
        help="How many leading directions of the curvature are used.",
    )
    return (ratios, ranks) if is_free else ("", "")


def _start(index_id: str, grid: Grid) -> None:
    workspace = session.workspace()

    def start() -> Any:
        arguments = {
            "queries": grid.queries,
            "truth": grid.truth,
            "index_id": index_id,
            "damping_ratios": _numbers(grid.ratios, "damping ratio"),
            "subspace_ranks": [
                None if one is None else int(one) for one in _numbers(grid.ranks, "number of directions")
            ],
            "normalisations": list(grid.normalisations),
        }
        return start_job(workspace.files, evaluate_request("sweep", arguments), session.actor())

    session.act("The sweep waits for its worker.", start)


def _numbers(typed: str, what: str) -> list[float | None]:
    """The numbers of a line; none is the index's own."""
    try:
        return [float(word) for word in typed.replace(",", " ").split()] or [None]
    except ValueError as error:
        raise ConfigError(f"every {what} is a number, such as 0.1; got {typed[:40]!r}.") from error


def _results(index_id: str) -> None:
    found = sweeps_of(session.workspace(), index_id)
    if not found:
        st.text("No sweep of this index is done yet: its figure and table will stand here.")
        return
    labels = {
        one["evaluation_id"]: f"{one['created_at']:%Y-%m-%d %H:%M} · {len(one['rows'])} settings" for one in found
    }
    shown = st.selectbox(
        "Result", list(labels), key="result", bind="query-params", format_func=labels.__getitem__, width=320
    )
    rows = next(one["rows"] for one in found if one["evaluation_id"] == shown)
    st.plotly_chart(
        sweep_figure(rows),
        key="sweep-figure",
        config={"displayModeBar": False},
        alt="Linear datamodelling score by damping ratio; the table below has the numbers",
    )
    st.dataframe(
        {
            "setting": [visible(row["label"]) for row in rows],
            "normalisation": [row["normalisation"] for row in rows],
            "LDS": [row["lds"] for row in rows],
            "95 % over questions": [f"{row['queries_low']:.3f} to {row['queries_high']:.3f}" for row in rows],
            "95 % over subsets": [f"{row['subsets_low']:.3f} to {row['subsets_high']:.3f}" for row in rows],
        },
        hide_index=True,
        column_config={"LDS": st.column_config.NumberColumn(format="%.4f")},
        key=session.table_key("sweep-rows", [f"{row['label']} {row['normalisation']}" for row in rows]),
        alt="Linear datamodelling score of every setting, best first",
    )
