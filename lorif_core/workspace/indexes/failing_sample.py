"""Texts of the statistics' sample that fail: they are left out of it, as the index will store them as zero."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lorif_core.data.sequences import EncodedText
from lorif_core.errors import NumericalError
from lorif_core.linalg.whitening import Moments
from lorif_core.passes.second_moments import add_moments, placed_moments
from lorif_core.shapes import ModuleShape
from lorif_core.workspace.indexes.engine import Engine
from lorif_core.workspace.indexes.failing_texts import is_of_a_text, reason_of


def check_moments(moments: Mapping[str, Moments]) -> None:
    """Refuse sums that a text has spoilt.

    Raises:
        NumericalError: One is not finite; names its module.
    """
    for name, one in moments.items():
        if not (torch.isfinite(one.inputs).all() and torch.isfinite(one.output_grads).all()):
            raise NumericalError(f"the second moments of module {name!r} must be finite, and are not.")


def failing_in_sample(
    engine: Engine, group: Sequence[ModuleShape], texts: Mapping[int, EncodedText]
) -> dict[int, str]:
    """Reason by position of every text that fails by itself.

    Args:
        engine: Inside ``frozen_model``.
        group: Modules whose gradients are looked at.
        texts: By their positions in the data set.
    """
    watched = placed_moments(engine.loaded.model, {one.name: _Watched.of(one) for one in group})
    found: dict[int, str] = {}
    for position, text in texts.items():
        try:
            add_moments(
                engine.loaded.model,
                watched,
                [text],
                pad_id=engine.pad_id,
                tokens_per_batch=engine.batches.tokens_per_batch,
            )
        except Exception as error:  # whatever a text makes a model do
            if not is_of_a_text(error, engine.loaded.model):
                raise
            found[position] = reason_of(error)
    return found


@dataclass
class _Watched(Moments):
    """Sums nothing, and refuses what is not finite."""

    @classmethod
    def of(cls, module: ModuleShape) -> "_Watched":
        """For a module's gradients."""
        is_head = module.form == "columns"
        return cls(torch.zeros(0, 0), torch.zeros(module.out_features) if is_head else torch.zeros(0, 0))

    def add(
        self, inputs: Tensor, output_grads: Tensor, num_tokens: int | None = None, *, in_bfloat16: bool = False
    ) -> None:
        """Look at some tokens.

        Raises:
            NumericalError: A number is not finite.
        """
        if not (torch.isfinite(inputs).all() and torch.isfinite(output_grads).all()):
            raise NumericalError("layer inputs and gradients must be finite, and are not.")
