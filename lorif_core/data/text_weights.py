"""What each text's loss is multiplied by, where a column of the data says so.

Trained with weights w, a model minimises Σ_n w_n L_n: w_n multiplies the gradient of text n and with it its scores.
A reinforcement learner's policy gradient is of this form: it ascends Σ_n A_n log p(completion n), and log p is −L, so
the advantage A_n is the weight; several completions of one prompt (a group of GRPO) are as many rows.
Source: Williams (1992), REINFORCE; Shao et al., DeepSeekMath (arXiv:2402.03300), section 4.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from lorif_core.data.chat_turns import UnusableRowError

USUAL_NAMES = ("advantage", "advantages", "reward", "weight", "sample_weight")
"""Columns that are rarely called so by chance; people are told, and choose."""

LARGEST = 1e30
"""Gradients are multiplied in float32, whose largest number is 3.4e38."""


def weight_of(value: Any, name: str, *, has_comma: bool = False) -> float:
    """The weight that a value of the weight column gives its text.

    Args:
        value: A number, or a text that spells one.
        name: Of the column.
        has_comma: Whether a spelled number has a decimal comma.

    Raises:
        UnusableRowError: It is missing, no number, or not finite.
    """
    if value is None or (isinstance(value, str) and not value.strip()):
        raise UnusableRowError(
            f"missing weight in `{name}`", "a text that nothing is to be learned from has weight 0"
        )
    spelled = value.replace(".", "").replace(",", ".") if isinstance(value, str) and has_comma else value
    try:
        weight = math.nan if isinstance(spelled, bool) else float(spelled)
    except (ValueError, TypeError, OverflowError):
        weight = math.nan
    if not abs(weight) <= LARGEST:
        raise UnusableRowError(f"the weight in `{name}` is no finite number up to 1e30", f"it is {str(value)[:80]!r}")
    return weight


@dataclass
class WeightCount:
    """What the weights of an import are."""

    column: str | None
    """In the data; None: every text weighs 1."""

    num_zero: int = 0
    num_negative: int = 0
    smallest: float = math.inf
    largest: float = -math.inf

    def add(self, weight: float) -> None:
        """Take note of a text's weight."""
        self.num_zero += weight == 0
        self.num_negative += weight < 0
        self.smallest, self.largest = min(self.smallest, weight), max(self.largest, weight)

    @property
    def notes(self) -> list[str]:
        """What people are told about them; nothing without a column."""
        if self.column is None:
            return []
        said = f"`{self.column}` multiplies the loss of every text, by {self.smallest:g} to {self.largest:g}"
        parts = [f"{self.num_zero:,} of weight 0 teach nothing"] if self.num_zero else []
        parts += [f"{self.num_negative:,} of negative weight push the model away"] if self.num_negative else []
        return [f"{said}: {', '.join(parts)}" if parts else said]


def suggestion(column: str | None, types: Mapping[str, pa.DataType]) -> list[str]:
    """A column that may be meant as a weight where none is named, and the flag that makes it one.

    Args:
        column: The weight column.
        types: Of the metadata columns, by their names in the data.
    """
    if column is not None:
        return []
    found = [
        name
        for name, kind in types.items()
        if name.lower() in USUAL_NAMES and (pa.types.is_integer(kind) or pa.types.is_floating(kind))
    ]
    return [
        f"`{name}` is kept as metadata and every text weighs 1; `--weight-column {name}` multiplies its loss by it"
        for name in found
    ]
