"""What most methods answer alike, once: a method says only what it has of its own.

One model is differentiated, the loss of a text, in attention and MLP; maps are redrawn from a seed, every module is
stored by itself, scores are in nats as they are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

from lorif_core.errors import ConfigError
from lorif_core.methods.method_settings import MethodSettings
from lorif_core.methods.protocol import THE_MODEL, AttributionMethod, Member, StatisticsSample, TrainObjective, Unit
from lorif_core.shapes import ATTENTION_AND_MLP, ModuleShape, Tracked

Settings = TypeVar("Settings", bound=MethodSettings)


class DrawnFromSeed:
    """A projection whose maps follow from settings alone, so that they are redrawn wherever they are needed."""

    def sample(self, modules: Sequence[ModuleShape]) -> StatisticsSample | None:
        """No statistics."""
        return None

    def recorded(self, modules: Sequence[ModuleShape]) -> dict[str, Any] | None:
        """Divisor, seed and the digest of the maps say all."""
        return None

    def shapes(self, modules: Sequence[ModuleShape]) -> list[ModuleShape]:
        """As the divisor leaves them."""
        return list(modules)

    def joint(self, modules: Sequence[ModuleShape]) -> ModuleShape | None:
        """Every module is stored by itself."""
        return None


@dataclass(frozen=True)
class OneModelMethod(Generic[Settings]):
    """A method of one model and of no budget."""

    shares_gradients: ClassVar[bool] = False

    settings: Settings

    @property
    def members(self) -> tuple[Member, ...]:
        """The model."""
        return (THE_MODEL,)

    @property
    def tracked(self) -> Tracked:
        """Attention and MLP."""
        return ATTENTION_AND_MLP

    @property
    def train_objective(self) -> TrainObjective:
        """The loss."""
        return "loss"

    @property
    def unit(self) -> Unit:
        """A Gram matrix is a sum over the examples."""
        return "nats"

    def unit_per_product(self, num_train_tokens: int) -> float:
        """Scores are in their unit as they are."""
        return 1.0

    @property
    def can_be_refined(self) -> bool:
        """Refining is for plain products that are influences."""
        return False

    @property
    def budget_bytes(self) -> int | None:
        """A text has the bytes that it has."""
        return None

    def with_budget(self, f: int, ranks: Mapping[str, int]) -> AttributionMethod:
        """Refuse: there are no factors to buy.

        Raises:
            ConfigError: Always.
        """
        raise ConfigError(f"a budget is for factors, and {self.settings.name} stores none. Use another `--method`.")
