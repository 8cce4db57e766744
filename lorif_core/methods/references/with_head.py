"""K-FAC and EK-FAC with the output head: its whole gradient under (A + λ_A)⁻¹ ⊗ (diag S + λ_S)⁻¹, as a summand more.

A is that of the places which predict a target, S that of all real tokens, with the damping of ``linalg.whitening``:
so A ⊗ S is the head's Fisher matrix per token, as that of every other module of K-FAC is. EK-FAC's Λ is a mean over
texts instead, that of the sum over a text's tokens. So its head is divided by tokens per text: with both parts in one
unit nothing is weighted but by what it says.
"""

from typing import ClassVar

from torch import Tensor

from lorif_core.linalg.roots import inverse_root
from lorif_core.linalg.whitening import Moments
from lorif_core.methods.references.ekfac import Ekfac
from lorif_core.methods.references.kfac import Kfac
from lorif_core.methods.references.reference import Curvatures
from lorif_core.shapes import Float


class KfacWithHead(Kfac):
    """The Kronecker factorisation, and the head."""

    label: ClassVar[str] = "kfac+head uncompressed"

    def head_metric(self, module_name: str, fitted: Curvatures, ratio: float) -> Float[Tensor, "i i"]:
        """Per token."""
        return hidden_metric(fitted.moments[module_name], ratio, what=module_name)


class EkfacWithHead(Ekfac):
    """The eigenvalue-corrected Kronecker factorisation, and the head."""

    label: ClassVar[str] = "ekfac+head uncompressed"

    def head_metric(self, module_name: str, fitted: Curvatures, ratio: float) -> Float[Tensor, "i i"]:
        """Per text."""
        assert fitted.tokens_per_text  # there are texts, and a head
        return hidden_metric(fitted.moments[module_name], ratio, what=module_name) / fitted.tokens_per_text


def hidden_metric(moments: Moments, ratio: float, *, what: str) -> Float[Tensor, "i i"]:
    """(A + λ_A)⁻¹ of a head; ``ratio`` is λ_A over the mean eigenvalue.

    Raises:
        NumericalError: A is not finite or zero.
    """
    root = inverse_root(moments.inputs, moments.num_inputs, ratio, what=f"the inputs of {what}")
    return (root @ root).float()
