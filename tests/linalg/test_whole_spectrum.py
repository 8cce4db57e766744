"""Every direction of a Gram matrix, whichever side it is found from."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from oracles import dense_inverse

from lorif_core.errors import NumericalError
from lorif_core.linalg.preconditioner import damping_from_ratio, precondition
from lorif_core.linalg.whole_spectrum import whole_spectrum

DIM = 12


def stream(rows, chunk):
    return lambda: iter(rows.split(chunk))


@given(
    count=st.integers(1, 20), rank=st.integers(1, DIM), chunk=st.integers(1, 7), seed=st.integers(0, 99),
    ratio=st.sampled_from([0.1, 1.0]),
)  # fmt: skip
def test_its_damped_inverse_is_the_dense_one(count, rank, chunk, seed, ratio):
    rng = torch.Generator().manual_seed(seed)
    rows = torch.randn(count, rank, generator=rng) @ torch.randn(rank, DIM, generator=rng)
    asked = torch.randn(5, DIM, generator=rng)
    found = whole_spectrum(stream(rows, chunk), DIM, key="a")
    for rule in ("trace", "spectrum"):  # the mean over all D, those that are zero included
        damping = damping_from_ratio(found, rule, ratio)
        assert damping == pytest.approx(ratio * float(rows.double().square().sum()) / DIM, rel=1e-4)
    wanted = asked.double() @ dense_inverse(rows, damping)
    got = precondition(found, damping).apply(asked)
    assert float((got - wanted).abs().max()) < 1e-4 * float(wanted.abs().max())


def test_fewer_rows_than_numbers_keep_one_direction_each_at_most():
    rows = torch.randn(4, DIM, generator=torch.Generator().manual_seed(0))
    rows[3] = 2 * rows[0]
    found = whole_spectrum(stream(rows, 3), DIM, key="a")
    assert found.rank == 3
    assert found.spectrum.shape == (DIM,)
    torch.testing.assert_close(found.basis.T @ found.basis, torch.eye(3), atol=1e-5, rtol=0)


def test_rows_are_read_no_further_than_there_are_numbers():
    read = []

    def rows():
        for number in range(DIM):
            read.append(number)
            yield torch.eye(DIM)[[number] * 3]

    assert whole_spectrum(rows, DIM, key="a").rank == DIM
    assert len(read) == DIM // 3 + DIM  # until it is known that they are too many, then all


@pytest.mark.parametrize("count", [2, 20])
def test_a_row_that_is_not_finite_is_refused(count):
    rows = torch.full((count, DIM), torch.nan)
    with pytest.raises(NumericalError, match="must be finite"):
        whole_spectrum(stream(rows, 3), DIM, key="a")
