"""Log the gradients of a training loop: an index as a by-product of training.

Source: LogIX (arXiv:2405.13954), whose interception of an ordinary loop this is.
"""

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, Protocol, runtime_checkable

from torch import nn

from lorif_core.capture.training_loop import watch_loop
from lorif_core.config import BatchConfig, Precision
from lorif_core.errors import ConfigError, LorifError
from lorif_core.methods.method_settings import KroneckerConfig, MethodSettings
from lorif_core.workspace.folder.roles import require_curator
from lorif_core.workspace.folder.workspace_files import WorkspaceFiles
from lorif_core.workspace.runs.loop_model import loop_model
from lorif_core.workspace.runs.run_files import RunFiles
from lorif_core.workspace.runs.training_run import TrainingRun


@runtime_checkable
class HasFiles(Protocol):
    """A workspace."""

    @property
    def files(self) -> WorkspaceFiles:
        """Where everything of it lies."""
        ...


@contextmanager
def log(
    workspace: HasFiles,
    model: nn.Module,
    *,
    name: str,
    dataset: str | None = None,
    method: MethodSettings | None = None,
    tokenizer: Any = None,
    include: tuple[str, ...] = (),
    exclude: tuple[str, ...] = (),
    members: Literal["epoch"] | None = None,
    maps_of: str | None = None,
    max_length: int | None = None,
    precision: Precision = "auto",
) -> Iterator[TrainingRun]:
    """Take the gradients of a training loop while it trains, and make an index of them.

    The loop says which texts a batch holds, see ``TrainingRun.batch``; nothing that it computes changes. When the
    block ends, the run becomes an index, unless texts are missing or nobody knows the tokenizer: then what was stored
    stays, a warning says what to do, and ``run.finish`` or another run under the same name goes on.

    Args:
        workspace: Of which the data set was imported.
        model: What is trained: any module with linear layers, before it is compiled.
        name: Of the run; one that was interrupted goes on under its name.
        dataset: Name or id; may be left out when there is only one.
        method: Settings of the method; unset: those of the default method.
        tokenizer: Of a language model; saved with it.
        include: Patterns of names of modules to track; empty: what the method tracks.
        exclude: Patterns of names of modules not to track.
        members: epoch: every pass over the data is a member of the scores, averaged over them. Unset: of a text that
            comes several times the last one counts.
        maps_of: An index of the workspace whose half-whitening maps are taken instead of statistics of the first
            batches, such as one of the base model.
        max_length: Tokens at which questions are cut; unset: as `lorif index` does.
        precision: What a CPU multiplies by the maps in; auto: bfloat16 where the processor gains by it.

    Raises:
        CaptureError: The model is compiled or divided.
        ConfigError: The settings do not fit a run.
        LorifError: The name is taken, or the model does not fit what was begun under it.
    """
    require_curator(workspace.files, "log training runs")
    if not re.fullmatch(r"[\w.-]{1,80}", name) or name.startswith("."):
        raise ConfigError(f"a run's name must be letters, digits, -, _ and ., got {name!r}.")
    settings = KroneckerConfig() if method is None else method
    loop = loop_model(model, settings, include, exclude, precision)
    record = workspace.files.choose_dataset(dataset)
    length = max_length or BatchConfig().max_length
    run = RunFiles(workspace.files, record, name, loop, length, members, maps_of, tokenizer)
    if members is not None and not run.can_be_loaded:
        raise ConfigError(
            "members need models that are saved and loaded, and this is no language model: leave them out."
        )
    run.begin()
    with watch_loop(loop.model, loop.names, loop.heads) as watch:
        training = TrainingRun(run, watch)
        hook = loop.model.register_forward_pre_hook(training.on_forward, with_kwargs=True)
        try:
            yield training
            training.flush()
        finally:
            hook.remove()
            training.close()
    if training.index_id is None:
        _finish(training)


def _finish(training: TrainingRun) -> None:
    """Make the index, if all is there; no training is lost for want of something."""
    if training.run.can_be_loaded and training.run.tokenizer is None:
        warnings.warn(
            f"run {training.run.name!r} is no index yet: say where the model was saved with its tokenizer, "
            "`run.finish(FOLDER)`.",
            stacklevel=4,
        )
        return
    try:
        training.finish()
    except LorifError as error:
        warnings.warn(f"run {training.run.name!r} is no index yet: {error}", stacklevel=4)
