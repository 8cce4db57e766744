"""Everything a workspace holds, on one screen."""

import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from lorif_core.catalog import DatasetRecord
from lorif_core.journal.entries import Role
from lorif_core.journal.jobs import Jobs
from lorif_core.workspace.folder.actor import current_actor
from lorif_core.workspace.folder.journal_place import place_of
from lorif_core.workspace.folder.workspace_files import WorkspaceFiles

LATEST = 5


@dataclass(frozen=True)
class CorpusStatus:
    """One data set with its versions and what was decided about it."""

    name: str
    corpus_id: str

    versions: list[dict[str, Any]]
    """Oldest first."""

    num_flagged: int
    num_excluded: int
    num_conflicts: int
    last_decision: str | None
    """When and by whom; None if nothing was decided yet."""


@dataclass(frozen=True)
class WorkspaceStatus:
    """What a workspace holds."""

    path: str
    journal: str
    """Where decisions are kept; never with a password."""

    actor: str
    role: Role
    corpora: list[CorpusStatus]
    models: list[dict[str, Any]]
    indexes: list[dict[str, Any]]
    preconditioners: list[dict[str, Any]]

    num_queries: int
    latest_queries: list[dict[str, Any]]

    num_evaluations: int
    jobs: list[dict[str, Any]]
    """Waiting and running ones, then the latest others."""

    builds: list[dict[str, Any]]
    """How far each index is that is planned and not complete, see ``BuildProgress``."""

    free_bytes: int


def describe_workspace(files: WorkspaceFiles) -> WorkspaceStatus:
    """What the workspace holds; reads the catalog, the journal and entries of unfinished indexes, no data."""
    catalog, journal, actor = files.catalog, files.journal, current_actor()
    indexes, queries = catalog.indexes(), catalog.queries()
    return WorkspaceStatus(
        path=str(files.root),
        journal=place_of(journal.engine),
        actor=actor,
        role=journal.role_of(actor),
        corpora=_corpora(files),
        models=[asdict(model) for model in catalog.models()],
        indexes=[asdict(index) for index in indexes],
        preconditioners=[asdict(one) for index in indexes for one in catalog.preconditioners(index.index_id)],
        num_queries=len(queries),
        latest_queries=[asdict(query) for query in queries[-LATEST:]],
        num_evaluations=len(catalog.evaluations()),
        jobs=[asdict(job) for job in Jobs(journal.engine).jobs(None, LATEST)],
        builds=describe_builds(files),
        free_bytes=shutil.disk_usage(files.root).free,
    )


def describe_builds(files: WorkspaceFiles) -> list[dict[str, Any]]:
    """How far each index is that is planned and not complete, whoever builds it; reads the entries of its parts."""
    if all(one.status == "complete" for one in files.catalog.indexes()):
        return []
    from lorif_core.workspace.indexes.build_progress import builds_of  # loads torch, which a status does without

    return [asdict(one) | {"sentence": one.sentence} for one in builds_of(files)]


def _corpora(files: WorkspaceFiles) -> list[CorpusStatus]:
    versions: dict[str, list[DatasetRecord]] = {}
    for record in files.catalog.datasets():
        versions.setdefault(record.corpus_id, []).append(record)
    return [
        _corpus(files, corpus_id, sorted(found, key=lambda one: one.version)) for corpus_id, found in versions.items()
    ]


def _corpus(files: WorkspaceFiles, corpus_id: str, versions: Sequence[DatasetRecord]) -> CorpusStatus:
    counts = files.journal.counts(corpus_id)
    latest = files.journal.history(corpus_id, limit=1)
    return CorpusStatus(
        name=versions[-1].name,
        corpus_id=corpus_id,
        versions=[asdict(version) for version in versions],
        num_flagged=counts.get("flagged", 0),
        num_excluded=counts.get("excluded", 0),
        num_conflicts=files.journal.conflicts(corpus_id)["train_id"].n_unique(),
        last_decision=f"{latest[0].batch.at:%Y-%m-%d %H:%M} by {latest[0].batch.actor}" if latest else None,
    )
