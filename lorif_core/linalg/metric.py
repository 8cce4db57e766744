"""Inner products of whole gradients, for references that compress nothing."""

from dataclasses import dataclass

from torch import Tensor

from lorif_core.shapes import Float


@dataclass(frozen=True)
class Eigenbasis:
    """Eigenvectors of one module's A and S, and the gradient's second moments in them."""

    inputs: Float[Tensor, "i i"]
    """Eigenvectors of A as columns."""

    output_grads: Float[Tensor, "o o"]
    """Eigenvectors of S as columns."""

    moments: Float[Tensor, "i o"]
    """Λ: mean over examples of the squared rotated gradient."""


@dataclass(frozen=True)
class Metric:
    """An inner product of gradients, ⟨G, left ((leftᵀ G' right) ⊙ weights) rightᵀ⟩; None stands for the identity."""

    left: Float[Tensor, "i a"] | None = None
    right: Float[Tensor, "o b"] | None = None
    weights: Float[Tensor, "a b"] | None = None

    def apply(self, gradients: Float[Tensor, "n i o"]) -> Float[Tensor, "n i o"]:
        """Precondition gradients, so that a plain product with others is their influence."""
        inside = self._inside(gradients)
        inside = inside if self.weights is None else inside * self.weights
        inside = inside if self.left is None else self.left @ inside
        return inside if self.right is None else inside @ self.right.mT

    def squared_norm(self, gradients: Float[Tensor, "n i o"]) -> Float[Tensor, " n"]:
        """Each gradient's inner product with itself: its self-influence."""
        energy = self._inside(gradients).square()
        return (energy if self.weights is None else energy * self.weights).sum((1, 2))

    def _inside(self, gradients: Tensor) -> Tensor:
        inside = gradients if self.left is None else self.left.mT @ gradients
        return inside if self.right is None else inside @ self.right
