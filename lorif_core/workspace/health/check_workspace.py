"""Read every file of a workspace, and look for every file that should be there. Changes nothing."""

import os
import socket
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from lorif_core.catalog import Catalog
from lorif_core.data.export_places import LOCK_FILE
from lorif_core.errors import ArtefactError, LorifError
from lorif_core.files import read_json
from lorif_core.journal.jobs import is_running
from lorif_core.journal.kept_states import read_states_file
from lorif_core.views.tables import human_bytes
from lorif_core.workspace.datasets.import_folder import INCOMING
from lorif_core.workspace.folder.progress import ProgressSink, no_progress
from lorif_core.workspace.folder.workspace_files import (
    CATALOG,
    JOURNAL,
    JOURNAL_VARIABLE,
    LAST_SEEN,
    MARKER,
    WorkspaceFiles,
    open_files,
)
from lorif_core.workspace.health.examination import REPAIRED, Examination, files_below
from lorif_core.workspace.health.export_checks import check_exports
from lorif_core.workspace.health.findings import CheckReport, Finding, in_order
from lorif_core.workspace.health.inventory import kind_named, kind_of
from lorif_core.workspace.health.living import Living, is_held
from lorif_core.workspace.health.snapshots import copied_catalog, read_journal
from lorif_core.workspace.indexes.all_indexes import describe_adapters

STAGE = "files"
NAMED_FILES = 3
"""How many of the files are named that a note is about."""


def files_to_check(path: Path) -> WorkspaceFiles:
    """A workspace whose files are to be looked at, also one that cannot be opened.

    Raises:
        ArtefactError: There is none, or it is from a newer version.
    """
    try:
        return open_files(path)
    except ArtefactError:
        is_workspace = any((path / name).exists() for name in (CATALOG, JOURNAL, "datasets"))
        if not is_workspace or _has_other_format(path):
            raise
    return WorkspaceFiles(path)


def _has_other_format(path: Path) -> bool:
    try:
        return isinstance(read_json(path / MARKER).get("format"), int)
    except ArtefactError:
        return False


def check_workspace(files: WorkspaceFiles, on_progress: ProgressSink = no_progress) -> CheckReport:
    """Read every file of a workspace, and compare it with what is known of it.

    Nothing is changed, also where nothing may be written, and nobody is kept waiting; what others are writing
    meanwhile is no finding.

    Args:
        files: The workspace.
        on_progress: Receives ("files", files read, files).
    """
    from lorif_core.workspace.health.dataset_checks import (
        check_datasets,
        check_maps,
        check_scores,
        check_states_of_texts,
    )
    from lorif_core.workspace.health.index_checks import check_indexes

    found = dict(files_below(files.root))
    look = Examination(files, Living(files.root), found, on_file=_counter(len(found), on_progress))
    with ExitStack() as stack:
        look.catalog = _open_catalog(look, stack)
        _check_journal(look)
        _check_marker(look)
        _check_files(look)
        check_datasets(look)
        check_indexes(look)
        check_maps(look)
        check_states_of_texts(look)
        check_scores(look)
        check_exports(look)
        _check_states(look)
        _check_jobs(look)
        _check_decided(look)
        indexes = look.indexes()
    _note_unsealed(look)
    _note_repaired(look)
    ordered = in_order(look.findings)
    read = [path for path in found if (kind := kind_of(path)) is None or kind.check != "nothing"]
    return CheckReport(
        num_files=len(read),
        size_bytes=sum(found[path] for path in read),
        findings=[one for one in ordered if one.severity != "note"],
        notes=[one for one in ordered if one.severity == "note"],
        indexes=indexes,
        adapters=describe_adapters(files, indexes),
    )


def _counter(total: int, on_progress: ProgressSink) -> Callable[[str], None]:
    seen: set[str] = set()

    def count(path: str) -> None:
        if path not in seen:
            seen.add(path)
            on_progress(STAGE, min(len(seen), total), total)

    return count


def _open_catalog(look: Examination, stack: ExitStack) -> Catalog | None:
    look.on_file(CATALOG)
    holds_data = any(look.below(folder) for folder in ("datasets", "indexes", "scores", "exports"))
    if not look.has(CATALOG):
        if holds_data:
            look.report(CATALOG, f"{str(look.root / CATALOG)!r} is missing.", "missing")
        return None
    try:
        catalog = stack.enter_context(copied_catalog(look.root / CATALOG))
        for read in (catalog.datasets, catalog.models, catalog.indexes, catalog.queries, catalog.hits):
            read()
        catalog.evaluations()
        return catalog
    except (LorifError, OSError, ValueError) as error:
        look.report(CATALOG, f"the catalog cannot be read: {error}")
        return None


def _check_journal(look: Examination) -> None:
    """What the journal says, and whether it is there if there ever was one."""
    for path in (JOURNAL, f"{JOURNAL}-wal", f"{JOURNAL}-shm"):
        if path in look.found:
            look.on_file(path)
    try:
        location = look.files.journal_location
    except ArtefactError:  # said of the workspace's own file
        location = os.environ.get(JOURNAL_VARIABLE) or look.root / JOURNAL
    is_file = location == look.root / JOURNAL
    if is_file and not look.has(JOURNAL):
        traces = [name for name in (LAST_SEEN, f"{JOURNAL}.lock", f"{JOURNAL}-wal") if look.has(name)]
        traces += [path for folder in ("states", "exports/versions") for path in look.below(folder)][:1]
        if traces:
            problem = f"{str(look.root / JOURNAL)!r} is missing; {traces[0]!r} shows that there was one."
            look.report(JOURNAL, problem, "missing")
        return
    try:
        look.journal = read_journal(look.files, location)
    except (LorifError, OSError) as error:
        problem = f"the journal cannot be read: {error}"
        look.findings.append(kind_named("journal").finding(JOURNAL, problem))
        return
    if look.journal.faults:
        problem = f"the journal is not what it was: {' '.join(look.journal.faults)}"
        look.findings.append(kind_named("journal").finding(JOURNAL, problem))
        look.journal = None


def _check_marker(look: Examination) -> None:
    if not look.has(MARKER):
        look.report(MARKER, f"{str(look.root / MARKER)!r} is missing.", "missing")


def _check_files(look: Examination) -> None:
    """Every file that is checked by itself, what writers left, and what is not LoRIF's."""
    from lorif_core.workspace.health.file_checks import FILE_CHECKS

    unknown: Counter[str] = Counter()
    for path in look.found:
        kind = kind_of(path)
        if kind is None:
            unknown[path.split("/")[0] if "/" in path else path] += 1
            look.on_file(path)
        elif kind.name == "leftover":
            look.on_file(path)
            _check_leftover(look, path)
        elif kind.check == "starting":
            _check_starting(look, path)
        elif kind.check in FILE_CHECKS:
            look.check(path, FILE_CHECKS[kind.check])
    for top, number in unknown.items():
        what = (
            "is not a file of LoRIF Studio" if number == 1 else f"holds {number:,} files that are not LoRIF Studio's"
        )
        look.findings.append(
            Finding(top, f"{top!r} {what}.", "note", top, "None; nothing reads it.", "None is needed.")
        )


def _check_leftover(look: Examination, path: str) -> None:
    top = leftover_place(path)
    place = look.root / top
    if look.living.is_worked_on(place) or is_held(place) or is_held(place / LOCK_FILE):
        return
    leftover = kind_named("leftover")
    look.findings.append(leftover.finding(top, f"{top!r} was left by a writer that is gone.", "leftover"))


def leftover_place(path: str) -> str:
    """The folder that a killed import or export left, for a file in it; else the file itself."""
    parts = path.split("/")
    for depth, part in enumerate(parts[:-1], start=1):
        if part.startswith(INCOMING) or part.endswith(".exporting"):
            return "/".join(parts[:depth])
    return path


def _check_starting(look: Examination, path: str) -> None:
    from lorif_core.workspace.health.file_checks import FILE_CHECKS

    look.on_file(path)
    problem = look.problem_of(path, FILE_CHECKS["starting"])
    if problem is not None and not look.living.is_recent(look.root / path):
        look.report(path, problem, "leftover")


def _check_states(look: Examination) -> None:
    """Copies of states that are of another journal."""
    if look.journal is None:
        return
    for path in [path for path in look.below("states") if path in look.whole]:
        place = look.root / path
        kept = _head_of(place)
        if kept is not None and look.journal.batches.get(kept[0]) != kept[1]:
            look.report(path, f"{path!r} is a copy of another journal's states.")


def _head_of(place: Path) -> tuple[int, str] | None:
    kept = read_states_file(place, None)
    return None if kept is None or not kept.head.revision else (kept.head.revision, kept.head.batch_id)


def _check_jobs(look: Examination) -> None:
    """Jobs whose worker is gone, and logs that are."""
    for job in look.journal.jobs if look.journal is not None else ():
        if job.status == "running" and job.worker is not None and not _may_run(job.worker):
            problem = f"job {job.job_id} is running, as the journal says, but its worker {job.worker} is gone."
            remedy = "None is needed: the next `lorif worker` goes on with it; `lorif cancel` ends it."
            look.findings.append(Finding(job.job_id, problem, "note", None, "None.", remedy))
        log = f"logs/{job.job_id}.log"
        if job.attempts and job.status in ("done", "failed") and not look.has(log):
            look.report(log, f"{log!r} is gone: what job {job.job_id} printed.", "note")


def _may_run(worker: str) -> bool:
    try:
        return worker.rsplit(":", 2)[0] != socket.gethostname() or is_running(worker)
    except ValueError:
        return True


def _check_decided(look: Examination) -> None:
    """Data sets that people decided about and that the catalog does not know."""
    if look.journal is None or look.catalog is None:
        return
    for dataset_id in sorted(look.journal.datasets - {record.dataset_id for record in look.datasets()}):
        problem = f"the journal holds decisions about data set {dataset_id}, which the catalog does not know."
        meaning = "These decisions have no effect until the data set is back."
        look.findings.append(Finding(dataset_id, problem, "note", None, meaning, kind_named("catalog").remedy))


def _note_repaired(look: Examination) -> None:
    sizes = [size for _, size in files_below(look.root / REPAIRED)]
    if sizes:
        problem = f"{len(sizes):,} files, {human_bytes(sum(sizes))}, were set aside by repairs."
        remedy = "Move them back to undo a repair; delete the folder when everything is as it should be."
        look.findings.append(Finding(REPAIRED, problem, "note", REPAIRED, "None; nothing reads them.", remedy))


def _note_unsealed(look: Examination) -> None:
    if not look.unsealed:
        return
    named = ", ".join(look.unsealed[:NAMED_FILES])
    more = f" and {len(look.unsealed) - NAMED_FILES:,} more" if len(look.unsealed) > NAMED_FILES else ""
    problem = f"{len(look.unsealed):,} files carry no seal, a checksum of all their bytes: {named}{more}."
    meaning = "They could be read; a changed byte in the middle of one may go unseen."
    look.findings.append(Finding("seals", problem, "note", None, meaning, "None is needed."))
