"""Write an export beside the script, and offer what was written."""

import json
from typing import Any

import streamlit as st

from app import session
from app.components import export_preview
from app.components.corpus_tasks import data_tasks, wait
from lorif_core.export_config import ExportConfig
from lorif_core.views.tables import human_bytes
from lorif_core.views.text import counted, visible
from lorif_core.workspace.curation.export_records import ExportResult, read_manifest


def button(settings: ExportConfig, dataset: str, num_kept: int) -> None:
    """What the page is for."""
    st.button(
        f"Export {counted(num_kept, 'text')}",
        key="export-write",
        type="primary",
        on_click=_start,
        args=(settings, dataset),
        disabled=not num_kept,
        help="Writes the draft as it is now, to download, without making it a version.",
    )


def outcome(dataset: str) -> None:
    """The progress of the latest export of a data set in this tab, then its files."""
    task = data_tasks().find(st.session_state.get(f"export-task-{dataset}", ""))
    if task is None:
        return
    if not task.is_done:
        wait(task, "Exporting")
        return
    with session.errors():
        _result(task.result())


def _start(settings: ExportConfig, dataset: str) -> None:
    workspace = session.workspace()
    what: list[Any] = ["export", dataset, repr(settings), workspace.journal.revision()]
    task = data_tasks().start(what, lambda: workspace.export(settings=settings, dataset=dataset))
    st.session_state[f"export-task-{dataset}"] = task.task_id


def _result(result: ExportResult) -> None:
    with st.container(border=True, key="export-done"):
        st.text(
            f"✓ {result.num_kept:,} of {counted(result.num_input, 'text')}, {human_bytes(result.size_bytes)}, "
            f"export {result.export_id}"
        )
        st.code(visible(str(result.path)), language=None)
        if result.why_rewritten:
            st.text(visible(f"Lines are not byte for byte those of the import: {result.why_rewritten}"))
        export_preview.losses(result.losses)
        about = result.about or result.path
        manifest = read_manifest(about)
        with st.container(horizontal=True):
            if result.path.is_file():
                st.download_button(
                    "Download the data",
                    lambda: result.path.open("rb"),
                    file_name=f"{result.export_id}{result.path.suffix}",
                    key="export-download",
                    on_click="ignore",
                )
            else:
                st.text("A folder: read it where it lies, with datasets.load_from_disk.")
            st.download_button(
                "Download the manifest",
                json.dumps(manifest, indent=2, ensure_ascii=False),
                file_name=f"{result.export_id}-manifest.json",
                key="export-download-manifest",
                on_click="ignore",
            )
        with st.expander("Manifest"):
            st.code(visible(json.dumps(manifest, indent=2, ensure_ascii=False)), language="json", height=420)
