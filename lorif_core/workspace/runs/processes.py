"""The processes of a run, where DistributedDataParallel trains with several; alone, all of this does nothing."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, distributed

from lorif_core.linalg.whitening import Moments


def is_divided() -> bool:
    """Whether there are several."""
    return distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1


def rank() -> int:
    """This one's number."""
    return distributed.get_rank() if is_divided() else 0


def wait_for_all() -> None:
    """Go on when every process is here."""
    if is_divided():
        distributed.barrier()


@contextmanager
def first_alone() -> Iterator[bool]:
    """Whether this is the process that does the block's work; all leave the block together, also if it raises."""
    wait_for_all()
    try:
        yield rank() == 0
    finally:
        wait_for_all()


def sum_over_all(numbers: Tensor) -> Tensor:
    """The sum over the processes, in place."""
    if is_divided():
        distributed.all_reduce(numbers)
    return numbers


def sum_moments(moments: Mapping[str, Moments]) -> None:
    """Have every process know the second moments of all."""
    for one in moments.values() if is_divided() else ():
        sum_over_all(one.inputs)
        sum_over_all(one.output_grads)
        counts = sum_over_all(torch.tensor([one.num_tokens, one.num_inputs], device=one.inputs.device))
        one.num_tokens, one.num_inputs = counts.tolist()
