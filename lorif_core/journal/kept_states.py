"""The states of a corpus in a file, so that a new process need not reduce a long journal from its beginning.

The file is a copy and never the truth: one that is missing, damaged, of another form or of another journal is
as good as none, and of a damaged one that is said. It is a Parquet table with a seal; its metadata say what it holds.
"""

import json
import logging
from pathlib import Path
from typing import NamedTuple

import polars as pl

from lorif_core.errors import DamagedArtefact, ResourceError
from lorif_core.files import BLANK_SEAL, SEAL, check_seal, replace_sealed
from lorif_core.journal.reads import STATES_SCHEMA

FORMAT = "lorif-states-2"
ABOUT = "lorif.states"

logger = logging.getLogger("lorif")


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
    about = json.dumps({"format": FORMAT, "corpus_id": corpus_id, **kept.head._asdict()})
    try:
        path.parent.mkdir(exist_ok=True)
        with replace_sealed(path) as partial:
            kept.states.write_parquet(partial, metadata={ABOUT: about, SEAL: BLANK_SEAL})
    except (OSError, ResourceError):
        return


def read_states_file(path: Path, corpus_id: str | None) -> KeptStates | None:
    """What ``write_states`` wrote; None if that is not there, whole and about this corpus, or about any for None."""
    try:
        if not path.is_file() or not check_seal(path, "It is made again."):
            return None
        about = json.loads(pl.read_parquet_metadata(path)[ABOUT])
        if about["format"] != FORMAT or corpus_id not in (None, about["corpus_id"]):
            return None
        states = pl.read_parquet(path, glob=False)
        head = Head(int(about["revision"]), str(about["batch_id"]))
    except DamagedArtefact as error:
        logger.warning("%s", error)
        return None
    except (OSError, ValueError, KeyError, TypeError, pl.exceptions.PolarsError):
        return None
    return KeptStates(head, states) if states.schema == pl.Schema(STATES_SCHEMA) else None
