"""The heaviest columns of projected gradients: what is stored of an output head.

The gradient of a head W (V, d) by one text is Σ_t h_t (p_t - onehot(y_t))ᵀ, (d, V): a column per token of the
vocabulary. Nearly all of it lies in the columns of the tokens that the text has as targets, -(1 - p) h summed over
the places where they stand. So m columns, each with the token that it belongs to, are a better code than m factors,
whose right sides would be as wide as the vocabulary. As a sum over places it does not grow with the length of a text.
Source: docs/decisions/0033.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from lorif_core.linalg.gradients import ProjectedGradient, SequenceGradient
from lorif_core.shapes import Float, Int

CANDIDATES_PER_COLUMN = 4
"""Columns that are looked at for each one that is kept. They are chosen by Σ_t ‖x_t‖² y_t², which leaves out what
places lend to one another and costs no product as wide as the vocabulary."""


@dataclass(frozen=True)
class Columns:
    """Some columns of n projected gradients; the others are zero."""

    left: Float[Tensor, "n m d_in"]
    """The columns, heaviest first; zero where a gradient has fewer."""

    places: Int[Tensor, "n m"]
    """Which column each one is; none stands twice in an example."""

    d_out: int
    """How many there are of a whole gradient."""

    def dense(self) -> Float[Tensor, "n d_in d_out"]:
        """The matrices that the columns stand for."""
        n, _, d_in = self.left.shape
        rows = self.left.new_zeros(n, self.d_out, d_in)
        return rows.scatter_(1, self.places[:, :, None].expand_as(self.left), self.left).mT

    def decoded(self) -> "Columns":
        """These: they are numbers already."""
        return self

    def signs(self) -> None:
        """None: they are no packed bits."""

    def squared_norm(self) -> Float[Tensor, " n"]:
        """Squared Frobenius norm per example."""
        return self.left.square().sum((1, 2))


def heaviest_columns(gradient: ProjectedGradient, num_columns: int) -> Columns:
    """The columns of largest norm of each projected gradient of a batch, or all of them.

    Args:
        gradient: Projected gradients of B examples, multiplied out or not.
        num_columns: m.
    """
    d_out = gradient.widths[1]
    num_columns = min(num_columns, d_out)
    if isinstance(gradient, SequenceGradient):
        candidates = _candidates(gradient, min(CANDIDATES_PER_COLUMN * num_columns, d_out))
        found = gradient.columns(candidates)
    else:
        found, candidates = gradient.matrix, torch.arange(d_out, device=gradient.matrix.device)[None]
    chosen = found.square().sum(1).topk(num_columns, 1).indices
    left = found.gather(2, chosen[:, None].expand(-1, found.shape[1], -1)).mT
    return Columns(left.contiguous(), candidates.expand(len(chosen), -1).gather(1, chosen), d_out)


def _candidates(gradient: SequenceGradient, count: int) -> Int[Tensor, "B count"]:
    """One example at a time: a square of all its outputs is alive."""
    weights = gradient.wide.inputs.square().sum(2)  # (B, T)
    energies = [own @ outputs.square() for own, outputs in zip(weights, gradient.wide.output_grads, strict=True)]
    return torch.stack([one.topk(count).indices for one in energies])
