"""Arrow tables of every type."""

import datetime as dt

import pyarrow as pa
from hypothesis import strategies as st

UNITS = ("s", "ms", "us", "ns")
ids = st.text("ab=-é 北", max_size=4)
texts = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=5)
odd_texts = st.sampled_from(
    ["", "- milk", "=1+1", "007", "1e5", "true", "2026-03-01", "a\rb", 'q"', "NaN", " x ", "北"]
)


def _times(unit, low=-(2**40), high=2**40):
    per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    return st.integers(max(low * per_second // 10**3, -(2**60)), min(high * per_second // 10**3, 2**60))


SCALARS = {
    pa.bool_(): st.booleans(),
    **{kind: st.integers(-(2 ** (kind.bit_width - 1)), 2 ** (kind.bit_width - 1) - 1)
       for kind in (pa.int8(), pa.int16(), pa.int32(), pa.int64())},
    **{kind: st.integers(0, 2**kind.bit_width - 1) for kind in (pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64())},
    pa.float16(): st.floats(width=16),
    pa.float32(): st.floats(width=32),
    pa.float64(): st.floats(),
    pa.decimal128(10, 2): st.decimals(-(10**7), 10**7, places=2),
    pa.decimal256(60, 3): st.decimals(-(10**7), 10**7, places=3),
    pa.date32(): st.dates(dt.date(1900, 1, 1), dt.date(2100, 1, 1)),
    pa.date64(): st.dates(dt.date(1900, 1, 1), dt.date(2100, 1, 1)),
    pa.time32("s"): st.integers(0, 86_399),
    pa.time32("ms"): st.integers(0, 86_399_999),
    pa.time64("us"): st.integers(0, 86_399_999_999),
    pa.time64("ns"): st.integers(0, 86_399_999_999_999),
    **{pa.timestamp(unit, zone): _times(unit) for unit in UNITS for zone in (None, "UTC", "Asia/Tokyo")},
    **{pa.duration(unit): st.integers(-(2**40), 2**40) for unit in UNITS},
    pa.string(): texts | odd_texts,
    pa.large_string(): texts,
    pa.binary(): st.binary(max_size=4),
    pa.large_binary(): st.binary(max_size=4),
    pa.binary(3): st.binary(min_size=3, max_size=3),
    pa.dictionary(pa.int8(), pa.string()): texts,
    pa.dictionary(pa.int32(), pa.int64()): st.integers(0, 5),
    pa.dictionary(pa.int16(), pa.string(), ordered=True): texts,
    pa.null(): st.none(),
}  # fmt: skip
"""Type → values as ``pa.array`` takes them."""


def _nested(inner):
    kind, values = inner
    return st.one_of(
        st.just((pa.list_(kind), st.lists(values | st.none(), max_size=3))),
        st.just((pa.large_list(kind), st.lists(values, max_size=3))),
        st.just((pa.list_(kind, 2), st.lists(values, min_size=2, max_size=2))),
        st.just((pa.struct([("a", kind), ("b", pa.int32())]), st.fixed_dictionaries({"a": values, "b": st.just(1)}))),
        st.just((pa.map_(pa.string(), kind), st.lists(st.tuples(texts, values), max_size=2))),
    )


flat = st.sampled_from(list(SCALARS.items()))
for_nested = flat.filter(lambda pair: not pa.types.is_dictionary(pair[0]) and not pa.types.is_null(pair[0]))
nested = for_nested.flatmap(_nested)
columns = flat | nested | nested.flatmap(_nested)


@st.composite
def tables(draw):
    """A table with ids and texts of its own, and up to three columns of any type."""
    num_rows = draw(st.integers(1, 6))
    arrays = [
        pa.array([f"{draw(ids)}{row}" for row in range(num_rows)]),
        pa.array([f"t{row}{draw(texts | odd_texts)}" for row in range(num_rows)]),
    ]
    fields = [pa.field("id", pa.string()), pa.field("text", pa.string())]
    for number in range(draw(st.integers(1, 3))):
        kind, values = draw(columns)
        may_miss = draw(st.booleans()) or pa.types.is_null(kind)
        cells = draw(st.lists(values | st.none() if may_miss else values, min_size=num_rows, max_size=num_rows))
        notes = draw(st.sampled_from([None, {"unit": "m"}]))
        fields.append(pa.field(f"c{number}", kind, nullable=may_miss, metadata=notes))
        arrays.append(array(cells, kind))
    notes = draw(st.sampled_from([None, {"made by": "us"}]))
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields, metadata=notes))


def array(cells, kind):
    if pa.types.is_dictionary(kind):
        encoded = pa.array(cells, kind.value_type).dictionary_encode()
        return pa.DictionaryArray.from_arrays(
            encoded.indices.cast(kind.index_type), encoded.dictionary, ordered=kind.ordered
        )
    if pa.types.is_float16(kind):
        return pa.array(cells, pa.float32()).cast(kind)
    return pa.array(cells, kind)
