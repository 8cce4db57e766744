"""How far the score of a text can lie from what was read of it.

A stored term is x yᵀ. What it adds to a score is at most ‖x‖ ‖y‖ σ₁(Q') of its module's query Q', and in an output
head, where y is one place of the vocabulary, ‖x‖ times the norm of the heaviest column of Q'. A column of d codes of
at most c steps is at most scale · c √d long, so the scales alone bound the norms: they are read of every text, a few
bytes a term. Where a store has no scales, or whole gradients, Cauchy and Schwarz take the text's stored norm and the
question's.
"""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from lorif_core.linalg.cut_queries import CutQuery, cut_query
from lorif_core.linalg.scores import DirectQueries, FactoredQueries
from lorif_core.linalg.typed_torch import matrix_norm
from lorif_core.passes.gathered import num_terms
from lorif_core.passes.products import ModuleQueries
from lorif_core.shapes import Float, ModuleShape
from lorif_core.store.blocks import code_names
from lorif_core.store.reader import Shard, StoreReader

LARGEST_CODE = {"sign": 1, "int8": 127, "int4": 7}
"""Steps that a code of a codec with scales is at most away from zero."""


class Ceilings:
    """Of one member of a question: at most how much more than what was read a product can be, either way."""

    def __init__(
        self,
        reader: StoreReader,
        queries: Mapping[str, ModuleQueries],
        cut: Mapping[str, CutQuery],
        terms: Mapping[str, Sequence[int]],
    ) -> None:
        """Prepare for one question.

        Args:
            reader: Of the index.
            queries: The whole question.
            cut: As it is read, with bounds; of the modules that are stored as terms.
            terms: Which terms are read.
        """
        self._norm: float | None = None
        self._weights: dict[str, Tensor] = {}
        manifest = reader.manifest
        if manifest.layout == "dense" or manifest.codec not in LARGEST_CODE:
            self._norm = math.sqrt(sum(_squared_norm(one) for one in queries.values()))
            return
        self._names = {one.name: code_names(manifest, one) for one in reader.modules}
        for module in reader.modules:
            own = cut[module.name]
            bounds = torch.full((num_terms(reader, module),), own.whole)
            bounds[list(terms.get(module.name, ()))] = own.missing
            self._weights[module.name] = bounds * _longest(module, LARGEST_CODE[manifest.codec])

    def of_shard(self, shard: Shard) -> Float[Tensor, " n"]:
        """Of each text of a shard."""
        if self._norm is not None:
            return shard.norms() * self._norm
        total = torch.zeros(shard.num_examples)
        for module, weights in self._weights.items():
            if not weights.any():
                continue
            lengths = shard.tensor(f"left_scale/{module}").float()
            if f"right_scale/{module}" in self._names[module]:
                lengths = lengths * shard.tensor(f"right_scale/{module}").float()
            total.addmv_(lengths.abs_(), weights)
        return total

    def bytes_read(self, shard: Shard, terms: Mapping[str, Sequence[int]]) -> int:
        """Bytes per text that are read for ceilings alone: scales of terms that are not read otherwise."""
        if self._norm is not None:
            return torch.float32.itemsize
        read = 0
        for module, weights in self._weights.items():
            scales = [name for name in self._names[module] if name.partition("/")[0].endswith("_scale")]
            sizes = sum(shard.tensor(name).element_size() for name in scales)
            read += sizes * (len(weights) - len(terms.get(module, ()))) if weights.any() else 0
        return read


def _longest(module: ModuleShape, largest_code: int) -> float:
    """Length of a term whose scales are 1, at most."""
    left = largest_code * math.sqrt(module.d_in)
    return left if module.form == "columns" else left * largest_code * math.sqrt(module.d_out)


def _squared_norm(queries: ModuleQueries) -> float:
    if isinstance(queries, Tensor):
        return float(queries.double().square().sum())
    if isinstance(queries, DirectQueries):
        return float(matrix_norm(queries.matrix.double()).square())
    left, right = queries.left.double(), queries.right.double()
    return float(((left.mT @ left) * (right.mT @ right)).sum())


def cut_all(
    reader: StoreReader, queries: Mapping[str, ModuleQueries], ranks: Sequence[int | None]
) -> list[dict[str, CutQuery]]:
    """For each rank a question's part of every module that is stored as terms, cut to it."""
    found: list[dict[str, CutQuery]] = [{} for _ in ranks]
    for module in reader.modules:
        own = queries[module.name]
        if isinstance(own, DirectQueries | FactoredQueries):
            for into, cut in zip(found, cut_query(own, ranks, of_columns=module.form == "columns"), strict=True):
                into[module.name] = cut
    return found
