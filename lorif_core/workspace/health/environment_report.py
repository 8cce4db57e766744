"""The machine that LoRIF Studio runs on, and the packages that are installed."""

import importlib.metadata
import platform
import shutil
from dataclasses import dataclass
from pathlib import Path

import psutil
import torch

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
