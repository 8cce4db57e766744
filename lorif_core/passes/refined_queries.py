"""Queries refined by the model's own Gauss–Newton matrix: solutions of its damped system in place of gradients.

What is stored stays as it is: in the coordinates of the index's maps a solution is itself a query (``gauss_newton``).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from lorif_core.data.sequences import EncodedText
from lorif_core.linalg.linear_solvers import OnStep, SolverName, no_report, solve_system
from lorif_core.passes.gauss_newton import GaussNewton
from lorif_core.passes.queries import QueryGradients
from lorif_core.passes.shards import GradientSource

SOLVER_NAMES: dict[SolverName, str] = {"cg": "conjugate gradients", "lissa": "LiSSA"}


class ModelRefinement(NamedTuple):
    """How queries were refined."""

    solver: SolverName
    steps: int
    num_texts: int
    """Of the batch that the curvature was taken over."""

    residual: float
    """What is left of the system: ‖q - (H + ρ I) u‖ ÷ ‖q‖, 0 when it is solved; the largest of all queries."""

    @property
    def sentence(self) -> str:
        """For people."""
        steps = f"{self.steps} step{'s' * (self.steps != 1)}"
        return (
            f"refined by the model's Gauss–Newton matrix over {self.num_texts:,} training texts: {steps} of "
            f"{SOLVER_NAMES[self.solver]}, {self.residual:.2g} of the right side left"
        )


def worst_of(refinements: Iterable[ModelRefinement | None]) -> ModelRefinement | None:
    """That with the largest residual; None where nothing was refined."""
    found = [one for one in refinements if one is not None]
    return max(found, key=lambda one: one.residual) if found else None


@dataclass(frozen=True)
class RefinedQueries(QueryGradients):
    """Solutions in place of projected gradients."""

    refinement: ModelRefinement


def refine_by_model(
    source: GradientSource,
    gradients: QueryGradients,
    texts: Sequence[EncodedText],
    *,
    solver: SolverName,
    steps: int,
    ratio: float,
    on_step: OnStep = no_report,
) -> RefinedQueries:
    """The queries' solutions.

    Args:
        source: Of the index.
        gradients: Of the queries.
        texts: The batch that the curvature is taken over.
        solver: Of the system.
        steps: At least 1.
        ratio: Damping over what so few texts leave open, ``GaussNewton.noise``.
        on_step: Called after every step.

    Raises:
        CaptureError: The model has an operation that knows no tangents.
        NumericalError: A number is not finite.
    """
    curved = GaussNewton(source, texts)
    found = solve_system(
        solver, curved.product, gradients.matrices, damping=ratio * curved.noise, steps=steps, on_step=on_step
    )
    done = ModelRefinement(solver, steps, len(texts), float(found.residuals.max()))
    return RefinedQueries(found.matrices, gradients.objectives, gradients.stored, done)
