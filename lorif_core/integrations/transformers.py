"""Log a run of transformers' ``Trainer``, or of one that is built on it, such as TRL's ``SFTTrainer``."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any, Unpack

import torch
from torch import Tensor, nn
from transformers import TrainerCallback, default_data_collator

from lorif_core.capture.loop_hooks import LoopBatch
from lorif_core.errors import CaptureError, ConfigError
from lorif_core.workspace.runs.log_run import HasFiles, RunOptions, log
from lorif_core.workspace.runs.text_places import HashedIds
from lorif_core.workspace.runs.training_run import TrainingRun

IDS = "lorif_ids"
"""Among the inputs of a batch: the hashes of its texts' ids. The model is not given them."""

Features = Sequence[Mapping[str, Any]]


class KeepsIds:
    """A collator that keeps the ids of a batch beside its tensors, and leaves out columns of text."""

    def __init__(self, collator: Callable[[Any], Any], id_column: str) -> None:
        self.collator, self.id_column = collator, id_column

    def __call__(self, features: Features) -> dict[str, Any]:
        """The batch.

        Raises:
            ConfigError: There is no column of that name.
        """
        if any(self.id_column not in one for one in features):
            raise ConfigError(
                f"the ids of the texts must be in column {self.id_column!r}, and the rows have "
                f"{', '.join(sorted(features[0]))}: name it, `id_column=`, and pass `remove_unused_columns=False` to "
                "the training arguments, so that it is not taken away."
            )
        ids = HashedIds.of([one[self.id_column] for one in features])
        kept = [{name: value for name, value in one.items() if self._is_input(name, value)} for one in features]
        return {**self.collator(kept), IDS: ids.hashes}

    def _is_input(self, name: str, value: Any) -> bool:
        return name != self.id_column and value is not None and not isinstance(value, str)


class LorifCallback(TrainerCallback):
    """Takes the gradients of a ``Trainer``'s run, whose index is made when training ends.

        log = LorifCallback(ws, name="run7", id_column="id")
        trainer = Trainer(
            model, TrainingArguments(..., remove_unused_columns=False), train_dataset=data,
            data_collator=log.collator(collator), processing_class=tokenizer, callbacks=[log],
        )

    What the loss was divided by is read from the gradient that the model's own loss receives, so accumulation,
    scaling and the number of processes need not be said.
    """

    def __init__(
        self, workspace: HasFiles, *, name: str, id_column: str = "id", **options: Unpack[RunOptions]
    ) -> None:
        """Prepare a run.

        Args:
            workspace: Of which the data set was imported.
            name: Of the run.
            id_column: Column of the training data with the ids that the workspace knows.
            **options: As for ``lf.log``; the tokenizer is the trainer's, unless one is given.
        """
        self.workspace, self.name, self.id_column, self.options = workspace, name, id_column, options
        self.run: TrainingRun | None = None
        """The run, from the beginning of training on."""

        self._all, self._batch = ExitStack(), ExitStack()
        self._open: LoopBatch | None = None
        self._is_trained = False

    def collator(self, collator: Callable[[Any], Any] = default_data_collator) -> KeepsIds:
        """A data collator that keeps the ids; to be given to the trainer."""
        return KeepsIds(collator, self.id_column)

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Begin the run."""
        self._leave()
        model: nn.Module = kwargs["model"]
        tokenizer = kwargs.get("processing_class")
        options: RunOptions = {"tokenizer": tokenizer, **self.options}
        self._all = ExitStack()
        self.run = self._all.enter_context(log(self.workspace, model, name=self.name, **options))
        plain = self.run.run.loop.outer
        before = plain.register_forward_pre_hook(self._on_forward, with_kwargs=True, prepend=True)
        after = plain.register_forward_hook(self._on_output, with_kwargs=True)
        self._all.callback(before.remove)
        self._all.callback(after.remove)

    def on_substep_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """A batch of several that are accumulated is over."""
        self._close_batch()

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """The last batch before a step is over."""
        self._close_batch()

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Make the index."""
        self._close_batch()
        self._all.close()

    def _on_forward(self, model: nn.Module, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        ids = kwargs.pop(IDS, None)
        if self.run is not None and model.training and torch.is_grad_enabled():
            if ids is None:
                raise CaptureError(
                    "every batch must say which texts it holds, and this one does not: give the trainer "
                    "`data_collator=callback.collator(…)`, and `remove_unused_columns=False` in its arguments."
                )
            self._close_batch()
            self._open = self._batch.enter_context(self.run.batch(HashedIds(ids), targets=None))
            self._is_trained = False
        return args, kwargs

    def _on_output(self, model: nn.Module, args: Any, kwargs: dict[str, Any], output: Any) -> None:
        batch = self._open
        if batch is None:
            return
        loss = output.get("loss") if isinstance(output, dict) else output[0]
        if not isinstance(loss, Tensor) or loss.ndim:
            raise CaptureError(_OTHER_LOSS)
        divisor = _divisor(kwargs, causal=self.run is not None and self.run.run.can_be_loaded)

        def on_gradient(gradient: Tensor) -> None:
            batch.divisors = divisor / float(gradient)
            self._is_trained = True
            # The batch ends with the backward pass, before the trainer clips what the weights got.
            engine: Any = torch.autograd.Variable._execution_engine  # pyright: ignore - as FullyShardedDataParallel
            engine.queue_callback(self._close_batch)

        loss.register_hook(on_gradient)

    def _close_batch(self) -> None:
        if self._open is None:
            return
        self._open = None
        if not self._is_trained:
            with self._batch:
                raise CaptureError(_OTHER_LOSS)
        self._batch.close()

    def _leave(self) -> None:
        """Let go of a run whose training raised."""
        stack, self._batch, self._open = self._all, ExitStack(), None
        try:
            with stack:
                raise _Left
        except _Left:
            pass


class _Left(Exception):
    """A run is left without an index."""


_OTHER_LOSS = (
    "the loss that is trained must be the one that the model computes from its labels, and this one is computed "
    "elsewhere (label smoothing, `compute_loss_func`, a trainer of its own): use `lf.log`, and say `targets=` to "
    "`run.batch`."
)


def _divisor(kwargs: Mapping[str, Any], *, causal: bool) -> float:
    """What the model's own loss is divided by to be a mean."""
    given = kwargs.get("num_items_in_batch")
    if given is not None:
        return float(given)
    labels = kwargs.get("shift_labels", kwargs.get("labels"))
    if not isinstance(labels, Tensor):
        raise CaptureError(_OTHER_LOSS)
    if causal and "shift_labels" not in kwargs:
        labels = labels[..., 1:]
    return float((labels != -100).sum())
