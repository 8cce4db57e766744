"""Uncompressed references: what a stored code is measured against.

They keep nothing per example: every train gradient is formed again, in full, for each set of
queries, so they cost a pass over the data per question and anchor the curve of quality
against bytes.

    graddot   ⟨G_q, G_n⟩
    cosine    the same, divided by both norms
    kfac      ⟨(A + λ_A)⁻¹ G_q (S + λ_S)⁻¹, G_n⟩, λ a ratio of each mean eigenvalue
    ekfac     Q_A [(Q_Aᵀ G_q Q_S) / (Λ + λ)] Q_Sᵀ with Λ = E_n[(Q_Aᵀ G_n Q_S)²], λ a ratio of mean Λ

Source: K-FAC (arXiv:1503.05671); EK-FAC (arXiv:1806.03884), for influence arXiv:2308.03296.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lorif_core.capture.gradients import capture_gradients
from lorif_core.capture.objectives import summed_cross_entropy
from lorif_core.data.batches import pad_batch, plan_batches
from lorif_core.data.encoding import EncodedExample
from lorif_core.linalg.gradients import ProjectedGradient
from lorif_core.linalg.maps import ModuleMaps
from lorif_core.linalg.whitening import Moments, inverse_root


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
class TrainPass:
    """What a pass over train gradients needs."""

    model: nn.Module
    """Inside ``frozen``."""

    pad_id: int
    tokens_per_batch: int

    def each_gradient(
        self,
        maps: Mapping[str, ModuleMaps],
        examples: Sequence[EncodedExample],
        take: Callable[[str, Tensor, Tensor], None],
    ) -> None:
        """Call ``take(module name, positions (B,), whole gradients (B, d_in, d_out))`` for every batch and module."""
        for positions in plan_batches([len(example.input_ids) for example in examples], self.tokens_per_batch):
            batch = pad_batch([examples[position] for position in positions], self.pad_id)
            place = torch.tensor(positions)

            def sink(name: str, gradient: ProjectedGradient, place: Tensor = place) -> None:
                take(name, place, gradient.dense())

            capture_gradients(self.model, maps, batch, summed_cross_entropy, sink)


def fit_eigenbases(
    train: TrainPass, moments: Mapping[str, Moments], sample: Iterable[Sequence[EncodedExample]]
) -> dict[str, Eigenbasis]:
    """Eigenvectors of the Kronecker factors, and the eigenvalues of EK-FAC over a sample.

    Args:
        train: The model.
        moments: Per module, as taken by the statistics pass.
        sample: Examples in groups of any size.
    """
    vectors = {
        name: (torch.linalg.eigh(moment.inputs.double()).eigenvectors.float(),
               torch.linalg.eigh(moment.output_grads.double()).eigenvectors.float())
        for name, moment in moments.items()
    }  # fmt: skip
    maps = {name: ModuleMaps(*sides) for name, sides in vectors.items()}
    squares = {name: torch.zeros(len(left), len(right)) for name, (left, right) in vectors.items()}
    count = 0

    def take(name: str, _: Tensor, rotated: Tensor) -> None:
        squares[name] += rotated.square().sum(0).cpu()

    for group in sample:
        train.each_gradient(maps, group, take)
        count += len(group)
    return {name: Eigenbasis(*sides, squares[name] / max(count, 1)) for name, sides in vectors.items()}


def precondition_ekfac(matrices: Float[Tensor, "Q i o"], basis: Eigenbasis, ratio: float) -> Float[Tensor, "Q i o"]:
    """Query gradients of one module under the damped inverse of EK-FAC.

    Args:
        matrices: Query gradients.
        basis: Of the same module.
        ratio: Damping over the mean of Λ.
    """
    rotated = basis.inputs.mT @ matrices @ basis.output_grads
    damped = basis.moments + ratio * basis.moments.mean()
    return basis.inputs @ (rotated / damped) @ basis.output_grads.mT


def precondition_kfac(
    matrices: Float[Tensor, "Q i o"], moments: Moments, ratio: float, *, what: str
) -> Float[Tensor, "Q i o"]:
    """Query gradients of one module under (A + λ_A)⁻¹ ⊗ (S + λ_S)⁻¹.

    Args:
        matrices: Query gradients.
        moments: Of the same module.
        ratio: Damping of each side over its mean eigenvalue.
        what: Name of the module, for messages.
    """
    left = inverse_root(moments.inputs, moments.num_tokens, ratio, what=what)
    right = inverse_root(moments.output_grads, moments.num_tokens, ratio, what=what)
    return ((left @ left) @ matrices.double() @ (right @ right)).float()


def score_uncompressed(
    train: TrainPass, queries: Mapping[str, Float[Tensor, "Q i o"]], examples: Sequence[EncodedExample]
) -> tuple[Float[Tensor, "Q n"], Float[Tensor, " n"]]:
    """Inner products of queries with the whole gradients of some examples, and those gradients' norms.

    Args:
        train: The model.
        queries: Per module, preconditioned query gradients; several methods may be stacked along Q.
        examples: Encoded.
    """
    num_queries = len(next(iter(queries.values())))
    scores, squares = torch.zeros(num_queries, len(examples)), torch.zeros(len(examples))

    def take(name: str, place: Tensor, gradients: Tensor) -> None:
        rows = gradients.flatten(1).cpu()
        scores[:, place] += queries[name].flatten(1) @ rows.mT
        squares[place] += rows.square().sum(1)

    train.each_gradient({name: ModuleMaps(None, None) for name in queries}, examples, take)
    return scores, squares.sqrt()
