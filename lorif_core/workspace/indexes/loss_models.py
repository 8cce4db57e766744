"""The models whose losses an index compares: held in memory where they fit, else loaded one at a time."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from lorif_core.catalog import IndexRecord
from lorif_core.config import ModelConfig
from lorif_core.errors import ArtefactError, FingerprintMismatch
from lorif_core.models.load import LoadedModel, load_model
from lorif_core.workspace.folder.index_losses import LOSSES_FILE, IndexLosses, LossModel, read_index_losses
from lorif_core.workspace.folder.workspace_files import WorkspaceFiles
from lorif_core.workspace.indexes import free_memory

SHARE_FOR_MODELS = 0.5
"""Of the free memory; the rest is for activations and scores."""


def losses_of(files: WorkspaceFiles, record: IndexRecord) -> IndexLosses:
    """What is known of an index of losses.

    Raises:
        ArtefactError: The file that says it is missing or damaged.
    """
    found = read_index_losses(files.index_folder(record.index_id))
    if found is None:
        raise ArtefactError(
            f"index {record.index_id!r} holds losses, and {LOSSES_FILE} in its folder, which names their models, is "
            "missing. Import the table again, or run the same `lorif index` command again."
        )
    return found


@dataclass
class LossModels:
    """The models of an index of losses."""

    losses: IndexLosses
    settings: ModelConfig
    """Of the index's own model: device, precision, whether code of its own may run."""

    is_kept: bool
    """Whether all of them fit into memory."""

    _kept: list[LoadedModel] = field(default_factory=list[LoadedModel])

    @classmethod
    def of(cls, losses: IndexLosses, settings: ModelConfig, own: LoadedModel) -> "LossModels":
        """Those of an index; each is as large as its own model."""
        needed = len(losses.models) * sum(one.nbytes for one in own.model.parameters())
        return cls(losses, settings, needed <= SHARE_FOR_MODELS * free_memory.free_bytes(own.device))

    @property
    def note(self) -> str | None:
        """That they do not fit into memory together; None: they do."""
        if self.is_kept:
            return None
        return f"memory is short, so every question loads its {len(self.losses.models)} models one at a time"

    def each(self) -> Iterator[LoadedModel]:
        """The models in the order of the stored numbers, one after the other.

        Raises:
            ModelError: One cannot be loaded.
            FingerprintMismatch: One is not the model whose losses are stored.
        """
        for place, model in enumerate(self.losses.models):
            if place < len(self._kept):
                yield self._kept[place]
                continue
            loaded = load_loss_model(model, self.settings)
            if self.is_kept:
                self._kept.append(loaded)
            yield loaded


def load_loss_model(model: LossModel, settings: ModelConfig) -> LoadedModel:
    """One of the models.

    Raises:
        ModelError: It cannot be loaded.
        FingerprintMismatch: It is not the model whose losses are stored.
    """
    loaded = load_model(replace(settings, model=model.folder or ""))
    if model.fingerprint is not None and loaded.fingerprint != model.fingerprint:
        raise FingerprintMismatch(
            f"the losses of model {model.name!r} were taken from weights with fingerprint {model.fingerprint[:8]}…, "
            f"{model.folder!r} has {loaded.fingerprint[:8]}…. Restore it, or build a new index."
        )
    return loaded
