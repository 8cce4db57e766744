"""Many preconditioned queries of one module as products A Bᵀ, each of as few directions as it has.

A query of few tokens has few directions, and most of its norm lies in fewer still. So what stands side by side is as
many columns per query as it needs, not as many as the widest one. Against sign codes some columns at a time are
looked up, as many as a table in the processor's cache has; the bytes of a block of examples become indices once for
all of them. Per pair of a query and an example that is its rank times c·(d_in + d_out) ÷ 8 look-ups.

How much of a query may be left out is one share of its norm over all modules together: its weakest directions go
first, wherever they are. By Cauchy and Schwarz no score moves by more than that share of ‖Q'‖·‖g_n‖.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import one_hot, pad

from lorif_core.linalg.factors import Factors, FactorSides
from lorif_core.linalg.gradients import DenseGradient, ProjectedGradient, SequenceGradient
from lorif_core.linalg.scores import (
    COLUMNS_AT_ONCE,
    NUMBERS_AT_ONCE,
    RANK_TOLERANCE,
    ColumnSides,
    DirectQueries,
    FactoredQueries,
    Plan,
    PreparedQueries,
    ScoreSums,
)
from lorif_core.linalg.signs import SignColumns, SignFactors, sign_entries, sign_table
from lorif_core.linalg.typed_torch import orthonormal_basis, thin_svd
from lorif_core.shapes import Bool, Float

VECTORS_AT_ONCE = 64
"""Columns of a table. One of 32 takes as long per column, one of 128 half as long again: it leaves the cache."""

SIGN_COLUMNS_AT_ONCE = 4096
"""Sign-coded columns whose products with a table are alive together (1 MB a side)."""


class _Piece(NamedTuple):
    """Some consecutive queries that are multiplied at once."""

    first_query: int
    columns: slice
    """Theirs."""

    owners: Float[Tensor, "K q"]
    """1 where a column is of a query."""


@dataclass(frozen=True)
class BatchedQueries:
    """Preconditioned query matrices of one module as products A Bᵀ, of a rank of its own each."""

    left: Float[Tensor, "d_in K"]
    """A of query 0, then of query 1, …"""

    right: Float[Tensor, "d_out K"]
    """B, in the same order."""

    ranks: tuple[int, ...]
    """Columns of each query; may be 0."""

    @property
    def plan(self) -> Plan:
        """The name of this layout."""
        return "factored"

    @property
    def num_queries(self) -> int:
        """Q."""
        return len(self.ranks)

    @property
    def device(self) -> torch.device:
        """Where they lie."""
        return self.left.device

    @property
    def nbytes(self) -> int:
        """Of both sides."""
        return self.left.nbytes + self.right.nbytes

    @property
    def rank(self) -> int:
        """Of the widest query."""
        return max(self.ranks, default=0)

    @property
    def width(self) -> int:
        """Numbers per stored column that a product makes at once."""
        return max(COLUMNS_AT_ONCE, self.rank)

    def on_device(self, device: torch.device) -> FactoredQueries:
        """The same for stored gradients on a device, where columns of zeros cost less than columns by the piece."""
        return self.filled().on_device(device)

    def filled(self) -> FactoredQueries:
        """With as many columns for each query as the widest one has."""
        most = max(1, self.rank)

        def filled(side: Tensor) -> Tensor:
            return torch.cat(
                [pad(own, (0, most - own.shape[1])) for own in torch.split(side, list(self.ranks), 1)], 1
            )

        return FactoredQueries(filled(self.left), filled(self.right), self.num_queries)

    def add_scores(self, sums: ScoreSums, block: FactorSides) -> None:
        """Add the scores of a block of examples."""
        sides = Factors(block.left, block.right)
        for piece in self._pieces(COLUMNS_AT_ONCE):
            products = (sides.left @ self.left[:, piece.columns]).mul_(sides.right @ self.right[:, piece.columns])
            sums.add((products.sum(1) @ piece.owners).T, piece.first_query)

    def add_sign_scores(self, sums: ScoreSums, block: SignFactors) -> None:
        """Add the scores of a block of sign-coded examples, from their packed bits."""
        num_examples, num_terms = block.left.codes.shape[:2]
        left, right = sign_entries(block.left.codes), sign_entries(block.right.codes)
        scales = _scales(block.left, block.right)
        step = max(1, SIGN_COLUMNS_AT_ONCE // num_terms)
        for piece in self._sign_pieces:
            own_left, own_right = (sign_table(side[:, piece.columns]) for side in (self.left, self.right))
            for start in range(0, num_examples, step):
                some = slice(start * num_terms, (start + step) * num_terms)
                products = own_left.sums(left[some]).mul_(own_right.sums(right[some])) @ piece.owners
                if scales is not None:
                    products.mul_(scales[some])
                sums.add_to_rows(_of_examples(products, num_terms), piece.first_query, start)

    def add_column_scores(self, sums: ScoreSums, block: ColumnSides) -> None:
        """Add the scores of a block of examples of which columns are stored."""
        signs, places = block.signs(), block.places
        num_examples, num_terms = places.shape
        left = block.decoded().left.flatten(0, 1) if signs is None else sign_entries(signs.codes)
        scales = None if signs is None else _scales(signs)
        for piece in self._sign_pieces:
            own = self.left[:, piece.columns] if signs is None else sign_table(self.left[:, piece.columns])
            own_right = self.right[:, piece.columns].contiguous()
            step = max(1, NUMBERS_AT_ONCE // (num_terms * max(1, own_right.shape[1])))
            for start in range(0, num_examples, step):
                some = slice(start * num_terms, (start + step) * num_terms)
                products = left[some] @ own if isinstance(own, Tensor) else own.sums(left[some])
                products = products.mul_(own_right[places[start : start + step].flatten()]) @ piece.owners
                if scales is not None:
                    products.mul_(scales[some])
                sums.add_to_rows(_of_examples(products, num_terms), piece.first_query, start)

    @property
    def reads_signs(self) -> bool:
        """Whether ``add_sign_scores`` is the faster way for sign codes."""
        return True

    @cached_property
    def _sign_pieces(self) -> list[_Piece]:
        return list(self._pieces(VECTORS_AT_ONCE))

    def _pieces(self, columns_at_once: int) -> Iterator[_Piece]:
        """Consecutive queries with so many columns together; one that has more is by itself."""
        first, start, ranks = 0, 0, self.ranks
        while first < len(ranks):
            behind, stop = first + 1, start + ranks[first]
            while behind < len(ranks) and stop + ranks[behind] - start <= columns_at_once:
                stop += ranks[behind]
                behind += 1
            owners = torch.arange(behind - first).repeat_interleave(torch.tensor(ranks[first:behind]))
            if stop > start:
                yield _Piece(first, slice(start, stop), one_hot(owners, behind - first).to(self.left))
            first, start = behind, stop


def _of_examples(products: Float[Tensor, "m q"], num_terms: int) -> Float[Tensor, "q n"]:
    """Sums over the terms of each example."""
    return products.view(-1, num_terms, products.shape[1]).sum(1).T


def _scales(*sides: SignColumns) -> Float[Tensor, "m 1"] | None:
    """What each term's signs are multiplied by, both sides together."""
    found = [side.scales.float().flatten() for side in sides if side.scales is not None]
    return torch.stack(found).prod(0).unsqueeze(1) if found else None


ModuleBatch = BatchedQueries | DirectQueries
"""Many queries of one module; where all have full rank, as whole matrices."""


def directions_of(gradient: ProjectedGradient) -> tuple[Float[Tensor, "B d_in k"], Float[Tensor, "B d_out k"]]:
    """Both sides of a batch of gradients as sums of directions that are orthogonal on both, the strongest first.

    Of gradients that are sums over tokens no whole matrix is formed: X = Q R and Y = P S leave the singular values of
    the small R Sᵀ. On the CPU, found in float64.
    """
    if isinstance(gradient, SequenceGradient):
        inputs, outputs = (side.cpu().double().mT for side in (gradient.inputs, gradient.output_grads))
        left_basis, right_basis = orthonormal_basis(inputs), orthonormal_basis(outputs)
        u, s, vh = thin_svd((left_basis.mT @ inputs) @ (right_basis.mT @ outputs).mT)
        u, v = left_basis @ u, right_basis @ vh.mT
    else:
        u, s, vh = thin_svd(gradient.dense().cpu().double())
        v = vh.mT
    return (u * s[:, None]).float(), v.float()


def side_by_side(queries: Sequence[tuple[Float[Tensor, "d_in _"], Float[Tensor, "d_out _"]]]) -> BatchedQueries:
    """Both sides of each query as one batch."""
    left, right = (torch.cat(side, 1) for side in zip(*queries, strict=True))
    return BatchedQueries(left, right, tuple(own.shape[1] for own, _ in queries))


class CutBatch(NamedTuple):
    """Some queries in all modules."""

    modules: dict[str, ModuleBatch]
    left_out: Float[Tensor, " Q"]
    """Share of each query's norm that the cut took."""


def cut_batch(
    prepared: Mapping[str, PreparedQueries | BatchedQueries], tolerance: float = RANK_TOLERANCE
) -> CutBatch:
    """Leave the weakest directions of each query out, over all modules together.

    Args:
        prepared: By the names of all modules. Directions are orthogonal on both sides, as ``prepare_queries`` and
            ``directions_of`` leave them, so a direction's energy is the product of its squared lengths. Whole
            matrices stay whole.
        tolerance: Share of a query's norm that may be left out.
    """
    whole = {name: one for name, one in prepared.items() if isinstance(one, DirectQueries)}
    batches = {name: _batched(one) for name, one in prepared.items() if not isinstance(one, DirectQueries)}
    num_queries = next(iter(prepared.values())).num_queries
    energies = {name: _energies(one) for name, one in batches.items()}  # (Q, widest)
    every = torch.cat([*energies.values(), torch.zeros(num_queries, 0, dtype=torch.float64)], 1)
    total = every.sum(1)
    for one in whole.values():
        total += one.matrix.double().square().sum(0).view(num_queries, -1).sum(1)
    ascending, order = every.sort(1)
    goes = ascending.cumsum(1) <= tolerance**2 * total[:, None]
    keeps = torch.empty_like(goes).scatter_(1, order, ~goes)
    left_out = (every * ~keeps).sum(1) / total.clamp_min(torch.finfo(total.dtype).tiny)
    widths = [own.shape[1] for own in energies.values()]
    kept_of = dict(zip(energies, torch.split(keeps, widths, 1), strict=True)) if energies else {}
    cut = {name: _kept(one, kept_of[name]) for name, one in batches.items()}
    return CutBatch({name: cut.get(name) or whole[name] for name in prepared}, left_out.sqrt().float())


def _batched(queries: FactoredQueries | BatchedQueries) -> BatchedQueries:
    if isinstance(queries, BatchedQueries):
        return queries
    return BatchedQueries(queries.left, queries.right, (queries.rank,) * queries.num_queries)


def _energies(queries: BatchedQueries) -> Float[Tensor, "Q k"]:
    """Of every direction, 0 where a query has fewer than the widest one."""
    found = torch.zeros(queries.num_queries, queries.rank, dtype=torch.float64)
    found[_is_there(queries)] = queries.left.double().square().sum(0) * queries.right.double().square().sum(0)
    return found


def _is_there(queries: BatchedQueries) -> Bool[Tensor, "Q k"]:
    return torch.arange(queries.rank) < torch.tensor(queries.ranks)[:, None]


def _kept(queries: BatchedQueries, keeps: Bool[Tensor, "Q k"]) -> BatchedQueries:
    there = _is_there(queries)
    chosen, ranks = keeps[there], [int(rank) for rank in (keeps & there).sum(1)]
    return BatchedQueries(queries.left[:, chosen], queries.right[:, chosen], tuple(ranks))


def leading(queries: BatchedQueries, rank: int) -> BatchedQueries:
    """The first directions of each query, so many at most."""
    return _kept(queries, (torch.arange(queries.rank) < rank).expand(queries.num_queries, -1))


def join_batches(parts: Sequence[ModuleBatch]) -> ModuleBatch:
    """Queries of one module one behind the other.

    Where some have full rank and others have not, all are taken as products: looking up the directions of a whole
    matrix costs little more than multiplying it.
    """
    if all(isinstance(one, DirectQueries) for one in parts):
        matrices = [one.matrix for one in parts if isinstance(one, DirectQueries)]
        return DirectQueries(torch.cat(matrices, 1), sum(one.num_queries for one in parts))
    batches = [_factored(one) if isinstance(one, DirectQueries) else one for one in parts]
    return BatchedQueries(
        torch.cat([one.left for one in batches], 1),
        torch.cat([one.right for one in batches], 1),
        tuple(rank for one in batches for rank in one.ranks),
    )


def _factored(queries: DirectQueries) -> BatchedQueries:
    """Whole matrices as products of all their directions but ``RANK_TOLERANCE`` of the norm."""
    matrices = queries.matrix.view(len(queries.matrix), queries.num_queries, -1).transpose(0, 1)
    found = side_by_side(list(zip(*directions_of(DenseGradient(matrices)), strict=True)))
    (only,) = cut_batch({"": found}).modules.values()
    assert isinstance(only, BatchedQueries)
    return only
