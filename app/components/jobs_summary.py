"""What the workspace holds, in numbers."""

import streamlit as st

from app import session
from lorif_core.views.tables import human_bytes
from lorif_core.views.text import visible
from lorif_core.workspace.folder.workspace_status import WorkspaceStatus


def draw(status: WorkspaceStatus) -> None:
    """The workspace at a glance, then data sets and indexes."""
    with st.container(horizontal=True, key="jobs-summary"):
        st.metric("Data sets", f"{len(status.corpora):,}")
        st.metric("Indexes", f"{len(status.indexes):,}")
        st.metric("Questions", f"{status.num_queries:,}")
        st.metric("Evaluations", f"{status.num_evaluations:,}")
        st.metric("Free disk", human_bytes(status.free_bytes))
        st.metric("Your role", status.role)
    st.text(visible(f"Decisions are kept in {status.journal}"))
    if status.corpora:
        _corpora(status)
    if status.indexes:
        _indexes(status)


def _corpora(status: WorkspaceStatus) -> None:
    latest = [corpus.versions[-1] for corpus in status.corpora]
    st.dataframe(
        {
            "data set": [visible(corpus.name) for corpus in status.corpora],
            "version": [one["version"] for one in latest],
            "texts": [one["num_examples"] for one in latest],
            "flagged": [corpus.num_flagged for corpus in status.corpora],
            "excluded": [corpus.num_excluded for corpus in status.corpora],
            "disagreements": [corpus.num_conflicts for corpus in status.corpora],
            "last decision": [visible(corpus.last_decision or "never") for corpus in status.corpora],
        },
        hide_index=True,
        key=session.table_key("jobs-corpora", [corpus.corpus_id for corpus in status.corpora]),
        alt="Data sets of the workspace",
    )


def _indexes(status: WorkspaceStatus) -> None:
    indexes = status.indexes
    names = {key: visible(f"{one.name} v{one.version}") for key, one in session.all_datasets().items()}
    st.dataframe(
        {
            "index": [session.index_name(one["index_id"]) for one in indexes],
            "data": [names.get(one["dataset_id"], one["dataset_id"]) for one in indexes],
            "method": [one["method"] for one in indexes],
            "status": [one["status"] for one in indexes],
            "texts": [one["num_examples"] for one in indexes],
            "size": [human_bytes(one["total_bytes"] or 0) for one in indexes],
        },
        hide_index=True,
        key=session.table_key("jobs-indexes", [one["index_id"] for one in indexes]),
        alt="Indexes of the workspace",
    )
