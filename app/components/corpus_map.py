"""The map of an index: every text a point, near to those that teach alike; a lasso filters the list below it."""

from typing import Any

import polars as pl
import streamlit as st

from app import session
from app.components import corpus_ranked, jobs_progress
from app.components.corpus_outliers import fingerprint_of, newest_index
from lorif_core.views.atlas_figures import MAX_POINTS, atlas_scatter, sampled
from lorif_core.views.hit_filters import statuses_of
from lorif_core.workspace.indexes.atlas import Atlas, has_atlas, read_atlas
from lorif_core.workspace.jobs.requests import MapRequest
from lorif_core.workspace.jobs.submit import jobs_of_kind, open_jobs, start_job

STATUS = "status"
POLL_S = 1.0


def draw(dataset: str) -> None:
    """The map, or how it comes to be."""
    index_id = newest_index(dataset)
    if index_id is None:
        return
    if has_atlas(session.workspace().files, index_id):
        _map(_read(session.workspace_path(), index_id, fingerprint_of(index_id)), dataset)
        return
    jobs = [one for one in jobs_of_kind(session.workspace().files, "map") if one.request["index_id"] == index_id]
    if jobs and jobs[0].status in ("queued", "running"):
        _poll(jobs[0].job_id)
        return
    with st.container(border=True, key="corpus-map-empty"):
        st.text(
            "The map is computed once, from the gradients that the index stores: two passes over it, by a worker."
        )
        st.button("Compute the map", type="primary", key="corpus-map-compute", on_click=_compute, args=(index_id,))
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


@st.cache_resource(max_entries=4, show_spinner=False)
def _read(path: str, index_id: str, fingerprint: str | None) -> Atlas:
    return read_atlas(session.workspace().files, index_id)


def _map(atlas: Atlas, dataset: str) -> None:
    table = session.workspace().files.examples(dataset)
    by = st.selectbox("Colour by", [STATUS, *table.metadata_columns], key="colour", bind="query-params", width=260)
    points = sampled(atlas.points)
    found = st.plotly_chart(
        atlas_scatter(points, _values(points, by, dataset)),
        key=session.table_key("corpus-map", [atlas.index_id, str(atlas.seed), by]),
        on_select="rerun",
        selection_mode=("lasso", "box", "points"),
        config={"displaylogo": False, "scrollZoom": True},
        alt="Every text as a point; draw around some with the lasso to list them below",
    )
    first, second = atlas.explained
    said = f"Drag around points to list their texts. The plane shows {first + second:.1%} of how the texts differ"
    drawn = f"; {MAX_POINTS:,} of {len(atlas.points):,} points are drawn" if len(points) < len(atlas.points) else ""
    st.text(f"{said}{drawn}.")
    ids = [point["customdata"] for point in found["selection"]["points"]]
    ids = [str(one[0] if isinstance(one, list) else one) for one in ids]
    if ids:
        corpus_ranked.draw(ids, {}, dataset, key="corpus-lasso", takes_all=True)


def _values(points: pl.DataFrame, by: str, dataset: str) -> pl.Series:
    workspace = session.workspace()
    if by == STATUS:
        known = statuses_of(workspace.decisions.states(dataset=dataset))
        return pl.Series([known.get(one, ("kept", None))[0] for one in points["train_id"]], dtype=pl.String)
    table = workspace.files.examples(dataset)
    values = pl.DataFrame({"train_id": table.column("train_id"), by: table.column(by)})
    return points.select("train_id").join(values, on="train_id", how="left", maintain_order="left")[by]
