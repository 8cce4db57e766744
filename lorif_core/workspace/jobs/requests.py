"""What a job is asked to do: one value per kind, checked when it is made, kept as JSON in the journal.

A request holds no relative path: the worker may run in another folder. Where it names files whose content decides the
result it holds their checksums, so that the same files with other contents make another request.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lorif_core.config import ImportConfig, NextVersion
from lorif_core.data.failure_rows import FailureReading
from lorif_core.errors import JobError
from lorif_core.files import checksum_of_file
from lorif_core.methods.method_settings import IndexConfig
from lorif_core.workers_config import ALONE, WorkersConfig
from lorif_core.workspace.indexes.name_members import place_members

MEASUREMENTS = ("lds", "sweep", "fidelity", "retrain", "planted", "mislabel", "tail_patch", "brittleness")
"""The methods of ``Evaluation`` that a job may call."""

PATHS = ("queries", "truth", "recipe", "out", "key")
"""Arguments of measurements that name files."""


@dataclass(frozen=True)
class ImportRequest:
    """Import data files. A file of another size or time is another request."""

    paths: tuple[str, ...]
    settings: ImportConfig
    read: dict[str, Any] = field(default_factory=dict)
    """Size and time of each file."""

    said: NextVersion = field(default_factory=NextVersion)
    """What the person said about data that come under the name of a data set that is there."""


@dataclass(frozen=True)
class IndexRequest:
    """Build or resume an index. The device is not part of it: any one builds the same index."""

    settings: IndexConfig
    dataset: str
    """Id of the data set."""

    workers: WorkersConfig = ALONE
    """How many processes make the parts."""


@dataclass(frozen=True)
class EvaluateRequest:
    """Measure quality."""

    measurement: str
    """A method of ``Evaluation``."""

    arguments: dict[str, Any]
    """By name, but for ``on_progress``."""

    read: dict[str, str] = field(default_factory=dict)
    """Checksums of the files that it names."""

    def __post_init__(self) -> None:
        """Refuse what ``Evaluation`` cannot do."""
        if self.measurement not in MEASUREMENTS:
            raise JobError(f"a measurement is one of {', '.join(MEASUREMENTS)}, got {self.measurement!r}.")


@dataclass(frozen=True)
class VerifyRequest:
    """Retrain with and without examples."""

    arguments: dict[str, Any]
    """Of ``Removals.verify``: train_ids, queries, recipe."""

    read: dict[str, str] = field(default_factory=dict)
    """Checksum of the recipe."""


@dataclass(frozen=True)
class MapRequest:
    """Compute the states of an index's texts, and its map."""

    index_id: str
    seed: int = 0
    num_clusters: int | None = None
    """None: as ``Indexes.map`` has it."""


@dataclass(frozen=True)
class FailuresRequest:
    """Ask a file of failures."""

    path: str
    index_id: str
    reading: FailureReading
    read: dict[str, str] = field(default_factory=dict)
    """Checksum of the file."""


Request = ImportRequest | IndexRequest | EvaluateRequest | VerifyRequest | MapRequest | FailuresRequest


def import_request(
    paths: Sequence[str | Path],
    settings: ImportConfig,
    said: NextVersion = NextVersion(),  # noqa: B008 - frozen
) -> ImportRequest:
    """The request to import data files."""
    # What is not there is the name of a hub data set, or its import says that it is not.
    placed = [Path(path).resolve() if Path(path).exists() else Path(path) for path in paths]
    seen = {str(path): [path.stat().st_size, path.stat().st_mtime_ns] for path in placed if path.is_file()}
    return ImportRequest(tuple(str(path) for path in placed), settings, seen, said)


def index_request(settings: IndexConfig, dataset_id: str, workers: WorkersConfig = ALONE) -> IndexRequest:
    """The request to build the index that the settings name.

    Raises:
        ConfigError: A pattern of checkpoints fits no folder.
    """
    model = settings.model.model
    placed = str(Path(model).resolve()) if Path(model).is_dir() else model
    whole = replace(settings, members=place_members(settings.members))
    return IndexRequest(
        replace(whole, model=replace(settings.model, model=placed, device="auto")), dataset_id, workers
    )


def evaluate_request(measurement: str, arguments: Mapping[str, Any]) -> EvaluateRequest:
    """The request to measure quality, such as ``evaluate_request("planted", {"key": path})``.

    Raises:
        JobError: There is no such measurement.
    """
    placed = {
        name: str(Path(value).resolve()) if name in PATHS and value is not None else value
        for name, value in arguments.items()
    }
    read = [Path(value) for name, value in placed.items() if name in PATHS and name != "out" and value is not None]
    return EvaluateRequest(measurement, placed, _checksums(read))


def verify_request(train_ids: Sequence[str], queries: Sequence[str], recipe: str | Path) -> VerifyRequest:
    """The request to retrain with and without examples, as ``Removals.verify`` takes it."""
    placed = Path(recipe).resolve()
    arguments = {"train_ids": list(train_ids), "queries": list(queries), "recipe": str(placed)}
    return VerifyRequest(arguments, _checksums([placed]))


def failures_request(path: str | Path, index_id: str, reading: FailureReading) -> FailuresRequest:
    """The request to ask a file of failures, as ``Failures.ask`` takes it."""
    placed = Path(path).resolve()
    return FailuresRequest(str(placed), index_id, reading, _checksums([placed]))


def _checksums(paths: Sequence[Path]) -> dict[str, str]:
    """Of the files that are there; the job says what is wrong with the others."""
    return {str(path): checksum_of_file(path) for path in paths if path.is_file()}
