import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lorif_core.errors import ConfigError, NumericalError
from lorif_core.linalg.codecs import check_finite, column_codec, factor_bytes

CODECS = ["bf16", "int8", "int4", "sign"]
SCALED = ["int8", "int4", "sign"]
LEVELS = {"int8": 127, "int4": 7}
HALF_STEP_OF_BF16 = 2**-8
"""Relative rounding of a scale that is neither huge nor tiny."""

columns_strategy = st.lists(
    st.floats(-1e3, 1e3, width=32).map(lambda value: 0.0 if abs(value) < 1e-2 else value), min_size=1, max_size=37
)


def round_trip(codec, columns):
    coded = codec.encode(columns)
    return codec.decode(coded.codes, coded.scales, columns.shape[-1])


def check_stored(codec, columns):
    coded = codec.encode(columns)
    for stored in (coded.codes, *([] if coded.scales is None else [coded.scales])):
        check_finite("m", stored)


def actual_bytes(codec, columns):
    coded = codec.encode(columns)
    tensors = [coded.codes] + ([] if coded.scales is None else [coded.scales])
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


@given(columns_strategy)
def test_bf16_rounds_every_number_to_eight_bits_of_mantissa(numbers):
    columns = torch.tensor([numbers])
    error = (round_trip(column_codec("bf16"), columns) - columns).abs()
    assert (error <= columns.abs() * 2**-8).all()


@pytest.mark.parametrize("name", LEVELS)
@given(numbers=columns_strategy)
def test_integer_codes_are_off_by_at_most_half_a_step_in_the_mean_square(name, numbers):
    columns = torch.tensor([numbers])
    error = (round_trip(column_codec(name), columns) - columns).double().norm()
    step = columns.abs().max().double() / LEVELS[name]
    # Half a step per number, of a step that was rounded up to bf16: by at most 2^-7 of itself.
    bound = step * (1 + 2**-7) / 2 * math.sqrt(len(numbers))
    assert error <= bound * (1 + 1e-5)


@given(columns_strategy)
def test_sign_codes_keep_the_sign_of_every_number_and_the_mean_magnitude(numbers):
    columns = torch.tensor([numbers])
    found = round_trip(column_codec("sign"), columns)
    assert ((found > 0) == (columns >= 0))[columns != 0].all()
    mean = columns.double().abs().mean().item()
    assert found.abs().double().max().item() == pytest.approx(mean, rel=HALF_STEP_OF_BF16 * 1.01, abs=1e-7)
    assert found.abs().max() == found.abs().min()


@given(columns_strategy, st.floats(0.5, 2))
def test_no_other_magnitude_fits_the_signs_better(numbers, factor):
    columns = torch.tensor([numbers]).double()
    found = round_trip(column_codec("sign"), columns.float()).double()
    slack = (HALF_STEP_OF_BF16 * 1.01 * columns.norm()) ** 2 + 1e-9
    assert (found - columns).square().sum() <= (found * factor - columns).square().sum() + slack


@pytest.mark.parametrize("name", SCALED)
@pytest.mark.parametrize("magnitude", [1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1.0, 1e3])
def test_small_columns_are_coded_as_well_as_large_ones(name, magnitude, rng):
    columns = torch.randn(20, 31, generator=rng)
    codec = column_codec(name)
    wanted = (round_trip(codec, columns) - columns).norm() / columns.norm()
    found = (round_trip(codec, columns * magnitude) - columns * magnitude).norm() / (columns * magnitude).norm()
    assert found <= wanted * 1.05 + 2 * HALF_STEP_OF_BF16


@given(st.integers(1, 70), st.integers(1, 3), st.integers(1, 4), st.sampled_from(CODECS))
def test_the_bytes_of_a_column_are_those_of_its_tensors(width, examples, rank, name):
    codec = column_codec(name)
    columns = torch.randn(examples, rank, width, generator=torch.Generator().manual_seed(width))
    assert actual_bytes(codec, columns) == examples * rank * codec.column_bytes(width)


@pytest.mark.parametrize(
    ("name", "width", "expected"),
    [
        ("bf16", 5, 10),
        ("int8", 5, 7),
        ("int4", 5, 5),
        ("int4", 4, 4),
        ("sign", 8, 3),
        ("sign", 9, 4),
        ("sign", 1, 3),
    ],
)
def test_bytes_of_a_column(name, width, expected):
    assert column_codec(name).column_bytes(width) == expected


def test_factors_of_a_module_take_rank_times_both_columns():
    # int4: left 3·(⌈10/2⌉ + 2) + right 3·(⌈7/2⌉ + 2)
    assert factor_bytes(column_codec("int4"), 3, 10, 7) == 3 * 7 + 3 * 6


def test_sign_bits_are_packed_lowest_bit_first():
    columns = torch.tensor([[1.0, -1, -1, -1, -1, -1, -1, 1, -1, 1]])
    # bit 0 and bit 7 of the first byte, bit 1 of the second; padding bits are 0
    assert column_codec("sign").encode(columns).codes.tolist() == [[0b10000001, 0b00000010]]


def test_int4_packs_the_first_number_into_the_low_half():
    codes = column_codec("int4").encode(torch.tensor([[7.0, -7.0, 1.0]])).codes
    assert [byte & 15 for byte in codes[0].tolist()] == [15, 9]
    assert codes[0, 0].item() >> 4 == 1


@pytest.mark.parametrize("name", CODECS)
@pytest.mark.parametrize("width", [1, 2, 7, 8, 9])
def test_zero_columns_come_back_as_zeros(name, width):
    assert not round_trip(column_codec(name), torch.zeros(2, 3, width)).any()


@pytest.mark.parametrize("name", CODECS)
def test_a_zero_column_beside_another_stays_zero(name):
    columns = torch.tensor([[[0.0, 0.0, 0.0], [1.0, -2.0, 3.0]]])
    found = round_trip(column_codec(name), columns)
    assert not found[0, 0].any()
    assert found[0, 1].any()


@pytest.mark.parametrize("name", CODECS)
def test_a_column_is_coded_by_itself(name, rng):
    columns = torch.randn(4, 2, 11, generator=rng)
    columns[0] *= 1000
    codec = column_codec(name)
    torch.testing.assert_close(round_trip(codec, columns)[1:], round_trip(codec, columns[1:]), rtol=0, atol=0)


@pytest.mark.parametrize("name", CODECS)
def test_the_mirrored_column_has_the_mirrored_code(name, rng):
    columns = torch.randn(3, 9, generator=rng)
    codec = column_codec(name)
    torch.testing.assert_close(round_trip(codec, -columns), -round_trip(codec, columns), rtol=0, atol=0)


@pytest.mark.parametrize("name", SCALED)
def test_decoded_numbers_are_float32_in_the_shape_that_was_coded(name, rng):
    columns = torch.randn(4, 2, 11, generator=rng)
    found = round_trip(column_codec(name), columns)
    assert found.dtype == torch.float32
    assert found.shape == columns.shape


@pytest.mark.parametrize("name", LEVELS)
@pytest.mark.parametrize("scale", [0.5, 8.0])
def test_columns_on_the_grid_are_kept_exactly(name, scale):
    top = LEVELS[name]
    columns = torch.arange(-top, top + 1).float().unsqueeze(0) * scale
    torch.testing.assert_close(round_trip(column_codec(name), columns), columns, rtol=0, atol=0)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("name", CODECS)
def test_numbers_that_are_not_finite_are_refused_and_their_texts_counted(name, bad):
    columns = torch.ones(2, 3)
    columns[1, 2] = bad
    with pytest.raises(NumericalError, match=r"must be finite to be stored, those of module 'm' are not in 1 of 2"):
        check_stored(column_codec(name), columns)


@pytest.mark.parametrize("name", SCALED)
def test_huge_columns_are_coded_as_well_as_ordinary_ones(name, rng):
    columns = torch.randn(3, 16, generator=rng)
    large = round_trip(column_codec(name), columns * 2.0**90)
    torch.testing.assert_close(large, round_trip(column_codec(name), columns) * 2.0**90, rtol=1e-6, atol=0)


def test_bf16_keeps_huge_numbers():
    columns = torch.full((1, 4), 1e30)
    torch.testing.assert_close(round_trip(column_codec("bf16"), columns), columns, rtol=2**-8, atol=0)


def test_bf16_refuses_a_number_that_it_would_turn_into_infinity():
    columns = torch.full((1, 4), torch.finfo(torch.float32).max)
    with pytest.raises(NumericalError, match=r"must be finite|out of range|overflow"):
        check_stored(column_codec("bf16"), columns)


@pytest.mark.parametrize("name", CODECS)
def test_finite_numbers_pass_however_large(name):
    check_stored(column_codec(name), torch.tensor([[1e37, -1e37, 0.0], [0.0, 0.0, 0.0]]))


def test_an_unknown_codec_lists_the_known_ones():
    with pytest.raises(ConfigError, match=r"one of bf16, int8, int4, sign, got 'int3'"):
        column_codec("int3")


@pytest.mark.parametrize("name", ["int8", "int4", "sign"])
def test_one_scale_of_a_term_stands_for_the_product_of_two(name):
    rng = torch.Generator().manual_seed(4)
    left, right = torch.randn(6, 2, 30, generator=rng), 1e-3 * torch.randn(6, 2, 17, generator=rng)
    both, one = column_codec(name), column_codec(name, "term")
    wanted = [coded_numbers(both, *side) for side in zip(both.encode_pair(left, right), (30, 17), strict=True)]
    found = [coded_numbers(one, *side) for side in zip(one.encode_pair(left, right), (30, 17), strict=True)]
    assert one.encode_pair(left, right)[1].scales is None
    terms = [torch.einsum("nci,nco->ncio", *sides) for sides in (found, wanted)]
    torch.testing.assert_close(terms[0], terms[1], rtol=2**-8, atol=0)


def coded_numbers(codec, coded, width):
    return codec.decode(coded.codes, coded.scales, width).double()


@pytest.mark.parametrize(("name", "saved"), [("bf16", 0), ("int8", 2), ("int4", 2), ("sign", 2)])
def test_one_scale_saves_its_bytes(name, saved):
    left, right = torch.randn(5, 3, 30), torch.randn(5, 3, 17)
    codec = column_codec(name, "term")
    stored = [one for coded in codec.encode_pair(left, right) for one in (coded.codes, coded.scales)]
    assert sum(one.nbytes for one in stored if one is not None) == 5 * 3 * codec.pair_bytes(30, 17)
    assert codec.pair_bytes(30, 17) == column_codec(name).pair_bytes(30, 17) - saved
