"""What is installed and whether a workspace's files are whole."""

import importlib.metadata
import platform
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import torch

from lorif_core.errors import LorifError
from lorif_core.store.reader import StoreReader
from lorif_core.workspace.folder.workspace_files import WorkspaceFiles

PACKAGES = (
    "lorif-studio",
    "torch",
    "transformers",
    "safetensors",
    "polars",
    "duckdb",
    "sqlalchemy",
    "datasets",
    "peft",
)


@dataclass(frozen=True)
class Environment:
    """The machine and the packages that matter."""

    python: str
    platform: str

    packages: dict[str, str | None]
    """Version per package; None when an optional one is not installed."""

    devices: list[str]
    num_cores: int
    memory_bytes: int
    free_memory_bytes: int
    free_disk_bytes: int


@dataclass(frozen=True)
class Finding:
    """One file or record of a workspace that is not as it should be."""

    artefact: str
    problem: str


@dataclass(frozen=True)
class CheckReport:
    """Result of reading every file of a workspace."""

    num_files: int
    size_bytes: int
    findings: list[Finding] = field(default_factory=list)


def describe_environment(folder: Path) -> Environment:
    """Versions, devices, memory, and free space on the disk of ``folder``."""
    gpus = [
        f"cuda:{number} {torch.cuda.get_device_name(number)}, "
        f"{torch.cuda.get_device_properties(number).total_memory / 1e9:.0f} GB"
        for number in range(torch.cuda.device_count())
    ]
    memory = psutil.virtual_memory()
    return Environment(
        python=platform.python_version(),
        platform=platform.platform(),
        packages={name: _version(name) for name in PACKAGES},
        devices=["cpu", *gpus],
        num_cores=torch.get_num_threads(),
        memory_bytes=memory.total,
        free_memory_bytes=memory.available,
        free_disk_bytes=shutil.disk_usage(folder).free,
    )


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def check_workspace(files: WorkspaceFiles, on_progress: Callable[[str], None] = lambda artefact: None) -> CheckReport:
    """Read every artefact and compare it with its checksum or fingerprint."""
    findings: list[Finding] = []
    num_files, size_bytes = 0, 0
    for dataset in files.catalog.datasets():
        on_progress(dataset.dataset_id)
        num_files, size_bytes = num_files + 1, size_bytes + dataset.size_bytes
        findings += _problems(
            dataset.dataset_id, lambda known=dataset: _check_dataset(files, known.dataset_id, known.fingerprint)
        )
    for index in files.catalog.indexes():
        on_progress(index.index_id)
        folder = files.index_folder(index.index_id)
        opened: list[StoreReader] = []
        findings += _problems(index.index_id, lambda known=folder, into=opened: into.append(StoreReader(known)))
        for reader in opened:
            entries = reader.manifest.entries
            num_files, size_bytes = num_files + len(entries), size_bytes + sum(entry.size_bytes for entry in entries)
            for entry in entries:
                findings += _problems(index.index_id, lambda known=entry, reader=reader: reader.verify(known))
            if reader.manifest.status != "complete":
                findings += _problems(index.index_id, reader.require_complete)
    return CheckReport(num_files, size_bytes, findings)


def _check_dataset(files: WorkspaceFiles, dataset_id: str, fingerprint: str) -> None:
    files.examples(dataset_id).check_content(fingerprint)


def _problems(artefact: str, check: Callable[[], object]) -> list[Finding]:
    try:
        check()
    except LorifError as error:
        return [Finding(artefact, str(error))]
    return []
