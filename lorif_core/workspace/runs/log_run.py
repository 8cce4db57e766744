"""Log the gradients of a training loop: an index as a by-product of training.

Source: LogIX (arXiv:2405.13954), whose interception of an ordinary loop this is.
"""

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, Protocol, TypedDict, Unpack, runtime_checkable

from torch import nn

from lorif_core.capture.loop_hooks import watch_loop
from lorif_core.config import BatchConfig, Precision
from lorif_core.errors import ConfigError, LorifError
from lorif_core.methods.method_settings import KroneckerConfig, MethodSettings
from lorif_core.workspace.folder.roles import require_curator
from lorif_core.workspace.folder.workspace_files import WorkspaceFiles
from lorif_core.workspace.runs import processes
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


class RunOptions(TypedDict, total=False):
    """What a run may be told; every key may be left out."""

    dataset: str | None
    """Name or id; for a workspace with several data sets."""

    method: MethodSettings | None
    """Settings of the method; unset: those of the default method."""

    tokenizer: Any
    """Of a language model; saved with it."""

    include: tuple[str, ...]
    """Patterns of names of modules to track; empty: what the method tracks."""

    exclude: tuple[str, ...]
    """Patterns of names of modules not to track."""

    members: Literal["epoch"] | None
    """epoch: every pass over the data is a member of the scores, averaged over them. Unset: of a text that comes
    several times the last one counts."""

    maps_of: str | None
    """An index of the workspace whose half-whitening maps are taken instead of statistics of the first batches, such
    as one of the base model."""

    max_length: int | None
    """Tokens at which questions are cut; unset: as `lorif index` does."""

    precision: Precision
    """What a CPU multiplies by the maps in; auto: bfloat16 where the processor gains by it."""


@contextmanager
def log(workspace: HasFiles, model: nn.Module, *, name: str, **options: Unpack[RunOptions]) -> Iterator[TrainingRun]:
    """Take the gradients of a training loop while it trains, and make an index of them.

    The loop says which texts a batch holds, see ``TrainingRun.batch``; nothing that it computes changes. When the
    block ends, the run becomes an index, unless texts are missing or nobody knows the tokenizer: then what was stored
    stays, a warning says what to do, and ``run.finish`` or another run under the same name goes on.

    Args:
        workspace: Of which the data set was imported.
        model: What is trained: any module with linear layers, before it is compiled.
        name: Of the run; one that was interrupted goes on under its name.
        **options: See ``RunOptions``.

    Raises:
        CaptureError: The model is compiled or divided.
        ConfigError: The settings do not fit a run.
        LorifError: The name is taken, or the model does not fit what was begun under it.
    """
    run = _begin(workspace.files, model, name, options)
    with watch_loop(run.loop.model, run.loop.names, run.loop.heads) as watch:
        training = TrainingRun(run, watch)
        hook = run.loop.outer.register_forward_pre_hook(training.on_forward, with_kwargs=True)
        try:
            yield training
            training.flush()
        finally:
            hook.remove()
            training.close()
    if training.index_id is None:
        _finish(training)


def _begin(files: WorkspaceFiles, model: nn.Module, name: str, options: RunOptions) -> RunFiles:
    require_curator(files, "log training runs")
    if not re.fullmatch(r"[\w.-]{1,80}", name) or name.startswith("."):
        raise ConfigError(f"a run's name must be letters, digits, -, _ and ., got {name!r}.")
    loop = loop_model(
        model,
        options.get("method") or KroneckerConfig(),
        options.get("include", ()),
        options.get("exclude", ()),
        options.get("precision", "auto"),
    )
    run = RunFiles(
        files,
        files.choose_dataset(options.get("dataset")),
        name,
        loop,
        options.get("max_length") or BatchConfig().max_length,
        options.get("members"),
        options.get("maps_of"),
        options.get("tokenizer"),
    )
    if run.members is not None and not run.can_be_loaded:
        raise ConfigError(
            "members need models that are saved and loaded, and this is no language model: leave them out."
        )
    if run.members is not None and processes.is_divided():
        raise ConfigError(
            "processes that divide an epoch do not see by themselves when it ends: leave `members` out, and call "
            "`run.next_member()` in each of them after every epoch."
        )
    run.begin()
    return run


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
