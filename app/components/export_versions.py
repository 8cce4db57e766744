"""Frozen versions: list them, take them away, freeze the draft, go on after one."""

import json
from collections.abc import Sequence

import streamlit as st

from app import session
from app.components import export_diff
from app.components.corpus_tasks import data_tasks, wait
from lorif_core.export_config import ExportConfig
from lorif_core.views.tables import human_bytes
from lorif_core.views.text import counted, visible
from lorif_core.workspace.curation.export_recipe import RECIPE_FILE
from lorif_core.workspace.curation.export_records import read_manifest
from lorif_core.workspace.curation.versions import FrozenVersion

IMPORT = "the import"
QUICK_S = 2.0
"""A freeze that is done within this time is listed when the page is next drawn."""


def choose_parent(found: Sequence[FrozenVersion]) -> str | None:
    """The version that the draft comes after: the latest one, unless the URL names another."""
    names = [one.name for one in found[::-1]]
    if not names:
        return None
    return st.selectbox(
        "Compare with version",
        names,
        key="parent",
        bind="query-params",
        format_func=visible,
        width=280,
        help="The draft comes after this version and will name it as its parent.",
    )


def freeze(settings: ExportConfig, dataset: str, parent: str | None, num_kept: int) -> None:
    """The form that freezes the draft."""
    with st.popover("Freeze…", key="export-freeze", disabled=not num_kept):
        after = "It will be the first version." if parent is None else f"It comes after {parent}."
        st.text(f"Keeps the draft in the workspace under a name; nobody can edit it afterwards. {after}")
        name = st.text_input("Name", key="freeze-name", max_chars=64, placeholder="v1")
        st.text_input("What it is for", key="freeze-note", max_chars=1000)
        st.button(
            f"Freeze {counted(num_kept, 'text')}",
            key="freeze-start",
            type="primary",
            disabled=not (name.strip() and num_kept),
            on_click=_freeze,
            args=(settings, dataset, parent),
            help="Writes an export with its parent, manifest and recipe.",
        )


def freeze_outcome(dataset: str) -> None:
    """The progress of the latest freeze of a data set in this tab, then what came of it."""
    task = data_tasks().find(st.session_state.get(f"freeze-task-{dataset}", ""))
    if task is None:
        return
    if not task.is_done:
        wait(task, "Freezing")
        return
    with session.errors():
        version: FrozenVersion = task.result()
        st.text(f"✓ Version {version.name} is frozen with {counted(version.counts['kept'], 'text')}; see Versions.")


def _freeze(settings: ExportConfig, dataset: str, parent: str | None) -> None:
    workspace, actor = session.workspace(), session.actor()
    name, note = st.session_state["freeze-name"].strip(), st.session_state["freeze-note"]  # as typed last

    def work() -> FrozenVersion:
        return workspace.versions.freeze(
            name, parent=parent, note=note, actor=actor, dataset=dataset, settings=settings
        )

    what = ["freeze", dataset, name, parent, note, repr(settings), workspace.journal.revision()]
    task = data_tasks().start(what, work)
    task.wait(QUICK_S)
    st.session_state[f"freeze-task-{dataset}"] = task.task_id
    st.session_state.pop("parent", None)  # the next draft comes after the new version
    session.set_url(parent=None)


def draw(found: Sequence[FrozenVersion]) -> None:
    """All versions, newest first, and one of them in full."""
    if not found:
        session.empty(
            "No version was frozen yet. A version is an export with a name that nobody can edit afterwards.",
            "lorif freeze {workspace} NAME",
            page="export",
            label="Look at the draft and freeze it",
            tab="Draft",
        )
        return
    newest = found[::-1]
    st.dataframe(
        {
            "version": [one.name for one in newest],
            "after": [one.parent or IMPORT for one in newest],
            "when (UTC)": [one.at[:16].replace("T", " ") for one in newest],
            "who": [visible(one.actor) for one in newest],
            "texts": [one.counts["kept"] for one in newest],
            "left out": [one.counts["excluded"] for one in newest],
            "format": [one.settings["format"] for one in newest],
            "size": [human_bytes(one.size_bytes) for one in newest],
            "for": [visible(one.note) for one in newest],
        },
        hide_index=True,
        column_config={kind: st.column_config.NumberColumn(format="localized") for kind in ("texts", "left out")},
        key=session.table_key("export-versions", [one.name for one in newest]),
        alt="Frozen versions, newest first",
    )
    names = [one.name for one in newest]
    chosen = st.selectbox("Look at", names, key="version", bind="query-params", format_func=visible, width=280)
    _version(next(one for one in newest if one.name == chosen))


def _version(version: FrozenVersion) -> None:
    place = session.workspace().versions.files_of(version.name)
    manifest = read_manifest(place.about)
    recipe = (place.about / RECIPE_FILE).read_text(encoding="utf-8")
    with st.container(border=True, key="export-version"):
        st.text(f"Version {version.name} is frozen: nobody can edit it. Export {version.export_id}.")
        st.code(visible(str(place.data)), language=None)
        with st.container(horizontal=True, key="export-version-actions"):
            if place.data.is_file():
                st.download_button(
                    "Download the data",
                    lambda: place.data.open("rb"),
                    file_name=f"{version.name}{place.data.suffix}",
                    key="version-data",
                    on_click="ignore",
                )
            for label, text, name in (
                ("Download the manifest", json.dumps(manifest, indent=2, ensure_ascii=False), "manifest"),
                ("Download the recipe", recipe, "recipe"),
            ):
                st.download_button(
                    label, text, file_name=f"{version.name}-{name}.json", key=f"version-{name}", on_click="ignore"
                )
            st.button("Start the next draft", key="version-draft", on_click=_draft_after, args=(version.name,))
        with st.expander("Manifest"):
            st.code(visible(json.dumps(manifest, indent=2, ensure_ascii=False)), language="json", height=420)
    with session.errors():
        export_diff.draw(session.workspace().versions.diff(version=version.name), key="version")


def _draft_after(name: str) -> None:
    st.session_state["tab"] = "Draft"
    st.session_state["parent"] = name
