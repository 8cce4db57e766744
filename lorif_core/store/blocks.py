"""One shard's tensors: coded gradients per module, and two numbers per example.

    left/<module>        codes of the left factors, (n, c, …)      left_scale/<module>   (n, c) bf16
    right/<module>       codes of the right factors, (n, c, …)     right_scale/<module>  (n, c) bf16
    dense/<module>       codes of whole projected gradients, (n, …)  dense_scale/<module> (n,) bf16
    norms                float32 (n,): norm of the stored gradient over all modules
    num_tokens           int32 (n,): length before truncation

Scales exist for codecs that have them.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from lorif_core.linalg.codecs import Coded, ColumnCodec, factor_bytes
from lorif_core.linalg.factors import Factors
from lorif_core.linalg.gradients import DenseGradient
from lorif_core.linalg.signs import SignColumns, SignFactors
from lorif_core.linalg.subspace import Subspace
from lorif_core.shapes import ModuleShape
from lorif_core.store.manifest import Layout

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


@dataclass(frozen=True)
class CodedFactors:
    """Factors of one module as they are stored; a side becomes numbers when it is asked for, and is not kept."""

    tensors: Mapping[str, Tensor]
    module: ModuleShape
    codec: ColumnCodec

    @property
    def left(self) -> Float[Tensor, "n c d_in"]:
        """Left factors, decoded now."""
        return _decoded(self.tensors, "left", self.module.name, self.codec, self.module.d_in)

    @property
    def right(self) -> Float[Tensor, "n c d_out"]:
        """Right factors, decoded now."""
        return _decoded(self.tensors, "right", self.module.name, self.codec, self.module.d_out)

    def signs(self) -> SignFactors | None:
        """The packed signs; None where the store has other codes."""
        if self.codec.name != "sign":
            return None
        name = self.module.name
        left, right = (
            SignColumns(self.tensors[f"{side}/{name}"], self.tensors[f"{side}_scale/{name}"])
            for side in ("left", "right")
        )
        return SignFactors(left, right)


def decode_block(tensors: Mapping[str, Tensor], module: ModuleShape, codec: ColumnCodec, layout: Layout) -> Block:
    """The stored gradients that the tensors of one module stand for."""
    if layout == "dense":
        rows = _decoded(tensors, "dense", module.name, codec, module.dim)
        return DenseGradient(rows.unflatten(1, (module.d_in, module.d_out)))
    coded = CodedFactors(tensors, module, codec)
    return Factors(coded.left, coded.right)


def _decoded(tensors: Mapping[str, Tensor], kind: str, name: str, codec: ColumnCodec, width: int) -> Tensor:
    return codec.decode(tensors[f"{kind}/{name}"], tensors.get(f"{kind}_scale/{name}"), width)


def tensor_names(module_name: str, codec: ColumnCodec, layout: Layout) -> list[str]:
    """Names under which one module's tensors lie in a shard."""
    kinds = ("dense",) if layout == "dense" else ("left", "right")
    suffixes = ("", "_scale") if codec.has_scales else ("",)
    return [f"{kind}{suffix}/{module_name}" for kind in kinds for suffix in suffixes]


def bytes_per_example(modules: list[ModuleShape], codec: ColumnCodec, factor_rank: int, layout: Layout) -> int:
    """Bytes of one example's codes and scales over all modules (DESIGN §3.6), without headers."""
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
