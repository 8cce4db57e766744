"""Half-whitening: maps that turn a module's gradient into coordinates in which influence is a plain product.

K-FAC approximates a module's curvature by A ⊗ S, with A = E[x xᵀ] of the layer inputs and
S = E[y yᵀ] of the output gradients, per real token. Influence is then

    ⟨G_q, (A + λ_A)⁻¹ G_n (S + λ_S)⁻¹⟩ = ⟨Z_q, Z_n⟩,   Z = (A + λ_A)^-½ G (S + λ_S)^-½

so a code of Z that loses little of it loses little of the influence. The two roots are the
input and output map of the module, and a gradient projected by them costs what a random
projection costs. λ_A = α · mean eigenvalue of A, λ_S likewise.
Source: docs/explanation/design.md §2.6; K-FAC: Martens and Grosse (arXiv:1503.05671).

Of an output head S would be as wide as the vocabulary. Its diagonal is taken instead, with a damping of its own, and
A over the places that predict a target: elsewhere y is zero, and x says nothing of the head.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from lorif_core.errors import NumericalError
from lorif_core.linalg.maps import ModuleMaps, random_maps
from lorif_core.linalg.typed_torch import eigh
from lorif_core.shapes import Float, ModuleShape


@dataclass
class Moments:
    """Sums of the second moments of one module's layer inputs and output gradients."""

    inputs: Float[Tensor, "i i"]
    """Σ x xᵀ over real tokens."""

    output_grads: Float[Tensor, "o o"] | Float[Tensor, " o"]
    """Σ y yᵀ over the same tokens; of a head its diagonal."""

    num_tokens: int = 0
    """Real tokens, those without any gradient included."""

    num_inputs: int = 0
    """Tokens that ``inputs`` is summed over: of a head those that carry a gradient, else all."""

    @classmethod
    def zeros(cls, in_features: int, out_features: int, *, is_head: bool = False) -> "Moments":
        """Nothing seen yet."""
        outputs = (out_features,) if is_head else (out_features, out_features)
        return cls(torch.zeros(in_features, in_features), torch.zeros(outputs))

    def add(
        self, inputs: Float[Tensor, "t i"], output_grads: Float[Tensor, "t o"], num_tokens: int | None = None
    ) -> None:
        """Take in some tokens; products and sums in float32.

        Args:
            inputs: Layer inputs.
            output_grads: Gradients of the same tokens.
            num_tokens: Real tokens that these were chosen from; None: these are all.
        """
        inputs, output_grads = inputs.float(), output_grads.float()
        self.inputs.addmm_(inputs.mT, inputs)
        if self.output_grads.ndim == 1:
            self.output_grads += output_grads.square_().sum(0)
        else:
            self.output_grads.addmm_(output_grads.mT, output_grads)
        self.num_tokens += len(inputs) if num_tokens is None else num_tokens
        self.num_inputs += len(inputs)


def whitened_maps(module: ModuleShape, moments: Moments, *, alpha: float, f: int, seed: int) -> ModuleMaps:
    """The half-whitening maps of one module, followed by random ones for f > 1; on the CPU, float32.

    Args:
        module: Its name draws the random maps.
        moments: Of the same module.
        alpha: Damping of each side, over its mean eigenvalue; a head's is ``HEAD_ALPHA``.
        f: Projection divisor; 1 keeps every direction.
        seed: Of the random maps.

    Raises:
        NumericalError: The moments are not finite, or zero.
    """
    if module.form == "columns":
        return _head_maps(module, moments, f=f, seed=seed)
    random = random_maps(module.name, module.in_features, module.out_features, f=f, seed=seed)
    roots = (
        inverse_root(moments.inputs, moments.num_tokens, alpha, what=f"the inputs of module {module.name!r}"),
        inverse_root(moments.output_grads, moments.num_tokens, alpha, what=f"the gradients of {module.name!r}"),
    )
    sides = (random.input_map, random.output_map)
    return ModuleMaps(*(_after(root, side) for root, side in zip(roots, sides, strict=True)))


HEAD_ALPHA = 0.1
"""Damping of both sides of an output head over their mean eigenvalues: 0.003 was measured to be worse."""


def _head_maps(module: ModuleShape, moments: Moments, *, f: int, seed: int) -> ModuleMaps:
    """Root of the hidden side, and of the vocabulary's diagonal."""
    what = f"module {module.name!r}"
    root = inverse_root(moments.inputs, moments.num_inputs, HEAD_ALPHA, what=f"the inputs of {what}")
    side = random_maps(module.name, module.in_features, module.in_features, f=f, seed=seed).input_map
    diagonal = diagonal_root(moments, what=what)
    return ModuleMaps(_after(root, side), diagonal.float())


def diagonal_root(moments: Moments, *, what: str) -> Float[Tensor, " o"]:
    """(diag S + ``HEAD_ALPHA`` · its mean)^-½ of a head; float64, on the CPU.

    Raises:
        NumericalError: S is not finite or zero.
    """
    diagonal = moments.output_grads.double().cpu() / max(moments.num_tokens, 1)
    mean = float(diagonal.mean())
    _check_moment(mean, diagonal, f"the gradients of {what}")
    return (diagonal + HEAD_ALPHA * mean).rsqrt()


def inverse_root(summed: Float[Tensor, "d d"], count: int, alpha: float, *, what: str) -> Float[Tensor, "d d"]:
    """(M + α·mean eigenvalue·I)^-½ with M = ``summed`` ÷ ``count``; symmetric, float64, on the CPU.

    Raises:
        NumericalError: M is not finite or has no positive eigenvalue.
    """
    moment = summed.double().cpu() / max(count, 1)
    mean = float(moment.diagonal().mean())
    _check_moment(mean, moment, what)
    values, vectors = eigh(moment)
    return (vectors * (values.clamp_min(0) + alpha * mean).rsqrt()) @ vectors.mT


def _check_moment(mean: float, moment: Tensor, what: str) -> None:
    if not (mean > 0 and bool(torch.isfinite(moment).all())):
        raise NumericalError(
            f"the second moment of {what} must be finite and above 0, its mean eigenvalue is {mean}: nothing reaches "
            "this module, or the gradients overflowed. Exclude it with `--exclude`."
        )


def _after(root: Tensor, side: Tensor | None) -> Tensor:
    return (root if side is None else root @ side.double()).float()
