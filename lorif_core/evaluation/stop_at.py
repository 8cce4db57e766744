"""When long work ends although not everything is done: after so many, or after so long."""

import re
from dataclasses import dataclass

from lorif_core.errors import ConfigError

SECONDS = {"s": 1, "m": 60, "h": 3600}


@dataclass(frozen=True)
class StopAt:
    """One of the two is set."""

    subsets: int | None = None
    """Finished ones in all, those of earlier runs included."""

    seconds: float | None = None
    """Since this run began."""


def parse_stop_at(text: str) -> StopAt:
    """``40`` subsets, or a time such as ``90s``, ``20m`` or ``1.5h``.

    Raises:
        ConfigError: It is neither.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text.strip())
    if found is None or float(found[1]) == 0 or ("." in found[1] and not found[2]):
        raise ConfigError(
            "retraining stops at a number of subsets, such as 40, or after a time, such as 90s, 20m or 1.5h; got "
            f"{text!r}."
        )
    return StopAt(seconds=float(found[1]) * SECONDS[found[2]]) if found[2] else StopAt(subsets=int(found[1]))
