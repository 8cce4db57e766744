"""Long work that the studio starts: the job that does it, and a worker for the job."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lorif_core.config import ImportConfig, IndexConfig, Normalisation
from lorif_core.journal.jobs import Job
from lorif_core.workspace.jobs.worker import ensure_worker, submit_evaluation, submit_import, submit_index
from lorif_core.workspace.workspace import Workspace


def suggested_model(workspace: Workspace) -> str:
    """The model of the newest index, which the next one is likely to be of; else an empty text."""
    indexes = workspace.indexes()
    return json.loads(indexes[-1].settings_json)["model"]["model"] if indexes else ""


def start_import(workspace: Workspace, paths: Sequence[str | Path], settings: ImportConfig, actor: str) -> Job:
    """The job that imports data files, and a worker that does it.

    Raises:
        LorifError: The job cannot be kept, or no worker can be started.
    """
    job = submit_import(workspace.files, paths, settings, actor)
    ensure_worker(workspace.path)
    return job


def start_index(workspace: Workspace, settings: IndexConfig, dataset: str | None, actor: str) -> Job:
    """The job that builds an index, and a worker that does it. Raises as ``start_import``."""
    job = submit_index(workspace.files, settings, dataset, actor, again=True)
    ensure_worker(workspace.path, device=settings.model.device)
    return job


def start_sweep(
    workspace: Workspace,
    index_id: str,
    queries: str,
    truth: str,
    actor: str,
    *,
    damping_ratios: Sequence[float | None] = (None,),
    subspace_ranks: Sequence[int | None] = (None,),
    normalisations: Sequence[Normalisation] = ("none",),
) -> Job:
    """The job that measures an index under several settings, see ``Evaluation.sweep``. Raises as ``start_import``."""
    arguments = {
        "queries": queries,
        "truth": truth,
        "index_id": index_id,
        "damping_ratios": list(damping_ratios),
        "subspace_ranks": list(subspace_ranks),
        "normalisations": list(normalisations),
    }
    job = submit_evaluation(workspace.files, "sweep", arguments, actor, again=True)
    ensure_worker(workspace.path)
    return job


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
