"""Uncompressed references: what a stored code is measured against.

They keep nothing per example: every train gradient is formed again, in full, for each set of
queries, so they cost a pass over the data per question and anchor the curve of quality
against bytes.

    graddot   ⟨G_q, G_n⟩
    cosine    the same, divided by both norms
    kfac      ⟨(A + λ_A)⁻¹ G_q (S + λ_S)⁻¹, G_n⟩, λ a ratio of each mean eigenvalue
    repsim    cosine of the last layer's hidden states;  bm25    words in common
    ekfac     Q_A [(Q_Aᵀ G_q Q_S) / (Λ + λ)] Q_Sᵀ with Λ = E_n[(Q_Aᵀ G_n Q_S)²], λ a ratio of mean Λ

Source: K-FAC (arXiv:1503.05671); EK-FAC (arXiv:1806.03884), for influence arXiv:2308.03296.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lorif_core.capture.hooks import capture_gradients
from lorif_core.capture.objectives import summed_cross_entropy
from lorif_core.data.batches import pad_batch, plan_batches
from lorif_core.data.encoding import EncodedExample
from lorif_core.errors import ConfigError, NumericalError
from lorif_core.linalg.gradients import ProjectedGradient
from lorif_core.linalg.maps import ModuleMaps
from lorif_core.linalg.whitening import Moments, inverse_root
from lorif_core.shapes import Float
from lorif_core.turns import turn_on


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


def ekfac_metric(basis: Eigenbasis, ratio: float) -> Metric:
    """The damped inverse of EK-FAC for one module; ``ratio`` is the damping over the mean of Λ."""
    if not float(basis.moments.mean()) > 0:
        raise NumericalError(
            "a module's gradients are all zero, so it has no curvature. Exclude it with `--exclude`."
        )
    return Metric(basis.inputs, basis.output_grads, 1 / (basis.moments + ratio * basis.moments.mean()))


def kfac_metric(moments: Moments, ratio: float, *, what: str) -> Metric:
    """(A + λ_A)⁻¹ ⊗ (S + λ_S)⁻¹ for one module.

    Args:
        moments: Of the module.
        ratio: Damping of each side over its mean eigenvalue.
        what: Name of the module, for messages.
    """
    return Metric(
        inverse_root(moments.inputs, moments.num_tokens, ratio, what=what).float(),
        inverse_root(moments.output_grads, moments.num_tokens, ratio, what=what).float(),
    )


def score_uncompressed(
    train: TrainPass,
    gradients: Mapping[str, Float[Tensor, "Q i o"]],
    metrics: Sequence[Mapping[str, Metric]],
    examples: Sequence[EncodedExample],
) -> tuple[Float[Tensor, "M Q n"], Float[Tensor, "M n"]]:
    """Scores of some examples' whole gradients under several metrics, and their self-influences.

    Args:
        train: The model.
        gradients: Per module, query gradients as captured.
        metrics: M methods, each with a metric per module.
        examples: Encoded.
    """
    num_queries = len(next(iter(gradients.values())))
    scores = torch.zeros(len(metrics), num_queries, len(examples))
    self_influences = torch.zeros(len(metrics), len(examples))
    queries = {
        name: torch.cat([metric[name].apply(matrices) for metric in metrics]).flatten(1)
        for name, matrices in gradients.items()
    }

    def take(name: str, place: Tensor, found: Tensor) -> None:
        found = found.cpu()
        scores[:, :, place] += (queries[name] @ found.flatten(1).mT).view(len(metrics), num_queries, -1)
        for row, metric in enumerate(metrics):
            self_influences[row, place] += metric[name].squared_norm(found)

    train.each_gradient({name: ModuleMaps(None, None) for name in gradients}, examples, take)
    return scores, self_influences


def cosine_of_states(
    train: TrainPass, queries: Sequence[EncodedExample], examples: Sequence[EncodedExample]
) -> Float[Tensor, "Q n"]:
    """Cosine of the last layer's hidden states at the last token (RepSim)."""
    one, other = (torch.nn.functional.normalize(_last_states(train, part), dim=1) for part in (queries, examples))
    return one @ other.mT


def _last_states(train: TrainPass, examples: Sequence[EncodedExample]) -> Float[Tensor, "n width"]:
    states: dict[int, Tensor] = {}
    with turn_on(train.model), torch.no_grad():
        for positions in plan_batches([len(example.input_ids) for example in examples], train.tokens_per_batch):
            batch = pad_batch([examples[position] for position in positions], train.pad_id)
            device = next(train.model.parameters()).device
            output = train.model(
                input_ids=batch.input_ids.to(device),
                attention_mask=batch.attention_mask.to(device),
                output_hidden_states=True,
                use_cache=False,
            )
            last = batch.attention_mask.sum(1) - 1  # padding is on the right
            found = output.hidden_states[-1][torch.arange(len(positions)), last.to(device)].float().cpu()
            states |= dict(zip(positions, found, strict=True))
    return torch.stack([states[position] for position in range(len(examples))])


def lexical_scores(queries: Sequence[str], corpus: Sequence[str]) -> Float[Tensor, "Q n"]:
    """BM25 of each query's words in every text.

    Raises:
        ConfigError: The extra `bm25` is not installed.
    """
    try:
        import bm25s
    except ImportError as error:
        raise ConfigError("bm25 needs the package bm25s. Run `pip install 'lorif-studio[bm25]'`.") from error
    index = bm25s.BM25()
    index.index([_words(text) for text in corpus], show_progress=False)
    return torch.stack([torch.from_numpy(index.get_scores(_words(text))).float() for text in queries])


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())
