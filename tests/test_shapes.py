"""Shapes in signatures are checked in every test run, and cost nothing where jaxtyping is missing."""

import subprocess
import sys

import pytest
import torch
from jaxtyping import TypeCheckError

from lorif_core.linalg.alike import Standard
from lorif_core.linalg.factors import Factors
from lorif_core.metrics.shares import shares_of_total


def test_a_function_called_with_a_wrong_shape_is_refused():
    with pytest.raises(TypeCheckError):
        shares_of_total(torch.ones(2, 3, 4))


def test_factors_of_different_numbers_of_examples_are_refused():
    with pytest.raises(TypeCheckError):
        Factors(left=torch.ones(2, 1, 3), right=torch.ones(5, 1, 3))


def test_a_method_whose_result_has_a_wrong_shape_is_refused():
    standard = Standard(torch.ones(3), torch.ones(3))
    with pytest.raises(TypeCheckError):
        standard.of(torch.ones(3))


def test_without_jaxtyping_a_shape_is_the_plain_type():
    program = """
import sys
sys.modules["jaxtyping"] = None  # importing it now fails
from torch import Tensor
from lorif_core.linalg.factors import Factors
from lorif_core.shapes import Bool, Float, Int, UInt8
assert Factors.__annotations__ == {"left": Tensor, "right": Tensor}
assert {Bool[Tensor, "N"], Float[Tensor, "N"], Int[Tensor, "N"], UInt8[Tensor, "N"]} == {Tensor}
"""
    result = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
