"""Whatever types and texts data come with, an export gives them back, or says before it is written what it does not.

More schemas than in every run: `LORIF_ROUND_TRIPS=500 python -m pytest tests/data/test_export_round_trip.py`.
"""

import json
import os
import tempfile
from pathlib import Path

import datasets
import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from typed_examples import tables, write_stored

from lorif_core.config import ExportConfig
from lorif_core.data.export_losses import find_losses
from lorif_core.data.export_selection import Decisions, Selection
from lorif_core.data.exporting import write_data
from lorif_core.data.plain_values import plain_values
from lorif_core.data.sources import iter_records

NUM_SCHEMAS = int(os.environ.get("LORIF_ROUND_TRIPS", "40"))
NOBODY = Decisions(pl.DataFrame(schema={"train_id": pl.String, "status": pl.String}))
many = settings(max_examples=NUM_SCHEMAS, deadline=None, suppress_health_check=list(HealthCheck))


def exported(folder, table, file_format, **chosen):
    """The exported file or folder, and what was said before it was written."""
    path = folder / "set" / "examples.parquet"
    write_stored(path, table)
    selection = Selection(path, NOBODY, ExportConfig(format=file_format, **chosen))
    said = find_losses(selection).sentences
    out = folder / "out"
    out.mkdir()
    write_data(out, selection)
    return next(path for path in sorted(out.iterdir()) if path.name.startswith("data")), said


def is_said(name, said):
    return any(f"`{name}`" in sentence for sentence in said)


@given(table=tables())
@many
@pytest.mark.parametrize("file_format", ["parquet", "hf"])
def test_typed_formats_give_back_values_types_and_notes(table, file_format):
    with tempfile.TemporaryDirectory() as name:
        path, said = exported(Path(name), table, file_format)
        if file_format == "parquet":
            found = pq.read_table(path)
            assert found.schema.metadata == table.schema.metadata
        else:
            found = datasets.load_from_disk(path.parent).with_format("arrow")[:]
        assert found.column_names == table.column_names
        for field in table.schema:
            back = found.schema.field(field.name)
            if is_said(field.name, said):
                continue
            assert back.equals(field, check_metadata=False)
            assert (back.metadata or {}) == (field.metadata or {})
            assert spelled(found[field.name]) == spelled(table[field.name])


@given(table=tables())
@many
@pytest.mark.parametrize("file_format", ["jsonl", "csv"])
def test_text_formats_give_back_values_as_json_spells_them(table, file_format):
    with tempfile.TemporaryDirectory() as name:
        path, _ = exported(Path(name), table, file_format, formulas="keep")
        rows = [record.values for record in iter_records(path)]
    assert len(rows) == table.num_rows
    for name in table.column_names:
        expected, found = plain_values(table[name]), [row[name] for row in rows]
        if file_format == "csv":
            expected = [
                "" if one is None else one if isinstance(one, str) else json.dumps(one, ensure_ascii=False)
                for one in expected
            ]
        assert list(map(json.dumps, found)) == list(map(json.dumps, expected))


def spelled(column):
    """Values that NaN and -0.0 do not hide in."""
    return json.dumps(plain_values(column))
