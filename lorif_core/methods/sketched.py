"""What FactGraSS, GraSS and TRAK have in common: sketches are stored, and every direction of them is inverted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, TypeVar

from lorif_core.errors import ConfigError, ResourceError
from lorif_core.methods.logra import GRAM_COPIES, FullCurvature, WholeFeature
from lorif_core.methods.protocol import AttributionMethod, Projection
from lorif_core.methods.sketched_settings import SketchedSettings
from lorif_core.methods.usual_answers import OneModelMethod
from lorif_core.shapes import ModuleShape

ALL_MODULES = "all modules"
"""Name of the vector that the gradients of all modules are added up to."""

Settings = TypeVar("Settings", bound=SketchedSettings)


@dataclass(frozen=True)
class SketchCurvature(FullCurvature):
    """``(ZᵀZ + λI)⁻¹`` of stored sketches Z (N, k)."""

    def check(self, modules: Sequence[ModuleShape], available_bytes: int) -> None:
        """Refuse when the widest sketch's Gram matrix would not fit, however many texts there are.

        Raises:
            ResourceError: Names the memory it would need and the way out.
        """
        width = max(module.dim for module in modules)
        needed = GRAM_COPIES * 8 * width**2
        if needed > available_bytes:
            fitting = int((available_bytes / (GRAM_COPIES * 8)) ** 0.5)
            raise ResourceError(
                f"a sketch's {width} × {width} Gram matrix must fit into memory, it needs {needed / 1e9:.1f} GB and "
                f"{available_bytes / 1e9:.1f} GB are free. Pass `--sketch-width {max(1, fitting)}`."
            )


@dataclass(frozen=True)
class SketchedMethod(OneModelMethod[Settings]):
    """A method whose features are sketches."""

    shares_gradients: ClassVar[bool] = True

    @property
    def projection(self) -> Projection:
        """What each of these methods has of its own."""
        raise NotImplementedError

    @property
    def feature(self) -> WholeFeature:
        """The sketches as they are."""
        return WholeFeature(self.settings.codec)

    @property
    def curvature(self) -> SketchCurvature:
        """The full inverse."""
        return SketchCurvature(self.settings.curvature)

    @property
    def label(self) -> str:
        """Name, width and codec."""
        return f"{self.settings.name} k={self.settings.sketch_width} {self.settings.codec}"

    def with_budget(self, f: int, ranks: Mapping[str, int]) -> AttributionMethod:
        """Refuse: there are no factors to buy.

        Raises:
            ConfigError: Always.
        """
        raise ConfigError(
            f"a budget is for factors, and {self.settings.name} stores none. Lower `--sketch-width`, or use another "
            "`--method`."
        )


def joint_shape(modules: Sequence[ModuleShape], sketch_width: int) -> ModuleShape:
    """The vector of k numbers that the sketches of all modules are added up to, as a module of its own."""
    weights = sum(one.in_features * one.out_features for one in modules)
    return ModuleShape(ALL_MODULES, weights, 1, 1, min(sketch_width, weights))


def as_factors(module: ModuleShape, d_in: int, d_out: int) -> ModuleShape:
    """A module at other widths, an output head like any other."""
    return replace(module, d_in=d_in, d_out=d_out, form="factors")
