"""What jobs can do: one row per kind, its request and the function that does it in a process of its own.

Nothing here imports torch before a job needs it.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, get_args

from lorif_core.errors import JobError
from lorif_core.methods.registry import settings_of_name
from lorif_core.settings_json import settings_from_json, settings_to_json
from lorif_core.workspace.folder.progress import ProgressSink
from lorif_core.workspace.indexes.index_settings import from_older_versions
from lorif_core.workspace.jobs.requests import (
    EvaluateRequest,
    FailuresRequest,
    ImportRequest,
    IndexRequest,
    MapRequest,
    Request,
    VerifyRequest,
)

Work = Callable[[Path, dict[str, Any], ProgressSink], dict[str, Any]]
"""Does a request, as JSON values, in the workspace at a path; returns the result as JSON values."""


@dataclass(frozen=True)
class JobKind:
    """One kind of job. Called with a request as JSON values it does it, see ``Work``."""

    request: type
    run: Callable[[Path, Any, ProgressSink], dict[str, Any]]
    """With a request of that type."""

    def __call__(self, path: Path, request: dict[str, Any], on_progress: ProgressSink) -> dict[str, Any]:
        """Do what the journal says."""
        return self.run(path, self.read(request), on_progress)

    def read(self, request: dict[str, Any]) -> Request:
        """The request that the journal holds; one of version 0.1, too."""
        if self.request is IndexRequest:
            request = request | {"settings": from_older_versions(request["settings"])}
        return settings_from_json(self.request, request, settings_of_name)


def run_import(path: Path, request: ImportRequest, on_progress: ProgressSink) -> dict[str, Any]:
    """Import data files; returns what they brought."""
    from lorif_core.workspace.workspace import open_workspace

    found = open_workspace(path).data.import_files(
        *request.paths,
        settings=request.settings,
        on_progress=on_progress,
        said=request.said,
    )
    return found.to_dict()


def run_index(path: Path, request: IndexRequest, on_progress: ProgressSink) -> dict[str, Any]:
    """Build or resume an index; returns its record."""
    from lorif_core.workspace.workspace import open_workspace

    indexes = open_workspace(path).indexes
    record = indexes.build(
        request.settings, dataset=request.dataset, on_progress=on_progress, workers=request.workers
    )
    return _plain(record)


def run_evaluate(path: Path, request: EvaluateRequest, on_progress: ProgressSink) -> dict[str, Any]:
    """Measure quality; the figures are in the result, and in the catalog."""
    from lorif_core.workspace.quality.evaluate import Evaluation
    from lorif_core.workspace.workspace import open_workspace

    measure = getattr(Evaluation(open_workspace(path)), request.measurement)
    return {"measurement": request.measurement, "result": _call(measure, request.arguments, on_progress)}


def run_verify(path: Path, request: VerifyRequest, on_progress: ProgressSink) -> dict[str, Any]:
    """Retrain with and without examples, and compare with what was predicted."""
    from lorif_core.workspace.workspace import open_workspace

    return _plain(open_workspace(path).removals.verify(**request.arguments, on_progress=on_progress))


def run_map(path: Path, request: MapRequest, on_progress: ProgressSink) -> dict[str, Any]:
    """Compute the states of an index's texts and its map; returns what it is."""
    from lorif_core.workspace.workspace import open_workspace

    indexes = open_workspace(path).indexes
    found = indexes.map(
        request.index_id, seed=request.seed, num_clusters=request.num_clusters, on_progress=on_progress
    )
    return found.to_dict()


def run_failures(path: Path, request: FailuresRequest, on_progress: ProgressSink) -> dict[str, Any]:
    """Ask a file of failures; returns which run holds what was found."""
    from lorif_core.workspace.workspace import open_workspace

    failures = open_workspace(path).failures
    found = failures.ask(request.path, request.reading, index_id=request.index_id, on_progress=on_progress)
    return {"run_id": found.run_id, "num_failures": len(found.questions), "file": found.said["file"]}


KINDS: Mapping[str, JobKind] = {
    "import": JobKind(ImportRequest, run_import),
    "index": JobKind(IndexRequest, run_index),
    "evaluate": JobKind(EvaluateRequest, run_evaluate),
    "verify": JobKind(VerifyRequest, run_verify),
    "map": JobKind(MapRequest, run_map),
    "failures": JobKind(FailuresRequest, run_failures),
}
"""Every kind of job that a worker can do."""


def kind_of(request: Request) -> str:
    """Name of the kind of job that does a request."""
    return next(name for name, kind in KINDS.items() if kind.request is type(request))


def json_of(request: Request) -> dict[str, Any]:
    """The request as the journal keeps it."""
    return settings_to_json(request)


def _call(function: Callable[..., Any], arguments: Mapping[str, Any], on_progress: ProgressSink) -> Any:
    known = inspect.signature(function)
    given = {**arguments, "on_progress": on_progress} if "on_progress" in known.parameters else dict(arguments)
    try:
        bound = known.bind(**given)
        _check_choices(known, bound)
    except TypeError as error:
        raise JobError(f"the request does not fit `{function.__name__}`: {error}.") from error
    return _plain(function(**given))


def _check_choices(known: inspect.Signature, bound: inspect.BoundArguments) -> None:
    """Refuse names that ``**choices: Unpack[SomeTypedDict]`` takes up and the dictionary does not have.

    Raises:
        TypeError: There is one.
    """
    for name, parameter in known.parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD:
            (choices,) = get_args(parameter.annotation)
            unknown = bound.arguments.get(name, {}).keys() - choices.__annotations__.keys()
            if unknown:
                raise TypeError(f"got an unexpected keyword argument {min(unknown)!r}")


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
