"""The recipe of an export: enough to write the same bytes from the same input without the workspace."""

import json
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lorif_core.catalog import DatasetRecord
from lorif_core.config import ImportConfig, stored_import
from lorif_core.data.export_selection import Selection
from lorif_core.data.exporting import DataFile
from lorif_core.data.source_files import split_column_of
from lorif_core.errors import ArtefactError, ConfigError
from lorif_core.export_config import ExportConfig
from lorif_core.files import checksum_of_file, read_json

FORMAT_VERSION = 1
RECIPE_FILE = "recipe.json"
KEPT_FILE = "kept.jsonl"
EXCLUDED_FILE = "excluded.jsonl"

KEPT_CHOICES = ("txt", "type", "decimal_comma", "delimiter", "encoding", "file_column", "split_column")
"""Settings of an import that the examples cannot tell."""


def _reading_of(selection: Selection, dataset: DatasetRecord) -> ImportConfig:
    """Settings that read the same examples again."""
    found = selection.import_settings()
    stored = json.loads(dataset.settings_json or "{}")
    chosen = {name: stored[name] for name in KEPT_CHOICES if name in stored}
    if stored.get("id") == "none":
        chosen["id"] = "none"
    if stored.get("split") is not None:
        if not any(Path(name).is_absolute() for name in dataset.source_files):  # of the hub; files say their split
            chosen |= {name: stored[name] for name in ("split", "subset")}
        chosen["split_column"] = split_column_of(stored_import(stored))
    rules = 1 if selection.table.layout.source_names is None else 2  # a file of today knows the data's own names
    return stored_import({**asdict(found), "rules": rules, **chosen})


def package_versions(file_format: str | None) -> dict[str, str]:
    """Versions on which the bytes of an export depend."""
    names = ["lorif-studio", "pyarrow", *(["datasets"] if file_format == "hf" else [])]
    return {name: version(name) for name in names}


@dataclass(frozen=True)
class Recipe:
    """Everything that is needed to write the same data from the same input."""

    settings: ExportConfig
    """Format, what is left out, added columns."""

    reading: ImportConfig
    """How the input is read."""

    inputs: list[tuple[str, str | None]]
    """Name and checksum of each input file; None for data that were imported without checksums."""

    fingerprint: str
    """Of the examples that the input gives."""

    copies_lines: bool
    """Whether the lines of the input are copied, or spelled anew."""

    data: list[DataFile]
    """The data files that it gives."""

    lists: dict[str, str]
    """Checksums of the lists beside the recipe, by name: that of the excluded examples, and that of the kept
    ones where decisions were written into the data."""

    counts: dict[str, int]
    """Examples of the data set (`input`), `kept`, `excluded` and `flagged` ones."""

    versions: dict[str, str]
    """Packages that wrote it."""

    @property
    def file_format(self) -> str:
        """jsonl, parquet, csv or hf."""
        return self.settings.format or "jsonl"

    @property
    def lines(self) -> str | None:
        """``verbatim`` or ``rewritten``; None unless the format is jsonl."""
        if self.file_format != "jsonl":
            return None
        return "verbatim" if self.copies_lines else "rewritten"

    def to_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        reading = {name: value for name, value in asdict(self.reading).items() if name not in ("name", "strict")}
        return {
            "format": FORMAT_VERSION,
            "input": [{"name": name, "checksum": checksum} for name, checksum in self.inputs],
            "fingerprint": self.fingerprint,
            "import": reading,
            "export": asdict(self.settings),
            "copies_lines": self.copies_lines,
            "lists": self.lists,
            "data": [file._asdict() for file in self.data],
            "counts": self.counts,
            "versions": self.versions,
        }


def recipe_of(
    dataset: DatasetRecord,
    selection: Selection,
    counts: dict[str, int],
    data: list[DataFile],
    folder: Path,
    *,
    copies_lines: bool,
) -> Recipe:
    """The recipe of an export whose lists are in ``folder``."""
    checksums = dataset.source_checksums or [None] * len(dataset.source_files)
    names = (KEPT_FILE, EXCLUDED_FILE) if selection.settings.with_decisions else (EXCLUDED_FILE,)
    return Recipe(
        settings=selection.settings,
        # What the examples cannot tell: text files of either kind give the same rows.
        reading=_reading_of(selection, dataset),
        inputs=[(Path(name).name, checksum) for name, checksum in zip(dataset.source_files, checksums, strict=True)],
        fingerprint=selection.table.fingerprint,
        copies_lines=copies_lines,
        data=data,
        lists={name: checksum_of_file(folder / name) for name in names},
        counts=counts,
        versions=package_versions(selection.settings.format),
    )


def read_recipe(path: Path) -> Recipe:
    """The recipe of an export.

    Raises:
        ArtefactError: The file is missing, no recipe, or from a newer version.
    """
    values = read_versioned(path, "recipe")
    try:
        return Recipe(
            settings=ExportConfig(**values["export"]),
            reading=stored_import(values["import"]),
            inputs=[(str(entry["name"]), entry["checksum"]) for entry in values["input"]],
            fingerprint=str(values["fingerprint"]),
            copies_lines=bool(values["copies_lines"]),
            data=[DataFile(**entry) for entry in values["data"]],
            lists={
                name: str(values["lists"][name]) for name in (KEPT_FILE, EXCLUDED_FILE) if name in values["lists"]
            },
            counts={name: int(values["counts"][name]) for name in ("input", "kept", "excluded", "flagged")},
            versions=dict(values["versions"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError, ConfigError) as error:
        raise ArtefactError(
            f"{str(path)!r} is not a recipe of an export ({error!r}): give the recipe.json of one, unchanged."
        ) from error


def read_versioned(path: Path, noun: str) -> dict[str, Any]:
    """The object of a manifest or recipe.

    Raises:
        ArtefactError: The file is missing, no JSON object, or from a newer version.
    """
    if not path.is_file():
        raise ArtefactError(f"{str(path)!r} is missing: give the {noun}.json of an export.")
    values = read_json(path)
    found = values.get("format")
    if not isinstance(found, int):
        raise ArtefactError(f"{str(path)!r} is not the {noun} of an export: it has no format version.")
    if found > FORMAT_VERSION:
        raise ArtefactError(
            f"{str(path)!r} has format {found}, this version of LoRIF Studio reads {FORMAT_VERSION}. Update LoRIF "
            "Studio."
        )
    return values
