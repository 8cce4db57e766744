"""What a reference is: it compares something of every query with the same of every text, and stores nothing.

References by gradients share one pass over the texts: each names a metric per module, and its score is
⟨metric[G_q], G_n⟩ over whole gradients. References by states, texts or tokens give their scores at once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Protocol, runtime_checkable

from torch import Tensor

from lorif_core.config import Normalisation
from lorif_core.data.sequences import EncodedText
from lorif_core.linalg.metric import Eigenbasis, Metric
from lorif_core.linalg.whitening import Moments
from lorif_core.shapes import Float


@dataclass(frozen=True)
class Curvatures:
    """What metrics are made from, per module; empty where no reference asked for it."""

    moments: Mapping[str, Moments] = field(default_factory=dict[str, Moments])
    bases: Mapping[str, Eigenbasis] = field(default_factory=dict[str, Eigenbasis])
    tokens_per_text: float | None = None
    """Real tokens of a text, on average; None where no reference compares the head."""


@runtime_checkable
class GradientReference(Protocol):
    """A reference that compares gradients."""

    label: ClassVar[str]
    """For people."""

    needs_moments: ClassVar[bool]
    needs_bases: ClassVar[bool]

    def metric(self, module_name: str, fitted: Curvatures, ratio: float) -> Metric:
        """The inner product of one module's gradients.

        Args:
            module_name: Of the module.
            fitted: With what the reference needs.
            ratio: Damping over a mean eigenvalue.
        """
        ...

    def normalisations(self, asked: Sequence[Normalisation]) -> Sequence[Normalisation]:
        """Under which of the asked-for normalisations it is a reference."""
        ...


@runtime_checkable
class HeadReference(GradientReference, Protocol):
    """One that compares the gradients of the output head as well."""

    def head_metric(self, module_name: str, fitted: Curvatures, ratio: float) -> Float[Tensor, "i i"]:
        """The metric of the head's hidden side, in the unit of the other modules' scores.

        That of the vocabulary's side is the same for all: the inverse of S's damped diagonal.

        Args:
            module_name: Of the head.
            fitted: With the head's moments.
            ratio: Damping over a mean eigenvalue.
        """
        ...


@runtime_checkable
class StateReference(Protocol):
    """A reference that compares hidden states."""

    label: ClassVar[str]

    def score_states(
        self, queries: Float[Tensor, "Q width"], texts: Float[Tensor, "n width"]
    ) -> Float[Tensor, "Q n"]:
        """Scores of every text on every query, from the last layer's hidden state at the last token."""
        ...


@runtime_checkable
class TextReference(Protocol):
    """A reference that compares words."""

    label: ClassVar[str]

    def score_texts(self, queries: Sequence[str], texts: Sequence[str]) -> Float[Tensor, "Q n"]:
        """Scores of every text on every query."""
        ...


@runtime_checkable
class TokenReference(Protocol):
    """A reference that compares what is to be predicted, as the model's tokenizer cuts it."""

    label: ClassVar[str]

    def score_tokens(self, queries: Sequence[EncodedText], texts: Sequence[EncodedText]) -> Float[Tensor, "Q n"]:
        """Scores of every text on every query."""
        ...


Reference = GradientReference | StateReference | TextReference | TokenReference
