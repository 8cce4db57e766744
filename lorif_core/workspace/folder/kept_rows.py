"""Scores of what an evaluation compares, kept as soon as they are there.

``evaluations/scores/<fingerprint>.safetensors``: the fingerprint is of everything that decides them, so the same
evaluation, run again, reads what was finished.

    scores     (Q, N), float32 or float64, in the order of the queries and of the data set
    row        text: a JSON object, what else is known of them
    name       text: the fingerprint, so that one in another's place is seen
"""

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import save
from torch import Tensor

from lorif_core.errors import DamagedArtefact
from lorif_core.files import BLANK_SEAL, SEAL, check_seal, fingerprint_of_value, replace_sealed
from lorif_core.shapes import Float
from lorif_core.store.typed_safetensors import read_metadata, read_tensors
from lorif_core.system_failures import refuse_if_of_the_machine

ROW, NAME = "row", "name"
REMEDY = "Move it away and run the same evaluation again."


def kept_row_file(root: Path, identity: dict[str, Any]) -> Path:
    """Where the scores lie that these values decide, in the workspace at ``root``."""
    return root / "evaluations" / "scores" / f"{fingerprint_of_value(identity)}.safetensors"


def write_row(path: Path, scores: Float[Tensor, "Q N"], row: dict[str, Any]) -> None:
    """Keep scores with what is known of them, atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replace_sealed(path) as partial:
        notes = {SEAL: BLANK_SEAL, NAME: path.stem, ROW: json.dumps(row)}
        partial.write_bytes(save({"scores": scores.contiguous().cpu()}, notes))


def read_row(path: Path) -> tuple[Float[Tensor, "Q N"], dict[str, Any]]:
    """Kept scores with what is known of them.

    Raises:
        DamagedArtefact: The file is not what was written, or belongs in another's place.
    """
    try:
        check_seal(path, REMEDY)
        notes = read_metadata(path)
        if notes[NAME] != path.stem:
            raise DamagedArtefact(f"{str(path)!r} holds the scores of another candidate than its name says. {REMEDY}")
        return read_tensors(path, ["scores"])["scores"], json.loads(notes[ROW])
    except (SafetensorError, KeyError, ValueError, OSError) as error:
        refuse_if_of_the_machine(error, path)
        raise DamagedArtefact(f"{str(path)!r} cannot be read ({error}). {REMEDY}") from error
