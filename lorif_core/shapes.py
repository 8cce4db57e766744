"""The axis letters, once, and the small values that every layer passes around.

    B  examples in a batch        Q  queries          D  d_in·d_out, one flattened projected gradient
    T  tokens of a sequence       N  train examples   r  subspace rank      c  factor rank
    i  input axis of a module     o  output axis      d_in, d_out  projected widths

One letter, one axis, in every einsum and comment; shapes stand in signatures or in an
end-of-line comment, ``# (B, T, d_in)``. Signatures take ``Float`` and its like from here: they are
jaxtyping's, which the tests check at every call, and plain types where jaxtyping is not installed.
"""

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from jaxtyping import Bool as Bool
    from jaxtyping import Float as Float
    from jaxtyping import Int as Int
    from jaxtyping import UInt8 as UInt8
    from torch import Tensor


class _Unchecked:
    """Stands in for jaxtyping's annotations: of a type and its shape only the type is left."""

    def __class_getitem__(cls, annotation: tuple[Any, str]) -> Any:
        array, _ = annotation
        return array


def __getattr__(name: str) -> Any:
    """An annotation of arrays, when it is first used: what reads a plan needs neither jaxtyping nor torch."""
    if name not in ("Bool", "Float", "Int", "UInt8"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module("jaxtyping"), name)
    except ImportError:  # a machine that only computes, with torch and little else
        return _Unchecked


class TokenBatch(NamedTuple):
    """Sequences padded to one length."""

    input_ids: "Tensor"
    """(B, T) int64."""

    attention_mask: "Tensor"
    """(B, T) int64, 1 on real tokens."""

    target_mask: "Tensor"
    """(B, T) bool: tokens whose cross-entropy belongs to the objective. Never a sequence's first token."""


Form = Literal["factors", "columns"]
"""What is stored of one module's gradients where not the whole: rank-c factors, or their heaviest columns.

Columns are for an output head, whose gradient has one per token of the vocabulary, most of them next to nothing.
"""


class Tracked(NamedTuple):
    """What of a model is tracked unless patterns say otherwise: the linear maps of its MLPs, and"""

    attention: bool = True
    """those of attention,"""

    head: bool = False
    """the output head, as columns."""


ATTENTION_AND_MLP = Tracked()


@dataclass(frozen=True)
class ModuleShape:
    """One tracked module and its widths before and after projection."""

    name: str
    """torch's dotted path, verbatim."""

    in_features: int
    out_features: int

    d_in: int
    """Projected input width."""

    d_out: int
    """Projected output width."""

    form: Form = "factors"

    @property
    def dim(self) -> int:
        """Length D of one flattened projected gradient."""
        return self.d_in * self.d_out

    @property
    def moment_width(self) -> int:
        """Width of the wider of its second moments; a head's outputs have only a diagonal."""
        return self.in_features if self.form == "columns" else max(self.in_features, self.out_features)
