"""Export: what the draft would hold and how it differs, rules, frozen versions, download."""

import streamlit as st

from app import session
from app.components import export_diff, export_preview, export_result, export_versions
from lorif_core.export_config import EXPORT_FORMATS, ExportConfig

TABS = ("Draft", "Versions")


def page() -> None:
    """Draw the page."""
    session.title("Export", "The data without what was excluded, with the record of who left out what and why.")
    if not session.datasets():
        session.empty_of_data()
        return
    dataset = session.dataset_id()
    tab = session.tab(TABS)
    with session.errors():
        if tab == TABS[1]:
            export_versions.draw(session.workspace().versions.records(dataset=dataset))
        else:
            _draft(dataset)


def _draft(dataset: str) -> None:
    parent = export_versions.choose_parent(session.workspace().versions.records(dataset=dataset))
    settings = _settings(dataset)
    found = session.workspace().versions.preview(dataset=dataset, settings=settings)
    export_preview.counts(found)
    with session.errors():
        diff = session.workspace().versions.diff(against=parent, dataset=dataset, settings=settings)
        export_diff.draw(diff, key="draft")
    export_preview.rules(dataset)
    export_versions.freeze(settings, dataset, parent, found.num_kept)
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
        guards = chosen != "csv" or st.toggle(
            "Guard against formulas",
            value=True,
            key="guard",
            bind="query-params",
            help="Cells that a spreadsheet would run, such as “- milk”, get an apostrophe in front.",
        )
    return ExportConfig(
        format=chosen,
        drop_flagged=drops,
        with_decisions=with_decisions,
        count_by=count_by,
        formulas="guard" if guards else "keep",
    )
