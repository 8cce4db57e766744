"""One shard's tensors: coded gradients per module, and a few numbers per example.

    left/<module>        codes of the left factors, (n, c, …)      left_scale/<module>   (n, c) bf16
    right/<module>       codes of the right factors, (n, c, …)     right_scale/<module>  (n, c) bf16; in indexes from
                         before a term had one scale, which lies with its left factor
    column/<module>      (n, c) int32, or int16 for up to 65,536: which columns ``left`` holds, of a module stored so
    dense/<module>       codes of whole projected gradients, (n, …)  dense_scale/<module> (n,) bf16
    norms                float32 (n,): norm of the stored gradient over all modules
    num_tokens           int32 (n,): length before truncation
    weights              float32 (n,): 1 - p of each text, which multiplies its scores; only of methods that want it

Scales exist for codecs that have them.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from lorif_core.linalg.codecs import Coded, ColumnCodec, check_finite, factor_bytes
from lorif_core.linalg.factors import Factors
from lorif_core.linalg.gradients import DenseGradient
from lorif_core.linalg.heaviest_columns import Columns
from lorif_core.linalg.signs import SignColumns, SignFactors
from lorif_core.linalg.subspace import Subspace
from lorif_core.shapes import Float, Int, ModuleShape
from lorif_core.store.plan import Layout, Plan

Block = Factors | DenseGradient | Columns
"""Stored gradients of some consecutive examples of one module, decoded to float32."""

NUMBERS_BYTES = 8
"""Bytes per example of ``norms`` and ``num_tokens``."""

WEIGHT_BYTES = 4
"""Bytes per example of ``weights``, where there are any."""


def encode_block(block: Block, module_name: str, codec: ColumnCodec) -> dict[str, Tensor]:
    """Tensors of one module, ready to be written."""
    if isinstance(block, DenseGradient):
        return _named("dense", module_name, codec.encode(block.matrix.flatten(1)))
    if isinstance(block, Columns):
        kept = _shifted(block.places, block.d_out)
        return _named("left", module_name, codec.encode(block.left)) | {f"column/{module_name}": kept}
    left, right = codec.encode_pair(block.left, block.right)
    return _named("left", module_name, left) | _named("right", module_name, right)


def check_encoded(tensors: Mapping[str, Tensor]) -> None:
    """Refuse tensors of ``encode_block`` that do not stand for finite gradients.

    Raises:
        NumericalError: Names the first such module.
    """
    for name, stored in tensors.items():
        check_finite(name.split("/", 1)[1], stored)


class Buffers:
    """Memory that modules take turns in, for each side as much as the largest takes, so that it stays in the cache.

    A fresh tensor for every module made a pass a tenth slower: the C library hands out other memory each time.
    """

    def __init__(self) -> None:
        self._memory: dict[str, Tensor] = {}
        self._views: dict[tuple[str, tuple[int, ...]], Tensor] = {}

    def tensor(self, side: str, shape: tuple[int, ...], device: torch.device) -> Tensor:
        """A float32 tensor in the memory of that side, with whatever it holds; of one device at a time."""
        view = self._views.get((side, shape))
        if view is None or view.device != device:
            size = math.prod(shape)
            memory = self._memory.get(side)
            if memory is None or memory.device != device or len(memory) < size:
                self._memory[side] = torch.empty(size, dtype=torch.float32, device=device)
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
        numbers = self.buffers.tensor(side, (*codes.shape[:-1], width), codes.device)
        self.codec.decode_into(codes, scales, numbers)
        return numbers

    def signs(self) -> SignFactors | None:
        """The packed signs; None where the store has other codes."""
        if self.codec.name != "sign":
            return None
        return SignFactors(self._sign_columns("left"), self._sign_columns("right"))

    def _sign_columns(self, side: str) -> SignColumns:
        return SignColumns(*_codes(self.tensors, side, self.module))


@dataclass(frozen=True)
class CodedColumns:
    """Columns of one module as they are stored."""

    tensors: Mapping[str, Tensor]
    module: ModuleShape
    codec: ColumnCodec

    @property
    def places(self) -> Int[Tensor, "n m"]:
        """Which columns they are."""
        return _unshifted(self.tensors[f"column/{self.module.name}"])

    def decoded(self) -> Columns:
        """As numbers."""
        left = self.codec.decode(*_codes(self.tensors, "left", self.module), self.module.d_in)
        return Columns(left, self.places, self.module.d_out)

    def signs(self) -> SignColumns | None:
        """The packed signs; None where the store has other codes."""
        if self.codec.name != "sign":
            return None
        codes, scales = _codes(self.tensors, "left", self.module)
        assert scales is not None
        return SignColumns(codes, scales)


SHORT_WIDTH = 1 << 16
"""Up to how many columns their numbers take two bytes."""


def _shifted(places: Tensor, d_out: int) -> Tensor:
    """Numbers of columns as they are stored: two signed bytes where these suffice."""
    if d_out > SHORT_WIDTH:
        return places.to(torch.int32)
    return (places - SHORT_WIDTH // 2).to(torch.int16)


def _unshifted(stored: Tensor) -> Tensor:
    return stored.long() + (SHORT_WIDTH // 2 if stored.dtype == torch.int16 else 0)


def column_bytes(codec: ColumnCodec, module: ModuleShape) -> int:
    """Bytes of one stored column of a module, with its number."""
    return codec.column_bytes(module.d_in) + (2 if module.d_out <= SHORT_WIDTH else 4)


def term_bytes(codec: ColumnCodec, module: ModuleShape) -> int:
    """Bytes of one term of a module: a pair of factors, or a column."""
    if module.form == "columns":
        return column_bytes(codec, module)
    return factor_bytes(codec, 1, module.d_in, module.d_out)


def decode_block(tensors: Mapping[str, Tensor], module: ModuleShape, codec: ColumnCodec, layout: Layout) -> Block:
    """The stored gradients that the tensors of one module stand for."""
    if layout == "dense":
        rows = codec.decode(*_codes(tensors, "dense", module), module.dim)
        return DenseGradient(rows.view(len(rows), module.d_in, module.d_out))
    if module.form == "columns":
        return CodedColumns(tensors, module, codec).decoded()
    coded = CodedFactors(tensors, module, codec, Buffers())
    return Factors(coded.left, coded.right)


def _codes(tensors: Mapping[str, Tensor], kind: str, module: ModuleShape) -> tuple[Tensor, Tensor | None]:
    return tensors[f"{kind}/{module.name}"], tensors.get(f"{kind}_scale/{module.name}")


def tensor_names(module: ModuleShape, codec: ColumnCodec, layout: Layout) -> list[str]:
    """Names under which one module's tensors lie in a shard."""
    kinds = ("dense",) if layout == "dense" else ("left",) if module.form == "columns" else ("left", "right")
    scaled = [kind for kind in kinds if codec.has_scales and not (kind == "right" and codec.one_scale_per_term)]
    names = [f"{prefix}/{module.name}" for prefix in (*kinds, *(f"{kind}_scale" for kind in scaled))]
    return [*names, f"column/{module.name}"] if module.form == "columns" else names


def code_names(plan: Plan, *modules: ModuleShape) -> list[str]:
    """Names under which codes, scales and columns lie in the shards of an index: of some modules, or of all."""
    codec = plan.column_codec
    return [name for module in modules or plan.modules for name in tensor_names(module, codec, plan.layout)]


def bytes_per_example(
    modules: list[ModuleShape], codec: ColumnCodec, rank_of: Callable[[ModuleShape], int], layout: Layout
) -> int:
    """Bytes of one example's codes and scales over all modules, without headers
    (docs/explanation/design.md §2.8)."""
    if layout == "dense":
        return sum(codec.column_bytes(module.dim) for module in modules)
    return sum(rank_of(module) * term_bytes(codec, module) for module in modules)


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
