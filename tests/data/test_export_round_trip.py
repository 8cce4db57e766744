"""Whatever types and texts data come with, an export gives them back, or says before it is written what it does not.

More schemas than in every run: `LORIF_ROUND_TRIPS=500 python -m pytest tests/data/test_export_round_trip.py`.
"""

import json
import os
import tempfile
from dataclasses import replace
from pathlib import Path

import datasets
import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from typed_examples import tables

from lorif_core.config import ImportConfig
from lorif_core.data.export_columns import columns_of, typed_columns_of
from lorif_core.data.export_losses import find_losses
from lorif_core.data.export_selection import Decisions, Selection
from lorif_core.data.exporting import write_data
from lorif_core.data.importing import write_examples
from lorif_core.data.plain_values import plain_values
from lorif_core.data.sources import iter_records
from lorif_core.export_config import ExportConfig

NUM_SCHEMAS = int(os.environ.get("LORIF_ROUND_TRIPS", "40"))
NOBODY = Decisions(pl.DataFrame(schema={"train_id": pl.String, "status": pl.String}))
many = settings(max_examples=NUM_SCHEMAS, deadline=None, suppress_health_check=list(HealthCheck))


def imported(folder, *paths):
    """A selection of everything in freshly imported files."""
    write_examples(list(paths), ImportConfig(text="text", id="id"), folder)
    return Selection(folder / "examples.parquet", NOBODY, ExportConfig())


def exported(folder, selection, file_format, **chosen):
    """The exported file or folder, and what was said before it was written."""
    selection = replace(selection, settings=ExportConfig(format=file_format, formulas="keep", **chosen))
    said = find_losses(selection).sentences
    out = folder / f"out-{file_format}"
    out.mkdir()
    write_data(out, selection)
    return next(path for path in sorted(out.iterdir()) if path.name.startswith("data")), said


def values_of(selection):
    """Column → its values, spelled so that NaN and -0.0 do not hide."""
    found = list(selection.iter_kept())
    columns = columns_of(selection)
    return {one.name: json.dumps([value for table in found for value in plain(one, table)]) for one in columns}


def plain(column, table):
    values = column.plain(table[column.name])
    return [None if value is None else json.loads(value) for value in values] if column.is_json else values


def is_said(name, said):
    return any(f"`{name}`" in sentence for sentence in said)


def written(folder, table):
    pq.write_table(table, folder / "source.parquet")
    return folder / "source.parquet"


@given(table=tables())
@many
@pytest.mark.parametrize("file_format", ["parquet", "hf"])
def test_typed_formats_give_back_values_types_and_notes(table, file_format):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = pq.read_table(written(folder, table))  # as people have it: Parquet has no timestamps of seconds
        path, said = exported(folder, imported(folder / "set", folder / "source.parquet"), file_format)
        if file_format == "parquet":
            found = pq.read_table(path)
            assert found.schema.metadata == source.schema.metadata
        else:
            found = datasets.load_from_disk(path.parent).with_format("arrow")[:]
        assert found.column_names == source.column_names
        for field in source.schema:
            if is_said(field.name, said):
                continue
            back = found.schema.field(field.name)
            assert back.equals(field, check_metadata=False)
            assert (back.metadata or {}) == (field.metadata or {})
            assert spelled(found[field.name]) == spelled(source[field.name])


@given(table=tables())
@many
@pytest.mark.parametrize("file_format", ["jsonl", "csv", "parquet", "hf"])
def test_what_is_exported_and_imported_again_is_the_same_or_said(table, file_format):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        first = imported(folder / "set", written(folder, table))
        path, said = exported(folder, first, file_format)
        again = imported(folder / "again", path.parent if file_format == "hf" else path)
        before, after = values_of(first), values_of(again)
        assert first.table.column("train_id").to_list() == again.table.column("train_id").to_list()
        for one, other in zip(typed_columns_of(first), typed_columns_of(again), strict=True):
            assert one.name == other.name
            if not is_said(one.name, said):
                assert other.field.type == one.field.type
                assert after[one.name] == before[one.name]


@given(table=tables())
@many
@pytest.mark.parametrize("file_format", ["jsonl", "csv"])
def test_text_formats_hold_values_as_json_spells_them(table, file_format):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path, _ = exported(folder, imported(folder / "set", written(folder, table)), file_format)
        rows = [record.values for record in iter_records(path)]
        source = pq.read_table(folder / "source.parquet")
    assert len(rows) == source.num_rows
    for name in table.column_names:
        expected, found = plain_values(source[name]), [row[name] for row in rows]
        if file_format == "csv":
            expected = list(map(cell, expected))
        assert list(map(json.dumps, found)) == list(map(json.dumps, expected))


def cell(value):
    return "" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def spelled(column):
    """Values that NaN and -0.0 do not hide in."""
    return json.dumps(plain_values(column))
