"""What a safetensors file holds, from its header alone: no tensor is read."""

import json
from pathlib import Path

from lorif_core.errors import ArtefactError, DamagedArtefact

LENGTH_BYTES = 8
"""The file begins with the length of its header, a JSON object: name → dtype, shape, data_offsets."""

MAX_HEADER = 100 << 20
"""Safetensors allows no longer one."""


def tensor_sizes(path: Path) -> dict[str, int]:
    """Bytes of each tensor by its name.

    Raises:
        ArtefactError: The file is missing.
        DamagedArtefact: It has no such header.
    """
    try:
        with path.open("rb") as handle:
            length = int.from_bytes(handle.read(LENGTH_BYTES), "little")
            header = json.loads(handle.read(min(length, MAX_HEADER)))
        header.pop("__metadata__", None)
        return {name: end - start for name, (start, end) in ((n, v["data_offsets"]) for n, v in header.items())}
    except FileNotFoundError as error:
        raise ArtefactError(
            f"{str(path)!r} is missing: `lorif doctor WORKSPACE` names every missing file."
        ) from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedArtefact(f"{str(path)!r} has no readable header ({error}): build the index again.") from error
