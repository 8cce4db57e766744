"""What jobs can do: one function per kind, called in a process of its own.

A request holds JSON values only, and no relative path: the worker may run in another folder. Nothing here
imports torch before a job needs it.
"""

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from lorif_core.config import ImportConfig, IndexConfig
from lorif_core.errors import JobError
from lorif_core.files import checksum_of_file
from lorif_core.workspace.folder.progress import ProgressSink

JobKind = Callable[[Path, dict[str, Any], ProgressSink], dict[str, Any]]
"""Does a request in the workspace at a path, and returns the result as JSON values."""

MEASUREMENTS = ("lds", "sweep", "fidelity", "retrain", "planted", "mislabel", "tail_patch", "brittleness")
"""The methods of ``Evaluation`` that a job may call."""

PATHS = ("queries", "truth", "recipe", "out", "key")
"""Arguments of measurements that name files."""


def index_request(settings: IndexConfig, dataset_id: str) -> dict[str, Any]:
    """Request of an index job. The device is not part of it: any one builds the same index."""
    model = settings.model.model
    placed = str(Path(model).resolve()) if Path(model).is_dir() else model
    return {
        "settings": asdict(replace(settings, model=replace(settings.model, model=placed, device="auto"))),
        "dataset": dataset_id,
    }


def evaluate_request(measurement: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Request of an evaluate job. The same files with other contents make another request.

    Args:
        measurement: A method of ``Evaluation``.
        arguments: Its arguments by name, but for ``on_progress``.

    Raises:
        JobError: There is no such measurement.
    """
    if measurement not in MEASUREMENTS:
        raise JobError(f"a measurement is one of {', '.join(MEASUREMENTS)}, got {measurement!r}.")
    placed = {
        name: str(Path(value).resolve()) if name in PATHS and value is not None else value
        for name, value in arguments.items()
    }
    read = [Path(value) for name, value in placed.items() if name in PATHS and name != "out" and value is not None]
    return {"measurement": measurement, "arguments": placed, "read": _checksums(read)}


def verify_request(train_ids: Sequence[str], queries: Sequence[str], recipe: str | Path) -> dict[str, Any]:
    """Request of a verify job, as ``Workspace.verify`` takes it. Another content of the recipe is another request."""
    placed = Path(recipe).resolve()
    arguments = {"train_ids": list(train_ids), "queries": list(queries), "recipe": str(placed)}
    return {"arguments": arguments, "read": _checksums([placed])}


def import_request(paths: Sequence[str | Path], settings: ImportConfig) -> dict[str, Any]:
    """Request of an import job. A file of another size or time is another request."""
    placed = [Path(path).resolve() for path in paths]
    seen = {str(path): [path.stat().st_size, path.stat().st_mtime_ns] for path in placed if path.is_file()}
    return {"paths": [str(path) for path in placed], "settings": asdict(settings), "read": seen}


def run_import(path: Path, request: dict[str, Any], on_progress: ProgressSink) -> dict[str, Any]:
    """Import data files; returns what they brought."""
    from lorif_core.workspace.workspace import open_workspace

    settings = ImportConfig(**request["settings"])
    found = open_workspace(path).import_data(
        *request["paths"], settings=settings, on_progress=lambda num_rows: on_progress("rows read", num_rows, 0)
    )
    return found.to_dict()


def run_index(path: Path, request: dict[str, Any], on_progress: ProgressSink) -> dict[str, Any]:
    """Build or resume an index; returns its record."""
    from lorif_core.workspace.indexes.building import settings_from_json
    from lorif_core.workspace.workspace import open_workspace

    settings = settings_from_json(json.dumps(request["settings"]), None)
    record = open_workspace(path).index(settings, dataset=request["dataset"], on_progress=on_progress)
    return _plain(record)


def run_evaluate(path: Path, request: dict[str, Any], on_progress: ProgressSink) -> dict[str, Any]:
    """Measure quality; the figures are in the result, and in the catalog."""
    from lorif_core.workspace.quality.evaluate import Evaluation
    from lorif_core.workspace.workspace import open_workspace

    measure = getattr(Evaluation(open_workspace(path)), request["measurement"])
    return {"measurement": request["measurement"], "result": _call(measure, request["arguments"], on_progress)}


def run_verify(path: Path, request: dict[str, Any], on_progress: ProgressSink) -> dict[str, Any]:
    """Retrain with and without examples, and compare with what was predicted."""
    from lorif_core.workspace.workspace import open_workspace

    return _plain(open_workspace(path).verify(**request["arguments"], on_progress=on_progress))


def run_map(path: Path, request: dict[str, Any], on_progress: ProgressSink) -> dict[str, Any]:
    """Compute the map of an index; returns what it is."""
    from lorif_core.workspace.workspace import open_workspace

    return open_workspace(path).map(request["index_id"], seed=request["seed"], on_progress=on_progress).to_dict()


KINDS: Mapping[str, JobKind] = {
    "import": run_import,
    "index": run_index,
    "evaluate": run_evaluate,
    "verify": run_verify,
    "map": run_map,
}
"""Every kind of job that a worker can do."""


def _checksums(paths: Sequence[Path]) -> dict[str, str]:
    """Of the files that are there; the job says what is wrong with the others."""
    return {str(path): checksum_of_file(path) for path in paths if path.is_file()}


def _call(function: Callable[..., Any], arguments: Mapping[str, Any], on_progress: ProgressSink) -> Any:
    known = inspect.signature(function)
    given = {**arguments, "on_progress": on_progress} if "on_progress" in known.parameters else dict(arguments)
    try:
        known.bind(**given)
    except TypeError as error:
        raise JobError(f"the request does not fit `{function.__name__}`: {error}.") from error
    return _plain(function(**given))


def _plain(value: Any) -> Any:
    """The value in JSON's types; of a matrix only its shape, as results are shown and not computed with."""
    from torch import Tensor

    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, Tensor):
        return {"shape": list(value.shape)} if value.ndim > 1 else value.tolist()
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
