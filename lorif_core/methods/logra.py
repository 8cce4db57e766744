"""LoGra: whole projected gradients and the full inverse of each module's Gram matrix.

The Gram matrix is D × D per module, so this is for small projections only; it is the
reference that LoRIF approximates (full c and full r give the same scores).
Source: LoGra (arXiv:2405.13954).
"""

from dataclasses import dataclass

from lorif_core.errors import ResourceError
from lorif_core.linalg.gradients import DenseGradient, ProjectedGradient
from lorif_core.linalg.subspace import RowStream, Subspace, fit_subspace
from lorif_core.shapes import ModuleShape
from lorif_core.store.blocks import Block
from lorif_core.store.manifest import Layout

_GRAM_COPIES = 4
"""D × D float64 matrices alive during an eigendecomposition: the Gram, its vectors, workspace."""


@dataclass(frozen=True)
class Logra:
    """Unfactored gradients, full curvature per module."""

    layout: Layout = "dense"
    subspace_rank: int | None = None

    def compress(self, gradient: ProjectedGradient, module: ModuleShape) -> Block:
        """The projected gradients themselves."""
        return DenseGradient(gradient.dense())

    def check(self, modules: list[ModuleShape], available_bytes: int) -> None:
        """Refuse when the widest module's Gram matrix would not fit.

        Raises:
            ResourceError: Names the memory it would need and the way out.
        """
        widest = max(modules, key=lambda module: module.dim)
        needed = _GRAM_COPIES * 8 * widest.dim**2
        if needed > available_bytes:
            raise ResourceError(
                f"logra inverts a {widest.dim} × {widest.dim} matrix for module {widest.name!r}, which needs "
                f"{needed / 1e9:.1f} GB of memory; {available_bytes / 1e9:.1f} GB are free. Raise `--f`, exclude the "
                "module, or use `--method lorif`."
            )

    def fit(self, module: ModuleShape, stream_rows: RowStream) -> Subspace:
        """All eigenvectors of the module's gradient Gram matrix."""
        return fit_subspace(stream_rows, module.dim, module.dim, key=module.name)
