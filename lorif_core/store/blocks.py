"""One shard's tensors: coded gradients per module, and two numbers per example.

    left/<module>        codes of the left factors, (n, c, …)      left_scale/<module>   (n, c) bf16
    right/<module>       codes of the right factors, (n, c, …)     right_scale/<module>  (n, c) bf16
    dense/<module>       codes of whole projected gradients, (n, …)  dense_scale/<module> (n,) bf16
    norms                float32 (n,): norm of the stored gradient over all modules
    num_tokens           int32 (n,): length before truncation

Scales exist for codecs that have them.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from lorif_core.linalg.codecs import Coded, ColumnCodec, factor_bytes
from lorif_core.linalg.factors import Factors
from lorif_core.linalg.gradients import DenseGradient
from lorif_core.linalg.signs import SignColumns, SignFactors
from lorif_core.linalg.subspace import Subspace
from lorif_core.shapes import Float, ModuleShape
from lorif_core.store.plan import Layout

Block = Factors | DenseGradient
"""Stored gradients of some consecutive examples of one module, decoded to float32."""

NUMBERS_BYTES = 8
"""Bytes per example of ``norms`` and ``num_tokens``."""


def encode_block(block: Block, module_name: str, codec: ColumnCodec) -> dict[str, Tensor]:
    """Tensors of one module, ready to be written."""
    if isinstance(block, DenseGradient):
        return _named("dense", module_name, codec.encode(block.matrix.flatten(1)))
    return _named("left", module_name, codec.encode(block.left)) | _named(
        "right", module_name, codec.encode(block.right)
    )


class Buffers:
    """Memory that modules take turns in, for each side as much as the largest takes, so that it stays in the cache.

    A fresh tensor for every module made a pass a tenth slower: the C library hands out other memory each time.
    """

    def __init__(self) -> None:
        self._memory: dict[str, Tensor] = {}
        self._views: dict[tuple[str, tuple[int, ...]], Tensor] = {}

    def tensor(self, side: str, shape: tuple[int, ...]) -> Tensor:
        """A float32 tensor in the memory of that side, with whatever it holds."""
        view = self._views.get((side, shape))
        if view is None:
            size = math.prod(shape)
            if side not in self._memory or len(self._memory[side]) < size:
                self._memory[side] = torch.empty(size, dtype=torch.float32)
                self._views = {key: one for key, one in self._views.items() if key[0] != side}
            view = self._views[side, shape] = self._memory[side][:size].view(shape)
        return view


@dataclass(frozen=True)
class CodedFactors:
    """Factors of one module as they are stored; a side becomes numbers whenever it is asked for."""

    tensors: Mapping[str, Tensor]
    module: ModuleShape
    codec: ColumnCodec
    buffers: Buffers
    """Where sides are decoded to. A side is good until the same side is asked for again, of any module with these."""

    @property
    def left(self) -> Float[Tensor, "n c d_in"]:
        """Left factors, decoded now."""
        return self._decoded("left", self.module.d_in)

    @property
    def right(self) -> Float[Tensor, "n c d_out"]:
        """Right factors, decoded now."""
        return self._decoded("right", self.module.d_out)

    def _decoded(self, side: str, width: int) -> Tensor:
        codes, scales = _codes(self.tensors, side, self.module)
        numbers = self.buffers.tensor(side, (*codes.shape[:-1], width))
        self.codec.decode_into(codes, scales, numbers)
        return numbers

    def signs(self) -> SignFactors | None:
        """The packed signs; None where the store has other codes."""
        if self.codec.name != "sign":
            return None
        return SignFactors(self._sign_columns("left"), self._sign_columns("right"))

    def _sign_columns(self, side: str) -> SignColumns:
        codes, scales = _codes(self.tensors, side, self.module)
        assert scales is not None
        return SignColumns(codes, scales)


def decode_block(tensors: Mapping[str, Tensor], module: ModuleShape, codec: ColumnCodec, layout: Layout) -> Block:
    """The stored gradients that the tensors of one module stand for."""
    if layout == "dense":
        rows = codec.decode(*_codes(tensors, "dense", module), module.dim)
        return DenseGradient(rows.view(len(rows), module.d_in, module.d_out))
    coded = CodedFactors(tensors, module, codec, Buffers())
    return Factors(coded.left, coded.right)


def _codes(tensors: Mapping[str, Tensor], kind: str, module: ModuleShape) -> tuple[Tensor, Tensor | None]:
    return tensors[f"{kind}/{module.name}"], tensors.get(f"{kind}_scale/{module.name}")


def tensor_names(module_name: str, codec: ColumnCodec, layout: Layout) -> list[str]:
    """Names under which one module's tensors lie in a shard."""
    kinds = ("dense",) if layout == "dense" else ("left", "right")
    suffixes = ("", "_scale") if codec.has_scales else ("",)
    return [f"{kind}{suffix}/{module_name}" for kind in kinds for suffix in suffixes]


def bytes_per_example(modules: list[ModuleShape], codec: ColumnCodec, factor_rank: int, layout: Layout) -> int:
    """Bytes of one example's codes and scales over all modules, without headers
    (docs/explanation/design.md §2.8)."""
    if layout == "dense":
        return sum(codec.column_bytes(module.dim) for module in modules)
    return sum(
        factor_bytes(codec, min(factor_rank, module.d_in, module.d_out), module.d_in, module.d_out)
        for module in modules
    )


def _named(kind: str, module_name: str, coded: Coded) -> dict[str, Tensor]:
    tensors = {f"{kind}/{module_name}": coded.codes.contiguous()}
    if coded.scales is not None:
        tensors[f"{kind}_scale/{module_name}"] = coded.scales.contiguous()
    return tensors


def block_rows(block: Block) -> Tensor:
    """Flattened gradients of a block, (n, D), float32."""
    return block.dense().flatten(1)


def subspace_tensors(subspace: Subspace) -> dict[str, Tensor]:
    """Tensors of one module's subspace."""
    return {
        "basis": subspace.basis.contiguous(),
        "spectrum": subspace.spectrum.contiguous(),
        "trace": torch.tensor(subspace.trace, dtype=torch.float64),
    }


def subspace_from_tensors(tensors: Mapping[str, Tensor]) -> Subspace:
    """One module's subspace from its tensors."""
    return Subspace(tensors["basis"], tensors["spectrum"], float(tensors["trace"]))
