"""How a question is scored, as options: the settings with the names that people type."""

from dataclasses import dataclass, fields
from typing import Annotated

import tyro

from lorif_core.config import ScoreConfig


@dataclass(frozen=True, kw_only=True)
class ScoreArgs(ScoreConfig):
    """The settings, with a second name for the steps."""

    refine: Annotated[int, tyro.conf.arg(aliases=["--steps"])] = 0
    """Half-whitened indexes: refine each question by this many steps (also `--steps`). By codes, two do most of it
    (docs/decisions/0013), and a step multiplies every stored text by a whole matrix twice. By the model, a step takes
    three passes of the model over the batch. Nothing is stored for it. 0: plain products, which are much faster."""

    @property
    def settings(self) -> ScoreConfig:
        """The same as the workspace takes them."""
        return ScoreConfig(**{one.name: getattr(self, one.name) for one in fields(ScoreConfig)})
