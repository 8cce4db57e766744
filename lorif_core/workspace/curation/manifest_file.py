"""The manifest of an export as a file, with any number of acts in it.

The acts behind an export may be many more than its texts. They come one by one, go to the file as they come, and
are hashed on the way: the export's id is the hash of everything in the manifest but itself.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lorif_core.files import start_hash
from lorif_core.journal.entries import Batch
from lorif_core.workspace.curation.export_records import ID_DIGITS

BATCHES = "batches"
BATCH_FIELDS = sorted(Batch.__dataclass_fields__)


def write_manifest(path: Path, values: Mapping[str, Any], batches: Iterable[Batch]) -> str:
    """Write a manifest, and return the export's id.

    Args:
        path: File to write.
        values: Everything but the id and the acts, as JSON gives it.
        batches: The acts behind the decisions, newest first.
    """
    acts = path.with_name(f".{path.name}.acts")
    try:
        digest = _write_acts(acts, values, batches)
        export_id = digest[:ID_DIGITS]
        opening = json.dumps({"export_id": export_id, **values}, indent=1, ensure_ascii=False)
        with path.open("wb") as file, acts.open("rb") as lines:
            file.write(opening.removesuffix("\n}").encode() + b',\n "batches": [')
            file.writelines(lines)
            file.write(b"\n ]\n}\n")
    finally:
        acts.unlink(missing_ok=True)
    return export_id


def _write_acts(path: Path, values: Mapping[str, Any], batches: Iterable[Batch]) -> str:
    """Write one act a line; the hash of the values with them, as ``fingerprint_of_value`` gives it."""
    before, after = (_canonical(part)[1:-1] for part in _around(values))
    digest = start_hash(f'{{{before}{"," if before else ""}"{BATCHES}":['.encode())
    with path.open("wb") as file:
        comma = b""
        for batch in batches:
            line = _canonical({name: _plain(getattr(batch, name)) for name in BATCH_FIELDS}).encode()
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


def _canonical(value: Mapping[str, Any]) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def _plain(value: Any) -> Any:
    """A value of a batch as JSON has it; a time as text."""
    return value if value is None or isinstance(value, str | int) else str(value)
