"""Sketches keep inner products on average, and the plane is that of a dense principal component analysis."""

import pytest
import torch

from lorif_core.linalg.factors import Factors
from lorif_core.linalg.sketch import Moments, draw_sketch
from lorif_core.shapes import ModuleShape

MODULE = ModuleShape("layer.0.up", 12, 20, 12, 20)


def factors(n, c, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return Factors(
        torch.randn(n, c, MODULE.d_in, generator=generator), torch.randn(n, c, MODULE.d_out, generator=generator)
    )


@pytest.mark.parametrize("c", [1, 3])
def test_factors_and_the_matrices_they_stand_for_have_one_sketch(c):
    block, sketch = factors(5, c), draw_sketch(MODULE, 16, seed=3)
    torch.testing.assert_close(sketch.of_factors(block), sketch.of_dense(block.dense()), rtol=1e-4, atol=1e-4)


def test_inner_products_are_kept_on_average_over_seeds():
    block = factors(2, 2)
    wanted = float((block.dense()[0] * block.dense()[1]).sum())
    size = float(block.dense().flatten(1).norm(dim=1).prod())
    found = [
        float(rows[0] @ rows[1]) for rows in (draw_sketch(MODULE, 64, seed=s).of_factors(block) for s in range(400))
    ]
    # The mean of 400 draws of 64 columns errs by about 3 / sqrt(400 * 64) of the product of the norms.
    assert sum(found) / len(found) == pytest.approx(wanted, abs=0.06 * size)


def test_the_plane_is_that_of_a_dense_analysis_whatever_the_blocks():
    rows = torch.randn(50, 6, generator=torch.Generator().manual_seed(1)) * torch.tensor([5.0, 3.0, 1, 1, 1, 1])
    moments = Moments(6)
    for block in rows.split(7):
        moments.add(block)
    plane = moments.plane()
    centred = (rows - rows.mean(0)).double()
    u, s, _ = torch.linalg.svd(centred, full_matrices=False)
    wanted = u[:, :2] * s[:2]
    found = plane.project(rows)
    torch.testing.assert_close(found.abs(), wanted.abs(), rtol=1e-4, atol=1e-4)  # a picture and its mirror are one
    assert plane.explained == pytest.approx(tuple(float(one) for one in (s[:2] ** 2 / (s**2).sum())), rel=1e-5)
    assert (plane.axes[plane.axes.abs().argmax(0), [0, 1]] > 0).all()


def test_equal_rows_lie_on_one_point():
    moments = Moments(3)
    moments.add(torch.ones(4, 3))
    plane = moments.plane()
    assert plane.explained == (0.0, 0.0)
    assert plane.project(torch.ones(4, 3)).abs().max() < 1e-12
