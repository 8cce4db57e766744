"""Export: what the draft would hold and how it differs, rules, frozen versions, download."""

import streamlit as st

from app import session
from app.components import export_diff, export_preview, export_result, export_versions
from lorif_core.export_config import EXPORT_FORMATS, ExportConfig

TABS = ("Draft", "Versions")
FORMAT_NAMES = {"jsonl": "JSONL", "parquet": "Parquet", "csv": "CSV", "hf": "Hugging Face"}


def page() -> None:
    """Draw the page."""
    session.title(
        "Export", "Your data without the texts that were excluded, and a record of who left out what, and why."
    )
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
    """The buttons first, then what they would write; what settings decide is filled in once they are known."""
    top = st.container(horizontal=True, vertical_alignment="bottom", key="export-top")
    outcome, changes, tallies = st.container(), st.container(), st.container()
    with tallies:
        count_by = export_preview.choose_column(session.workspace().files.examples(dataset).metadata_columns)
    with top:
        settings = _settings(count_by)
        st.space("stretch")
    found = session.workspace().versions.preview(dataset=dataset, settings=settings)
    with changes:
        export_preview.counts(found)
        parent = export_versions.choose_parent(session.workspace().versions.records(dataset=dataset))
    with top:
        export_versions.freeze(settings, dataset, parent, found.num_kept)
        export_result.button(settings, dataset, found.num_kept)
    with outcome:
        export_versions.freeze_outcome(dataset)
        export_result.outcome(dataset)
    with changes, session.errors():
        diff = session.workspace().versions.diff(against=parent, dataset=dataset, settings=settings)
        export_diff.draw(diff, key="draft")
    with tallies:
        export_preview.tallies(found)
    export_preview.rules(dataset)


def _settings(count_by: str | None) -> ExportConfig:
    chosen = st.segmented_control(
        "Format",
        EXPORT_FORMATS,
        default="jsonl",
        required=True,
        key="format",
        bind="query-params",
        format_func=lambda name: FORMAT_NAMES[name or "jsonl"],
        help="JSONL and CSV are one file, Parquet keeps the types, a Hugging Face folder is read by load_from_disk.",
    )
    with st.popover("Options", key="export-options"):
        drops = st.toggle("Leave out flagged texts, too", key="unflagged", bind="query-params")
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
