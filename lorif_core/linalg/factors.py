"""Rank-c factors of projected gradients.

G̃ ≈ left @ right.T with left (d_in, c) and right (d_out, c), by block power iteration from
one random orthonormal start that all examples of a module share (so that a factor does not
depend on the batch): repeat L = orth(G̃ R), R = orth(G̃ᵀ L), then left = G̃ R, right = R.
Afterwards the columns are rotated to the singular vectors, ordered by singular value, and
each singular value is shared evenly between the two sides: low-bit codes depend on both.
In the store and here the factors lie as rows: left (n, c, d_in), right (n, c, d_out).
Source: LoRIF (arXiv:2601.21929), rank-c factorisation by block power iteration.
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from lorif_core.linalg.gradients import DenseGradient, ProjectedGradient, SequenceGradient, times
from lorif_core.linalg.maps import seeded_generator
from lorif_core.linalg.typed_torch import eigh, orthonormal_basis, vector_norm
from lorif_core.shapes import Float

ITERATIONS_RANK_ONE = 8
ITERATIONS = 16
TOKENS_PER_RANK = 4
"""Tokens per wanted factor from which the T × T problem is the smaller one; it must not be of lower rank than c."""

GRAM_WIDTH, GRAM_WIDTH_ON_GPU = 128, 256
"""Narrower width up to which the Gram matrix is worth forming; a GPU takes a call fewer per half iteration."""


@runtime_checkable
class FactorSides(Protocol):
    """Both sides of rank-c factors of n examples, where a side may be decoded anew whenever it is asked for."""

    @property
    def left(self) -> Float[Tensor, "n c d_in"]:
        """Left factors."""
        ...

    @property
    def right(self) -> Float[Tensor, "n c d_out"]:
        """Right factors."""
        ...


@dataclass(frozen=True)
class Factors:
    """Rank-c form of n projected gradients: Σ_c left[n, c]ᵀ right[n, c]."""

    left: Float[Tensor, "n c d_in"]
    """Left factors, singular value shared evenly, largest first."""

    right: Float[Tensor, "n c d_out"]
    """Right factors."""

    def dense(self) -> Float[Tensor, "n d_in d_out"]:
        """The matrices that the factors stand for."""
        return self.left.mT @ self.right

    def squared_norm(self) -> Float[Tensor, " n"]:
        """Squared Frobenius norm per example, from the c × c Gram matrices."""
        if self.left.shape[1] == 1:
            return (vector_norm(self.left, 2) * vector_norm(self.right, 2)).square()[:, 0]
        left_gram = self.left @ self.left.mT
        right_gram = self.right @ self.right.mT
        return (left_gram * right_gram).sum((1, 2)).clamp_min(0)


def random_start(module_name: str, d_out: int, factor_rank: int, *, seed: int) -> Float[Tensor, "d_out c"]:
    """Orthonormal start of the power iteration, drawn from the seed and the module's name."""
    generator = seeded_generator(f"{seed}:{module_name}:start")
    return orthonormal_basis(torch.randn(d_out, factor_rank, generator=generator, dtype=torch.float64))


def factor_gradient(
    gradient: ProjectedGradient, start: Float[Tensor, "d_out c"] | Float[Tensor, "B d_out c"]
) -> Factors:
    """Best rank-c factors of each projected gradient of a batch.

    Args:
        gradient: Projected gradients of B examples, multiplied out or not.
        start: From ``random_start``; its width is the factor rank c ≤ min(d_in, d_out). One for all, or one each.

    Source:
        LoRIF (arXiv:2601.21929); 8 iterations for c = 1, else 16
        (docs/explanation/design.md §2.4).
    """
    gram_width = GRAM_WIDTH_ON_GPU if gradient.device.type == "cuda" else GRAM_WIDTH
    factor_rank = start.shape[-1]
    if factor_rank == 1 and isinstance(gradient, DenseGradient) and min(gradient.widths) <= gram_width:
        return _balance(*_power_of_gram(gradient.matrix, start))
    if isinstance(gradient, SequenceGradient) and TOKENS_PER_RANK * factor_rank <= gradient.inputs.shape[1]:
        right = _right_from_tokens(gradient, start)
        return _balance(gradient.apply(right), right)
    probe = gradient.squared_norm()
    right = start.to(probe).expand(len(probe), -1, -1)  # (B, d_out, c)
    for _ in range(ITERATIONS_RANK_ONE if factor_rank == 1 else ITERATIONS):
        left = _orthonormal(gradient.apply(right))
        right = _orthonormal(gradient.apply_transposed(left))
    return _balance(gradient.apply(right), right)


def _power_of_gram(matrices: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
    """Left and right factor after eight power iterations, (B, d_in, 1) and (B, d_out, 1).

    The iterations apply (G̃ᵀG̃)⁸ to the start. With K the Gram matrix of the narrower side divided by
    its trace, that is K⁸ or G̃ᵀ K⁷ G̃; K's largest eigenvalue is at least 1 ÷ its width, so no power
    leaves float32. K is multiplied by one vector at a time: squaring it first costs more.
    """
    is_wide = matrices.shape[1] <= matrices.shape[2]
    gram = matrices @ matrices.mT if is_wide else matrices.mT @ matrices
    trace = gram.diagonal(dim1=1, dim2=2).sum(1)[:, None, None]
    gram = gram / trace.clamp_min(torch.finfo(gram.dtype).tiny)
    row = start.to(matrices).mT.expand(len(matrices), 1, -1)  # (B, 1, d_out)
    if not is_wide:
        right = _orthonormal(_times_symmetric(row, gram, ITERATIONS_RANK_ONE).mT)
        return times(matrices, right), right
    row = _orthonormal(times(matrices, row.mT)).mT
    vectors = _orthonormal(_times_symmetric(row, gram, ITERATIONS_RANK_ONE - 1).mT)
    right = times(matrices.mT, vectors)
    norm = vector_norm(right, 1, keepdim=True).clamp_min(torch.finfo(gram.dtype).tiny)
    return times(gram, vectors) * (trace / norm), right / norm


def _times_symmetric(rows: Tensor, symmetric: Tensor, count: int) -> Tensor:
    """(B, 1, n) times the ``count``-th power of (B, n, n)."""
    for _ in range(count):
        rows = rows @ symmetric
    return rows


def _right_from_tokens(gradient: SequenceGradient, start: Tensor) -> Tensor:
    """Right factor from the T × T problem, (B, d_out, c): the same iterations on fewer numbers.

    With K_x = X Xᵀ and K_y = Y Yᵀ, the right factor is Yᵀ a, and G̃ᵀG̃ applied to it is Yᵀ (K_x K_y) a; so the
    iterations multiply a (T, c) by K_x K_y. For c > 1 the product is formed, and a is orthonormalised after every
    second multiplication.
    """
    output_grads = gradient.wide.output_grads / gradient.grams[1].scale
    input_gram, output_gram = (gram.matrix for gram in gradient.grams)
    coefficients = _per_largest(times(input_gram, output_grads @ start.to(output_grads)))  # K_x Y R
    if start.shape[-1] == 1:
        row = coefficients.mT  # (B, 1, T)
        for _ in range(ITERATIONS_RANK_ONE - 1):
            row = _per_largest(row @ output_gram @ input_gram)
        return _orthonormal(times(output_grads.mT, row.mT))
    gram = _per_largest(output_gram @ input_gram).mT  # K_x K_y, by columns
    for _ in range(ITERATIONS // 2 - 1):
        coefficients = times(gram, times(gram, _orthonormal(coefficients)))  # M² would lose a weak direction's digits
    # The last iteration on the gradients themselves: the Gram matrices have half their digits.
    left = _orthonormal(gradient.apply(_orthonormal(times(output_grads.mT, coefficients))))
    return _orthonormal(gradient.apply_transposed(left))


def _per_largest(matrices: Tensor) -> Tensor:
    """Each matrix divided by its largest entry, so that powers stay in range; zero stays zero."""
    largest = matrices.abs().amax((1, 2), keepdim=True)
    return matrices / largest.clamp_min(torch.finfo(matrices.dtype).tiny)


def _orthonormal(columns: Tensor) -> Tensor:
    """Orthonormal basis of each example's columns, (B, d, c); a zero vector stays zero when c = 1."""
    if columns.shape[2] == 1:
        norm = vector_norm(columns, 1, keepdim=True)
        return columns / norm.clamp_min(torch.finfo(columns.dtype).tiny)
    # Measured on a CPU: LAPACK is 1.5 to 15 times faster. On a GPU it takes the examples one after another.
    return gram_schmidt(columns) if columns.is_cuda else orthonormal_basis(columns)


def gram_schmidt(columns: Float[Tensor, "B d c"]) -> Float[Tensor, "B d c"]:
    """Orthonormal basis of each example's columns, in a few calls for the whole batch.

    Every column is cleared of those before it twice, which is enough (Giraud et al. 2005). One that lies in their
    span up to rounding becomes zero: a gradient of lower rank than c has no direction there.
    """
    rows = columns.mT.contiguous()
    small = torch.finfo(rows.dtype).eps * rows.shape[2] ** 0.5
    basis = torch.zeros_like(rows)
    for place in range(rows.shape[1]):
        row, before = rows[:, place : place + 1], basis[:, :place]
        cleared = row
        for _ in range(2 if place else 0):
            cleared = cleared - (cleared @ before.mT) @ before
        norm = vector_norm(cleared, 2, keepdim=True)
        is_new = norm > small * vector_norm(row, 2, keepdim=True)
        basis[:, place : place + 1] = torch.where(is_new, cleared / norm, torch.zeros_like(cleared))
    return basis.mT


def _balance(left: Tensor, right: Tensor) -> Factors:
    """Rotate to the singular vectors, largest first, and share the singular values evenly.

    ``right`` has orthonormal columns, so the singular values of left @ rightᵀ are those of
    ``left``: a c × c eigenproblem.
    """
    if left.shape[2] > 1:
        rotation = principal_axes((left.mT @ left).double()).to(left.dtype)
        left, right = left @ rotation, right @ rotation
    root = vector_norm(left, 1, keepdim=True).sqrt()
    share = torch.where(root > 0, 1 / root, torch.zeros_like(root))
    return Factors((left * share).mT.contiguous(), (right * root).mT.contiguous())


def principal_axes(gram: Float[Tensor, "B c c"]) -> Float[Tensor, "B c c"]:
    """Eigenvectors of symmetric matrices as columns, largest eigenvalue first.

    In closed form for c = 2, where a GPU need not be waited for: with a, b, d the entries, the first axis has the
    angle ½ atan2(2b, a - d). Entries that are not finite are left to whoever checks what is stored.
    """
    if gram.shape[2] > 2:
        return eigh(gram.nan_to_num(0, 0, 0)).vectors.flip(-1)
    angle = torch.atan2(2 * gram[:, 0, 1], gram[:, 0, 0] - gram[:, 1, 1]) / 2
    cosine, sine = angle.cos(), angle.sin()
    return torch.stack([torch.stack([cosine, -sine], 1), torch.stack([sine, cosine], 1)], 1)
