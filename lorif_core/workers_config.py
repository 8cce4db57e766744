"""Settings of work that many processes share; no torch and no Ray is imported here."""

from dataclasses import dataclass

from lorif_core.config import require

RAY = "ray"


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
        require(self.workers is None or self.workers >= 1, f"there must be at least one worker, got {self.workers}.")
        require(
            self.on is None or self.on.partition(":")[0] == RAY,
            f"workers run on `ray` or `ray:ADDRESS`, got {self.on!r}.",
        )
        require(self.on != f"{RAY}:", "`--on ray:` needs an address behind it, such as `ray:auto`.")
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
        return None if self.on is None else self.on.partition(":")[2] or None


ALONE = WorkersConfig()
"""One process."""
