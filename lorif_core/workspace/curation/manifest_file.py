"""The manifest of an export as a file, with any number of acts in it.

The acts behind an export may be many more than its texts. They come one by one, go to the file as they come, and
are hashed on the way: the export's id is the hash of everything in the manifest but itself.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lorif_core.files import start_hash
from lorif_core.workspace.curation.export_records import ID_DIGITS

BATCHES = "batches"
CANONICAL = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=str)
"""Spells a value as ``fingerprint_of_value`` hashes it; times as text."""


def write_manifest(path: Path, values: Mapping[str, Any], acts: Iterable[Mapping[str, Any]]) -> str:
    """Write a manifest, and return the export's id.

    Args:
        path: File to write.
        values: Everything but the id and the acts, as JSON gives it.
        acts: The fields of the batches behind the decisions, newest first.
    """
    spelled = path.with_name(f".{path.name}.acts")
    try:
        digest = _write_acts(spelled, values, acts)
        export_id = digest[:ID_DIGITS]
        opening = json.dumps({"export_id": export_id, **values}, indent=1, ensure_ascii=False)
        with path.open("wb") as file, spelled.open("rb") as lines:
            file.write(opening.removesuffix("\n}").encode() + b',\n "batches": [')
            file.writelines(lines)
            file.write(b"\n ]\n}\n")
    finally:
        spelled.unlink(missing_ok=True)
    return export_id


def _write_acts(path: Path, values: Mapping[str, Any], acts: Iterable[Mapping[str, Any]]) -> str:
    """Write one act a line; the hash of the values with them, as ``fingerprint_of_value`` gives it."""
    before, after = (CANONICAL.encode(part)[1:-1] for part in _around(values))
    digest = start_hash(f'{{{before}{"," if before else ""}"{BATCHES}":['.encode())
    with path.open("wb") as file:
        comma = b""
        for act in acts:
            line = CANONICAL.encode(act).encode()
            digest.update(comma + line)
            file.write(comma + b"\n  " + line)
            comma = b","
    digest.update(f"]{',' if after else ''}{after}}}".encode())
    return digest.hexdigest()


def _around(values: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What stands before the acts and what after them, where the names are in alphabetical order."""
    names = sorted(values)
    before = {name: values[name] for name in names if name < BATCHES}
    return before, {name: values[name] for name in names if name > BATCHES}
