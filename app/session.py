"""What every page uses: the workspace, who you are, writing with undo, errors, empty states."""

import logging
import os
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import streamlit as st

from app.scanning import scanner
from lorif_core.catalog import DatasetRecord, IndexRecord
from lorif_core.corpus.zones import is_zone
from lorif_core.errors import CatalogError, LorifError
from lorif_core.files import fingerprint_of_value
from lorif_core.journal.entries import Batch
from lorif_core.private_logs import write_report
from lorif_core.system_failures import failure_sentence, is_of_the_machine, is_out_of_memory, raise_unless_failure
from lorif_core.views.decision_words import done_words
from lorif_core.views.text import visible
from lorif_core.workspace.folder.actor import current_actor
from lorif_core.workspace.folder.index_members import linked_ids
from lorif_core.workspace.folder.index_names import NamedIndex, named_indexes
from lorif_core.workspace.studio.road import Step
from lorif_core.workspace.studio.road import road as steps_of
from lorif_core.workspace.workspace import Workspace, open_workspace

WORKSPACE_VARIABLE = "LORIF_STUDIO_WORKSPACE"
"""Where `lorif app` says which folder it was given."""

logger = logging.getLogger("lorif.studio")


@st.cache_resource(show_spinner=False)
def _workspace_at(path: str) -> Workspace:
    found = open_workspace(path)
    found.questions.scanner = scanner()
    return found


def workspace_path() -> str:
    """The folder that the studio was started for."""
    return os.environ[WORKSPACE_VARIABLE]


def workspace() -> Workspace:
    """The workspace, open once per process."""
    return _workspace_at(workspace_path())


def zone() -> str | None:
    """IANA name of the time zone of the browser, or None if it does not tell a known one."""
    name = st.context.timezone
    return name if name is not None and is_zone(name) else None


def actor() -> str:
    """Who decides: the name given at the door, else the system's user."""
    return st.session_state.get("signed_in_as") or current_actor()


@st.cache_data(ttl=5, show_spinner=False)
def _datasets(path: str) -> list[DatasetRecord]:
    return workspace().data.records()


def forget_datasets() -> None:
    """Look again what data there is: an import has ended."""
    _datasets.clear()


def datasets() -> dict[str, DatasetRecord]:
    """Latest version of every data set, by its id."""
    latest = {one.corpus_id: one for one in sorted(_datasets(workspace_path()), key=lambda one: one.version)}
    return {record.dataset_id: record for record in latest.values()}


def all_datasets() -> dict[str, DatasetRecord]:
    """Every version of every data set, by its id."""
    return {record.dataset_id: record for record in _datasets(workspace_path())}


def dataset_id() -> str:
    """Id of the data set on screen: the one chosen in the header, else the newest.

    Raises:
        CatalogError: There is none.
    """
    known = datasets()
    if not known:
        raise CatalogError(f"the workspace holds no data yet: add some with `lorif import {workspace_path()} FILE`.")
    chosen = st.session_state.get("dataset")
    return chosen if chosen in known else list(known)[-1]


@st.cache_data(ttl=5, show_spinner=False)
def _indexes(path: str) -> tuple[list[IndexRecord], dict[str, NamedIndex], set[str]]:
    """Complete indexes, the newest first; how all are called; which are members of another one's scores."""
    files = workspace().files
    records = files.catalog.indexes()
    complete = sorted((one for one in records if one.status == "complete"), key=lambda one: one.updated_at)
    return complete[::-1], named_indexes(files.root, files.catalog, records), linked_ids(files.root / "indexes")


def forget_indexes() -> None:
    """Look again which indexes there are and how they are called."""
    _indexes.clear()


def index_names() -> dict[str, NamedIndex]:
    """How every index is called and what it is, by its id, whatever its data set and status."""
    return _indexes(workspace_path())[1]


def index_name(index_id: str) -> str:
    """How an index is called, safe to show; its id where it is gone."""
    found = index_names().get(index_id)
    return visible(found.name) if found is not None else index_id


def complete_indexes(dataset: str | None = None) -> dict[str, str]:
    """Names of complete indexes by their ids, of one version of a data set or of all; members of others come last."""
    records, names, linked = _indexes(workspace_path())
    found = [one for one in records if dataset in (None, one.dataset_id)]
    return {one.index_id: names[one.index_id].name for one in sorted(found, key=lambda one: one.index_id in linked)}


def indexes() -> dict[str, IndexRecord]:
    """Complete indexes of the data set on screen, by their ids: the first is the one that is used by default.

    Those of its newest version come before those of earlier ones, and what is a member of another index's scores
    after that; else the newest comes first.
    """
    records, _, linked = _indexes(workspace_path())
    try:
        shown = dataset_id()
    except CatalogError:
        return {}
    every = all_datasets()
    corpus = every[shown].corpus_id
    found = [one for one in records if one.dataset_id in every and every[one.dataset_id].corpus_id == corpus]
    order = sorted(found, key=lambda one: (one.dataset_id != shown, one.index_id in linked))
    return {one.index_id: one for one in order}


def index_id() -> str:
    """Id of the index on screen: the one chosen in the header, else the newest of the data set.

    Raises:
        CatalogError: The data set has no complete index.
    """
    known = indexes()
    if not known:
        raise CatalogError("no index of this data set is complete yet. Build one: Indexes, Build.")
    chosen = st.session_state.get("index")
    return chosen if chosen in known else next(iter(known))


def model() -> str:
    """Short name of the model whose gradients the index on screen holds; plain text, not made safe to show.

    Raises:
        CatalogError: The data set has no complete index.
    """
    return index_names()[index_id()].model


def road() -> list[Step]:
    """How far the data set on screen has come from data to export."""
    known = datasets()
    return steps_of(workspace().files, known[dataset_id()] if known else None)


def is_of_context(index_id_of_answer: str) -> bool:
    """Whether an answer is of the index that the header names."""
    return index_id_of_answer in indexes() and index_id_of_answer == index_id()


def use_index(chosen: str) -> None:
    """Let the header name an index and its data set from now on; for callbacks of buttons.

    Args:
        chosen: Id of a complete index, of any data set; another one changes nothing.
    """
    record = next((one for one in _indexes(workspace_path())[0] if one.index_id == chosen), None)
    every = all_datasets()
    if record is None or record.dataset_id not in every:
        return
    corpus = every[record.dataset_id].corpus_id
    latest = next((key for key, one in datasets().items() if one.corpus_id == corpus), None)
    st.session_state["dataset"], st.session_state["index"] = latest, chosen


def title(name: str, explanation: str) -> None:
    """The page's heading and one sentence; neither may hold data."""
    st.header(name, anchor=False)
    st.caption(explanation)


def small_text(text: str, *, key: str) -> None:
    """A small line that may hold data, which a caption would read as Markdown.

    Args:
        text: What it says; made visible here.
        key: Unique on the page.
    """
    with st.container(key=f"small-{key}"):
        st.text(visible(text))


def url_items() -> list[tuple[str, str]]:
    """What the URL says, a pair for every value."""
    return [(key, value) for key in st.query_params for value in st.query_params.get_all(key)]


def tab(names: Sequence[str]) -> str:
    """Which part of the page is chosen, the first at the beginning; it lies in the URL."""
    return st.segmented_control(
        "What to see",
        names,
        default=names[0],
        required=True,
        key="tab",
        bind="query-params",
        label_visibility="collapsed",
    )


BY_COMMAND = {
    "import": ("indexes", "Import data", {"tab": "Import"}),
    "index": ("indexes", "Build an index", {"tab": "Build"}),
    "ask": ("investigate", "Ask a question", {}),
    "flag": ("investigate", "Find texts to flag", {}),
}
"""The page that does what a command does, what a link to it says, and the parameters of its address."""


def empty(sentence: str, command: str, *, page: str | None = None, label: str = "", **url: str) -> None:
    """Say that there is nothing to see yet, and what changes it; ``{workspace}`` becomes the folder.

    Args:
        sentence: What is missing.
        command: Does something about it in a terminal.
        page: URL path of a page that does it, too; left out, it is found by the command.
        label: Of the link to that page.
        **url: Its query parameters.
    """
    target, said, query = (page, label, url) if page else BY_COMMAND.get(command.split()[1], ("", "", {}))
    pages = st.session_state.get("pages", {})
    with st.container(border=True, key=f"empty-{fingerprint_of_value(sentence)[:8]}"):
        st.text(sentence)
        if target in pages and (page or target != st.session_state.get("page")):
            st.page_link(pages[target], label=said, query_params=query or None)
        with st.container(key=f"in-a-terminal-{fingerprint_of_value(sentence)[:8]}", gap="xsmall"):
            st.caption("Or in a terminal:")
            st.code(command.replace("{workspace}", workspace_path()), language=None)


def empty_of_data() -> None:
    """What a page shows while no data was imported."""
    empty(
        "No data was imported yet.",
        "lorif import {workspace} FILE",
        page="indexes",
        label="Import a file",
        tab="Import",
    )


def empty_of_indexes() -> None:
    """What a page shows while no index of the data set on screen is complete."""
    empty(
        "No index of this data is complete yet: build one first.",
        "lorif index {workspace} --model FOLDER",
        page="indexes",
        label="Build an index",
        tab="Build",
    )


@contextmanager
def errors() -> Iterator[None]:
    """Show what goes wrong in the block instead of a traceback, then go on after it."""
    try:
        yield
    except LorifError as error:
        show_error(error)
    except BaseException as error:
        raise_unless_failure(error)
        show_error(error)


def show_error(error: BaseException) -> None:
    """The one sentence of an expected error; for a defect, an id that the log has beside the traceback."""
    with st.container(key=f"error-{uuid.uuid4().hex[:8]}", border=True):
        st.text(f"Something went wrong: {sentence_of(error)}")


def sentence_of(error: BaseException) -> str:
    """What a person is told about an error; a defect is logged under an id."""
    if isinstance(error, LorifError):
        return visible(str(error))
    if is_out_of_memory(error):
        return (
            "the memory of this machine did not suffice. Ask for shorter lists or a shorter text, or end other work."
        )
    if is_of_the_machine(error):
        return visible(f"{failure_sentence(error)}.")
    number = uuid.uuid4().hex[:8]
    # The type and the place only: messages may quote training text, which logs must not hold.
    frames = _frames_of(error)
    said = f"defect {number}: {type(error).__name__} at {' < '.join(frames)}"
    try:
        logger.error("%s (kept in %s)", said, write_report(said))
    except (OSError, RuntimeError):  # no folder to keep it in
        logger.error("%s", said)
    return f"a defect of LoRIF Studio, noted in the server's log as {number}. Reload the page to go on."


def _frames_of(error: BaseException) -> list[str]:
    frames, trace = [], error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        frames.append(f"{code.co_filename}:{trace.tb_lineno} {code.co_name}")
        trace = trace.tb_next
    return frames[::-1]


def tab_id() -> str:
    """Names the session of this tab: a reload begins another one, and so does a restart of the server."""
    return st.session_state.setdefault("tab_id", uuid.uuid4().hex)


def request_id(kind: str, ids: Sequence[str]) -> str:
    """Client id for one decision about some examples; read it where the button is drawn, not in its callback.

    It stays the same until a decision of this tab succeeded, so that the second half of a double click is the
    same request again, which the journal ignores.
    """
    return f"studio-{fingerprint_of_value([tab_id(), st.session_state.get('num_acts', 0), kind, list(ids)])}"


def act(said: str, write: Callable[[], Any]) -> Any:
    """Write a decision, say so, and report what goes wrong; None then. For callbacks of buttons.

    What is said stands in a toast with an Undo, if the act can be undone: it names what that takes back.

    Args:
        said: Without data in it: ``Flagged 3 texts.``
        write: Calls the workspace with ``actor=session.actor()`` and ``client_id=`` a ``request_id``.
    """
    try:
        done = write()
    except BaseException as error:
        if not isinstance(error, LorifError):
            raise_unless_failure(error)
        st.session_state["failed"] = sentence_of(error)
        return None
    st.session_state["num_acts"] = st.session_state.get("num_acts", 0) + 1
    st.session_state["said"] = {"n": uuid.uuid4().hex, "said": said} | _way_back(done)
    _have_seen(done)
    return done


def _way_back(done: Any) -> dict[str, Any]:
    """The act that the toast's Undo takes back."""
    is_undoable = isinstance(done, Batch) and done.kind not in ("undo", "redo")
    return {"undo": done.batch_id, "dataset": done.dataset_id} if is_undoable else {"undo": None, "dataset": None}


def _have_seen(done: Any) -> None:
    """One's own act is on screen with this run: the watch of the journal need not draw the page once more for it."""
    if isinstance(done, Batch) and st.session_state.get("seen_revision") == done.revision - 1:
        st.session_state["seen_revision"] = done.revision


def toast() -> dict[str, Any] | None:
    """What the latest act said, with the act that its Undo takes back; the foot of the page shows it once."""
    return st.session_state.get("said")


def show_messages() -> None:
    """The error of the latest failed act; the shell calls it once a run."""
    if failed := st.session_state.pop("failed", None):
        with st.container(key="failed", border=True):
            st.text(f"Something went wrong: {failed}")


def undo() -> None:
    """Take back your latest decision, and say what that was."""
    take_back()


def take_back(batch_id: str | None = None, dataset: str | None = None) -> Batch | None:
    """Take back an act, or your latest one, and say what that was; None if it was refused.

    Args:
        batch_id: The act; None: your latest.
        dataset: Its data set; None: the one on screen.
    """
    return _said_of("Undone", lambda: workspace().undo(batch_id, actor=actor(), dataset=dataset or dataset_id()))


def redo() -> None:
    """Bring back what your latest undo took back, and say what that was."""
    _said_of("Done again", lambda: workspace().decisions.redo(actor=actor(), dataset=dataset_id()))


def bring_back(batch_id: str, dataset: str) -> Batch | None:
    """Bring back an act that was undone, and say what that was; None if it was refused."""
    return _said_of("Brought back", lambda: workspace().decisions.redo(batch_id, actor=actor(), dataset=dataset))


def _said_of(word: str, write: Callable[[], Batch]) -> Batch | None:
    done: Batch | None = act(f"{word}.", write)
    if done is not None:
        (entry,) = workspace().journal.history(done.corpus_id, batch_id=done.of_batch)
        st.session_state["said"]["said"] = f"{word}: {done_words(entry.batch)}."
        st.session_state["undone"] = done.of_batch if done.kind == "undo" else None
    return done


def table_key(name: str, ids: Sequence[str]) -> str:
    """Key of a table with row selection: another order of the ids is another table, with nothing selected."""
    return f"{name}-{fingerprint_of_value(list(ids))}"


def set_url(**values: Any) -> None:
    """Write parts of the URL; None removes one."""
    for name, value in values.items():
        if value is not None:
            st.query_params[name] = str(value)
        elif name in st.query_params:
            del st.query_params[name]
