"""What a data set of the Hugging Face hub says about itself: its card, and the records of what was left out.

No person is named in them unless asked: who decided, what they wrote beside it, their rules and when they acted
stay in the workspace. Counts, reasons of the controlled list, hashes and ids are what is left, enough for
``lorif replay``.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lorif_core.catalog import DatasetRecord
from lorif_core.data.export_places import MANIFEST_FILE
from lorif_core.data.exporting import describe_file
from lorif_core.export_config import HubConfig
from lorif_core.files import checksum_of_file, read_json
from lorif_core.workspace.curation.export_recipe import EXCLUDED_FILE, KEPT_FILE, RECIPE_FILE
from lorif_core.workspace.curation.export_records import (
    ExportPreview,
    Tally,
    export_id_of,
    iter_entries,
    json_line,
    write_readable,
)

NAMELESS = ("row", "id", "status", "reason", "has_conflict")
"""What an entry of a list says about no person."""
PERSONAL = ("actors", "rules", "batches")
"""Entries of a manifest that hold what people wrote, or who they are."""
SIZES = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"), (10**7, "1M<n<10M"))
LARGE = "n>10M"


class CardFacts(NamedTuple):
    """What a card is written from."""

    hub: HubConfig
    dataset: DatasetRecord
    preview: ExportPreview

    other_splits: Sequence[str] = ()
    """Splits that the repository holds from earlier exports."""


def data_file_of(split: str) -> str:
    """Where the texts of a split lie in the repository."""
    return f"data/{split}-00000-of-00001.parquet"


def records_folder_of(split: str) -> str:
    """Where manifest, recipe and lists of a split lie in the repository."""
    return f"lorif/{split}"


def card_of(facts: CardFacts) -> str:
    """README.md: a header for the hub, then what was left out and why, for people."""
    preview, split = facts.preview, facts.hub.split
    title = (facts.hub.to_hub or "").split("/")[-1]
    parts = [
        _header(facts),
        f"# {title}",
        f"{preview.num_kept:,} of the {preview.num_input:,} texts of {_plain(facts.dataset.name)}; "
        f"{preview.num_excluded:,} were left out by people, with LoRIF Studio.",
        f'```python\nfrom datasets import load_dataset\n\nload_dataset("{facts.hub.to_hub}", split="{split}")\n```',
        "## What was left out, and why",
        _reasons(preview),
        "## Where it came from",
        _source(facts.dataset),
        "## How to make it again",
        f"`{records_folder_of(split)}/` holds the manifest (counts and hashes), the recipe, and the ids that were "
        "kept and left out. From the files that were imported, this writes the same bytes:",
        f"```\nlorif replay {records_folder_of(split)}/{RECIPE_FILE} FILES --out data.parquet\n```",
    ]
    if preview.losses:
        parts += ["## What Parquet does not hold of the source", "\n".join(f"- {one}" for one in preview.losses)]
    if not facts.hub.with_names:
        parts.append("Who decided, and what they wrote, is not published.")
    return "\n\n".join(parts) + "\n"


def _header(facts: CardFacts) -> str:
    splits = sorted({facts.hub.split, *facts.other_splits})
    listed = "".join(f"  - split: {split}\n    path: {data_file_of(split)}\n" for split in splits)
    size = next((word for most, word in SIZES if facts.preview.num_kept < most), LARGE)
    source = _hub_name(facts.dataset)
    title = json.dumps((facts.hub.to_hub or "").split("/")[-1])
    based = "" if source is None else f"source_datasets:\n- {json.dumps(source)}\n"
    return (
        f"---\npretty_name: {title}\n{based}size_categories:\n- {size}\n"
        f"tags:\n- lorif-studio\nconfigs:\n- config_name: default\n  data_files:\n{listed}---"
    )


def _reasons(preview: ExportPreview) -> str:
    if not preview.by_reason:
        return "Nothing was flagged or excluded."
    rows = [f"| {_reason(tally)} | {tally.excluded:,} | {tally.flagged:,} |" for tally in preview.by_reason]
    conflicts = f"\n\nPeople disagreed on {preview.num_conflicts:,} texts." if preview.num_conflicts else ""
    return "\n".join(["| reason | excluded | flagged |", "|---|---|---|", *rows]) + conflicts


def _reason(tally: Tally) -> str:
    return "none given" if tally.value is None else _plain(str(tally.value))


def _source(dataset: DatasetRecord) -> str:
    name = _hub_name(dataset)
    if name is not None:
        split = json.loads(dataset.settings_json or "{}").get("split")
        return f"[{name}](https://huggingface.co/datasets/{name}), split {_plain(str(split))}."
    checksums = dataset.source_checksums or [None] * len(dataset.source_files)
    pairs = zip(dataset.source_files, checksums, strict=True)
    lines = [f"- {_plain(Path(file).name)}{f' (XXH3-128 {said})' if said else ''}" for file, said in pairs]
    return "Files:\n\n" + "\n".join(lines)


def _hub_name(dataset: DatasetRecord) -> str | None:
    """Name on the hub of the data that were imported; None where they were files."""
    is_named = json.loads(dataset.settings_json or "{}").get("split") is not None
    names = [name for name in dataset.source_files if not Path(name).exists()]
    return Path(names[0]).as_posix() if is_named and len(names) == 1 and not Path(names[0]).is_absolute() else None


def _plain(text: str) -> str:
    """Text that neither ends its line nor the cell of a table, and that Markdown shows as it is."""
    words = " ".join(text.split())
    return "".join(f"\\{one}" if one in "\\`*_[]<>|#" else one for one in words)


def write_records(about: Path, folder: Path, *, with_names: bool) -> None:
    """Copy manifest, recipe and lists of an export, without people unless they are asked for.

    Args:
        about: Folder of the export's records.
        folder: Where to write; it exists.
        with_names: Whether everything is copied as it is.

    Raises:
        DamagedArtefact: A list of the export is damaged.
    """
    if with_names:
        for name in (RECIPE_FILE, MANIFEST_FILE, KEPT_FILE, EXCLUDED_FILE):
            (folder / name).write_bytes((about / name).read_bytes())
        return
    for name in (KEPT_FILE, EXCLUDED_FILE):
        with (folder / name).open("wb") as handle:
            handle.writelines(json_line(_nameless(entry)) for entry in iter_entries(about / name))
    recipe = read_json(about / RECIPE_FILE)
    recipe["lists"] = {name: checksum_of_file(folder / name) for name in recipe["lists"]}
    write_readable(folder / RECIPE_FILE, recipe)
    manifest = {name: value for name, value in read_json(about / MANIFEST_FILE).items() if name not in PERSONAL}
    manifest["files"] = [describe_file(folder / name)._asdict() for name in (RECIPE_FILE, KEPT_FILE, EXCLUDED_FILE)]
    write_readable(folder / MANIFEST_FILE, manifest | {"export_id": export_id_of(manifest)})


def _nameless(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in entry.items() if name in NAMELESS}
