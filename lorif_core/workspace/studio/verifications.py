"""Checks of a removal by training again, as jobs."""

from collections.abc import Sequence

from lorif_core.config import IndexConfig
from lorif_core.errors import LorifError
from lorif_core.journal.jobs import Job
from lorif_core.workspace.curation.removing import Verification, VerifiedChange
from lorif_core.workspace.indexes.building import settings_from_json
from lorif_core.workspace.jobs.worker import ensure_worker, jobs_of_kind, submit_verify
from lorif_core.workspace.quality.demo import sample_data_folder
from lorif_core.workspace.workspace import Workspace

KIND = "verify"


def suggested_recipe(workspace: Workspace) -> str:
    """The sample model's recipe if the newest index is of the sample model, else an empty text."""
    try:
        folder = sample_data_folder()
        settings: IndexConfig = settings_from_json(workspace.indexes()[-1].settings_json, None)
    except (LorifError, IndexError):
        return ""
    return str(folder / "recipe.toml") if settings.model.model == str(folder / "model") else ""


def start_verification(
    workspace: Workspace, train_ids: Sequence[str], queries: Sequence[str], recipe: str, actor: str
) -> Job:
    """The job that trains with and without the examples, and a worker that does it.

    Raises:
        LorifError: The job cannot be kept, or no worker can be started.
    """
    job = submit_verify(workspace.files, train_ids, queries, recipe, actor)
    ensure_worker(workspace.path)
    return job


def verifications(workspace: Workspace) -> list[Job]:
    """Jobs of this kind, newest first."""
    return jobs_of_kind(workspace.files, KIND)


def verification_of(job: Job) -> Verification | None:
    """What a job found; None unless it is done."""
    if job.result is None:
        return None
    queries = [VerifiedChange(**change) for change in job.result["queries"]]
    return Verification(job.result["train_ids"], queries, job.result["rank_correlation"], job.result["elapsed_s"])
