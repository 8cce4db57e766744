"""What is said of a model's adapter, wherever its modules are chosen or an index of it is looked at."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from lorif_core.errors import ArtefactError
from lorif_core.models.adapter_weights import AdapterCoverage, adapter_coverage
from lorif_core.models.adapters import read_adapter
from lorif_core.models.load import LoadedModel
from lorif_core.models.modules import ModuleEntry


def coverage_of(loaded: LoadedModel, entries: Sequence[ModuleEntry]) -> AdapterCoverage | None:
    """How much of a model's adapter is tracked; None for a model that stands alone.

    Args:
        loaded: The model.
        entries: Every module of it that owns weights.
    """
    if loaded.adapter is None:
        return None
    return adapter_coverage(loaded.adapter, loaded.model, {entry.name: entry.reason for entry in entries})


def describe_folder(model: str, tracked: Iterable[str]) -> str | None:
    """One sentence on the adapter in a folder and its modules in an index, without loading the model.

    Args:
        model: Folder or hub name, as an index keeps it.
        tracked: Names of the index's modules.

    Returns:
        None where the folder is gone, or holds no adapter.
    """
    try:
        adapter = read_adapter(Path(model))
    except ArtefactError as error:
        return str(error)
    if adapter is None:
        return None
    names = list(tracked)
    kinds = sorted({_place(name) for name in names})
    return f"{adapter.describe()}: {len(names)} modules are tracked, {', '.join(kinds)}."


def _place(name: str) -> str:
    """The last steps of a name that tell one module of a layer from another: ``q_proj.lora_A``."""
    steps = [step for step in name.split(".") if step != "default"]
    return ".".join(steps[-2:])
