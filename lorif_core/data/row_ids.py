"""Ids of rows, and the one spelling of their content that ids and fingerprints hash.

Canonical JSON: keys sorted, nulls left out, 1.0 written as 1, lists that arrive as JSON text in columns of chats or
tokens taken as the lists that they spell. Without an id column the id of a row is ``t`` and the hash of what is
trained on, by role: the same from every format, beside any metadata, under any names of the columns. Rules 1, those
of data imported before there were types, hash the whole row without its id column, behind an ``h``.
"""

import json
from typing import Any

import xxhash

from lorif_core.data.columns import MAX_EXACT_FLOAT, Columns, RowProblem, spelled_out

HASH_DIGITS = 16
LINE_ENDS = ("\n", "\r", "\v", "\f", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029")
BROKEN = {"\0": "NUL", **dict.fromkeys(LINE_ENDS, "line break")}
"""Character that no id may hold → what it is: lists of ids are lines."""


def given_id(value: Any, rules: int = 2) -> str | RowProblem:
    """The id that an id column gives: its text, or its whole number in digits."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # a table with missing ids turns its whole numbers into floats
    if value is None or (isinstance(value, str) and not value.strip()):
        return RowProblem("empty id")
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        return RowProblem("id is not text or a whole number", f"it is {str(value)[:80]!r}")
    text = str(value)
    if rules > 1 and (not text.isprintable()) and (found := next((one for one in text if one in BROKEN), None)):
        return RowProblem(f"id holds a {BROKEN[found]}", f"it is {text[:80]!r}")
    return text


def hash_of_row(values: dict[str, Any], columns: Columns, content: bytes, rules: int) -> str:
    """What the id of a row begins with; rows of the same text have the same.

    Args:
        values: Of the row, as they came.
        columns: Which of them make the example.
        content: Of the whole row.
        rules: 1 hashes that, 2 what is trained on.
    """
    if rules == 1:
        return f"h{xxhash.xxh3_128_hexdigest(content)[:HASH_DIGITS]}"
    return f"t{xxhash.xxh3_128_hexdigest(trained_content(values, columns))[:HASH_DIGITS]}"


def trained_content(values: dict[str, Any], columns: Columns) -> bytes:
    """The one JSON spelling of what is trained on, by role."""
    roles = {role: values.get(name) for role, name in columns.names.items()}
    if not columns.is_verbatim:
        listed = columns.structured_columns
        roles |= {role: spelled_out(roles[role]) for role, name in columns.names.items() if name in listed}
    return canonical_content(roles, None)


def content_of_row(values: dict[str, Any], columns: Columns) -> bytes:
    """The one JSON spelling of a row without its id, whether lists arrived as such or as JSON text."""
    if not columns.is_verbatim:
        values = {**values, **{name: spelled_out(values.get(name)) for name in columns.structured_columns}}
    return canonical_content(values, columns.id)


def canonical_content(values: dict[str, Any], id_column: str | None) -> bytes:
    """The one JSON spelling of a row without its id, equal for equal rows of any file format."""
    kept = {name: _canonical(value) for name, value in values.items() if value is not None and name != id_column}
    return json.dumps(kept, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()


def _canonical(value: Any) -> Any:
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) <= MAX_EXACT_FLOAT else value
    if isinstance(value, list):
        return [_canonical(inner) for inner in value]
    if isinstance(value, dict):
        return {name: _canonical(inner) for name, inner in value.items()}
    return value
