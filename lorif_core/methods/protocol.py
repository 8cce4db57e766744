"""What an attribution method is: members × features → curvature on the query's side → weighted sum.

    score(q, n) = Σ_m  weight_m · ⟨ T_m[q̂_m], x̂_m(n) ⟩

A *member* m is one model that is differentiated. Its *feature* x̂ is what one pass over it leaves of every example.
Its *curvature* T is fitted once, from the stored features, and acts on the query's side only. Everything else
(capture, coding, storage, products, normalisation, refinement) is shared: methods differ in what they are and not in
how they are run, and whatever a method decides is asked of it.
Source: docs/explanation/design.md §3.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, NamedTuple, Protocol, runtime_checkable

from lorif_core.config import CurvatureConfig, ScoreConfig
from lorif_core.linalg.gradients import ProjectedGradient
from lorif_core.linalg.maps import ModuleMaps
from lorif_core.linalg.subspace import RowStream, Subspace
from lorif_core.linalg.whitening import Moments
from lorif_core.shapes import ModuleShape, Tracked
from lorif_core.store.blocks import Block
from lorif_core.store.manifest import Layout

Unit = Literal["nats", "gradient products", "nats²"]
"""What a score counts: change of log-probability; ⟨g, g⟩ without any curvature, in nats² per squared weight; or a
covariance of two losses, nats² where it is not known by how much the models differ."""


TrainObjective = Literal["loss", "margin"]
"""What is differentiated of a text. With ``margin`` a shard also keeps its 1 - p, which multiplies its scores."""


class Member(NamedTuple):
    """One model that is differentiated: the only one, a checkpoint, the base model."""

    name: str
    weight: float
    """Of its products in the sum."""


THE_MODEL = Member("model", 1.0)
"""The only member of a method that differentiates one model."""


class StatisticsSample(NamedTuple):
    """The examples over which second moments are taken before gradients are projected."""

    num_examples: int
    """At least; all, if there are fewer."""

    seed: int
    """Of the draw."""

    num_tokens: int = 0
    """What they must hold together; as many more examples are drawn as that takes."""


@runtime_checkable
class Feature(Protocol):
    """What one pass over a member leaves of each example."""

    @property
    def layout(self) -> Layout:
        """Whether shards hold factors or whole projected gradients."""
        ...

    @property
    def codec(self) -> str:
        """Name of the codec of its numbers."""
        ...

    @property
    def factor_rank(self) -> int:
        """Rank c of every module's factors; 1 where it says nothing."""
        ...

    def rank_of(self, module: ModuleShape) -> int:
        """How many terms of one module's gradients are stored: factors, or columns."""
        ...

    def compress(self, gradient: ProjectedGradient, *modules: ModuleShape) -> Block:
        """The form of a batch's gradients that is stored: of as many examples of each module, the first one's first.

        Several modules are of one form, one shape and one rank.
        """
        ...


@runtime_checkable
class Projection(Protocol):
    """How gradients are projected before a feature is made of them."""

    @property
    def f(self) -> int | None:
        """The divisor of widths; None where a budget is to choose it."""
        ...

    @property
    def seed(self) -> int:
        """Of whatever is drawn."""
        ...

    def sample(self, modules: Sequence[ModuleShape]) -> StatisticsSample | None:
        """The statistics that the maps of these modules are made from; None where the seed alone decides them."""
        ...

    def recorded(self, modules: Sequence[ModuleShape]) -> dict[str, Any] | None:
        """What an index's plan keeps of the maps beside f and seed; None where these say all."""
        ...

    def shapes(self, modules: Sequence[ModuleShape]) -> list[ModuleShape]:
        """The tracked modules with the widths that the maps leave, given those that the divisor alone would."""
        ...

    def joint(self, modules: Sequence[ModuleShape]) -> ModuleShape | None:
        """What is stored in the place of all modules, where their vectors are added up; None: each by itself.

        Args:
            modules: From ``shapes``. The maps of each name the joint one in ``joined_as``.
        """
        ...

    def maps_bytes(self, modules: Sequence[ModuleShape]) -> int:
        """Memory of the maps of these modules, with the widths that the divisor alone leaves."""
        ...

    def maps(self, module: ModuleShape, moments: Moments | None) -> ModuleMaps:
        """The maps of one module; on the CPU, float32.

        Args:
            module: The module, with its projected widths.
            moments: Of the module over the sample; None where there is no sample.

        Raises:
            NumericalError: The moments are not finite, or zero.
        """
        ...


@runtime_checkable
class Curvature(Protocol):
    """What acts on the query's side: the damped inverse of the stored features' Gram matrix, or nothing."""

    @property
    def fitted(self) -> CurvatureConfig:
        """What it is fitted with."""
        ...

    @property
    def subspace_rank(self) -> int | None:
        """Directions kept per module; 0 keeps none, None all of them."""
        ...

    def check(self, modules: Sequence[ModuleShape], available_bytes: int) -> None:
        """Refuse modules whose curvature would not fit into memory.

        Raises:
            ResourceError: Names the memory it would need and the way out.
        """
        ...

    def fit(self, module: ModuleShape, stream_rows: RowStream) -> Subspace:
        """Curvature of one module from a stream of its stored features, flattened to rows."""
        ...

    def asked(self, built: CurvatureConfig, asked: ScoreConfig) -> CurvatureConfig:
        """The curvature of an index under the damping and the rank that somebody asks for.

        Args:
            built: What the index was fitted with.
            asked: Settings of a question.

        Raises:
            ConfigError: The method or the index cannot take them.
        """
        ...


@runtime_checkable
class AttributionMethod(Protocol):
    """An attribution method with its settings."""

    shares_gradients: ClassVar[bool]
    """Whether its scores follow from what an index stores and what its curvature was fitted with, so that an index of
    another method that stores the same is refitted for it. Where they do not, its indexes are its own."""

    @property
    def members(self) -> tuple[Member, ...]:
        """The models that are differentiated, and their weights."""
        ...

    @property
    def tracked(self) -> Tracked:
        """What of a model is differentiated unless patterns say otherwise."""
        ...

    @property
    def train_objective(self) -> TrainObjective:
        """What is differentiated of a text; a query says its own."""
        ...

    @property
    def projection(self) -> Projection:
        """From gradients to projected gradients."""
        ...

    @property
    def feature(self) -> Feature:
        """From projected gradients to what is stored."""
        ...

    @property
    def curvature(self) -> Curvature:
        """What is done to a query."""
        ...

    @property
    def label(self) -> str:
        """The method and its settings, for people, such as ``lorif f=4 c=1 bf16 r=256``."""
        ...

    @property
    def unit(self) -> Unit:
        """Of a score."""
        ...

    def unit_per_product(self, num_train_tokens: int) -> float:
        """What the inner product of two preconditioned features is multiplied by to be in that unit.

        Args:
            num_train_tokens: Of all examples, as they were differentiated.
        """
        ...

    @property
    def can_be_refined(self) -> bool:
        """Whether a query can be refined with the curvature of the stored texts themselves (decision 0013)."""
        ...

    @property
    def budget_bytes(self) -> int | None:
        """Bytes per example that factors may take; None without a budget."""
        ...

    def with_budget(self, f: int, ranks: Mapping[str, int]) -> "AttributionMethod":
        """The same method as a budget decided it: its divisor, and the rank of every module."""
        ...
