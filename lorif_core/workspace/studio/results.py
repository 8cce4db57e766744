"""Results of long work that the studio shows: what evaluations said of an index, and verified removals."""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from lorif_core.journal.jobs import Job
from lorif_core.workspace.workspace import Workspace

if TYPE_CHECKING:
    from lorif_core.workspace.curation.removing import Verification


def sweeps_of(workspace: Workspace, index_id: str) -> list[dict[str, Any]]:
    """Kept sweeps of an index, newest first: evaluation_id, created_at, settings and rows."""
    return [one for one in _tables(workspace, "sweep") if one["settings"]["index_id"] == index_id]


def lds_of(workspace: Workspace, index_id: str) -> dict[str, Any] | None:
    """The newest LDS evaluation with a line of an index, as ``sweeps_of``; None if there is none."""
    found = _tables(workspace, "lds")
    return next((one for one in found if any(row["candidate"] == index_id for row in one["rows"])), None)


def _tables(workspace: Workspace, kind: str) -> Iterator[dict[str, Any]]:
    """Kept evaluations of a kind, newest first."""
    for record in reversed(workspace.files.catalog.evaluations()):
        if record.kind == kind:
            yield {
                "evaluation_id": record.evaluation_id,
                "created_at": record.created_at,
                "settings": json.loads(record.settings_json),
                "rows": json.loads(record.result_json),
            }


def verification_of(job: Job) -> "Verification | None":
    """What a job found; None unless it is done."""
    from lorif_core.workspace.curation.removing import Verification, VerifiedChange

    if job.result is None:
        return None
    queries = [VerifiedChange(**change) for change in job.result["queries"]]
    return Verification(job.result["train_ids"], queries, job.result["rank_correlation"], job.result["elapsed_s"])
