"""LoRIF: rank-c factors of projected gradients and a truncated-SVD preconditioner.

With ``subspace_rank = 0`` nothing is left of the curvature and the method is GradDot divided
by the damping.
Source: LoRIF (arXiv:2601.21929).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from torch import Tensor

from lorif_core.errors import ResourceError
from lorif_core.linalg.factors import factor_gradient, random_start
from lorif_core.linalg.gradients import ProjectedGradient
from lorif_core.linalg.subspace import OVERSAMPLING, RowStream, Subspace, fit_subspace
from lorif_core.shapes import ModuleShape
from lorif_core.store.blocks import Block
from lorif_core.store.manifest import Layout


@dataclass(frozen=True)
class Lorif:
    """Factored gradients, curvature in a rank-r subspace per module."""

    factor_rank: int
    """c; a module narrower than this keeps its full rank."""

    subspace_rank: int
    """r; 0 is GradDot."""

    seed: int
    """Of the power iteration's start and of the randomised SVD."""

    layout: Layout = "factors"

    ranks: Mapping[str, int] = field(default_factory=dict)
    """c of modules that have one of their own, by name."""

    def compress(self, gradient: ProjectedGradient, module: ModuleShape) -> Block:
        """Rank-c factors of each gradient."""
        return factor_gradient(gradient, _start(module, self.ranks.get(module.name, self.factor_rank), self.seed))

    def check(self, modules: list[ModuleShape], available_bytes: int) -> None:
        """Refuse when the widest module's sketch would not fit.

        Raises:
            ResourceError: Names the memory it would need and the way out.
        """
        if not self.subspace_rank:
            return
        widest = max(modules, key=lambda module: module.dim)
        needed = fit_bytes(widest, self.subspace_rank)
        if needed > available_bytes:
            raise ResourceError(
                f"a subspace of rank {self.subspace_rank} needs {needed / 1e9:.1f} GB for module {widest.name!r} "
                f"(D = {widest.dim}), {available_bytes / 1e9:.1f} GB are free. Lower `--subspace-rank`, raise `--f`, "
                "or exclude the module."
            )

    def fit(self, module: ModuleShape, stream_rows: RowStream) -> Subspace:
        """Leading r directions of the module's gradient Gram matrix."""
        return fit_subspace(stream_rows, module.dim, self.subspace_rank, key=f"{self.seed}:{module.name}")


def fit_bytes(module: ModuleShape, subspace_rank: int) -> int:
    """Memory of fitting one module: three float64 matrices as wide as the sketch."""
    return 3 * 8 * module.dim * min(subspace_rank + OVERSAMPLING, module.dim)


@lru_cache(maxsize=4096)
def _start(module: ModuleShape, factor_rank: int, seed: int) -> Tensor:
    rank = min(factor_rank, module.d_in, module.d_out)
    return random_start(module.name, module.d_out, rank, seed=seed)
