"""A model whose weights are divided among the processes that torchrun started, so that none of them holds it whole.

Every process gathers a layer's weights when it comes to it and lets them go behind it (FSDP2). Each has texts of its
own; as the weights are frozen, no gradient is exchanged, and a text's gradient is the one that the whole model gives.
Gathering is done by all processes together, so they have to run their passes in step: one that has no work left runs
passes over nothing for as long as another has (``Lockstep``).
Source: Zhao et al., "PyTorch FSDP" (arXiv:2304.11277), and `torch.distributed.fsdp.fully_shard`.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from lorif_core.config import ModelConfig
from lorif_core.errors import ConfigError, ModelError
from lorif_core.models.load import LoadedModel, choose_device, load_model

NAMES = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
"""What torchrun tells its processes by."""


@dataclass(frozen=True)
class Rank:
    """Which of the processes of a torchrun this is."""

    number: int
    """From 0."""

    count: int
    local: int
    """On its machine, from 0: the number of its GPU."""


def rank_of_process() -> Rank:
    """Which process this is.

    Raises:
        ConfigError: It is none of torchrun's.
    """
    if not all(name in os.environ for name in NAMES):
        raise ConfigError(
            "`--shard-model` divides a model among the processes that torchrun starts, and this process is none of "
            "them. Run `torchrun --standalone --nproc-per-node 8 --no-python lorif index-part … --shard-model`."
        )
    return Rank(*(int(os.environ[name]) for name in NAMES))


@contextmanager
def joined_ranks(rank: Rank, device: str) -> Iterator[torch.device]:
    """Join the other processes while the block runs; yields this one's device.

    Raises:
        ModelError: The device is not there, or has fewer GPUs than the machine has processes.
    """
    kind = choose_device(device).type
    if kind == "cuda":
        if rank.local >= torch.cuda.device_count():
            raise ModelError(
                f"a process for each GPU can be started, this is number {rank.local + 1} on a machine of "
                f"{torch.cuda.device_count()}. Pass a smaller `--nproc-per-node`."
            )
        torch.cuda.set_device(rank.local)
    dist.init_process_group("nccl" if kind == "cuda" else "gloo")
    try:
        yield torch.device(kind, rank.local) if kind == "cuda" else torch.device(kind)
    finally:
        dist.destroy_process_group()


def load_sharded(settings: ModelConfig, device: torch.device) -> LoadedModel:
    """A model that is divided among the joined processes, each of which reads it from its files for a moment.

    Raises:
        ModelError: It cannot be loaded, or is quantised.
    """
    is_gpu = device.type == "cuda"
    loaded = load_model(replace(settings, device="cpu"), keeps_dtype=is_gpu)
    if getattr(loaded.model, "is_quantized", False):
        raise ModelError(
            f"{settings.model!r} is quantised, and such a model cannot be divided: leave `--shard-model` out."
        )
    for parameter in loaded.model.parameters():
        parameter.requires_grad_(False)
    mesh = init_device_mesh(device.type, (dist.get_world_size(),))
    for layer in _layers(loaded.model):
        fully_shard(layer, mesh=mesh)
    fully_shard(loaded.model, mesh=mesh)
    return loaded


def _layers(model: nn.Module) -> Iterator[nn.Module]:
    """Modules that stand in a list which is in no other list: the layers of a model, not the experts of one."""
    for child in model.children():
        if isinstance(child, nn.ModuleList):
            yield from child
        else:
            yield from _layers(child)


@dataclass
class Lockstep:
    """Keeps the passes of all processes in step."""

    device: torch.device
    is_idle: bool = field(default=False, init=False)

    def before_pass(self, model: nn.Module, args: Any) -> None:
        """To be called before each forward pass, which a backward pass follows."""
        if not self.is_idle:
            self._any_at_work(is_at_work=True)

    def wait_for_others(self, idle_pass: Callable[[], object]) -> None:
        """Run passes over nothing until no process has work."""
        self.is_idle = True
        while self._any_at_work(is_at_work=False):
            idle_pass()

    def _any_at_work(self, *, is_at_work: bool) -> bool:
        flag = torch.tensor(int(is_at_work), device=self.device)
        dist.all_reduce(flag, dist.ReduceOp.MAX)
        return bool(flag)
