"""RepSim: the cosine of the last layer's hidden states at the last token."""

from typing import ClassVar

import torch
from torch import Tensor

from lorif_core.shapes import Float


class Repsim:
    """Compares what the model ends with, not how it learns."""

    label: ClassVar[str] = "repsim"

    def score_states(
        self, queries: Float[Tensor, "Q width"], texts: Float[Tensor, "n width"]
    ) -> Float[Tensor, "Q n"]:
        """Cosine of every pair."""
        one, other = (torch.nn.functional.normalize(part, dim=1) for part in (queries, texts))
        return one @ other.mT
