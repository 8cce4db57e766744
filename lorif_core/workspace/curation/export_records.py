"""What an export says about itself: counts, manifest, and the lists of what was kept and left out.

``manifest.json`` says what was kept and left out, by whom and why, and the hashes of everything.
Every example of the data set is in ``kept.jsonl`` or in ``excluded.jsonl``, in its order; an entry of the latter
says its row, so that the two merge into the data set's ids, whose hash the manifest has.

Nothing in them depends on the time or the place of the export, so the same decisions give the same bytes, and the
export's id is a hash of them.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import xxhash

from lorif_core.catalog import DatasetRecord
from lorif_core.data.export_places import MANIFEST_FILE
from lorif_core.data.export_selection import FLAGGED, KEPT, Decisions, Judged, Selection
from lorif_core.data.exporting import describe_file
from lorif_core.errors import ArtefactError, DamagedArtefact
from lorif_core.files import fingerprint_of_value
from lorif_core.system_failures import refuse_if_of_the_machine
from lorif_core.workspace.curation.export_recipe import (
    EXCLUDED_FILE,
    FORMAT_VERSION,
    KEPT_FILE,
    RECIPE_FILE,
    Recipe,
    read_versioned,
)

MAX_TALLIES = 1_000
"""Values by which examples are counted; those of rarer values are counted together."""
ID_DIGITS = 12


@dataclass(frozen=True)
class Tally:
    """How many examples with one reason, or with one value of a column, have each status."""

    value: Any
    """The reason or the value; None where there is none."""

    kept: int = 0
    """Neither flagged nor excluded."""

    flagged: int = 0
    """Flagged."""

    excluded: int = 0
    """Excluded."""

    @property
    def total(self) -> int:
        """All of them."""
        return self.kept + self.flagged + self.excluded


@dataclass(frozen=True)
class ExportPreview:
    """What an export would hold. ``num_kept + num_excluded == num_input``."""

    dataset_id: str
    """The data set."""

    num_input: int
    """Examples of the data set."""

    num_kept: int
    """Examples the export holds: flagged ones too, unless they are dropped."""

    num_excluded: int
    """Examples it leaves out."""

    num_flagged: int
    """Examples that are flagged, dropped or not."""

    num_conflicts: int
    """Examples on which people disagree."""

    num_unknown: int
    """Decisions on examples that this version of the data does not hold; they have no effect."""

    by_reason: list[Tally]
    """Flagged and excluded examples by reason, most frequent first."""

    count_by: str | None
    """The column of ``by_value``, by its name in the data; None when there is no such column."""

    by_value: list[Tally]
    """All examples by their value in that column, most frequent first; at most 1,000 values."""

    num_other_values: int
    """Examples with a value that ``by_value`` leaves out."""

    losses: list[str] = field(default_factory=list)
    """What the format does not hold of the data, a sentence for each column and change."""

    guarded: dict[str, int] = field(default_factory=dict)
    """Column → cells of CSV that get an apostrophe, so that no spreadsheet runs them as formulas."""

    def to_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class ExportResult:
    """What an export or a replay wrote."""

    export_id: str
    """Hash of everything in the manifest. Empty for a replay, which writes the data only."""

    path: Path
    """The data: a file, or a `datasets` folder."""

    about: Path | None
    """Folder of the manifest, the recipe and the lists; None for a replay."""

    format: str
    """jsonl, parquet, csv or hf."""

    num_input: int
    """Examples of the data set."""

    num_kept: int
    """Examples the export holds."""

    num_excluded: int
    """Examples it leaves out."""

    num_flagged: int
    """Examples that are flagged, dropped or not."""

    num_unknown: int
    """Decisions on examples that this version of the data does not hold; they had no effect."""

    size_bytes: int
    """Bytes of the data."""

    checksum: str
    """Hash of the data."""

    lines: str | None
    """``verbatim``: the source's own lines; ``rewritten``: spelled anew; None unless the format is jsonl."""

    why_rewritten: str | None
    """Why lines were not copied; None when they were, and for the other formats."""

    is_new: bool
    """False when the workspace held this very export already; nothing was written then."""

    elapsed_s: float
    """Wall-clock time."""

    losses: list[str] = field(default_factory=list)
    """What the format does not hold of the data, a sentence for each column and change; empty for a replay."""

    guarded: dict[str, int] = field(default_factory=dict)
    """Column → cells of CSV that got an apostrophe, so that no spreadsheet runs them; empty for a replay."""

    def to_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        return asdict(self) | {"path": str(self.path), "about": None if self.about is None else str(self.about)}


class Survey:
    """Counts examples as they go by."""

    def __init__(self) -> None:
        self.num_rows = self.num_kept = self.num_flagged = self.num_conflicts = self.num_decided = 0
        self._ids = xxhash.xxh3_128()
        self.rules: set[str] = set()
        self.actors: set[str] = set()
        self._reasons: Counter[tuple[Any, str]] = Counter()
        self._values: Counter[tuple[Any, str]] = Counter()

    def add(self, judged: Judged) -> None:
        """Count one example."""
        self.num_rows += 1
        self.num_kept += judged.is_kept
        self.num_flagged += judged.status == FLAGGED
        self._ids.update(json_line(judged.train_id))
        self._values[judged.group, judged.status] += 1
        if judged.details is None:
            return
        self.num_decided += 1
        self.num_conflicts += bool(judged.details.get("has_conflict"))
        self.rules |= {judged.details["rule"]} if judged.details.get("rule") else set()
        self.actors |= {judged.details["actor"]} if judged.details.get("actor") else set()
        if judged.status != KEPT:
            self._reasons[judged.details.get("reason"), judged.status] += 1

    @property
    def ids_checksum(self) -> str:
        """Hash of all ids in order."""
        return self._ids.hexdigest()

    def preview(self, selection: Selection, dataset_id: str) -> ExportPreview:
        """The counts of all examples that went by."""
        stored = selection.count_by
        by_value = [] if stored is None else _tallies(self._values)
        return ExportPreview(
            dataset_id=dataset_id,
            num_input=self.num_rows,
            num_kept=self.num_kept,
            num_excluded=self.num_rows - self.num_kept,
            num_flagged=self.num_flagged,
            num_conflicts=self.num_conflicts,
            num_unknown=len(selection.decisions) - self.num_decided,
            by_reason=_tallies(self._reasons),
            count_by=None if stored is None else selection.source_names[stored],
            by_value=by_value[:MAX_TALLIES],
            num_other_values=sum(tally.total for tally in by_value[MAX_TALLIES:]),
        )


def _tallies(counted: Counter[tuple[Any, str]]) -> list[Tally]:
    by_value: dict[Any, dict[str, int]] = {}
    for (value, status), count in counted.items():
        by_value.setdefault(value, {})[status] = count
    tallies = [Tally(value, **counts) for value, counts in by_value.items()]
    return sorted(tallies, key=lambda tally: (-tally.total, tally.value is None, str(tally.value)))


def json_line(value: Any) -> bytes:
    """A value as one line of JSON; times and paths as text."""
    return json.dumps(value, ensure_ascii=False, default=str).encode() + b"\n"


def write_readable(path: Path, value: Any) -> None:
    """Write a value as JSON that people can read."""
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def write_lists(folder: Path, selection: Selection) -> Survey:
    """Write ``kept.jsonl`` and ``excluded.jsonl``, and count what they hold."""
    survey = Survey()
    with (folder / KEPT_FILE).open("wb") as kept, (folder / EXCLUDED_FILE).open("wb") as excluded:
        for judged in selection.iter_judged():
            survey.add(judged)
            place = {} if judged.is_kept else {"row": judged.row}
            decision = {} if judged.details is None else {"status": judged.status, **judged.details}
            entry = {**place, "id": judged.train_id, **decision}
            (kept if judged.is_kept else excluded).write(json_line(entry))
    return survey


def iter_entries(path: Path) -> Iterator[dict[str, Any]]:
    """Entries of a list, in order.

    Raises:
        ArtefactError: The list is missing.
        DamagedArtefact: A line is not an entry.
    """
    try:
        handle = path.open("rb")
    except OSError as error:
        refuse_if_of_the_machine(error, path)
        raise ArtefactError(
            f"the list {str(path)!r} of an export is missing: bring the file back, or repeat the "
            "export with `lorif replay`."
        ) from error
    with handle:
        for number, line in enumerate(handle, start=1):
            try:
                entry = json.loads(line)
                yield {"id": str(entry["id"]), **entry}
            except (ValueError, KeyError, TypeError, RecursionError) as error:
                raise DamagedArtefact(
                    f"line {number} of {str(path)!r} is no entry of an export's list: bring the file back, or repeat "
                    "the export with `lorif replay`."
                ) from error


def decisions_of_lists(folder: Path, names: Sequence[str]) -> Decisions:
    """The decisions that the lists of an export hold."""
    columns: dict[str, list[str | None]] = {"train_id": [], "status": [], "reason": []}
    for name in names:
        for entry in iter_entries(folder / name):
            if "status" in entry:
                columns["train_id"].append(entry["id"])
                columns["status"].append(entry["status"])
                columns["reason"].append(entry.get("reason"))
    return Decisions(pl.DataFrame(columns, schema={name: pl.String for name in columns}))


def manifest_of(
    dataset: DatasetRecord,
    recipe: Recipe,
    survey: Survey,
    preview: ExportPreview,
    folder: Path,
) -> dict[str, Any]:
    """The manifest of an export whose recipe and lists are in ``folder``, but for the acts and the export's id."""
    values = {
        "format": FORMAT_VERSION,
        "versions": recipe.versions,
        "dataset": {
            "dataset_id": dataset.dataset_id,
            "name": dataset.name,
            "kind": dataset.kind,
            "fingerprint": recipe.fingerprint,
            "corpus_id": dataset.corpus_id,
            "version": dataset.version,
            "parent_id": dataset.parent_id,
            "input": [{"name": name, "checksum": checksum} for name, checksum in recipe.inputs],
        },
        "settings": asdict(recipe.settings),
        "lines": recipe.lines,
        "data": [file._asdict() for file in recipe.data],
        "files": [describe_file(folder / name)._asdict() for name in (RECIPE_FILE, KEPT_FILE, EXCLUDED_FILE)],
        "ids_checksum": survey.ids_checksum,
        "counts": {
            **recipe.counts,
            "conflicts": preview.num_conflicts,
            "decisions_on_other_data": preview.num_unknown,
        },
        "by_reason": [asdict(tally) for tally in preview.by_reason],
        "by_value": {
            "column": preview.count_by,
            "values": [asdict(tally) for tally in preview.by_value],
            "other_values": preview.num_other_values,
        },
        "losses": preview.losses,
        "guarded_cells": preview.guarded,
        "rules": sorted(survey.rules),
        "actors": sorted(survey.actors),
    }
    return json.loads(json_line(values))


def export_id_of(manifest: Mapping[str, Any]) -> str:
    """Hash of everything in a manifest but the id."""
    return fingerprint_of_value({name: value for name, value in manifest.items() if name != "export_id"})[:ID_DIGITS]


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of an export.

    Raises:
        ArtefactError: It is missing, or from a newer version.
        DamagedArtefact: It was changed since it was written.
    """
    manifest = read_versioned(folder / MANIFEST_FILE, "manifest")
    if manifest.get("export_id") != export_id_of(manifest):
        raise DamagedArtefact(
            f"{str(folder / MANIFEST_FILE)!r} was changed since it was written: export the data again."
        )
    return manifest
