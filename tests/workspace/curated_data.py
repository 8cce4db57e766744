"""A workspace with one small data set, and decisions on it, made without a journal."""

import json
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from lorif_core.catalog import DatasetRecord
from lorif_core.config import ImportConfig
from lorif_core.data.importing import write_examples
from lorif_core.files import checksum_of_file
from lorif_core.workspace.folder.workspace_files import WorkspaceFiles

NUM_ROWS = 12
STATE_SCHEMA = {
    "train_id": pl.String,
    "status": pl.String,
    "reason": pl.String,
    "text": pl.String,
    "actor": pl.String,
    "at": pl.Datetime("us", "UTC"),
    "query_id": pl.String,
    "batch_id": pl.String,
    "rule": pl.String,
    "has_conflict": pl.Boolean,
}
NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)


def rows():
    """Rows with ids r0 to r11, of two sources."""
    return [
        {"id": f"r{number}", "text": f"text {number}", "source": ("web", "book")[number % 2], "n": [number]}
        for number in range(NUM_ROWS)
    ]


def write_source(path: Path, values=None) -> Path:
    """A JSONL file whose spelling is not that of ``json.dumps``."""
    lines = (json.dumps(value, separators=(",", ":")) for value in (rows() if values is None else values))
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def import_into(root: Path, *sources: Path, settings: ImportConfig | None = None, **facts):
    """A workspace at ``root`` with these files as its data set."""
    files = WorkspaceFiles(root)
    folder = files.dataset_folder("ds-1")
    report = write_examples(sources, settings or ImportConfig(), folder)
    checksums = tuple(checksum_of_file(path) for path in sources)
    known = {
        "dataset_id": "ds-1",
        "name": "texts",
        "fingerprint": report.fingerprint,
        "kind": report.columns.kind,
        "num_examples": report.num_examples,
        "size_bytes": 0,
        "source_files": tuple(map(str, sources)),
        "source_checksums": checksums,
    }
    return files, DatasetRecord(**known | facts)


def state(train_id, status, reason=None, **details):
    """One decision."""
    known = dict.fromkeys(STATE_SCHEMA) | {"actor": "ann", "at": NOON, "has_conflict": False}
    return known | {"train_id": train_id, "status": status, "reason": reason, **details}


def states(*found):
    """Decisions as the journal gives them."""
    return pl.DataFrame(list(found), schema=STATE_SCHEMA)


SOME = (
    state("r1", "excluded", "spam", text="an advertisement", batch_id="b1", rule="exclude where source = book"),
    state("r2", "flagged", "misinformation", actor="bob", query_id="7"),
    state("r5", "excluded", "misinformation", has_conflict=True),
    state("r6", "kept", "restored"),
    state("elsewhere", "excluded", "spam", actor="eve"),
)
"""Two examples of twelve excluded, one flagged, one restored, one decision on other data."""
