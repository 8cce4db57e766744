"""Which share of a model's weights an index sees, and what it leaves out and why: kept beside the index."""

from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING

from lorif_core.catalog import IndexRecord
from lorif_core.errors import ArtefactError
from lorif_core.files import put_json, read_json
from lorif_core.store.manifest import COVERAGE
from lorif_core.workspace.folder.index_losses import knows_only_losses, read_index_losses
from lorif_core.workspace.folder.workspace_files import WorkspaceFiles

if TYPE_CHECKING:
    from lorif_core.workspace.indexes.engine import Engine

UNKNOWN = "which share of the model the index sees was not kept"


@dataclass(frozen=True)
class ModelShare:
    """What of a model an index sees."""

    num_seen: int
    """Weights of the tracked matrices, shared ones once."""

    num_weights: int
    """All weights of the model, shared ones once; of the adapters alone, where the rest is frozen."""

    of_adapters: bool = False
    """Whether adapters were trained on a frozen model."""

    left_out: dict[str, str] = field(default_factory=dict[str, str])
    """Modules that would be tracked, had not a trial gone wrong: name and reason."""

    @property
    def share(self) -> float:
        """Seen weights over all weights."""
        return min(self.num_seen / self.num_weights, 1.0) if self.num_weights else 0.0

    @property
    def sentence(self) -> str:
        """The share in words."""
        whose = "the adapters' weights; the model under them is frozen" if self.of_adapters else "the model's weights"
        return f"the index sees {self.share:.1%} of {whose}"


def share_of(engine: "Engine") -> ModelShare:
    """What an engine's modules are of its model, and which ones its trial refused."""
    from lorif_core.models.adapter_weights import FROZEN, count_adapter

    of_adapters = any(entry.reason == FROZEN for entry in engine.entries)
    if not of_adapters:
        total = engine.loaded.num_parameters
        seen = sum(module.in_features * module.out_features for module in engine.modules)
    else:
        kept = {module.name for module in engine.modules}
        reasons = {one.name: None if one.name in kept else one.reason or "not in the index" for one in engine.entries}
        total, unseen = count_adapter(engine.loaded.model, reasons)
        seen = total - unseen.total()
    left_out = {one.name: one.reason or "" for one in engine.entries if one.failed_trial}
    return ModelShare(seen, total, of_adapters, left_out)


def keep_share(folder: Path, found: ModelShare) -> None:
    """Write it into an index's folder, unless it is there already."""
    put_json(folder / COVERAGE, asdict(found))


def read_share(folder: Path) -> ModelShare | None:
    """What was kept beside an index; None where nothing was, before its build began or by an older version.

    Raises:
        ArtefactError: The file is not what was written, or is another one.
    """
    path = folder / COVERAGE
    if not path.is_file():
        return None
    kept = read_json(path)
    if set(kept) != {field.name for field in fields(ModelShare)}:
        raise ArtefactError(f"{str(path)!r} does not say which share of a model an index sees: delete it.")
    return ModelShare(**kept)


def share_sentence(files: WorkspaceFiles, record: IndexRecord) -> str:
    """The share that an index sees, in words, also where it cannot be told; of an index of losses, what it knows."""
    if (losses := read_index_losses(files.index_folder(record.index_id))) is not None:
        return losses.sentence
    found, logged = share_of_index(files, record), files.index_manifest(record.index_id).logged
    sentence = UNKNOWN if found is None else found.sentence
    if logged is None:
        return sentence
    dropout = ", with dropout" if logged["dropout"] else ""
    whose = f"its gradients were taken while run {logged['run']!r} trained, of the weights as they were then"
    return f"{sentence}; {whose}{dropout}"


def share_of_index(files: WorkspaceFiles, record: IndexRecord) -> ModelShare | None:
    """What an index sees; counted from its modules where an older version kept nothing. An index of losses sees no
    weight."""
    if knows_only_losses(record):
        return None
    kept = read_share(files.index_folder(record.index_id))
    if kept is not None:
        return kept
    manifest = files.index_manifest(record.index_id)
    sizes = {model.model_id: model.num_parameters for model in files.catalog.models()}
    if record.model_id not in sizes or any("lora_" in module.name for module in manifest.modules):
        return None
    return ModelShare(sum(one.in_features * one.out_features for one in manifest.modules), sizes[record.model_id])
