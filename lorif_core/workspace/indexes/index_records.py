"""What the catalog says of an index that is built."""

from dataclasses import asdict

from lorif_core.catalog import IndexRecord, ModelRecord, PreconditionerRecord
from lorif_core.config import CurvatureConfig
from lorif_core.files import fingerprint_of_value
from lorif_core.methods.method_settings import IndexConfig
from lorif_core.store.manifest import Manifest, bookkeeping_bytes, fingerprint_of_manifest
from lorif_core.workspace.folder.workspace_files import WorkspaceFiles
from lorif_core.workspace.indexes.index_job import IndexJob
from lorif_core.workspace.indexes.index_settings import write_index_settings


def registered_index(job: IndexJob, manifest: Manifest) -> IndexRecord | None:
    """The catalog's record of a complete index, if it speaks of this very manifest."""
    named = {record.fingerprint: record for record in job.files.catalog.indexes() if record.index_id == job.index_id}
    record = named.get(fingerprint_of_manifest(manifest))
    return record if record is not None and record.status == "complete" else None


def register_index(job: IndexJob, manifest: Manifest) -> None:
    """Name the model and the index in the catalog before the work starts."""
    loaded, catalog = job.engine.loaded, job.files.catalog
    model_id = f"lm-{loaded.fingerprint[:12]}"
    catalog.put_model(
        ModelRecord(
            model_id=model_id,
            name=loaded.name,
            fingerprint=loaded.fingerprint,
            tokenizer_fingerprint=loaded.tokenizer_fingerprint,
            architecture=loaded.architecture,
            num_parameters=loaded.num_parameters,
        )
    )
    put_index_record(job.files, job.dataset.dataset_id, job.settings, model_id, job.index_id, manifest)


def put_index_record(
    files: WorkspaceFiles, dataset_id: str, settings: IndexConfig, model_id: str, index_id: str, manifest: Manifest
) -> None:
    """Name an index in the catalog whose parts are about to be made."""
    has_one_rank = manifest.layout == "factors" and manifest.budget_bytes is None
    files.catalog.put_index(
        IndexRecord(
            index_id=index_id,
            dataset_id=dataset_id,
            model_id=model_id,
            method=settings.method.name,
            status="building",
            factor_rank=manifest.factor_rank if has_one_rank else None,
            f=manifest.f,
            codec=manifest.codec,
            num_examples=manifest.num_examples,
            num_modules=len(manifest.modules),
            total_dim=sum(module.dim for module in manifest.modules),
            max_length=manifest.max_length,
            settings_json=write_index_settings(settings),
        )
    )


def register_complete(
    files: WorkspaceFiles, index_id: str, manifest: Manifest, curvature: CurvatureConfig, seconds: float
) -> IndexRecord:
    """Say in the catalog that an index is complete, and what it takes.

    Args:
        files: The workspace.
        index_id: Of the index.
        manifest: As it was fitted.
        curvature: What it was fitted with.
        seconds: That the build took.
    """
    fingerprint = fingerprint_of_manifest(manifest)
    _register_preconditioner(files, index_id, manifest, curvature)
    return files.catalog.set_index_status(
        index_id,
        "complete",
        num_truncated=sum(shard.num_truncated for shard in manifest.shards),
        shard_bytes=manifest.shard_bytes,
        total_bytes=manifest.total_bytes + bookkeeping_bytes(files.index_place(files.catalog.index(index_id))),
        fingerprint=fingerprint,
        build_seconds=seconds,
    )


def _register_preconditioner(
    files: WorkspaceFiles, index_id: str, manifest: Manifest, curvature: CurvatureConfig
) -> None:
    rank = manifest.subspace_rank
    files.catalog.put_preconditioner(
        PreconditionerRecord(
            preconditioner_id=f"pc-{fingerprint_of_value([index_id, asdict(curvature)])[:12]}",
            index_id=index_id,
            subspace_rank=max(module.dim for module in manifest.modules) if rank is None else rank,
            damping_rule=curvature.damping_rule,
            damping_ratio=None if curvature.damping_rule == "absolute" else curvature.ratio,
            damping=curvature.damping,
            size_bytes=sum(entry.size_bytes for entry in manifest.subspaces),
            fingerprint=fingerprint_of_value([asdict(entry) for entry in manifest.subspaces]),
        )
    )
