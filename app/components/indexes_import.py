"""Bring data in: choose a file, choose its columns, look at its rows and rejects, import it as a job."""

from dataclasses import replace
from pathlib import PurePath
from typing import Any

import streamlit as st

from app import session
from app.components import import_reading, import_types, jobs_progress, uploads
from app.components.corpus_tasks import data_tasks, wait
from lorif_core.config import FormName, ImportConfig, NextVersion, Preference, PromptForm
from lorif_core.data.forms import FORMS
from lorif_core.data.previewing import ImportPreview
from lorif_core.data.sources import SUFFIXES as DATA_SUFFIXES
from lorif_core.data.text_files import OPENERS
from lorif_core.journal.jobs import Job
from lorif_core.views.text import visible
from lorif_core.workspace.datasets.next_version import Foreseen
from lorif_core.workspace.jobs.requests import import_request
from lorif_core.workspace.jobs.submit import jobs_of_kind, start_job

KINDS = {
    "as the names say": (),
    "plain text": ("text",),
    "prompt and completion": ("prompt", "completion"),
    "chat messages": ("messages",),
}
"""What the texts may be, and the columns that a person names then."""

BY_FORM: dict[str, FormName] = {form.title: name for name, form in FORMS.items() if form.title not in KINDS}
"""What else the texts may be; the columns of these have names of their own."""

SUFFIXES = [suffix.removeprefix(".") for suffix in (*DATA_SUFFIXES, *OPENERS)]
AUTOMATIC = "found by its name"
NO_IDS = "of no column"
AS_USUAL = "as is usual"
PREFERENCES: dict[str, Preference] = {"chosen against rejected": "pairs", "the chosen side only": "chosen"}
PROMPT_FORMS: dict[str, PromptForm] = {
    "Alpaca's wording": "alpaca",
    "parts on lines": "plain",
    "as they are": "verbatim",
    "a chat": "chat",
}


def draw() -> None:
    """The wizard from top to bottom, then the latest imports."""
    with session.errors():
        # Asked before the job does: the wizard shows rows of any file that the server can read.
        session.workspace().journal.require_role(session.actor(), "curator", "look into files and import them")
        _wizard()
    st.subheader("Imports", anchor=False)
    jobs_progress.follow("import", "No file was imported here yet.")
    _latest()


def _wizard() -> None:
    st.subheader("1 · File", anchor=False)
    path = _file()
    if path:
        part = import_reading.choose(path)
        notes = st.container(key="import-notes")
        st.subheader("2 · Columns", anchor=False)
        settings = _columns(path, part)
        if (found := _preview(path, settings)) is not None:
            shown, settings = _types(path, settings, found)
            if shown is not None:
                with notes:
                    _notes(shown)
                _show(shown, path, settings)


def _types(path: str, settings: ImportConfig, found: ImportPreview) -> tuple[ImportPreview | None, ImportConfig]:
    """The preview and the settings with the types that a person chose; above the choice, the types of all columns."""
    table = st.container()
    if chosen := import_types.choose(found):
        settings = replace(settings, type=chosen)
    shown = _preview(path, settings) if chosen else found
    with table:
        import_types.show(shown or found)
    return shown, settings


def _notes(found: ImportPreview) -> None:
    """What was found out about the files."""
    for note in found.notes:
        st.text(visible(f"{note[0].upper()}{note[1:]}."))


def _file() -> str:
    typed, dropped = st.columns(2, gap="large")
    with dropped:
        upload = st.file_uploader("… or upload one", SUFFIXES, key="import-upload", max_upload_size=200)
    uploads.keep(upload, box="file", kept="import-kept")
    with typed:
        return st.text_input(
            "File or folder on the server",
            key="file",
            bind="query-params",
            placeholder="/data/texts.jsonl",
            max_chars=4000,
            help="JSONL, JSON, CSV or text, also .gz or .zst; Parquet or Arrow; or a folder of such files. Or the "
            "name of a hub data set, such as openai/gsm8k.",
        ).strip()


def _columns(path: str, part: dict[str, Any]) -> ImportConfig:
    names = _scan(path, ImportConfig(**part))
    columns = [] if names is None else names.names
    with st.container(horizontal=True, vertical_alignment="bottom", key="import-columns"):
        kind = st.selectbox("The texts are", [*KINDS, *BY_FORM], key="kind", bind="query-params", width=210)
        chosen: dict[str, Any] = {}
        for role in KINDS.get(kind, ()):
            place = columns.index(role) if role in columns else 0
            chosen[role] = st.selectbox(
                role.capitalize(), columns, index=place, key=f"import-{role}", format_func=visible, width=180
            )
        ids = [AUTOMATIC, *([] if "none" in columns else [NO_IDS]), *columns]
        picked = st.selectbox("Ids", ids, key="import-id", format_func=visible, width=180)
        name = st.text_input(
            "Name of the data set",
            placeholder=visible(PurePath(path).stem),
            key="import-name",
            max_chars=200,
            width=220,
            help="The name of a data set that is there makes its next version.",
        )
        keeps = st.toggle("Keep empty completions", key="import-empty")
        ways = _ways(kind, columns)
    further = _further(columns)
    if None in chosen.values() or (len(chosen) == 2 and len(set(chosen.values())) == 1):
        st.text("Choose two different columns.")
        chosen = {}
    return ImportConfig(
        **chosen,
        **part,
        **ways,
        **further,
        form=BY_FORM.get(kind),
        id={AUTOMATIC: None, NO_IDS: "none"}.get(picked, picked),
        name=name.strip() or None,
        keep_empty=keeps,
    )


def _further(columns: list[str]) -> dict[str, Any]:
    """What few people change: turns that are targets, weights, columns of other roles."""
    with st.expander("Further settings"), st.container(horizontal=True, key="import-further"):
        turn = st.number_input(
            "Target turn of chats",
            value=None,
            step=1,
            key="import-turn",
            placeholder="every one",
            width=180,
            help="Which assistant turn is explained: 1 is the first, -1 the last. Empty: every one of them.",
        )
        weight = st.selectbox(
            "Weight of each text",
            columns,
            index=None,
            key="import-weight",
            format_func=visible,
            placeholder="every one 1",
            width=200,
            help="A column of numbers, such as advantages or rewards, that the texts' losses are multiplied by: 0 "
            "teaches nothing, a negative one pushes away.",
        )
        roles = st.text_input(
            "Columns of other roles",
            key="import-roles",
            placeholder="context=given, system=rules",
            width=280,
            help="Each as ROLE=COLUMN, with commas between them. Roles: context (Alpaca's input), system, tools, "
            "chosen, rejected, label, input_ids, labels, position_ids, segment_ids, "
            "seq_lengths, attention_mask, shown.",
        )
    return {
        "target_turn": None if turn is None else int(turn),
        "weight_column": weight,
        "column": tuple(role.strip() for role in roles.split(",") if role.strip()),
    }


def _ways(kind: str, columns: list[str]) -> dict[str, Any]:
    """How columns are read, as far as their names leave it open."""
    ways: dict[str, Any] = {}
    is_named = kind == next(iter(KINDS))
    form = FORMS.get(BY_FORM.get(kind, "messages"))
    if (is_named and {"chosen", "rejected"} <= set(columns)) or (form is not None and form.preferences):
        side = st.selectbox("Sides", list(PREFERENCES), index=None, key="import-preference", width=210)
        ways["preference"] = None if side is None else PREFERENCES[side]
    if form is not None and form.prompt_forms:
        picked = st.selectbox("Prompts are", [AS_USUAL, *PROMPT_FORMS], key="import-prompt-form", width=180)
        ways["prompt_form"] = PROMPT_FORMS.get(picked)
    return ways


def _scan(path: str, settings: ImportConfig) -> ImportPreview | None:
    """The preview, made beside the script and kept; None while it is being made."""
    workspace = session.workspace()
    stamp = workspace.data.stamp_of(path)
    task = data_tasks().start(
        ["preview", path, stamp, repr(settings)], lambda: workspace.data.preview_import([path], settings)
    )
    return task.result() if task.wait(3.0) else wait(task, "Reading the first rows")


def _preview(path: str, settings: ImportConfig) -> ImportPreview | None:
    found = _scan(path, settings)
    if found is not None and found.problem is not None:
        with st.container(border=True, key="import-problem"):
            st.text(
                "The columns that hold the text cannot be told by their names. Choose above what the texts are, "
                f"then the columns. There are: {', '.join(map(visible, found.names))}."
            )
            st.text(visible(found.problem))
            _notes(found)
        return None
    return found


def _show(found: ImportPreview, path: str, settings: ImportConfig) -> None:
    st.subheader("3 · What would be imported", anchor=False)
    seen = "all rows" if found.is_whole else "the first rows"
    with st.container(horizontal=True, key="import-counts"):
        st.metric("Rows looked at", f"{found.num_scanned:,}", help=f"These are {seen} of the file.")
        st.metric("Usable", f"{found.num_scanned - found.num_rejected:,}")
        st.metric("Cannot be used", f"{found.num_rejected:,}", help="Set aside; the others are imported.")
        st.metric("Repeat an earlier row", f"{found.num_duplicates:,}", help="Kept; Corpus finds and excludes them.")
    st.text(visible(f"Read as {found.form}."))
    if found.other_forms:
        st.text(visible("It could also be read in another way: choose above what the texts are."))
    if found.skipped_files:
        st.text(visible(f"Skipped: {', '.join(PurePath(name).name for name in found.skipped_files)}."))
    st.text(visible(f"The id of a text is {found.id_rule}, so that importing it again adds nothing."))
    if found.rows:
        _rows(found)
    if found.rejects:
        _rejects(found)
    _next_version(path, settings)
    st.button(
        "Import",
        key="import-start",
        type="primary",
        on_click=_start,
        args=(path, settings),
        disabled=not found.rows,
    )


def _next_version(path: str, settings: ImportConfig) -> None:
    """Where the name is taken: what the import would do to decisions, and what a person may say to it."""
    data = session.workspace().data
    settings = replace(settings, name=st.session_state.get("import-name", "").strip() or None)
    name = settings.name or PurePath(path).stem
    if not any(record.name == name for record in data.records()):
        return
    with st.container(border=True, key="import-next"):
        st.text(visible(f"A data set of the name {name} is there: this becomes its next version."))
        st.text("Decisions follow their texts. Another data set needs another name.")
        if st.button("Compare with what is there", key="import-compare"):
            with session.errors():
                _show_foreseen(data.compare_import([path], settings))
        st.checkbox("It is the next version, although most texts are others", key="import-as-version")
        st.checkbox("Go on without decided texts that are missing in it", key="import-drop-decided")


def _show_foreseen(foreseen: Foreseen | None) -> None:
    if foreseen is None:
        st.text("These texts are there already.")
        return
    if foreseen.why_another is not None:
        st.text(visible(f"It looks like another data set: {foreseen.why_another}."))
    carried = foreseen.carried
    st.text(
        f"Decided texts with another id: {carried.num_moved:,}; ids with another text: {carried.num_changed:,}; "
        f"missing texts: {carried.num_gone:,}."
    )
    if foreseen.lost:
        columns = ("id", "status", "change", "text")
        st.dataframe(
            {name: [visible(row[name]) for row in foreseen.lost] for name in columns},
            hide_index=True,
            height=min(40 + 36 * len(foreseen.lost), 260),
            key=session.table_key("import-lost", [row["id"] for row in foreseen.lost]),
            alt="Decided texts that the new version lacks or has changed",
        )


def _rows(found: ImportPreview) -> None:
    names = list(dict.fromkeys(name for row in found.rows for name in row.metadata))
    cells = {
        f"column {place}": [_cell(row.metadata.get(name)) for row in found.rows] for place, name in enumerate(names)
    }
    labels = {
        f"column {place}": st.column_config.TextColumn(import_types.label_of(name))
        for place, name in enumerate(names)
    }
    st.dataframe(
        {
            "line": [row.line for row in found.rows],
            "id": [visible(row.train_id) for row in found.rows],
            "text": [visible(row.text) for row in found.rows],
            **cells,
        },
        hide_index=True,
        height=320,
        column_config={
            "line": st.column_config.NumberColumn(width=60),
            "id": st.column_config.TextColumn(width=130),
            "text": st.column_config.TextColumn(width=520),
            **labels,
        },
        key=session.table_key("import-rows", [row.train_id for row in found.rows]),
        alt="The first rows as they would be imported",
    )


def _rejects(found: ImportPreview) -> None:
    said = ", ".join(f"{count:,} × {reason}" for reason, count in found.rejects_by_reason.items())
    st.text(visible(f"Rows that cannot be used: {said}."))
    table_of_rejects(found.rejects)


def table_of_rejects(rejects: list[dict[str, Any]]) -> None:
    """Rows that an import cannot use, with line and reason."""
    st.dataframe(
        {
            "line": [one["line"] for one in rejects],
            "reason": [visible(one["reason"]) for one in rejects],
            "detail": [visible(one.get("detail") or "") for one in rejects],
            "row": [visible(one["row"]) for one in rejects],
        },
        hide_index=True,
        height=min(40 + 36 * len(rejects), 260),
        column_config={
            "line": st.column_config.NumberColumn(width=70),
            "reason": st.column_config.TextColumn(width=220),
            "detail": st.column_config.TextColumn(width=280),
        },
        key=session.table_key("import-rejects", [f"{one['file']} {one['line']}" for one in rejects]),
        alt="Rows that cannot be used, with their line and the reason",
    )


def _start(path: str, settings: ImportConfig) -> None:
    workspace = session.workspace()
    settings = replace(settings, name=st.session_state["import-name"].strip() or None)  # as typed last

    said = NextVersion(
        as_version=st.session_state.get("import-as-version", False),
        drop_decided=st.session_state.get("import-drop-decided", False),
    )

    def start() -> Any:
        return start_job(workspace.files, import_request([path], settings, said), session.actor())

    session.act("The import waits for its worker.", start)


def _latest() -> None:
    """What the newest import that is done brought."""
    done: list[Job] = [job for job in jobs_of_kind(session.workspace().files, "import") if job.status == "done"]
    if not done or (result := done[0].result) is None:
        return
    with st.container(border=True, key="import-result"):
        added = f"{result['num_examples']:,} texts" if result["is_new"] else "Nothing new: these texts were there"
        st.text(visible(f"✓ {added}, as {result['name']} version {result['version']} ({result['dataset_id']})."))
        if changes := result["changes"]:
            st.text(
                f"Against the version before: {changes['num_came']:,} texts came, {changes['num_went']:,} went, "
                f"{changes['num_changed']:,} changed."
            )
        if carried := result.get("carried"):
            st.text(
                f"Decided texts with another id, whose decisions went along: {carried['num_moved']:,}; ids with "
                f"another text: {carried['num_changed']:,}; missing texts: {carried['num_gone']:,}."
            )
        if result["num_duplicates"]:
            st.text(f"{result['num_duplicates']:,} rows repeat the content of an earlier one; they are kept.")
        if result["rejects_file"]:
            st.text(f"{result['num_rejected']:,} rows could not be used and were set aside:")
            with session.errors():
                table_of_rejects(session.workspace().data.rejects(dataset=result["dataset_id"]))


def _cell(value: Any) -> str:
    return "" if value is None else visible(str(value)[:200])
