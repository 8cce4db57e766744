"""Chosen texts, and chosen terms, of an index as shards: what a search reads goes through the code of a whole pass.

Every stored tensor of a module has the texts in its first dimension and, of factors and columns, the terms in its
second one. So some texts, some terms, or every term as a text by itself are views of the same tensors.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from lorif_core.shapes import Int, ModuleShape
from lorif_core.store.blocks import code_names
from lorif_core.store.cores import in_order, num_cores
from lorif_core.store.reader import MOST_WORKERS, Result, Shard, StoreReader
from lorif_core.store.tensor_files import TensorRows


@dataclass(frozen=True)
class SomeTerms:
    """Rows of which only some terms are seen, module by module."""

    rows_of: TensorRows
    terms: Mapping[str, Sequence[int]]
    """Per module that is read, ascending positions of terms."""

    def rows(self, name: str, rows: range) -> Tensor:
        """Some consecutive rows of one tensor, with the chosen terms."""
        whole = self.rows_of.rows(name, rows)
        terms = self.terms.get(name.partition("/")[2])
        if terms is None or len(terms) == whole.shape[1]:
            return whole
        first = terms[0]
        if terms[-1] - first + 1 == len(terms):
            return whole[:, first : first + len(terms)]
        return whole[:, list(terms)]


@dataclass(frozen=True)
class TermsAsTexts:
    """Rows of one module of c terms each, seen as c times as many rows of one term."""

    rows_of: TensorRows
    num_terms: int
    """c."""

    def rows(self, name: str, rows: range) -> Tensor:
        """Some consecutive rows of one tensor."""
        assert not rows.start % self.num_terms
        assert not rows.stop % self.num_terms
        texts = range(rows.start // self.num_terms, rows.stop // self.num_terms)
        return self.rows_of.rows(name, texts).flatten(0, 1).unsqueeze(1)


@dataclass(frozen=True)
class GatheredRows:
    """Rows that were copied together."""

    tensors: Mapping[str, Tensor]

    def rows(self, name: str, rows: range) -> Tensor:
        """Some consecutive rows of one tensor."""
        return self.tensors[name][rows.start : rows.stop]


class Gathered(NamedTuple):
    """Chosen texts of an index."""

    positions: Int[Tensor, " m"]
    """In store order."""

    pieces: list[Shard]
    """The same texts, divided among the cores; their own positions mean nothing."""

    def each(self, work: Callable[[Shard], Result]) -> list[Result]:
        """What ``work`` gives for every piece, each on its share of the cores."""
        if len(self.pieces) == 1:
            return [work(self.pieces[0])]
        return list(in_order(work, self.pieces, len(self.pieces)))


def gather(reader: StoreReader, positions: Int[Tensor, " m"]) -> Gathered:
    """Copy the codes of some texts together.

    Args:
        reader: Of a complete index.
        positions: Ascending, each once; at least one.

    Raises:
        DamagedArtefact: A shard's bytes differ from its checksum; names the file.
    """
    names = code_names(reader.manifest)
    starts = torch.tensor([shard.start for shard in reader.manifest.shards])
    owners = torch.searchsorted(starts, positions, right=True) - 1
    numbers, counts = owners.unique_consecutive(return_counts=True)
    local = (positions - starts[owners]).split(counts.tolist())

    def copied(item: tuple[int, Tensor]) -> list[Tensor]:
        shard = reader.shard(item[0])
        return [shard.tensor(name)[item[1]] for name in names]

    workers = max(1, min(num_cores(), MOST_WORKERS, len(numbers)))
    found = list(in_order(copied, list(zip(numbers.tolist(), local, strict=True)), workers))
    rows = GatheredRows({name: torch.cat(own) for name, own in zip(names, zip(*found, strict=True), strict=True)})
    step = -(-len(positions) // max(1, min(num_cores(), MOST_WORKERS)))
    whole = Shard(0, reader.manifest, rows, range(len(positions)))
    return Gathered(positions, [whole.part(slice(at, at + step)) for at in range(0, len(positions), step)])


def with_terms(shard: Shard, terms: Mapping[str, Sequence[int]]) -> Shard:
    """The shard with only some of its terms."""
    return replace(shard, file=SomeTerms(shard.file, terms))


def with_terms_as_texts(shard: Shard, num_terms: int) -> Shard:
    """The shard with every term of a module as a text by itself: those of the first text, of the second, …"""
    rows = range(shard.rows.start * num_terms, shard.rows.stop * num_terms)
    return replace(shard, file=TermsAsTexts(shard.file, num_terms), rows=rows)


def num_terms(reader: StoreReader, module: ModuleShape) -> int:
    """Terms that are stored of a module; 1 for whole gradients, which are read or not."""
    if reader.manifest.layout == "dense":
        return 1
    codes = code_names(reader.manifest, module)[0]
    return reader.shard(0).part(slice(0, 1)).tensor(codes).shape[1]
