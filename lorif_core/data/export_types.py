"""Arrow types for columns that are kept as JSON text, wherever a type holds all their values exactly.

A list or an object of which every example has the same fields becomes a list or a struct. Anything else
(values of different kinds, objects with different keys, empty objects) has no type that would give the same
values back, and stays JSON text.
"""

import json
from collections.abc import Iterable
from functools import reduce
from typing import Any, NamedTuple

import pyarrow as pa

from lorif_core.data.column_types import ARROW_TYPES
from lorif_core.data.columns import Storage, merge_storages, storage_of

MAX_DEPTH = 32


class ListOf(NamedTuple):
    """A list whose elements have one shape; None when every list is empty or holds nulls."""

    element: "Shape | None"


class StructOf(NamedTuple):
    """An object with these fields, in this order."""

    fields: tuple[tuple[str, "Shape | None"], ...]


Shape = Storage | ListOf | StructOf
"""How a value is built; the storage ``json`` stands for what no single type holds."""


def shape_of(value: Any, depth: int = 0) -> Shape | None:
    """How a JSON value is built, or None for a null."""
    if depth > MAX_DEPTH:
        return "json"
    if isinstance(value, list):
        return ListOf(reduce(merge_shapes, (shape_of(inner, depth + 1) for inner in value), None))
    if isinstance(value, dict) and value:
        return StructOf(tuple((name, shape_of(inner, depth + 1)) for name, inner in value.items()))
    return storage_of(value)


def merge_shapes(one: Shape | None, other: Shape | None) -> Shape | None:
    """The shape that holds what either holds, without changing a value."""
    if one == other or one is None or other is None:
        return one or other
    if isinstance(one, ListOf) and isinstance(other, ListOf):
        return ListOf(merge_shapes(one.element, other.element))
    if isinstance(one, StructOf) and isinstance(other, StructOf):
        if [name for name, _ in one.fields] != [name for name, _ in other.fields]:
            return "json"
        pairs = zip(one.fields, other.fields, strict=True)
        return StructOf(tuple((name, merge_shapes(left, right)) for (name, left), (_, right) in pairs))
    return merge_storages(one, other) if isinstance(one, str) and isinstance(other, str) else "json"


def arrow_type(shape: Shape | None) -> pa.DataType | None:
    """The type of a shape, or None where no type holds it."""
    if shape is None:
        return pa.string()
    if isinstance(shape, str):
        return None if shape == "json" else ARROW_TYPES[shape]
    if isinstance(shape, ListOf):
        element = arrow_type(shape.element)
        return None if element is None else pa.list_(element)
    types = [(name, arrow_type(inner)) for name, inner in shape.fields]
    return None if any(inner is None for _, inner in types) else pa.struct(types)


def type_of_column(texts: Iterable[str | None]) -> pa.DataType | None:
    """The type that holds every value of a column of JSON text, or None: it stays text."""
    shape: Shape | None = None
    for text in texts:
        if text is not None:
            shape = merge_shapes(shape, shape_of(json.loads(text)))
        if shape == "json":
            return None
    return arrow_type(shape)
