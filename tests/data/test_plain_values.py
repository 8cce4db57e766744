"""Arrow values that become plain ones, and come back as they were."""

import json
import math
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lorif_core.data.plain_values import array_of, plain_values


def _small(bits: int, *, is_signed: bool = True) -> st.SearchStrategy[int]:
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if is_signed else (0, 2**bits - 1)
    return st.integers(low, high)


LEAVES: dict[pa.DataType, st.SearchStrategy] = {
    pa.bool_(): st.booleans(),
    pa.int8(): _small(8),
    pa.int32(): _small(32),
    pa.int64(): _small(64),
    pa.uint64(): _small(64, is_signed=False),
    pa.float32(): st.floats(width=32, allow_nan=False),
    pa.float64(): st.floats(allow_nan=False),
    pa.string(): st.text(st.characters(exclude_categories=["Cs"])),
    pa.large_string(): st.text(st.characters(exclude_categories=["Cs"])),
    pa.binary(): st.binary(),
    pa.large_binary(): st.binary(),
    pa.binary(3): st.binary(min_size=3, max_size=3),
    pa.decimal128(8, 2): st.integers(-(10**8) + 1, 10**8 - 1).map(lambda whole: Decimal(whole).scaleb(-2)),
    pa.date32(): st.dates(),
    pa.dictionary(pa.int8(), pa.string()): st.sampled_from(["red", "green", ""]),
}
MOMENTS = [
    *(pa.timestamp(unit, zone) for unit in ("s", "ms", "us", "ns") for zone in (None, "UTC", "Europe/Berlin")),
    *(pa.duration(unit) for unit in ("s", "ms", "us", "ns")),
    pa.date64(),
    pa.time32("s"),
    pa.time32("ms"),
    pa.time64("us"),
    pa.time64("ns"),
]


def arrays_of_moments(kind: pa.DataType) -> st.SearchStrategy[pa.Array]:
    """Times as their numbers of units: Python's own have no nanoseconds."""
    if pa.types.is_date64(kind):
        numbers = st.integers(-10_000, 10_000).map(lambda day: day * 86_400_000)
    elif pa.types.is_time(kind):
        numbers = st.integers(0, 86_399)
    else:
        numbers = st.integers(-(10**9), 10**9)
    stored = pa.int32() if pa.types.is_time32(kind) else pa.int64()
    return st.lists(st.none() | numbers, max_size=6).map(lambda values: pa.array(values, stored).cast(kind))


@st.composite
def types_with_values(draw: st.DrawFn, depth: int = 2) -> tuple[pa.DataType, st.SearchStrategy]:
    form = draw(st.sampled_from(["leaf"] if depth == 0 else ["leaf", "list", "large", "fixed", "struct", "map"]))
    if form == "leaf":
        kind = draw(st.sampled_from(list(LEAVES)))
        return kind, LEAVES[kind]
    inner, values = draw(types_with_values(depth - 1))
    maybe = st.none() | values
    if form == "struct":
        other, others = draw(types_with_values(depth - 1))
        both = st.fixed_dictionaries({"one": maybe, "other": st.none() | others})
        return pa.struct({"one": inner, "other": other}), both
    if form == "map":
        return pa.map_(pa.string(), inner), st.lists(st.tuples(st.text("abc"), maybe), max_size=3)
    lists = {"list": pa.list_(inner), "large": pa.large_list(inner), "fixed": pa.list_(inner, 2)}
    size = 2 if form == "fixed" else 0
    return lists[form], st.lists(maybe, min_size=size, max_size=2 if form == "fixed" else 3)


@st.composite
def arrays(draw: st.DrawFn) -> pa.Array:
    kind, values = draw(types_with_values())
    return pa.array(draw(st.lists(st.none() | values, max_size=5)), kind)


@given(arrays())
@settings(max_examples=300, deadline=None)
def test_values_come_back_as_they_were(array: pa.Array) -> None:
    plain = json.loads(json.dumps(plain_values(array)))
    found = array_of(plain, array.type)
    found.validate(full=True)
    assert found.type == array.type
    assert found.to_pylist() == array.to_pylist()


@pytest.mark.parametrize("kind", MOMENTS, ids=str)
@given(data=st.data())
@settings(max_examples=20, deadline=None)
def test_times_come_back_to_the_last_unit(kind: pa.DataType, data: st.DataObject) -> None:
    array = data.draw(arrays_of_moments(kind))
    assert array_of(plain_values(array), kind).equals(array)


@given(arrays(), st.integers(0, 5), st.integers(0, 5))
@settings(max_examples=100, deadline=None)
def test_a_slice_is_read_as_the_slice(array: pa.Array, start: int, length: int) -> None:
    assert plain_values(array.slice(start, length)) == plain_values(array)[start : start + length]


def test_numbers_that_are_none_stay_so() -> None:
    (value,) = array_of(plain_values(pa.array([math.nan])), pa.float64()).to_pylist()
    assert math.isnan(value)


def test_what_json_has_no_type_for_is_text() -> None:
    assert plain_values(pa.array([Decimal("9.50")])) == ["9.50"]
    assert plain_values(pa.array([b"\x00\xff"])) == ["AP8="]
    assert plain_values(pa.array([0], pa.timestamp("s", "Europe/Berlin"))) == ["1970-01-01 01:00:00+0100"]
    assert plain_values(pa.array([[("a", 1), ("a", None)]], pa.map_(pa.string(), pa.int8()))) == [
        [["a", 1], ["a", None]]
    ]


@pytest.mark.parametrize(
    ("value", "kind"),
    [("noon", pa.timestamp("s")), ("1.234", pa.decimal128(3, 1)), ("?", pa.binary()), ("x", pa.duration("s"))],
    ids=str,
)
def test_a_value_of_another_type_is_refused(value: str, kind: pa.DataType) -> None:
    with pytest.raises((pa.ArrowException, ValueError)):
        array_of([value], kind)
