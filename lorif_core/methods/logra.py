"""LoGra: whole projected gradients and the full inverse of each module's Gram matrix.

The Gram matrix is D × D per module, so this is for small projections only; it is the
reference that LoRIF approximates (full c and full r give the same scores).
Source: LoGra (arXiv:2405.13954).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from lorif_core.config import CurvatureConfig, ScoreConfig
from lorif_core.errors import ResourceError
from lorif_core.linalg.gradients import DenseGradient, ProjectedGradient
from lorif_core.linalg.maps import MOST_DIVISOR, projected_width, smallest_divisor
from lorif_core.linalg.subspace import RowStream, Subspace
from lorif_core.linalg.whole_spectrum import whole_spectrum
from lorif_core.methods.lorif import RandomProjection, curvature_asked
from lorif_core.methods.method_settings import LograConfig
from lorif_core.methods.usual_answers import OneModelMethod
from lorif_core.shapes import ModuleShape
from lorif_core.store.blocks import Block
from lorif_core.store.manifest import Layout

GRAM_COPIES = 4
"""D × D float64 matrices alive during an eigendecomposition: the Gram, its vectors, workspace."""


@dataclass(frozen=True)
class WholeFeature:
    """Projected gradients as they are."""

    codec: str

    @property
    def layout(self) -> Layout:
        """Whole projected gradients."""
        return "dense"

    @property
    def factor_rank(self) -> int:
        """No factors."""
        return 1

    def rank_of(self, module: ModuleShape) -> int:
        """One: the whole."""
        return 1

    def compress(self, gradient: ProjectedGradient, *modules: ModuleShape) -> Block:
        """The projected gradients themselves."""
        return DenseGradient(gradient.dense())


def _divisor_that_fits(modules: Sequence[ModuleShape], available_bytes: int) -> int:
    """The smallest power of two by which widths are divided so that every Gram matrix fits."""

    def fits(f: int) -> bool:
        dims = (projected_width(one.in_features, f) * projected_width(one.out_features, f) for one in modules)
        return GRAM_COPIES * 8 * max(dims) ** 2 <= available_bytes

    return smallest_divisor(fits) or MOST_DIVISOR


@dataclass(frozen=True)
class FullCurvature:
    """``(GᵀG + λI)⁻¹`` with every eigenvector of each module's Gram matrix that has an eigenvalue; with fewer texts
    than D these are found from their own N × N matrix."""

    fitted: CurvatureConfig

    @property
    def subspace_rank(self) -> int | None:
        """All directions."""
        return None

    def check(self, modules: Sequence[ModuleShape], available_bytes: int) -> None:
        """Refuse when the widest module's Gram matrix would not fit.

        Raises:
            ResourceError: Names the memory it would need and the way out.
        """
        widest = max(modules, key=lambda module: module.dim)
        needed = GRAM_COPIES * 8 * widest.dim**2
        if needed > available_bytes:
            raise ResourceError(
                f"logra inverts a {widest.dim} × {widest.dim} matrix for module {widest.name!r}, which needs "
                f"{needed / 1e9:.1f} GB of memory; {available_bytes / 1e9:.1f} GB are free. Pass "
                f"`--f {_divisor_that_fits(modules, available_bytes)}`, exclude the module, or use `--method lorif`."
            )

    def fit(self, module: ModuleShape, stream_rows: RowStream) -> Subspace:
        """All eigenvectors of the module's gradient Gram matrix."""
        return whole_spectrum(stream_rows, module.dim, key=module.name)

    def asked(self, built: CurvatureConfig, asked: ScoreConfig) -> CurvatureConfig:
        """The index's curvature with the asked-for damping and rank in their place."""
        return curvature_asked(built, asked)


@dataclass(frozen=True)
class Logra(OneModelMethod[LograConfig]):
    """Unfactored gradients, full curvature per module."""

    shares_gradients: ClassVar[bool] = True

    @property
    def projection(self) -> RandomProjection:
        """Random maps."""
        return RandomProjection(self.settings.f, self.settings.seed)

    @property
    def feature(self) -> WholeFeature:
        """Whole projected gradients."""
        return WholeFeature(self.settings.codec)

    @property
    def curvature(self) -> FullCurvature:
        """The full inverse."""
        return FullCurvature(self.settings.curvature)

    @property
    def label(self) -> str:
        """The method and its settings."""
        return f"{self.settings.name} f={self.settings.f}"
