"""Small data sets, and what a filter means written as plain loops."""

import json
import math
import uuid
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import strategies as st

from lorif_core.corpus import ExamplesFile, Filter, Range

TYPES = {
    "train_id": pa.string(),
    "text": pa.string(),
    "prompt": pa.string(),
    "completion": pa.string(),
    "messages": pa.string(),
    "source": pa.string(),
    "year": pa.int64(),
    "score": pa.float64(),
    "is_old": pa.bool_(),
    "tags": pa.string(),
    "Source": pa.string(),
    "weird \"name' ; --": pa.int64(),
}
TEXT_COLUMNS = ("text", "prompt", "completion", "messages")

NASTY = [
    "", " ", "%", "_", "a_b", "a%b", "it's", '"quoted"', "--", "; DROP TABLE examples", "NEAR(a b)", "foo*", "*",
    "\\",
    "foo AND bar", "a OR b", "c0 : x", "^foo", "(", "[x]", "{1,2}", "$1", "?", "foo-bar", "Straße", "ÉCOLE", "école",
    "שלום עולם", "\u202eevil", "👩‍👩‍👧", "日本語", "null", "NaN", "tab\there", "line\nbreak", "a+b", "a.b",
]  # fmt: skip
nasty_text = st.one_of(
    st.sampled_from(NASTY),
    st.lists(st.sampled_from([*NASTY, "foo", "bar", "baz"]), max_size=5).map(" ".join),
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12),
)


def write_corpus(folder: Path, rows: list[dict[str, Any]], rows_per_group: int = 3) -> ExamplesFile:
    """An ``examples.parquet`` with the columns of the first row, behind ids where the rows have none."""
    complete = [{"train_id": f"t{number}", **row} for number, row in enumerate(rows)]
    names = list(complete[0]) if complete else ["train_id", "text"]
    schema = pa.schema({name: TYPES[name] for name in names})
    path = folder / f"examples-{uuid.uuid4().hex}.parquet"
    pq.write_table(pa.Table.from_pylist(complete, schema=schema), path, row_group_size=rows_per_group)
    return describe(path, names)


def describe(path: Path, names: list[str]) -> ExamplesFile:
    texts = tuple(name for name in TEXT_COLUMNS if name in names)
    metadata = tuple(name for name in names if name not in (*texts, "train_id"))
    return ExamplesFile(path, texts, metadata, tuple(n for n in names if n in ("messages", "tags")), path.stem)


def messages(*contents: str) -> str:
    return json.dumps([{"role": "user", "content": content} for content in contents], ensure_ascii=False)


def passes(row: dict[str, Any], chosen: Filter) -> bool:
    """Whether a row passes the choices of a filter."""
    return all(_is_chosen(row[name], choice) for name, choice in chosen.choices.items())


def _is_chosen(value: Any, choice: Any) -> bool:
    if isinstance(choice, Range):
        if value is None:
            return choice.includes_missing
        if math.isnan(value):
            return False
        is_above = choice.minimum is None or value >= choice.minimum
        if choice.maximum is None:
            return is_above
        return is_above and (value < choice.maximum or (choice.includes_maximum and value == choice.maximum))
    if not choice:
        return True
    return any(value == one or (value is None and one is None) or _are_nan(value, one) for one in choice)


def _are_nan(*values: Any) -> bool:
    return all(isinstance(value, float) and math.isnan(value) for value in values)
