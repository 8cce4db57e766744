"""The states of a corpus in a file, so that a new process need not reduce a long journal from its beginning.

The file is a copy and never the truth: one that is missing, damaged, of another form or of another journal is
as good as none. Its first line says what it holds; after that comes a Parquet table.
"""

import json
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import polars as pl

from lorif_core.errors import ResourceError
from lorif_core.files import replace_file, start_hash
from lorif_core.journal.reads import STATES_SCHEMA

FORMAT = "lorif-states-1"


class Head(NamedTuple):
    """The newest batch of a journal."""

    revision: int

    batch_id: str
    """Drawn at random: a journal that has it has everything that came before it, too."""


class KeptStates(NamedTuple):
    """States as they were at one revision."""

    head: Head
    states: pl.DataFrame


def write_states(path: Path, corpus_id: str, kept: KeptStates) -> None:
    """Keep states in a file, if one can be written; a full or read-only disk costs time later, nothing else."""
    table = BytesIO()
    kept.states.write_parquet(table)
    content = table.getvalue()
    said = {"format": FORMAT, "corpus_id": corpus_id, **kept.head._asdict(), "checksum": _checksum(content)}
    try:
        path.parent.mkdir(exist_ok=True)
        with replace_file(path) as partial:
            partial.write_bytes(json.dumps(said).encode() + b"\n" + content)
    except (OSError, ResourceError):
        return


def read_states_file(path: Path, corpus_id: str) -> KeptStates | None:
    """What ``write_states`` wrote; None if that is not there, whole and about this corpus."""
    try:
        first, _, content = path.read_bytes().partition(b"\n")
        said = json.loads(first)
        is_right = (said["format"], said["corpus_id"]) == (FORMAT, corpus_id)
        if not is_right or said["checksum"] != _checksum(content):
            return None
        states = pl.read_parquet(BytesIO(content))
        head = Head(int(said["revision"]), str(said["batch_id"]))
    except (OSError, ValueError, KeyError, TypeError, pl.exceptions.PolarsError):
        return None
    return KeptStates(head, states) if states.schema == pl.Schema(STATES_SCHEMA) else None


def _checksum(content: bytes) -> str:
    return start_hash(content).hexdigest()
