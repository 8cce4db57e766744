"""GradDot: the plain inner product of gradients, ⟨g_q, g_n⟩ summed over modules; no curvature.

What every other method is measured against. To first order it is how much a step of gradient descent on the text
lowers the query's objective, per unit of learning rate (TracIn with one checkpoint); no nats of a removed text.
Source: TracIn (arXiv:2002.08484), section 3.2.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch

from lorif_core.config import PLAIN_PRODUCT, CurvatureConfig, ScoreConfig
from lorif_core.errors import ConfigError
from lorif_core.linalg.subspace import RowStream, Subspace
from lorif_core.methods.lorif import FactoredMethod, curvature_asked
from lorif_core.methods.method_settings import GraddotConfig
from lorif_core.methods.protocol import Curvature, Unit
from lorif_core.shapes import ModuleShape


@dataclass(frozen=True)
class NoCurvature:
    """The identity: a score is the plain inner product of what is stored."""

    refusal: str
    """Why a damping or a rank cannot be asked for, and what to do instead."""

    @property
    def fitted(self) -> CurvatureConfig:
        """No direction, damping 1."""
        return PLAIN_PRODUCT

    @property
    def subspace_rank(self) -> int | None:
        """No direction is kept."""
        return 0

    def check(self, modules: Sequence[ModuleShape], available_bytes: int) -> None:
        """Nothing is fitted."""

    def fit(self, module: ModuleShape, stream_rows: RowStream) -> Subspace:
        """No direction; the trace, which reports show."""
        trace = sum(float(rows.square().sum(dtype=torch.float64)) for rows in stream_rows())
        return Subspace(torch.zeros(module.dim, 0), torch.zeros(0), trace)

    def asked(self, built: CurvatureConfig, asked: ScoreConfig) -> CurvatureConfig:
        """What the index was built with: there is nothing to change.

        An absolute damping of 1 is what the plain product is, so it may be asked for by name.

        Raises:
            ConfigError: Another damping or a rank is asked for.
        """
        damping = (asked.damping_rule, asked.damping_ratio, asked.damping)
        found = curvature_asked(built, asked)
        if found != built and damping != (None, None, None):
            raise ConfigError(self.refusal)
        return found


@dataclass(frozen=True)
class Graddot(FactoredMethod[GraddotConfig]):
    """Factored gradients, plain products."""

    shares_gradients: ClassVar[bool] = True

    @property
    def curvature(self) -> Curvature:
        """None."""
        return NoCurvature(
            "graddot is the plain product of gradients, which no damping changes. Leave it out, or ask an index of "
            "`--method lorif`."
        )

    @property
    def unit(self) -> Unit:
        """No curvature, so no nats."""
        return "gradient products"
