"""What an attribution method decides: the form in which gradients are kept, and their curvature.

Everything else (capture, coding, storage, scoring) is shared, so methods differ in what they
are and not in how they are run.
"""

from typing import Protocol, runtime_checkable

from lorif_core.linalg.gradients import ProjectedGradient
from lorif_core.linalg.subspace import RowStream, Subspace
from lorif_core.shapes import ModuleShape
from lorif_core.store.blocks import Block
from lorif_core.store.manifest import Layout


@runtime_checkable
class AttributionMethod(Protocol):
    """A method that scores stored train gradients against preconditioned query gradients."""

    @property
    def layout(self) -> Layout:
        """Whether shards hold factors or whole projected gradients."""
        ...

    @property
    def subspace_rank(self) -> int | None:
        """Directions kept per module; None keeps all of them."""
        ...

    def compress(self, gradient: ProjectedGradient, module: ModuleShape) -> Block:
        """The form of a batch of one module's gradients that is stored."""
        ...

    def check(self, modules: list[ModuleShape], available_bytes: int) -> None:
        """Refuse modules whose curvature would not fit into memory.

        Raises:
            ResourceError: Names the memory it would need and the way out.
        """
        ...

    def fit(self, module: ModuleShape, stream_rows: RowStream) -> Subspace:
        """Curvature of one module from a stream of its stored gradients, flattened to rows."""
        ...
