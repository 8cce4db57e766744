"""Results of long work that the studio shows: sweeps of an index, and verified removals."""

import json
from typing import Any

from lorif_core.journal.jobs import Job
from lorif_core.workspace.curation.removing import Verification, VerifiedChange
from lorif_core.workspace.workspace import Workspace


def sweeps_of(workspace: Workspace, index_id: str) -> list[dict[str, Any]]:
    """Kept sweeps of an index, newest first: evaluation_id, created_at, settings and rows."""
    kept = [record for record in workspace.files.catalog.evaluations() if record.kind == "sweep"]
    found = [
        {
            "evaluation_id": record.evaluation_id,
            "created_at": record.created_at,
            "settings": json.loads(record.settings_json),
            "rows": json.loads(record.result_json),
        }
        for record in reversed(kept)
    ]
    return [one for one in found if one["settings"]["index_id"] == index_id]


def verification_of(job: Job) -> Verification | None:
    """What a job found; None unless it is done."""
    if job.result is None:
        return None
    queries = [VerifiedChange(**change) for change in job.result["queries"]]
    return Verification(job.result["train_ids"], queries, job.result["rank_correlation"], job.result["elapsed_s"])
