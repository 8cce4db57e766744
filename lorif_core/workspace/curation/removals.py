"""What would happen if some texts were removed."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lorif_core.workspace.folder.progress import ProgressSink, no_progress
from lorif_core.workspace.folder.workspace_files import WorkspaceFiles

if TYPE_CHECKING:
    from lorif_core.workspace.curation.removing import Verification, WhatIf
    from lorif_core.workspace.curation.training_time import TrainingTime
    from lorif_core.workspace.curation.verifications import Verifications


class Removals:
    """Predicts and verifies removals."""

    def __init__(self, files: WorkspaceFiles) -> None:
        self.files = files

    def predict(
        self, train_ids: Sequence[str], queries: Sequence[str], *, controls: Sequence[str] | None = None
    ) -> "WhatIf":
        """Predicted change of kept questions if the examples were removed and the model trained again.

        The support of a completion (its log-probability, for the objective ``loss``) changes by minus the
        sum of the examples' scores, in nats: scores are g_qᵀ (GᵀG + λI)⁻¹ g_n with the Gram matrix summed
        over all examples, which is the first-order change of a loss minimised over the sum of all examples
        when one of them is left out. Source: Koh and Liang (arXiv:1703.04730), section 2.1; adding up
        examples usually underestimates groups and keeps their order, Koh et al. (arXiv:1905.13289).

        Args:
            train_ids: Examples to remove.
            queries: Ids of kept questions whose completions one wants to hear less.
            controls: Ids of questions whose completions should not change. None: all other kept ones.

        Raises:
            LorifError: No example is given, an id is unknown, or scores are normalised.
        """
        from lorif_core.workspace.curation.removing import predict_removal

        return predict_removal(self.files, train_ids, queries, controls)

    def verifications(self, dataset: str | None = None) -> "Verifications":
        """Everything that was verified so far: predicted and actual, and the range that it gives to predictions.

        Args:
            dataset: Id of the data set; None: of every one.
        """
        from lorif_core.workspace.curation.verifications import kept_verifications

        return kept_verifications(self.files, dataset)

    def check(self, train_ids: Sequence[str], queries: Sequence[str]) -> str:
        """The data set that a verification would be about, once it is known that it can be trained.

        Raises:
            LorifError: An id or a question cannot be used, or no text would be left to train on.
        """
        from lorif_core.workspace.curation.verifying import planned_removal

        return planned_removal(self.files, train_ids, queries).dataset_id

    def training_time(self, dataset_id: str, recipe: str | Path) -> "TrainingTime | None":
        """How long a verification will take; None where no rate is known. See ``training_time``.

        Raises:
            ConfigError: The recipe cannot be used.
        """
        from lorif_core.workspace.curation.training_time import training_time

        return training_time(self.files, dataset_id, recipe)

    def verify(
        self,
        train_ids: Sequence[str],
        queries: Sequence[str],
        recipe: str | Path,
        *,
        device: str = "auto",
        on_progress: ProgressSink = no_progress,
        should_stop: Callable[[], bool] | None = None,
    ) -> "Verification":
        """Train with and without the examples, from the recipe's checkpoint; predicted against actual change.

        Both runs have the same seed and order of batches. Full fine-tuning, or LoRA where the recipe says so.

        Args:
            train_ids: Examples to remove.
            queries: Ids of kept questions, all about one data set.
            recipe: TOML file: checkpoint, learning rate, epochs, seed, tuning.
            device: As for a model.
            on_progress: Receives ("verify", training steps done, total).
            should_stop: Asked before every training step.

        Raises:
            LorifError: An id or the recipe cannot be used.
        """
        from lorif_core.workspace.curation.verifying import verify_removal

        return verify_removal(
            self.files, train_ids, queries, recipe, device=device, on_progress=on_progress, should_stop=should_stop
        )
