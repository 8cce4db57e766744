"""The tensors of one shard: capture, compress and encode a run of examples, batch by batch.

Codes and energies stay where the gradients are until the shard is full, and are read once: on a GPU every number
that is looked at before would be waited for, module by module and batch by batch. There, too, gradients of modules of
one shape wait for one another and are compressed together: a call costs the host as much for one module as for ten.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lorif_core.capture.objectives import example_objective
from lorif_core.data.sequences import EncodedText, count_tokens
from lorif_core.linalg.codecs import ColumnCodec
from lorif_core.linalg.gradients import DenseGradient, ProjectedGradient, stack_gradients
from lorif_core.linalg.kept_energy import kept_as_stored
from lorif_core.linalg.maps import ModuleMaps
from lorif_core.methods.protocol import AttributionMethod
from lorif_core.passes.text_gradients import OnBatch, TrainTarget, capture_texts
from lorif_core.shapes import ModuleShape
from lorif_core.store.blocks import check_encoded, decode_block, encode_block, tensor_names

STACKED_BYTES = 256 << 20
"""Of gradients on a GPU that wait for those of other modules of their shape."""


@dataclass(frozen=True)
class GradientSource:
    """Everything that turns token sequences into stored gradients."""

    model: nn.Module
    """Inside ``frozen``."""

    maps: Mapping[str, ModuleMaps]
    """Per tracked module, on that module's device."""

    modules: Sequence[ModuleShape]
    """What is stored: the tracked modules in the model's order, or the one that their vectors are added up to."""

    method: AttributionMethod
    codec: ColumnCodec
    pad_id: int
    tokens_per_batch: int


@dataclass
class ShardTensors:
    """What a shard file holds, and what its manifest entry says of it."""

    tensors: dict[str, Tensor]
    """By the names of ``store.blocks``; rows in the order of the examples."""

    kept_energy: list[float]
    """Per module, summed squared norm of the compressed gradients, before the codec."""

    stored_energy: list[float]
    """Per module, what of ``total_energy`` is left in what is read back (``linalg.kept_energy``)."""

    total_energy: list[float]
    """Per module, summed squared norm of the projected gradients."""


def build_shard(
    source: GradientSource, examples: Sequence[EncodedText], on_batch: OnBatch = lambda *_: None
) -> ShardTensors:
    """Stored gradients of consecutive examples.

    Batches are formed by length and the order is restored, so neither the batch size nor the
    order inside a batch shows in the result beyond float rounding.

    Args:
        source: Model, maps and method.
        examples: In store order; one without any sequence is stored as zero.
        on_batch: Called with (examples, tokens) after each batch.

    Raises:
        NumericalError: A gradient is not finite.
    """
    rows = ShardRows(source, len(examples))
    capture_texts(
        source.model,
        source.maps,
        examples,
        rows.take,
        pad_id=source.pad_id,
        tokens_per_batch=source.tokens_per_batch,
        on_batch=on_batch,
        target=rows.target,
    )
    rows.compress_waiting()
    tensors, energies = rows.fill_missing(), rows.energies()
    lengths = [count_tokens(example).whole for example in examples]
    if source.method.train_objective == "margin":
        tensors["weights"] = rows.weights()
    tensors["num_tokens"] = torch.tensor(lengths, dtype=torch.int32)
    return ShardTensors(
        tensors,
        [kept for kept, _, _ in energies],
        [stored for _, stored, _ in energies],
        [total for _, _, total in energies],
    )


class ShardRows:
    """A shard being filled batch by batch; all of it lies where its module's gradients are."""

    def __init__(self, source: GradientSource, num_examples: int) -> None:
        self.source, self.num_examples = source, num_examples
        self._by_name = {module.name: module for module in source.modules}
        self.target = TrainTarget(example_objective(source.method.train_objective), self._take_values)
        self._values: list[tuple[Tensor, Tensor]] = []
        """Positions of examples and their margins, of a method that differentiates these."""

        self._columns: dict[str, Tensor] = {}
        self._squared_norms: dict[torch.device, Tensor] = {}
        self._energies: dict[str, Tensor] = {}
        """Per module that a gradient reached: kept, stored and total, (3,) float64."""

        self._place: Tensor | None = None
        self._waiting: dict[Hashable, dict[str, ProjectedGradient]] = {}
        """By what they have in common, gradients by module, all of the batch whose examples belong to ``_place``."""

    def _take_values(self, place: Tensor, values: Tensor) -> None:
        if self.source.method.train_objective == "margin":
            self._values.append((place, values))

    def weights(self) -> Tensor:
        """1 - p of each example, on the CPU; 0 of those without a target."""
        found = torch.zeros(self.num_examples)
        for place, values in self._values:
            found[place] = values.cpu().float().sigmoid()  # of log(1 - p) - log p
        return found

    def take(self, name: str, place: Tensor, gradient: ProjectedGradient) -> None:
        """Compress, encode and file one module's gradients of a batch; ``place`` says where they belong."""
        if place is not self._place:
            self.compress_waiting()
            self._place = place
        module = self._by_name[name]
        alike = (module.form, self.source.method.feature.rank_of(module), _kind(gradient))
        waiting = self._waiting.setdefault(alike, {})
        waiting[name] = gradient
        size = sum(part.nbytes for part in gradient.parts)
        if (len(waiting) + 1) * size > stacked_bytes(gradient.device):
            self._compress(self._waiting.pop(alike))

    def compress_waiting(self) -> None:
        """Compress what waits for modules of its shape."""
        for gradients in self._waiting.values():
            self._compress(gradients)
        self._waiting.clear()

    def _compress(self, gradients: Mapping[str, ProjectedGradient]) -> None:
        """Of modules of one shape, form and rank."""
        assert self._place is not None
        modules = [self._by_name[name] for name in gradients]
        feature, codec, count = self.source.method.feature, self.source.codec, len(modules)
        gradient = stack_gradients(list(gradients.values()))
        place = self._place.to(gradient.device, non_blocking=True)
        block = feature.compress(gradient, *modules)
        coded = encode_block(block, modules[0].name, codec)
        for key, rows in coded.items():
            kind = key.split("/", 1)[0]
            for module, own in zip(modules, rows.chunk(count), strict=True):
                self._column(f"{kind}/{module.name}", own).index_copy_(0, place, own)
        stored = decode_block(coded, modules[0], codec, feature.layout)
        norms = stored.squared_norm()
        if norms.device not in self._squared_norms:
            self._squared_norms[norms.device] = torch.zeros(self.num_examples, device=norms.device)
        self._squared_norms[norms.device].index_add_(0, place, norms.unflatten(0, (count, -1)).sum(0))
        energies = (block.squared_norm(), kept_as_stored(gradient, stored), gradient.squared_norm())
        self._add_energies(modules, [energy.unflatten(0, (count, -1)) for energy in energies])

    def _add_energies(self, modules: Sequence[ModuleShape], energies: Sequence[Tensor]) -> None:
        """Take in what is kept, stored and whole of some modules' gradients, each (modules, n)."""
        sums = [energy.sum(1, dtype=torch.float64) for energy in energies]
        for module, own in zip(modules, torch.stack(sums, 1), strict=True):
            before = self._energies.get(module.name)
            self._energies[module.name] = own if before is None else before + own

    def energies(self) -> list[list[float]]:
        """Per module: what is kept before the codec, as stored, and the whole."""
        there: dict[torch.device, list[str]] = {}
        for name, sums in self._energies.items():
            there.setdefault(sums.device, []).append(name)
        found: dict[str, list[float]] = {}
        for names in there.values():
            found |= zip(names, torch.stack([self._energies[name] for name in names]).tolist(), strict=True)
        return [found.get(name, [0.0, 0.0, 0.0]) for name in self._by_name]

    def fill_missing(self) -> dict[str, Tensor]:
        """All tensors, on the CPU; modules that no gradient reached hold zeros.

        Raises:
            NumericalError: A gradient was not finite.
        """
        for module in self.source.modules:
            names = tensor_names(module, self.source.codec, self.source.method.feature.layout)
            if not all(name in self._columns for name in names):
                empty = DenseGradient(torch.zeros(1, module.d_in, module.d_out))
                block = self.source.method.feature.compress(empty, module)
                for key, rows in encode_block(block, module.name, self.source.codec).items():
                    self._column(key, rows)
        tensors = {key: column.cpu() for key, column in self._columns.items()}
        check_encoded(tensors)
        squared_norms = torch.zeros(self.num_examples)
        for part in self._squared_norms.values():
            squared_norms += part.cpu()
        return tensors | {"norms": squared_norms.sqrt()}

    def _column(self, key: str, like: Tensor) -> Tensor:
        if key not in self._columns:
            self._columns[key] = like.new_zeros(self.num_examples, *like.shape[1:])
        return self._columns[key]


def stacked_bytes(device: torch.device) -> int:
    """What may wait on a device; on a CPU nothing does, where a module alone is in the cache."""
    return STACKED_BYTES if device.type == "cuda" else 0


def _kind(gradient: ProjectedGradient) -> Hashable:
    """What gradients that are stacked have in common."""
    return type(gradient), *((part.shape, part.dtype, part.device) for part in gradient.parts)
