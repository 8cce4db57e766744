"""Random sketches of factored gradients, and the plane in which they differ most.

A sketch of G̃ = Σ_c left_c right_cᵀ has one number per column j: Σ_c ⟨a_j, left_c⟩ ⟨b_j, right_c⟩ / √J with random
signs a_j, b_j. Its expected inner products are those of the gradients, E[⟨s(G̃), s(H̃)⟩] = ⟨G̃, H̃⟩; nothing as wide
as a gradient is formed. Sketches of several modules with signs of their own add up to the sketch of all modules.
Source: Kar and Karnick (arXiv:1201.6530), random maps for products of inner products, here of degree 2.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from lorif_core.linalg.factors import Factors
from lorif_core.linalg.gradients import DenseGradient
from lorif_core.linalg.heaviest_columns import Columns
from lorif_core.linalg.maps import random_signs
from lorif_core.linalg.typed_torch import eigh
from lorif_core.shapes import Float, ModuleShape


@dataclass(frozen=True)
class ModuleSketch:
    """Signs of one module."""

    left: Float[Tensor, "d_in J"]
    right: Float[Tensor, "d_out J"]

    def of(self, block: Factors | Columns | DenseGradient) -> Float[Tensor, "n J"]:
        """Sketches of stored gradients, whatever their form."""
        if isinstance(block, Columns):
            return self.of_columns(block)
        return self.of_factors(block) if isinstance(block, Factors) else self.of_dense(block.matrix)

    def of_factors(self, block: Factors) -> Float[Tensor, "n J"]:
        """Sketches of factored gradients."""
        return ((block.left @ self.left) * (block.right @ self.right)).sum(1) * self.left.shape[1] ** 0.5

    def of_columns(self, block: Columns) -> Float[Tensor, "n J"]:
        """Sketches of gradients of which columns are known."""
        return ((block.left @ self.left) * self.right[block.places]).sum(1) * self.left.shape[1] ** 0.5

    def of_dense(self, matrices: Float[Tensor, "n d_in d_out"]) -> Float[Tensor, "n J"]:
        """Sketches of whole gradients."""
        return ((matrices.mT @ self.left) * self.right).sum(1) * self.left.shape[1] ** 0.5


def draw_sketch(module: ModuleShape, num_columns: int, *, seed: int) -> ModuleSketch:
    """Signs over √J from the seed and the module's name, the same on every machine."""
    key = f"{seed}:{module.name}:sketch"
    return ModuleSketch(
        random_signs(f"{key}:left", module.d_in, num_columns), random_signs(f"{key}:right", module.d_out, num_columns)
    )


@dataclass(frozen=True)
class Plane:
    """The two directions in which rows differ most."""

    mean: Float[Tensor, " J"]
    axes: Float[Tensor, "J 2"]
    """Orthonormal; the entry of largest size of each is positive, so that no picture is a mirror of another."""

    explained: tuple[float, float]
    """Share of the variance along each axis."""

    def project(self, rows: Float[Tensor, "n J"]) -> Float[Tensor, "n 2"]:
        """Coordinates of rows."""
        return (rows.double() - self.mean) @ self.axes


class Moments:
    """Count, sum and product sum of rows that come in blocks; memory does not grow with them."""

    def __init__(self, num_columns: int) -> None:
        self.count = 0
        self.total = torch.zeros(num_columns, dtype=torch.float64)
        self.products = torch.zeros(num_columns, num_columns, dtype=torch.float64)

    def add(self, rows: Float[Tensor, "n J"]) -> None:
        """Take in some rows."""
        wide = rows.double()
        self.count += len(wide)
        self.total += wide.sum(0)
        self.products += wide.mT @ wide

    def plane(self) -> Plane:
        """The two leading principal directions."""
        mean = self.total / max(self.count, 1)
        covariance = self.products / max(self.count, 1) - torch.outer(mean, mean)
        values, vectors = eigh(covariance)
        axes = vectors[:, [-1, -2]]
        strongest = axes.abs().argmax(0)
        axes = axes * axes[strongest, [0, 1]].sign()
        total = float(values.clamp_min(0).sum())
        first, second = (float(values[place].clamp_min(0)) / total if total > 0 else 0.0 for place in (-1, -2))
        return Plane(mean, axes, (first, second))
