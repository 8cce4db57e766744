"""In which precision a model computes on a CPU: float32, or bfloat16 where the processor multiplies it faster.

Under autocast a forward and a backward pass multiply in bfloat16; norms, softmax and losses, Gram matrices, factors
and sums stay in float32. It is 1.2 to 3 times faster from a width of 256 on and nothing below (docs/decisions/0041).
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, Literal

import torch
from torch import Tensor, nn

from lorif_core.config import Precision
from lorif_core.turns import base_of

Recorded = Literal["bfloat16"] | None
"""Precision as an index records it; None is float32 on a CPU, as before there was another."""

NARROWEST = 256
"""Width of a model from which bfloat16 was measured to gain."""

GAIN = 1.3
"""How many times faster the processor must multiply in bfloat16."""

_TRIAL_WIDTH, _TRIAL_ROUNDS = 512, 20


def possible_precisions(asked: Precision, model: nn.Module) -> list[Recorded]:
    """What an index may be computed in, the best first; ``auto`` goes on with one that is begun in either."""
    if asked != "auto":
        return ["bfloat16" if asked == "bfloat16" else None]
    return ["bfloat16", None] if _suits(model) and processor_gains() else [None, "bfloat16"]


def _suits(model: nn.Module) -> bool:
    """Whether a model is wide, in float32 on a CPU, and without experts: rounding would route tokens otherwise."""
    config: Any = getattr(base_of(model), "config", None)
    has_experts = any(
        getattr(config, name, None) for name in ("num_experts", "num_local_experts", "n_routed_experts")
    )
    is_float32 = all(one.dtype == torch.float32 and one.device.type == "cpu" for one in model.parameters())
    width = next((one.shape[1] for one in model.parameters() if one.ndim == 2), 0)
    return is_float32 and not has_experts and width >= NARROWEST


@cache
def processor_gains() -> bool:
    """Whether the processor multiplies matrices faster in bfloat16; timed once per process, in some
    hundredths of a second; the fastest of many rounds counts, as other processes disturb some."""
    wide = torch.ones(_TRIAL_WIDTH, _TRIAL_WIDTH)
    narrow = wide.bfloat16()
    return _seconds(lambda: wide @ wide) > GAIN * _seconds(lambda: narrow @ narrow)


def _seconds(multiply: Callable[[], Tensor]) -> float:
    multiply()
    taken: list[float] = []
    for _ in range(_TRIAL_ROUNDS):
        began = time.perf_counter()
        multiply()
        taken.append(time.perf_counter() - began)
    return min(taken)


@contextmanager
def compute_in(model: nn.Module, precision: Recorded) -> Iterator[None]:
    """Have a model's forward passes on a CPU, and the backward passes that follow them, compute in a precision.

    A GPU always computes under bfloat16 autocast.
    """
    if precision is None:
        yield
        return
    with _under_autocast(model, lambda: torch.autocast("cpu", torch.bfloat16)):
        yield


@contextmanager
def compute_in_float32(model: nn.Module) -> Iterator[None]:
    """Have a model's passes compute in its weights' own dtype, on a GPU and inside ``compute_in`` as well."""
    kind = next(model.parameters()).device.type
    with _under_autocast(model, lambda: torch.autocast(kind, enabled=False)):
        yield


@contextmanager
def _under_autocast(model: nn.Module, begin: Callable[[], torch.autocast]) -> Iterator[None]:
    entered: list[torch.autocast] = []  # several where a forward pass contains another

    def enter(module: nn.Module, args: Any) -> None:
        entered.append(begin())
        entered[-1].__enter__()

    def leave(module: nn.Module, args: Any, output: Any) -> None:
        entered.pop().__exit__(None, None, None)

    before = model.register_forward_pre_hook(enter)
    # Before the hooks of a block around this one: each restores what it found, so the last in must be the first out.
    after = model.register_forward_hook(leave, prepend=True, always_call=True)
    try:
        yield
    finally:
        before.remove()
        after.remove()
