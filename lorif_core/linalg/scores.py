"""Scores of stored examples against preconditioned queries, and exact streaming top-k.

With Q' = (GᵀG + λI)⁻¹ g_q reshaped to (d_in, d_out), the score of a train example is
⟨Q', left rightᵀ⟩ = Σ_c left_cᵀ Q' right_c, summed over modules. Two plans, chosen per module
by counting multiplications:

    direct     left @ Q' and a row-wise product with right      c·d_in·d_out per pair
    factored   Q' ≈ A Bᵀ of rank k: Σ (left·A)(right·B)          c·k·(d_in + d_out) per pair

Both are exact for the Q' they are given. A query of few tokens whose curvature is all in the maps has a Q' of
low rank, at most its number of tokens; where Q' has a rank k that pays, its k directions stand for all of it. What is
left out of Q' is at most ``RANK_TOLERANCE`` of its norm, so by Cauchy and Schwarz no score moves by more than
``RANK_TOLERANCE``·‖Q'‖·‖g_n‖, far below the rounding of the stored codes. A person may ask for fewer directions.
Example rows stay in store order and ties break by row, so pages are stable.
Source: LoRIF (arXiv:2601.21929), equation 9; docs/explanation/design.md §2.9.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, Protocol, runtime_checkable

import torch
from torch import Tensor

from lorif_core.errors import NumericalError
from lorif_core.linalg.factors import Factors, FactorSides
from lorif_core.linalg.fused_signs import FusedSide, add_fused_scores, fused_side, fuses
from lorif_core.linalg.heaviest_columns import Columns
from lorif_core.linalg.signs import MOST_VECTORS, SignColumns, SignFactors, SignTable, sign_table
from lorif_core.linalg.typed_torch import eigh, matrix_norm, orthonormal_basis, thin_svd
from lorif_core.linalg.unpacked_signs import SplitVectors, split_vectors
from lorif_core.shapes import Float, Int

Plan = Literal["direct", "factored"]

RANK_TOLERANCE = 1e-5
"""Share of a preconditioned query's norm that may be left out without being asked to."""

FIRST_SKETCH, OVERSAMPLING = 32, 8
"""Columns of the first sketch of a query's range, and columns beside the rank that is looked for."""

EXAMPLES_PER_DIRECTION = 24
"""Examples whose scores at full rank cost what one more column of a sketch costs: three products with Q', in
float64, and as many again for the smaller sketches before."""

COLUMNS_AT_ONCE = 512
"""Columns of query factors multiplied at once, which bounds what is alive beside a block of examples."""

NUMBERS_AT_ONCE = 1 << 22
"""Numbers of gathered query columns that are alive at a time (16 MB)."""


class ScoreSums:
    """Scores of a block of examples while one module after the other is added to them.

    For a query alone, products with an example are added up number by number over all modules of a width, and the
    numbers of an example once at the end: that reads memory less often than a sum per module.
    """

    def __init__(
        self,
        num_queries: int,
        num_examples: int,
        dtype: torch.dtype = torch.float32,
        device: torch.device | None = None,
    ) -> None:
        self._scores: Float[Tensor, "Q n"] = torch.zeros(num_queries, num_examples, dtype=dtype, device=device)
        self._products: dict[int, Float[Tensor, "n 1 w"]] = {}

    def add(self, scores: Float[Tensor, "q n"], first_query: int = 0) -> None:
        """Add a module's scores of all queries, or of some consecutive ones."""
        is_all = len(scores) == len(self._scores)
        ours = self._scores if is_all else self._scores[first_query : first_query + len(scores)]
        ours += scores

    def add_to_rows(self, scores: Float[Tensor, "q m"], first_query: int, first_example: int) -> None:
        """Add a module's scores of some consecutive queries and examples."""
        self._scores[first_query : first_query + len(scores), first_example : first_example + scores.shape[1]] += (
            scores
        )

    @property
    def added_to(self) -> Float[Tensor, "Q n"]:
        """The scores themselves, for a kernel that adds to them where they lie."""
        return self._scores

    def add_row_sums(self, query: int, products: Float[Tensor, "n w"]) -> None:
        """Add the sum of each row to the scores of one query."""
        self._scores[query].addmv_(products, products.new_ones(products.shape[1]))  # faster than sum(1)

    def add_row_products(self, left: Float[Tensor, "n c w"], right: Float[Tensor, "n c w"]) -> None:
        """Add the inner product of each example's numbers in both to the scores of the only query."""
        assert len(self._scores) == 1
        is_one = left.shape[1] == 1
        # Column by column, so that modules of any c add to the same sums.
        columns = [(left, right)] if is_one else zip(torch.split(left, 1, 1), torch.split(right, 1, 1), strict=True)
        for ours, theirs in columns:
            if left.shape[2] in self._products:
                self._products[left.shape[2]].addcmul_(ours, theirs)
            else:
                self._products[left.shape[2]] = ours * theirs

    def total(self) -> Float[Tensor, "Q n"]:
        """The scores over all modules added so far."""
        for products in self._products.values():
            self.add_row_sums(0, products[:, 0])
        self._products.clear()
        return self._scores


@runtime_checkable
class ColumnSides(Protocol):
    """Some columns of n examples' gradients as they are stored."""

    @property
    def places(self) -> Int[Tensor, "n m"]:
        """Which columns."""
        ...

    def decoded(self) -> Columns:
        """The columns as numbers."""
        ...

    def signs(self) -> SignColumns | None:
        """Their packed signs; None where they are stored otherwise."""
        ...


def _in_pieces(num_examples: int, numbers: int) -> Iterator[slice]:
    """Consecutive examples of so many numbers each, as many at a time as ``NUMBERS_AT_ONCE`` allows."""
    step = max(1, NUMBERS_AT_ONCE // max(numbers, 1))
    return (slice(start, start + step) for start in range(0, num_examples, step))


@dataclass(frozen=True)
class DirectQueries:
    """Preconditioned query matrices of one module, side by side for one product."""

    matrix: Float[Tensor, "d_in Qd_out"]
    """Q' of query 0, then of query 1, …"""

    num_queries: int
    """Q."""

    @property
    def plan(self) -> Plan:
        """The name of this layout."""
        return "direct"

    @property
    def width(self) -> int:
        """Numbers per stored column that a product makes at once: d_out for one query, as one query is at a time."""
        return self.matrix.shape[1] // self.num_queries

    @property
    def device(self) -> torch.device:
        """Where they lie, and what they are multiplied with must."""
        return self.matrix.device

    def on_device(self, device: torch.device) -> "DirectQueries":
        """The same on a device for stored gradients that lie there."""
        return replace(self, matrix=self.matrix.to(device, non_blocking=True))

    def add_scores(self, sums: ScoreSums, block: FactorSides) -> None:
        """Add the scores of a block of examples. For one query only one side is alive at a time."""
        if self.num_queries == 1:
            half = block.left @ self.matrix  # (n, c, d_out)
            sums.add_row_products(half, block.right)
            return
        left, right = block.left, block.right
        d_out = right.shape[2]
        for query in range(self.num_queries):
            half = left @ self.matrix[:, query * d_out : (query + 1) * d_out]
            sums.add_row_sums(query, half.mul_(right).flatten(1))

    def add_column_scores(self, sums: ScoreSums, block: ColumnSides) -> None:
        """Add the scores of a block of examples of which columns are stored."""
        columns = block.decoded()
        d_out = columns.d_out
        for query in range(self.num_queries):
            own = self.matrix[:, query * d_out : (query + 1) * d_out].mT  # (d_out, d_in)
            for rows in _in_pieces(len(columns.left), columns.left[0].numel()):
                products = own[columns.places[rows]].mul_(columns.left[rows]).sum((1, 2))
                sums.add_to_rows(products[None], query, rows.start)


@dataclass(frozen=True)
class FactoredQueries:
    """Preconditioned query matrices of one module as products A Bᵀ of rank k."""

    left: Float[Tensor, "d_in Qk"]
    """A of query 0, then of query 1, …"""

    right: Float[Tensor, "d_out Qk"]
    """B, in the same order."""

    num_queries: int
    """Q."""

    unpacks_signs: bool = False
    """Whether sign codes are unpacked, as a GPU does it; else they are looked up where that is faster."""

    @property
    def plan(self) -> Plan:
        """The name of this layout."""
        return "factored"

    @property
    def width(self) -> int:
        """Numbers per stored column that a product makes at once."""
        return self.left.shape[1] if self.reads_signs else min(self.left.shape[1], max(COLUMNS_AT_ONCE, self.rank))

    @property
    def device(self) -> torch.device:
        """Where they lie, and what they are multiplied with must."""
        return self.left.device

    def on_device(self, device: torch.device) -> "FactoredQueries":
        """The same on a device for stored gradients that lie there."""
        left, right = (side.to(device, non_blocking=True) for side in (self.left, self.right))
        return replace(self, left=left, right=right, unpacks_signs=True)

    @property
    def rank(self) -> int:
        """k."""
        return self.left.shape[1] // self.num_queries

    def add_scores(self, sums: ScoreSums, block: FactorSides) -> None:
        """Add the scores of a block of examples. Of few columns only one side is alive at a time."""
        sides = block if len(self._pieces) == 1 else Factors(block.left, block.right)
        first_query = 0
        for left, right in self._pieces:
            sums.add(_sums((sides.left @ left).mul_(sides.right @ right), self.rank), first_query)
            first_query += left.shape[1] // self.rank

    def add_column_scores(self, sums: ScoreSums, block: ColumnSides) -> None:
        """Add the scores of a block of examples of which columns are stored."""
        signs, places = block.signs() if self.reads_signs else None, block.places
        left = block.decoded().left if signs is None else None
        for rows in _in_pieces(len(places), places.shape[1] * self.left.shape[1]):
            if signs is not None:
                products = self._left_table.products(signs.part(rows))
            else:
                assert left is not None
                products = left[rows] @ self.left
            sums.add_to_rows(_sums(products.mul_(self.right[places[rows]]), self.rank), 0, rows.start)

    @cached_property
    def _pieces(self) -> list[tuple[Tensor, Tensor]]:
        """Both sides of as many queries as are multiplied at once."""
        columns = max(1, COLUMNS_AT_ONCE // self.rank) * self.rank
        return list(zip(torch.split(self.left, columns, 1), torch.split(self.right, columns, 1), strict=True))

    @property
    def reads_signs(self) -> bool:
        """Whether ``add_sign_scores`` is the faster way for sign codes."""
        return self.unpacks_signs or self.left.shape[1] <= MOST_VECTORS

    @cached_property
    def _left_table(self) -> SignTable | SplitVectors:
        return self._for_signs(self.left)

    @cached_property
    def _right_table(self) -> SignTable | SplitVectors:
        return self._for_signs(self.right)

    def _for_signs(self, vectors: Tensor) -> SignTable | SplitVectors:
        return split_vectors(vectors) if self.unpacks_signs else sign_table(vectors)

    @cached_property
    def _fused(self) -> tuple[FusedSide, FusedSide]:
        """Both sides for one kernel."""
        return fused_side(self.left, self.num_queries), fused_side(self.right, self.num_queries)

    def add_sign_scores(self, sums: ScoreSums, block: SignFactors) -> None:
        """Add the scores of a block of sign-coded examples, from their packed bits."""
        if self.unpacks_signs and fuses(self.device, self.rank):
            add_fused_scores(sums.added_to, *self._fused, block)
            return
        products = self._left_table.products(block.left).mul_(self._right_table.products(block.right))
        sums.add(_sums(products, self.rank))


def _sums(product: Float[Tensor, "n c Qk"], rank: int) -> Float[Tensor, "Q n"]:
    """Sums over an example's c columns and each query's k directions.

    By products with ones: a sum over short inner dimensions was seven times as slow as all that is before it.
    """
    num_queries = product.shape[2] // rank
    if num_queries == 1:
        rows = product.flatten(1)
        return (rows if rows.shape[1] == 1 else rows @ rows.new_ones(rows.shape[1], 1)).T
    if rank > 1:
        ones = torch.eye(num_queries, dtype=product.dtype, device=product.device)
        product = product @ ones.repeat_interleave(rank, 0)
    return (product[:, 0] if product.shape[1] == 1 else product.sum(1)).T


PreparedQueries = DirectQueries | FactoredQueries


def choose_plan(d_in: int, d_out: int, query_rank: int) -> Plan:
    """The plan with fewer multiplications per pair and factor."""
    return "factored" if query_rank * (d_in + d_out) < d_in * d_out else "direct"


def prepare_queries(
    matrices: Float[Tensor, "Q d_in d_out"],
    *,
    query_rank: int | None = None,
    plan: Plan | None = None,
    rank_limit: int = 0,
) -> PreparedQueries:
    """Lay preconditioned queries of one module out for scoring.

    Args:
        matrices: Q' per query.
        query_rank: Keep only this many singular directions of each Q'; None keeps all that count.
        plan: Overrides the choice by operation count.
        rank_limit: Without a ``query_rank``, look whether each Q' is of low rank, up to this one.
    """
    num_queries, d_in, d_out = matrices.shape
    full = min(d_in, d_out)
    kept = full if query_rank is None else min(query_rank, full)
    factors = _numerical_factors(matrices, rank_limit) if query_rank is None and rank_limit else None
    if factors is None and (plan or choose_plan(d_in, d_out, kept)) == "direct":
        if kept < full:
            left, right = _leading_factors(matrices, kept)
            matrices = left @ right.mT
        return DirectQueries(matrices.transpose(0, 1).reshape(d_in, num_queries * d_out), num_queries)
    left, right = factors or _leading_factors(matrices, kept)
    return FactoredQueries(
        left.transpose(0, 1).reshape(d_in, -1), right.transpose(0, 1).reshape(d_out, -1), num_queries
    )


def _leading_factors(matrices: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    u, s, vh = thin_svd(matrices.double())
    left = (u[:, :, :rank] * s[:, None, :rank]).to(matrices.dtype)
    return left, vh[:, :rank].mT.to(matrices.dtype)


def rank_worth_finding(num_examples: int) -> int:
    """Up to which rank looking for it costs less than scoring that many examples at full rank."""
    return num_examples // EXAMPLES_PER_DIRECTION


def _numerical_factors(matrices: Float[Tensor, "Q d_in d_out"], rank_limit: int) -> tuple[Tensor, Tensor] | None:
    """Factors (Q, d_in, k) and (Q, d_out, k) that are all of each Q' but ``RANK_TOLERANCE`` of its norm.

    None where k is above the limit, or so high that the direct plan is cheaper. The range of Q' is found by a random
    sketch that doubles until it holds Q', so no large matrix is decomposed; of several queries the first is tried
    alone, for where one is of high rank, looking at the others is in vain.
    Source: Halko, Martinsson and Tropp (arXiv:0909.4061), the adaptive range finder.
    """
    if len(matrices) > 1 and _numerical_factors(matrices[:1], rank_limit) is None:
        return None
    wide = matrices.double()
    d_in, d_out = wide.shape[1:]
    allowed = RANK_TOLERANCE * matrix_norm(wide)
    most = min(d_in * d_out // (d_in + d_out), rank_limit)  # the first: where both plans cost the same
    generator = torch.Generator(wide.device).manual_seed(0)
    size = FIRST_SKETCH
    while True:
        size = min(size, most)
        probes = torch.randn(d_out, size + OVERSAMPLING, generator=generator, dtype=wide.dtype, device=wide.device)
        basis = orthonormal_basis(wide @ probes)
        inside = basis.mT @ wide
        missing = matrix_norm(wide - basis @ inside)
        if bool((missing <= allowed).all()):
            break
        if size >= most:
            return None
        size *= 2
    # Squared singular values from a small Gram matrix: in float64 they are known to 1e-16 of the largest, and
    # RANK_TOLERANCE squared is 1e-10 of it.
    squares, directions = eigh(inside @ inside.mT)
    left_out = squares.clamp_min(0).cumsum(1)  # [j]: by leaving out the j + 1 weakest directions
    can_go = (left_out <= (allowed.square() - missing.square())[:, None]).sum(1)
    rank = max(squares.shape[1] - int(can_go.min()), 1)
    if rank > rank_limit or choose_plan(d_in, d_out, rank) == "direct":
        return None
    directions = directions[:, :, -rank:]
    return (basis @ directions).to(matrices.dtype), (inside.mT @ directions).to(matrices.dtype)


def score_dense_rows(
    matrices: Float[Tensor, "Q d_in d_out"], rows: Float[Tensor, "n d_in d_out"]
) -> Float[Tensor, "Q n"]:
    """Scores of examples whose projected gradients are stored whole."""
    return matrices.flatten(1) @ rows.flatten(1).mT


def check_finite_scores(scores: Float[Tensor, "Q n"], shard: int) -> None:
    """Refuse scores that are not finite.

    Raises:
        NumericalError: Names how many, and the shard.
    """
    finite = torch.isfinite(scores)
    if not finite.all():
        raise NumericalError(
            f"{int((~finite).sum())} of {scores.numel()} scores are not finite, first in shard {shard}: raise the "
            "damping, or check the objective."
        )


class TopK:
    """The k largest scores of each query seen so far, with their rows; ties go to the lower row."""

    def __init__(self, num_queries: int, k: int) -> None:
        self.k = k
        self.scores: Float[Tensor, "Q kept"] = torch.empty(num_queries, 0)
        self.rows: Int[Tensor, "Q kept"] = torch.empty(num_queries, 0, dtype=torch.long)

    def add(self, scores: Float[Tensor, "Q n"], first_row: int) -> None:
        """Take in the scores of rows ``first_row``, ``first_row + 1``, …, which follow all earlier ones."""
        if not self.k:
            return
        merged = [self._merge(query, scores[query], first_row) for query in range(len(scores))]
        self.scores = torch.stack([values for values, _ in merged])
        self.rows = torch.stack([rows for _, rows in merged])

    def merge(self, later: "TopK") -> None:
        """Take in the largest scores of rows that follow all earlier ones."""
        values, rows = torch.cat((self.scores, later.scores), 1), torch.cat((self.rows, later.rows), 1)
        # Stable: of equal scores those of earlier rows stand first, in both and so in all.
        self.scores, order = (one[:, : self.k] for one in torch.sort(values, descending=True, stable=True))
        self.rows = rows.gather(1, order)

    def of_query(self, query: int) -> tuple[Int[Tensor, " kept"], Float[Tensor, " kept"]]:
        """Rows and scores of one query, best first."""
        return self.rows[query], self.scores[query]

    def _merge(self, query: int, scores: Tensor, first_row: int) -> tuple[Tensor, Tensor]:
        kept_scores, kept_rows = self.scores[query], self.rows[query]
        if len(kept_scores) == self.k:
            enters = scores > kept_scores[-1]  # a tie goes to the lower row, which is kept already
        else:
            # Everything that ties with the k-th best stays a candidate: topk alone would choose among ties.
            best = scores.topk(min(self.k, len(scores))).values
            enters = scores >= best[-1:]
        candidates = enters.nonzero().squeeze(1)
        values = torch.cat((kept_scores, scores[candidates].to(kept_scores.dtype)))
        rows = torch.cat((kept_rows, candidates + first_row))
        order = torch.sort(values, descending=True, stable=True).indices[: self.k]
        return values[order], rows[order]
