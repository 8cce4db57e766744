"""The tensors of one shard: capture, compress and encode a run of examples, batch by batch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from lorif_core.data.sequences import EncodedText, count_tokens
from lorif_core.linalg.codecs import ColumnCodec
from lorif_core.linalg.gradients import DenseGradient, ProjectedGradient
from lorif_core.linalg.kept_energy import kept_as_stored
from lorif_core.linalg.maps import ModuleMaps
from lorif_core.methods.protocol import AttributionMethod
from lorif_core.passes.text_gradients import OnBatch, capture_texts
from lorif_core.shapes import ModuleShape
from lorif_core.store.blocks import decode_block, encode_block, tensor_names


@dataclass(frozen=True)
class GradientSource:
    """Everything that turns token sequences into stored gradients."""

    model: nn.Module
    """Inside ``frozen``."""

    maps: Mapping[str, ModuleMaps]
    """Per tracked module, on that module's device."""

    modules: Sequence[ModuleShape]
    """The tracked modules, in the model's order."""

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
    """
    rows = _ShardRows(source, len(examples))
    capture_texts(
        source.model,
        source.maps,
        examples,
        rows.take,
        pad_id=source.pad_id,
        tokens_per_batch=source.tokens_per_batch,
        on_batch=on_batch,
    )
    rows.tensors["norms"] = rows.squared_norms.sqrt()
    lengths = [count_tokens(example).whole for example in examples]
    rows.tensors["num_tokens"] = torch.tensor(lengths, dtype=torch.int32)
    return ShardTensors(
        rows.fill_missing(),
        [rows.kept_energy[module.name] for module in source.modules],
        [rows.stored_energy[module.name] for module in source.modules],
        [rows.total_energy[module.name] for module in source.modules],
    )


@dataclass
class _ShardRows:
    """A shard being filled batch by batch."""

    source: GradientSource
    num_examples: int
    tensors: dict[str, Tensor] = field(default_factory=dict)
    kept_energy: dict[str, float] = field(default_factory=dict)
    stored_energy: dict[str, float] = field(default_factory=dict)
    total_energy: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.by_name = {module.name: module for module in self.source.modules}
        self.kept_energy = dict.fromkeys(self.by_name, 0.0)
        self.stored_energy = dict.fromkeys(self.by_name, 0.0)
        self.total_energy = dict.fromkeys(self.by_name, 0.0)
        self.squared_norms = torch.zeros(self.num_examples)

    def take(self, name: str, place: Tensor, gradient: ProjectedGradient) -> None:
        """Compress, encode and file one module's gradients of a batch; ``place`` says where they belong."""
        module, method = self.by_name[name], self.source.method
        block = method.feature.compress(gradient, module)
        self.kept_energy[name] += float(block.squared_norm().sum(dtype=torch.float64))
        self.total_energy[name] += float(gradient.squared_norm().sum(dtype=torch.float64))
        coded = {key: tensor.cpu() for key, tensor in encode_block(block, name, self.source.codec).items()}
        for key, rows in coded.items():
            self._column(key, rows)[place] = rows
        stored = decode_block(coded, module, self.source.codec, method.feature.layout)
        self.squared_norms[place] += stored.squared_norm()
        self.stored_energy[name] += float(kept_as_stored(gradient, stored).sum())

    def fill_missing(self) -> dict[str, Tensor]:
        """All tensors; modules that no gradient reached hold zeros."""
        for module in self.source.modules:
            if all(
                name in self.tensors
                for name in tensor_names(module, self.source.codec, self.source.method.feature.layout)
            ):
                continue
            empty = DenseGradient(torch.zeros(1, module.d_in, module.d_out))
            block = self.source.method.feature.compress(empty, module)
            for key, rows in encode_block(block, module.name, self.source.codec).items():
                self._column(key, rows)
        return self.tensors

    def _column(self, key: str, like: Tensor) -> Tensor:
        if key not in self.tensors:
            self.tensors[key] = torch.zeros(self.num_examples, *like.shape[1:], dtype=like.dtype)
        return self.tensors[key]
