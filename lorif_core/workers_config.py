"""Settings of work that many processes share; no torch and no Ray is imported here."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from lorif_core.config import require

RAY = "ray"


@runtime_checkable
class PoolConfig(Protocol):
    """How many processes a pool has, and where."""

    @property
    def workers(self) -> int | None:
        """How many; None: one on every machine."""
        ...

    @property
    def address(self) -> str | None:
        """Of a running cluster; None: this machine."""
        ...

    @property
    def gpus_per_worker(self) -> float | None:
        """GPUs of each; None: one where there are any and they are used."""
        ...


@dataclass(frozen=True, kw_only=True)
class WorkersConfig:
    """How many processes share the work, and where they run."""

    workers: int | None = None
    """Processes that hold the model and make parts. Unset: this one alone."""

    on: str | None = None
    """Where workers run: `ray` starts them on this machine, `ray:ADDRESS` in a running cluster (`ray:auto`,
    `ray:10.0.0.1:6379`). Unset: `ray`."""

    gpus_per_worker: float | None = None
    """GPUs of each worker. Unset: one where there are any and `--device` is not cpu, else none."""

    def __post_init__(self) -> None:
        """Check ranges and that they fit together."""
        _check_workers(self.workers, self.on)
        require(
            self.gpus_per_worker is None or self.gpus_per_worker >= 0,
            f"gpus_per_worker must not be negative, got {self.gpus_per_worker}.",
        )
        for name, value in (("--on", self.on), ("--gpus-per-worker", self.gpus_per_worker)):
            require(
                value is None or self.workers is not None,
                f"{name} is of many workers: say how many with `--workers N`.",
            )

    @property
    def address(self) -> str | None:
        """Of a running cluster; None: this machine."""
        return _address(self.on)


@dataclass(frozen=True, kw_only=True)
class ScanConfig:
    """Which processes scan an index for a question, and whether they must scan all of it."""

    on: str | None = None
    """Scan the index with workers: `ray` starts them on this machine, `ray:ADDRESS` in a running cluster (`ray:auto`,
    `ray:10.0.0.1:6379`). Each scans the parts that it holds. Unset: this process alone, unless `--workers` is given,
    which starts them on this machine."""

    workers: int | None = None
    """How many workers. Unset: one on every machine of the cluster, with all of its cores."""

    partial: bool = False
    """Answer also where no worker can read some parts; the answer says how many texts are missing. Without it such
    an answer is refused."""

    def __post_init__(self) -> None:
        """Check ranges and that they fit together."""
        _check_workers(self.workers, self.on)
        require(
            not self.partial or self.has_workers,
            "--partial is for workers, and one process reads all parts or none: pass `--on ray` as well, or leave "
            "it out.",
        )

    @property
    def has_workers(self) -> bool:
        """Whether other processes scan."""
        return self.on is not None or self.workers is not None

    @property
    def address(self) -> str | None:
        """Of a running cluster; None: this machine."""
        return _address(self.on)

    @property
    def gpus_per_worker(self) -> float:
        """Workers that scan multiply on processors."""
        return 0.0


def _check_workers(workers: int | None, on: str | None) -> None:
    require(workers is None or workers >= 1, f"there must be at least one worker, got {workers}.")
    require(
        on is None or on.partition(":")[0] == RAY,
        f"workers run on `ray` or `ray:ADDRESS`, got {on!r}.",
    )
    require(on != f"{RAY}:", "`--on ray:` needs an address behind it, such as `ray:auto`.")


def _address(on: str | None) -> str | None:
    return None if on is None else on.partition(":")[2] or None


ALONE = WorkersConfig()
"""One process."""

HERE = ScanConfig()
"""This process scans."""
