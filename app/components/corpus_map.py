"""The map of an index: texts that mean the same to the model lie together; a lasso filters the list below it."""

from importlib.resources import files
from typing import Any

import polars as pl
import streamlit as st
from streamlit.components import v2

from app import session
from app.components import corpus_ranked, jobs_progress
from app.components.answers import dataset_of
from app.components.corpus_outliers import fingerprint_of, newest_index
from lorif_core.views.atlas_figures import MAX_VALUES, sampled
from lorif_core.views.decision_words import counted_texts
from lorif_core.views.hit_filters import statuses_of
from lorif_core.views.map_points import map_points
from lorif_core.views.text import visible
from lorif_core.workspace.folder.kept_map import Atlas, has_atlas, read_atlas
from lorif_core.workspace.folder.kept_scores import scores_frame
from lorif_core.workspace.jobs.requests import MapRequest
from lorif_core.workspace.jobs.submit import jobs_of_kind, open_jobs, start_job

CLUSTER, STATUS, SCORE = "cluster", "status", "score of a question"
VIEW, LASSO, SHOWN, FORGOTTEN = "corpus-map", "corpus-lasso-held", "corpus-map-shown", "corpus-lasso-forgotten"
POLL_S = 1.0
MOST_GROUPS = 19
"""Clusters with a colour of their own."""

MAX_STARTS = 20_000
"""Points up to which the pointer shows how a text begins; above, its id, or a page would weigh tens of megabytes."""


_SOURCE = files("app.components")
_mount = v2.component(
    "lorif_map",
    js=_SOURCE.joinpath("corpus_map_view.js").read_text(encoding="utf-8"),
    css=_SOURCE.joinpath("corpus_map_view.css").read_text(encoding="utf-8"),
)


def draw(dataset: str) -> None:
    """The map, or how it comes to be."""
    index_id = newest_index(dataset)
    if index_id is None:
        return
    if has_atlas(session.workspace().files, index_id):
        _map(
            _read(session.workspace_path(), index_id, fingerprint_of(index_id), _stamp(index_id)),
            dataset_of(index_id),
        )
    else:
        compute(index_id)


def compute(index_id: str) -> None:
    """Offer to compute the states and the map of an index, or show how far that is."""
    jobs = [one for one in jobs_of_kind(session.workspace().files, "map") if one.request["index_id"] == index_id]
    if jobs and jobs[0].status in ("queued", "running"):
        _poll(jobs[0].job_id)
        return
    with st.container(border=True, key="corpus-map-empty"):
        st.text(
            "What every text means to the model is computed once: a forward pass over all texts, by a worker in the "
            "background, then the map and its clusters. It goes on where it was stopped."
        )
        st.button(
            "Compute meanings and map", type="primary", key="corpus-map-compute", on_click=_compute, args=(index_id,)
        )
        if jobs and jobs[0].message:
            jobs_progress.draw(jobs[0])


def _compute(index_id: str) -> None:
    workspace = session.workspace()

    def start() -> Any:
        return start_job(workspace.files, MapRequest(index_id), session.actor())

    session.act("The map waits for its worker.", start)


@st.fragment(run_every=POLL_S)
def _poll(job_id: str) -> None:
    with session.errors():
        job = open_jobs(session.workspace().files).job(job_id)
        if job.status in jobs_progress.ENDED:
            st.rerun()
        jobs_progress.draw(job)


def _stamp(index_id: str) -> int:
    return session.workspace().files.map_file(index_id).stat().st_mtime_ns


@st.cache_resource(max_entries=4, show_spinner=False)
def _read(path: str, index_id: str, fingerprint: str | None, stamp: int) -> Atlas:
    return read_atlas(session.workspace().files, index_id)


def _map(atlas: Atlas, dataset: str) -> None:
    points = sampled(atlas.points)
    with st.container(horizontal=True, vertical_alignment="bottom", key="corpus-map-choices"):
        by, query = _colour(dataset)
        has_names = st.toggle("Names of clusters", value=True, key="names", bind="query-params")
    payload = map_points(
        points,
        _values(points, by, query, atlas, dataset),
        starts=_starts(points, dataset),
        names={one.number: one.name for one in atlas.clusters} if has_names else None,
        is_signed=query is not None,
        max_groups=MOST_GROUPS if by == CLUSTER else MAX_VALUES,
    )
    label = "Every text as a point; draw around some with the lasso to list them below"
    _mount(
        key=VIEW,
        data=payload | {"label": label, "forgotten": st.session_state.get(FORGOTTEN, 0)},
        height="content",
        on_lasso_change=_hear,
    )
    st.caption(_said(atlas, len(points)))
    chosen = st.session_state.get(LASSO)
    if chosen and chosen["of"] == [atlas.index_id, atlas.seed]:
        _chosen(chosen["ids"], dataset)
    st.session_state[SHOWN] = [atlas.index_id, atlas.seed]


def _chosen(ids: list[str], dataset: str) -> None:
    """The list of what the lasso holds."""
    with st.container(horizontal=True, vertical_alignment="center", key="corpus-lasso-line"):
        st.text(f"In the lasso: {counted_texts(len(ids))}.")
        st.button("Forget the lasso", key="corpus-lasso-forget", on_click=_forget, type="tertiary")
    if ids:
        corpus_ranked.draw(ids, {}, dataset, key="corpus-lasso", takes_all=True)


def _hear() -> None:
    """Keep the ids that the lasso holds; the list begins at its first page."""
    ids = st.session_state[VIEW].get("lasso")
    if ids is not None:
        st.session_state[LASSO] = {"of": st.session_state.get(SHOWN), "ids": [str(one) for one in ids]}
        session.set_url(page=None)


def _forget() -> None:
    st.session_state.pop(LASSO, None)
    st.session_state[FORGOTTEN] = st.session_state.get(FORGOTTEN, 0) + 1


def _said(atlas: Atlas, num_drawn: int) -> str:
    drawn = "All texts" if num_drawn == len(atlas.points) else f"{num_drawn:,} of {len(atlas.points):,} texts"
    return (
        f"{drawn}. Drag around points to list their texts. Neighbours mean the same to the model; how far apart "
        "groups lie says little. Clusters are named by words that are frequent in them and rare elsewhere."
    )


def _colour(dataset: str) -> tuple[str, str | None]:
    """What colours the points, and of a score the question."""
    workspace = session.workspace()
    questions = {
        one.query_id: visible(f"{one.prompt} ▸ {one.completion}"[:90])
        for one in workspace.questions.records()
        if one.dataset_id == dataset
    }
    columns = workspace.files.examples(dataset).metadata_columns
    by = st.selectbox(
        "Colour by",
        [CLUSTER, STATUS, *([SCORE] if questions else []), *(f"data: {name}" for name in columns)],
        key="colour",
        bind="query-params",
        format_func=lambda one: visible(one.removeprefix("data: ")),
        width=230,
    )
    if by != SCORE:
        return str(by or CLUSTER), None
    query = st.selectbox(
        "Question",
        list(questions)[::-1],
        key="of",
        bind="query-params",
        format_func=lambda one: questions[one],
        width=420,
    )
    return SCORE, query


def _values(points: pl.DataFrame, by: str, query: str | None, atlas: Atlas, dataset: str) -> pl.Series:
    workspace = session.workspace()
    if by == CLUSTER:
        labels = {one.number: one.label for one in atlas.clusters}
        return points["cluster"].replace_strict(labels, default=None, return_dtype=pl.String)
    if by == STATUS:
        known = statuses_of(workspace.decisions.states(dataset=dataset))
        return pl.Series([known.get(one, ("kept", None))[0] for one in points["train_id"]], dtype=pl.String)
    if query is not None:
        known = scores_frame(workspace.files, workspace.files.catalog.query(query))
    else:
        table = workspace.files.examples(dataset)
        column = table.column(by.removeprefix("data: ")).alias("score")
        known = pl.DataFrame([table.column("train_id"), column])
    return points.select("train_id").join(known, on="train_id", how="left", maintain_order="left")["score"]


def _starts(points: pl.DataFrame, dataset: str) -> list[str] | None:
    """How every text begins."""
    if len(points) > MAX_STARTS:
        return None
    return _read_starts(session.workspace_path(), dataset, points["train_id"].to_list())


@st.cache_resource(max_entries=2, show_spinner=False)
def _read_starts(path: str, dataset: str, ids: list[str]) -> list[str]:
    return [one.text[:200] for one in session.workspace().data.texts(ids, dataset)]
