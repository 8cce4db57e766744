"""Questions to the index of a run whose model is any torch module: what is explained is a loss that one computes.

The model has to be in memory, as it was when the run ended; its hash says whether it is.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import polars as pl
import torch
from torch import Tensor, nn

from lorif_core.capture.loop_hooks import LoopBatch, watch_loop
from lorif_core.config import CurvatureConfig, ScoreConfig
from lorif_core.errors import CaptureError, FingerprintMismatch
from lorif_core.linalg.gradients import ProjectedGradient
from lorif_core.linalg.maps import ModuleMaps
from lorif_core.methods.make_method import make_method
from lorif_core.passes.queries import QueryGradients
from lorif_core.passes.scoring import FittedIndex, iter_scores, plan_scoring
from lorif_core.store.reader import StoreReader
from lorif_core.weights import locate_weight
from lorif_core.workspace.folder.workspace_files import WorkspaceFiles
from lorif_core.workspace.indexes.index_settings import read_index_settings
from lorif_core.workspace.runs.run_files import fingerprint_of_module, result_of

Batch = Any


@dataclass(frozen=True)
class LoggedIndex:
    """The index that a run became."""

    files: WorkspaceFiles
    index_id: str

    def score(self, model: nn.Module, loss: Callable[[nn.Module, Batch], Tensor], batch: Batch) -> pl.DataFrame:
        """Influence of every text on a loss of the model: ``train_id`` and ``score``, in the data set's order.

        Args:
            model: As it was when the run ended; asked in evaluation mode, as it is.
            loss: Of the model and the batch; one number, summed over what is asked about.
            batch: Whatever the loss needs.

        Raises:
            FingerprintMismatch: The model is another one, or was trained further.
            CaptureError: No tracked layer is part of the loss.
        """
        return self._scores(model, lambda: loss(model, batch))

    def ask(self, model: nn.Module, loss: Callable[[], Tensor], *, k: int = 20) -> pl.DataFrame:
        """The texts that lowered a loss of the model most: ``rank``, ``train_id``, ``score``; positive: supports it.

        Args:
            model: As it was when the run ended.
            loss: Computes what is explained, one number, such as ``lambda: loss_fn(model(x), y)``.
            k: How many texts.

        Raises:
            FingerprintMismatch: The model is another one, or was trained further.
            CaptureError: No tracked layer is part of the loss.
        """
        ranked = self._scores(model, loss).sort(["score", "train_id"], descending=[True, False])
        return ranked.head(k).with_row_index("rank", offset=1)

    def _scores(self, model: nn.Module, loss: Callable[[], Tensor]) -> pl.DataFrame:
        record = self.files.catalog.index(self.index_id)
        reader = StoreReader(self.files.index_place(record))
        reader.require_complete()
        now, built = fingerprint_of_module(model), reader.manifest.parents.model
        if now != built:
            raise FingerprintMismatch(
                f"index {self.index_id!r} is of a module with fingerprint {built[:8]}…, this one has {now[:8]}…: "
                "give it the module as it was when the run ended, such as from its saved `state_dict`."
            )
        method = make_method(read_index_settings(record.settings_json).method)
        maps = reader.maps() or {one.name: method.projection.maps(one, None) for one in reader.modules}
        gradients = question_gradients(model, maps, loss)
        matrices = {
            one.name: gradients.get(one.name, torch.zeros(1, one.d_in, one.d_out)).float().cpu()
            for one in reader.modules
        }
        fitted: dict[str, Any] = {**(reader.manifest.curvature or {}), "subspace_rank": reader.manifest.subspace_rank}
        index = FittedIndex(reader, method, CurvatureConfig(**fitted))
        plan = plan_scoring(index, QueryGradients(matrices, torch.zeros(1), {}), ScoreConfig(normalisation="none"))
        scores = torch.cat([found[0] for _, found in iter_scores(plan)])
        examples = self.files.examples(record.dataset_id)
        ids = [train_id for some in examples.iter_ids() for train_id in some]
        return pl.DataFrame({"train_id": ids, "score": scores.tolist()})


def question_gradients(
    model: nn.Module, maps: dict[str, ModuleMaps], loss: Callable[[], Tensor]
) -> dict[str, Tensor]:
    """Projected gradients of one number that a model takes part in, per module, (1, d_in, d_out).

    The model and the gradients of its weights are left as they were.

    Raises:
        CaptureError: No tracked layer is part of it.
    """
    placed = {name: one.to(locate_weight(model, name).parameter.device, torch.float32) for name, one in maps.items()}
    found: dict[str, Tensor] = {}

    def take(name: str, gradient: ProjectedGradient) -> None:
        found[name] = gradient.dense()

    heads = {name for name, one in maps.items() if one.keeps_outputs_apart}
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with watch_loop(model, list(maps), heads) as watch, torch.enable_grad():
            with watch.batch(placed, take, LoopBatch(1, 1.0, is_one=True)):
                value = loss()
                leaves = [one for one in model.parameters() if one.requires_grad]
                torch.autograd.grad(value.sum(), leaves, allow_unused=True)
    finally:
        for module, mode in modes.items():
            module.training = mode
    if not found:
        raise CaptureError("a question's loss must come from the run's model; no tracked layer is part of this one.")
    return found


def logged_index(files: WorkspaceFiles, name: str) -> LoggedIndex:
    """The index that a run became.

    Raises:
        ArtefactError: There is no such run, or it is not over.
    """
    return LoggedIndex(files, result_of(files, name)[0])
