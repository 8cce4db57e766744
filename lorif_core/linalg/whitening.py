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

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from lorif_core.linalg.gram_sums import add_gram, add_gram_in_bfloat16
from lorif_core.linalg.maps import ModuleMaps, random_directions
from lorif_core.linalg.roots import check_moment, inverse_root
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
        self,
        inputs: Float[Tensor, "t i"],
        output_grads: Float[Tensor, "t o"],
        num_tokens: int | None = None,
        *,
        in_bfloat16: bool = False,
    ) -> None:
        """Take in some tokens; sums are float32.

        Args:
            inputs: Layer inputs.
            output_grads: Gradients of the same tokens.
            num_tokens: Real tokens that these stand for: rows of zeros may be padding, and of a head only tokens that
                carry a gradient are here. None: as many as there are rows.
            in_bfloat16: Multiply in it, as the model did.
        """
        add = add_gram_in_bfloat16 if in_bfloat16 else add_gram
        add(self.inputs, inputs)
        if self.output_grads.ndim == 1:
            self.output_grads += output_grads.float().square().sum(0)
        else:
            add(self.output_grads, output_grads)
        num_tokens = len(inputs) if num_tokens is None else num_tokens
        self.num_tokens += num_tokens
        self.num_inputs += len(inputs) if self.output_grads.ndim == 1 else num_tokens

    def to(self, device: torch.device) -> "Moments":
        """The same moments on a device."""
        return replace(self, inputs=self.inputs.to(device), output_grads=self.output_grads.to(device))


def whitened_maps(module: ModuleShape, moments: Moments, *, alpha: float, seed: int) -> ModuleMaps:
    """The half-whitening maps of one module, each folded with a projection to the width that is kept of its side.

    (A + λI)^-½ P is one (i, d_in) matrix; the root alone, (i, i), is nowhere where fewer directions are kept.

    Args:
        module: Its name draws the projections, its widths say to how many directions.
        moments: Of the same module.
        alpha: Damping of each side, over its mean eigenvalue; a head's is ``HEAD_ALPHA``.
        seed: Of the projections.

    Returns:
        On the CPU, float32.

    Raises:
        NumericalError: The moments are not finite, or zero.
    """
    is_head = module.form == "columns"
    counts, damping = (moments.num_inputs, HEAD_ALPHA) if is_head else (moments.num_tokens, alpha)
    what = f"the inputs of module {module.name!r}"
    device = moments.inputs.device
    side = random_directions(f"{seed}:{module.name}:input", module.in_features, module.d_in, device)
    input_map = inverse_root(moments.inputs, counts, damping, what=what, columns=side)
    what = f"the gradients of module {module.name!r}"
    if is_head:
        output_map = diagonal_root(moments, what=what)
    else:
        side = random_directions(f"{seed}:{module.name}:output", module.out_features, module.d_out, device)
        output_map = inverse_root(moments.output_grads, moments.num_tokens, alpha, what=what, columns=side)
    return ModuleMaps(input_map.float().cpu(), output_map.float().cpu())


HEAD_ALPHA = 0.1
"""Damping of both sides of an output head over their mean eigenvalues: 0.003 was measured to be worse."""


def diagonal_root(moments: Moments, *, what: str) -> Float[Tensor, " o"]:
    """(diag S + ``HEAD_ALPHA`` · its mean)^-½ of a head; float64, on the CPU.

    Raises:
        NumericalError: S is not finite or zero.
    """
    diagonal = moments.output_grads.double().cpu() / max(moments.num_tokens, 1)
    mean = float(diagonal.mean())
    check_moment(mean, diagonal, what)
    return (diagonal + HEAD_ALPHA * mean).rsqrt()
