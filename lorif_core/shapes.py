"""The axis letters, once, and the tensor alias used in signatures.

    B  examples in a batch        Q  queries          D  d_in·d_out, one flattened projected gradient
    T  tokens of a sequence       N  train examples   r  subspace rank      c  factor rank
    i  input axis of a module     o  output axis      d_in, d_out  projected widths

One letter, one axis, in every einsum and comment. Shapes stand in the docstring or in an
end-of-line comment, ``# (B, T, d_in)``.
"""

from collections.abc import Mapping

from torch import Tensor

ByModule = Mapping[str, Tensor]
"""One tensor per tracked module, keyed by torch's dotted module name."""
