"""Where questions are multiplied with indexes: on the GPU that the model is on, else by the processor."""

from collections.abc import Callable
from functools import cache
from typing import TypeVar

import torch

from lorif_core.passes.device_shards import ScoringDevice

Done = TypeVar("Done")


def scoring_device(device: torch.device) -> ScoringDevice | None:
    """The one of this process for a model's device, with the indexes that stay there; None: the processor."""
    if device.type != "cuda":
        return None
    return _of_number(torch.cuda.current_device() if device.index is None else device.index)


@cache
def _of_number(number: int) -> ScoringDevice:
    return ScoringDevice(torch.device("cuda", number))


def with_room(place: ScoringDevice | None, work: Callable[[], Done]) -> Done:
    """Do something that needs memory where a model is; indexes that stay there make room for it."""
    return work() if place is None else place.with_room(work)
