"""Delete an index with all that rests on it, wholly or not at all.

The catalog decides. Before it forgets the index, a note in the index's folder says what else is to go. Killed before
the catalog forgot, nothing has happened and the note is dropped; killed after, whoever comes next finishes what the
note says. The index's folder is taken away last, under another name first, so that half of one is never seen.
"""

import json
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from lorif_core.catalog import EvaluationRecord, IndexRecord, QueryRecord
from lorif_core.errors import ArtefactError, LorifError
from lorif_core.files import read_json, write_json
from lorif_core.journal.jobs import Job, Jobs
from lorif_core.views.tables import human_bytes
from lorif_core.views.text import counted
from lorif_core.workspace.folder.actor import current_actor
from lorif_core.workspace.folder.index_members import read_members
from lorif_core.workspace.folder.index_names import named_indexes
from lorif_core.workspace.folder.workspace_files import WorkspaceFiles

NOTE = "deleting.json"
"""Beside an index that is being deleted: what goes with it."""

GOING = ".deleted-"
"""How the folder of an index begins whose files are being taken away."""


@dataclass(frozen=True, kw_only=True)
class IndexLoss:
    """What goes when an index is deleted."""

    index_id: str
    name: str
    line: str
    """What it is."""

    num_questions: int
    """Kept questions that it answered, with their lists."""

    num_evaluations: int
    """Measurements of it alone."""

    index_bytes: int
    """Of its files, wherever they lie."""

    score_bytes: int
    """Of the scores of every text on its questions, of its map and of the states of its texts."""

    storage: str | None
    """Where its files lie, if not in the workspace."""

    @property
    def sentence(self) -> str:
        """What is lost and what stays."""
        lost = [
            counted(self.num_questions, "question with its answer", "questions with their answers")
            if self.num_questions
            else "",
            counted(self.num_evaluations, "measurement") if self.num_evaluations else "",
        ]
        told = " and ".join(one for one in lost if one) or "no question"
        where = "" if self.storage is None else f" in {self.storage}"
        return (
            f"Gone with it: {told}; {human_bytes(self.index_bytes + self.score_bytes)}{where}. The texts and the "
            "decisions about them stay. This cannot be undone."
        )


@dataclass(frozen=True)
class _Going:
    """What is taken away once the catalog has forgotten the index."""

    index_id: str
    storage: str | None
    scores: list[str]
    """Fingerprints of its questions."""


def index_loss(files: WorkspaceFiles, index_id: str) -> IndexLoss:
    """What deleting an index would give up; changes nothing.

    Raises:
        CatalogError: There is no such index.
    """
    record = files.catalog.index(index_id)
    named = named_indexes(files.root, files.catalog)[index_id]
    queries = files.catalog.queries(index_id=index_id)
    scores = [files.scores_file(one.fingerprint) for one in queries] + [files.map_file(index_id)]
    states = [path for path in files.states_of_texts(index_id).glob("*") if path.is_file()]
    return IndexLoss(
        index_id=index_id,
        name=named.name,
        line=named.line,
        num_questions=len(queries),
        num_evaluations=len(_evaluations(files, record, queries)),
        index_bytes=_bytes_of(files, record),
        score_bytes=sum(path.stat().st_size for path in [*scores, *states] if path.exists()),
        storage=record.storage,
    )


def delete_index(files: WorkspaceFiles, index_id: str, *, actor: str | None = None) -> IndexLoss:
    """Delete an index, its questions with their answers and scores, its map with the states of its texts, and
    measurements of it alone.

    Decisions, texts, versions and measurements that compare several indexes stay. Killed at any moment, it has not
    happened, or the next use of the workspace's indexes finishes it.

    Args:
        files: The workspace.
        index_id: Of the index, whatever its status.
        actor: Who does it; None is who uses this process.

    Raises:
        RoleError: The person is no admin.
        CatalogError: There is no such index.
        ArtefactError: Something uses it: another index's scores, a build, a job.
    """
    files.journal.require_role(actor or current_actor(), "admin", "delete indexes")
    finish_deletions(files)
    record = files.catalog.index(index_id)
    folder = files.index_folder(index_id)
    folder.mkdir(parents=True, exist_ok=True)  # of one that lies elsewhere, or whose build wrote nothing
    with _held(folder):
        _refuse_if_used(files, record)
        loss = index_loss(files, index_id)
        queries = files.catalog.queries(index_id=index_id)
        going = _Going(index_id, record.storage, [one.fingerprint for one in queries])
        evaluations = [one.evaluation_id for one in _evaluations(files, record, queries)]
        write_json(folder / NOTE, asdict(going))
        files.catalog.remove_index(index_id, evaluations)
        _take_away(files, going)
    return loss


def finish_deletions(files: WorkspaceFiles) -> None:
    """Finish what deletions that were killed left; drop those that had not happened. Nothing where there are none."""
    indexes = files.root / "indexes"
    for folder in indexes.glob(f"{GOING}*"):
        shutil.rmtree(folder, ignore_errors=True)
    for note in indexes.glob(f"*/{NOTE}"):
        try:
            with _held(note.parent):
                _finish(files, note)
        except LorifError:
            continue  # somebody deletes it now, or the note is damaged, which `lorif doctor` says


def _finish(files: WorkspaceFiles, note: Path) -> None:
    kept = read_json(note, "index_id", "storage", "scores")
    if any(one.index_id == kept["index_id"] for one in files.catalog.indexes()):
        note.unlink(missing_ok=True)
        return
    _take_away(files, _Going(str(kept["index_id"]), kept["storage"], [str(one) for one in kept["scores"]]))


def _take_away(files: WorkspaceFiles, going: _Going) -> None:
    """Delete the files of an index that the catalog has forgotten; the same again does the rest."""
    for fingerprint in going.scores:
        files.scores_file(fingerprint).unlink(missing_ok=True)
    files.map_file(going.index_id).unlink(missing_ok=True)
    if (states := files.states_of_texts(going.index_id)).is_dir():
        shutil.rmtree(states, ignore_errors=True)
    if going.storage is not None:
        place = files.place_in(going.storage, going.index_id)
        for name in place.listed():
            place.delete(name)
    folder = files.index_folder(going.index_id)
    gone = folder.with_name(f"{GOING}{going.index_id}-{uuid.uuid4().hex[:8]}")
    folder.rename(gone)
    shutil.rmtree(gone, ignore_errors=True)


def _refuse_if_used(files: WorkspaceFiles, record: IndexRecord) -> None:
    """Say who uses an index.

    Raises:
        ArtefactError: Somebody does.
    """
    names = named_indexes(files.root, files.catalog)
    for path in (files.root / "indexes").glob("*/members.json"):
        members = read_members(path.parent)
        if members is not None and any(one.index_id == record.index_id for one in members.others):
            user = names[path.parent.name].name if path.parent.name in names else path.parent.name
            raise ArtefactError(
                f"the scores of index {user!r} are sums over several indexes, {record.index_id} among them. Delete "
                "that one first, or build it with `--alone`."
            )
    if record.status != "complete":
        _refuse_if_built(files, record)
    jobs = Jobs(files.journal.engine)
    jobs.reap()
    for job in [*jobs.jobs("running"), *jobs.jobs("queued")]:
        if _may_use(files, job, record):
            raise ArtefactError(
                f"job {job.job_id} ({job.kind}) may use index {record.index_id}. Wait for its end, or cancel it."
            )


def _refuse_if_built(files: WorkspaceFiles, record: IndexRecord) -> None:
    from lorif_core.workspace.indexes.build_progress import builds_of  # loads torch

    workers = [one for build in builds_of(files) if build.index_id == record.index_id for one in build.workers]
    if at_work := [one.worker for one in workers if one.is_at_work]:
        raise ArtefactError(f"index {record.index_id} is being built by {', '.join(at_work)}. Stop that first.")


def _may_use(files: WorkspaceFiles, job: Job, record: IndexRecord) -> bool:
    """Whether a job that waits or runs reads an index, as far as its request tells."""
    if job.kind == "index":
        return record.status != "complete" and job.request.get("dataset") == record.dataset_id
    if job.kind == "import":
        return False
    asked = json.dumps(job.request)
    if job.kind == "verify":
        kept = {one.query_id for one in files.catalog.queries(index_id=record.index_id)}
        return bool(kept & {str(one) for one in job.request.get("arguments", {}).get("queries", ())})
    return record.index_id in asked or "ix-" not in asked  # one that names no index takes the newest


def _evaluations(files: WorkspaceFiles, record: IndexRecord, queries: list[QueryRecord]) -> list[EvaluationRecord]:
    """Measurements of an index alone, and verifications of removals for its questions alone."""
    asked = {one.query_id for one in queries}
    complete = [one for one in files.catalog.indexes() if one.status == "complete"]
    return [one for one in files.catalog.evaluations() if _is_of(one, record.index_id, asked, complete)]


def _is_of(one: EvaluationRecord, index_id: str, asked: set[str], complete: list[IndexRecord]) -> bool:
    if one.kind == "verify":
        queries = {str(each["query_id"]) for each in json.loads(one.result_json).get("queries", ())}
        return bool(queries) and queries <= asked
    settings = json.loads(one.settings_json)
    if "index_id" not in settings:
        return False  # it compares several
    then = [each for each in complete if each.created_at <= one.created_at]
    return (settings["index_id"] or (then[-1].index_id if then else None)) == index_id


def _bytes_of(files: WorkspaceFiles, record: IndexRecord) -> int:
    folder = files.index_folder(record.index_id)
    own = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) if folder.exists() else 0
    return own if record.storage is None else own + (record.total_bytes or 0)


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Hold an index against its builders.

    Raises:
        ArtefactError: A process builds, copies or deletes it.
    """
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise ArtefactError(
            f"index {folder.name!r} is being built, copied or deleted by another process. Wait for it, or stop it."
        ) from error
    try:
        yield
    finally:
        lock.release()
