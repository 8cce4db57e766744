"""Scores of stored examples against preconditioned queries, and exact streaming top-k.

With Q' = (GᵀG + λI)⁻¹ g_q reshaped to (d_in, d_out), the score of a train example is
⟨Q', left rightᵀ⟩ = Σ_c left_cᵀ Q' right_c, summed over modules. Two plans, chosen per module
by counting multiplications:

    direct     left @ Q' and a row-wise product with right      c·d_in·d_out per pair
    factored   Q' ≈ A Bᵀ of rank k: Σ (left·A)(right·B)          c·k·(d_in + d_out) per pair

Both are exact for the Q' they are given; k is all of Q''s directions unless the person asks
to keep fewer. Example rows stay in store order and ties break by row, so pages are stable.
Source: LoRIF (arXiv:2601.21929), equation 9; DESIGN §3.7.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lorif_core.errors import NumericalError
from lorif_core.linalg.factors import Factors

Plan = Literal["direct", "factored"]


@dataclass(frozen=True)
class DirectQueries:
    """Preconditioned query matrices of one module, side by side for one product."""

    matrix: Float[Tensor, "d_in Qd_out"]
    """Q' of query 0, then of query 1, …"""

    num_queries: int
    """Q."""

    def score(self, block: Factors) -> Float[Tensor, "Q n"]:
        """Scores of a block of examples."""
        n, c, d_in = block.left.shape
        d_out = block.right.shape[2]
        left, right = block.left.reshape(n * c, d_in), block.right.reshape(n * c, d_out)
        out = torch.empty(self.num_queries, n, dtype=left.dtype)
        for query in range(self.num_queries):
            half = left @ self.matrix[:, query * d_out : (query + 1) * d_out]
            out[query] = half.mul_(right).view(n, c * d_out).sum(1)
        return out


@dataclass(frozen=True)
class FactoredQueries:
    """Preconditioned query matrices of one module as products A Bᵀ of rank k."""

    left: Float[Tensor, "d_in Qk"]
    """A of query 0, then of query 1, …"""

    right: Float[Tensor, "d_out Qk"]
    """B, in the same order."""

    num_queries: int
    """Q."""

    def score(self, block: Factors) -> Float[Tensor, "Q n"]:
        """Scores of a block of examples."""
        n, c, d_in = block.left.shape
        left = block.left.reshape(n * c, d_in) @ self.left
        right = block.right.reshape(n * c, -1) @ self.right  # (nc, Qk)
        return left.mul_(right).view(n, c, self.num_queries, -1).sum((1, 3)).T


PreparedQueries = DirectQueries | FactoredQueries


def choose_plan(d_in: int, d_out: int, query_rank: int) -> Plan:
    """The plan with fewer multiplications per pair and factor."""
    return "factored" if query_rank * (d_in + d_out) < d_in * d_out else "direct"


def prepare_queries(
    matrices: Float[Tensor, "Q d_in d_out"], *, query_rank: int | None = None, plan: Plan | None = None
) -> PreparedQueries:
    """Lay preconditioned queries of one module out for scoring.

    Args:
        matrices: Q' per query.
        query_rank: Keep only this many singular directions of each Q'; None keeps all.
        plan: Overrides the choice by operation count.
    """
    num_queries, d_in, d_out = matrices.shape
    full = min(d_in, d_out)
    kept = full if query_rank is None else min(query_rank, full)
    if (plan or choose_plan(d_in, d_out, kept)) == "direct":
        if kept < full:
            left, right = _leading_factors(matrices, kept)
            matrices = left @ right.mT
        return DirectQueries(matrices.transpose(0, 1).reshape(d_in, num_queries * d_out), num_queries)
    left, right = _leading_factors(matrices, kept)  # (Q, d_in, k), (Q, d_out, k)
    return FactoredQueries(
        left.transpose(0, 1).reshape(d_in, -1), right.transpose(0, 1).reshape(d_out, -1), num_queries
    )


def _leading_factors(matrices: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    u, s, vh = torch.linalg.svd(matrices.double(), full_matrices=False)
    left = (u[:, :, :rank] * s[:, None, :rank]).to(matrices.dtype)
    return left, vh[:, :rank].mT.to(matrices.dtype)


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
        merged = [self._merge(query, scores[query], first_row) for query in range(len(scores))]
        self.scores = torch.stack([values for values, _ in merged])
        self.rows = torch.stack([rows for _, rows in merged])

    def of_query(self, query: int) -> tuple[Int[Tensor, " kept"], Float[Tensor, " kept"]]:
        """Rows and scores of one query, best first."""
        return self.rows[query], self.scores[query]

    def _merge(self, query: int, scores: Tensor, first_row: int) -> tuple[Tensor, Tensor]:
        kept_scores, kept_rows = self.scores[query], self.rows[query]
        take = min(self.k, len(scores))
        # Everything that ties with the k-th best stays a candidate: topk alone would choose among ties.
        threshold = scores.topk(take).values[-1] if take else torch.tensor(0.0)
        if len(kept_scores) == self.k and self.k:
            threshold = torch.maximum(threshold, kept_scores[-1])
        candidates = (scores >= threshold).nonzero().squeeze(1)
        values = torch.cat((kept_scores, scores[candidates].to(kept_scores.dtype)))
        rows = torch.cat((kept_rows, candidates + first_row))
        order = torch.sort(values, descending=True, stable=True).indices[: self.k]
        return values[order], rows[order]
