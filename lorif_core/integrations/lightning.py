"""Log a run of Lightning, by the extra ``lightning``.

Written against the documented hooks of Lightning 2 (``Callback``); it has not been run with Lightning itself.
"""

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, Unpack

from lightning.pytorch import Callback, LightningModule, Trainer  # pyright: ignore[reportMissingImports] - an extra

from lorif_core.workspace.runs.log_run import HasFiles, RunOptions, log
from lorif_core.workspace.runs.training_run import TrainingRun


class LorifCallback(Callback):
    """Takes the gradients of a ``LightningModule`` that optimises by itself; training ends with the index.

    callback = LorifCallback(ws, name="run7", ids=lambda batch: batch["id"], targets=lambda batch: len(batch["id"]))
    """

    def __init__(
        self,
        workspace: HasFiles,
        *,
        name: str,
        ids: Callable[[Any], Any],
        targets: Callable[[Any], Any],
        **options: Unpack[RunOptions],
    ) -> None:
        """Prepare a run.

        Args:
            workspace: Of which the data set was imported.
            name: Of the run.
            ids: The ids of a batch's texts, in the order of its rows.
            targets: What the loss that ``training_step`` returns was divided by.
            **options: As for ``lf.log``.
        """
        super().__init__()
        self.workspace, self.name, self.ids, self.targets, self.options = workspace, name, ids, targets, options
        self.run: TrainingRun | None = None
        self._all, self._batch = ExitStack(), ExitStack()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin the run."""
        self.run = self._all.enter_context(log(self.workspace, pl_module, name=self.name, **self.options))

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Open a batch, whose forward and backward pass follow."""
        assert self.run is not None  # training has begun
        self._batch.enter_context(
            self.run.batch(
                self.ids(batch),
                targets=self.targets(batch),
                accumulation=trainer.accumulate_grad_batches,
                scaler=getattr(trainer.precision_plugin, "scaler", None),
            )
        )

    def on_after_backward(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The batch is over, before anything is clipped."""
        self._batch.close()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Make the index."""
        self._all.close()
