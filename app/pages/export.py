"""Export: see what would be written, change it by rules, write it, take it away."""

import streamlit as st

from app import session
from app.components import export_preview, export_result
from lorif_core.config import EXPORT_FORMATS, ExportConfig


def page() -> None:
    """Draw the page."""
    session.title("Export", "The data without what was excluded, with the record of who left out what and why.")
    if not session.datasets():
        session.empty_of_data()
        return
    dataset = session.dataset_id()
    with session.errors():
        settings = _settings(dataset)
        found = session.workspace().preview_export(dataset=dataset, settings=settings)
        export_preview.counts(found)
        export_preview.rules(dataset)
        export_result.draw(settings, dataset, found.num_kept)


def _settings(dataset: str) -> ExportConfig:
    columns = session.workspace().files.examples(dataset).metadata_columns
    place = columns.index("source") if "source" in columns else None
    with st.container(horizontal=True, vertical_alignment="bottom", key="export-options"):
        chosen = st.segmented_control(
            "Format", EXPORT_FORMATS, default="jsonl", required=True, key="format", bind="query-params"
        )
        count_by = st.selectbox("Count by", columns, index=place, key="by", bind="query-params", width=200)
        drops = st.toggle("Leave out flagged texts too", key="unflagged", bind="query-params")
        with_decisions = st.toggle("Add columns with status and reason", key="reasons", bind="query-params")
    return ExportConfig(format=chosen, drop_flagged=drops, with_decisions=with_decisions, count_by=count_by)
