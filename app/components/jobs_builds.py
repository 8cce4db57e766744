"""How far unfinished indexes are, whoever builds them: this machine, a cluster, an array job."""

from typing import Any

import streamlit as st

from app import session
from lorif_core.views.tables import human_seconds
from lorif_core.views.text import literal, visible
from lorif_core.workspace.folder.workspace_status import describe_builds


def draw() -> None:
    """A bar for each index that is planned and not complete, and its workers; nothing where there is none."""
    for build in describe_builds(session.workspace().files):
        with st.container(border=True, key=f"build-{build['index_id']}"):
            st.progress(build["num_finished"] / build["num_parts"], text=_said(build))
            if build["workers"]:
                _workers(build)


def _said(build: dict[str, Any]) -> str:
    left = build["seconds_left"]
    ending = f"; about {human_seconds(left)} left for the parts" if left else ""
    return f"{literal(session.index_name(build['index_id']))}: {visible(build['sentence'])}{ending}"


def _workers(build: dict[str, Any]) -> None:
    workers = build["workers"]
    st.dataframe(
        {
            "worker": [visible(one["worker"]) for one in workers],
            "device": [visible(one["device"]) for one in workers],
            "parts": [one["num_parts"] for one in workers],
            "tokens/s": [one["tokens_per_second"] for one in workers],
            "last part": [f"{human_seconds(one['idle_s'])} ago" for one in workers],
            "at work": [one["is_at_work"] for one in workers],
        },
        hide_index=True,
        column_config={"tokens/s": st.column_config.NumberColumn(format="%,.0f")},
        key=session.table_key(f"workers-{build['index_id']}", [one["worker"] for one in workers]),
        alt=f"Workers of index {build['index_id']}",
    )
