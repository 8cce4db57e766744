"""Which files an import reads, where folders are named: their shards, in natural order.

A folder may hold files of one format; what else lies in it is skipped, and said. JSON and text files count only where
there is nothing else, for beside data they are descriptions. Shards named as ``datasets`` names them, such as
``train-00000-of-00002.parquet``, belong to a split. Of several splits one must be chosen, or several, or all: a
column says then to which of them a row belongs.
"""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from lorif_core.config import ImportConfig
from lorif_core.data.csv_source import NAMED_DELIMITERS
from lorif_core.data.sources import SUFFIXES, HowToRead, suffix_of
from lorif_core.data.table_sources import SAVED_MARK, may_be_hub, splits_of_hub, splits_of_saved
from lorif_core.data.text_files import OPENERS, require_encoding
from lorif_core.errors import DataError
from lorif_core.plain_files import refuse_special

FORMAT_OF_SUFFIX = {
    **dict.fromkeys((".jsonl", ".ndjson", ".jsonlines"), "JSONL"),
    **dict.fromkeys((".csv", ".tsv"), "CSV"),
    ".parquet": "Parquet",
    **dict.fromkeys((".arrow", ".feather"), "Arrow"),
    ".json": "JSON",
    ".txt": "text",
}
DESCRIPTIONS = ("JSON", "text")
"""Formats that are data only where no other is there."""

SHARD = re.compile(r"(.+)-\d{5}-of-\d{5}$")
ALL_SPLITS = "all"
SPLIT_COLUMN = "split"
"""The column that says the split, unless another one is named."""


class Part(NamedTuple):
    """A file, a saved data set, or a split of a hub data set."""

    path: Path
    how: HowToRead
    split: str
    """Which split its rows belong to: as a person names it, or as the name of the file says."""


class SourceFiles(NamedTuple):
    """What an import reads."""

    parts: list[Part]
    """In order."""

    skipped: list[Path]
    """What lies in the named folders and is not read."""

    @property
    def paths(self) -> list[Path]:
        """Files, saved data sets and names of hub data sets, in order; a hub data set once for all its splits."""
        is_new = [
            part.path.exists() or part.path not in [one.path for one in self.parts[:place]]
            for place, part in enumerate(self.parts)
        ]
        return [part.path for part, is_first in zip(self.parts, is_new, strict=True) if is_first]


def how_to_read(settings: ImportConfig) -> HowToRead:
    """What the settings say about files."""
    if settings.encoding is not None:
        require_encoding(settings.encoding)
    said = settings.delimiter
    delimiter = None if said is None else NAMED_DELIMITERS.get(said.lower(), said)
    if delimiter is not None and len(delimiter) != 1:
        raise DataError(f"`--delimiter` must be one character, or tab; got {said!r}.")
    return HowToRead(
        settings.txt, settings.split, settings.subset, delimiter, settings.encoding, settings.max_decompressed_gb
    )


def find_files(named: Sequence[Path], settings: ImportConfig) -> SourceFiles:
    """The files that a person means.

    Raises:
        DataError: A folder holds no data, or those of several formats or splits; or a flag says nothing about them.
    """
    found = SourceFiles([], [])
    how = how_to_read(settings)
    for path in named:
        refuse_special(path)
        if path.is_dir():
            paths, skipped = _in_folder(path, settings)
            found.parts.extend(Part(one, how, _split_of(one)) for one in paths)
            found.skipped.extend(skipped)
        elif not path.exists() and may_be_hub(path) and names_several(settings):
            splits = wanted_splits(settings) or splits_of_hub(path, settings.subset)
            found.parts.extend(Part(path, how._replace(split=one), one.partition("[")[0]) for one in splits)
        else:
            found.parts.append(Part(path, how, _split_of(path) if path.exists() else settings.split or ""))
    _check_flags(named, found, settings)
    return found


def names_several(settings: ImportConfig) -> bool:
    """Whether a person names several splits."""
    return settings.split is not None and (settings.split == ALL_SPLITS or "," in settings.split)


def wanted_splits(settings: ImportConfig) -> list[str]:
    """The splits that a person names; empty: all, or none.

    Raises:
        DataError: One is named twice, or a name is empty.
    """
    if settings.split is None or settings.split == ALL_SPLITS:
        return []
    names = [name.strip() for name in settings.split.split(",")]
    if "" in names or len({*names}) < len(names):
        raise DataError(f"`--split` takes different names with commas between them, or all; got {settings.split!r}.")
    return names


def split_column_of(settings: ImportConfig) -> str | None:
    """The column that is added to say the split; None: none is."""
    return settings.split_column or (SPLIT_COLUMN if names_several(settings) else None)


def _split_of(path: Path) -> str:
    """The split that the name of a file says."""
    stem = path.name if path.is_dir() else _stem(path)
    found = SHARD.match(stem)
    return found[1] if found else stem


def _check_flags(named: Sequence[Path], found: SourceFiles, settings: ImportConfig) -> None:
    if settings.txt is not None and not any(suffix_of(path) == ".txt" for path in found.paths):
        raise DataError(f"`--txt` is for .txt files, got {_listed(found.paths)}: leave it out.")
    files = [path for path in named if path.is_file()]
    if settings.split is not None and files:
        raise DataError(f"`--split` is for folders and hub data sets, and {str(files[0])!r} is a file: leave it out.")
    hubs = [path for path in named if not path.exists() and may_be_hub(path)]
    if settings.subset is not None and not hubs:
        raise DataError(f"`--subset` is for hub data sets, got {_listed(named)}: leave it out.")


def _in_folder(folder: Path, settings: ImportConfig) -> tuple[list[Path], list[Path]]:
    splits = splits_of_saved(folder)
    wanted = wanted_splits(settings) or (splits or [] if names_several(settings) else [])
    if splits is not None and wanted and {*wanted} <= {*splits}:
        return [folder / name for name in wanted], []
    if splits is not None or (folder / SAVED_MARK).exists():
        return [folder], []  # its reader says what is wrong
    inside = sorted((path for path in folder.iterdir() if not path.name.startswith(".")), key=natural_key)
    data = [path for path in inside if path.is_file() and suffix_of(path) in SUFFIXES]
    told = formats_of(data)
    if not told:
        raise DataError(_no_data_message(folder, inside))
    if len(told) > 1:
        raise DataError(
            f"a folder must hold data of one format, {str(folder)!r} has {' and '.join(told)} files: name the files "
            "of one of them."
        )
    shards = [path for path in data if FORMAT_OF_SUFFIX[suffix_of(path)] == told[0]]
    shards = _of_splits(folder, shards, settings)
    return shards, [path for path in inside if path not in shards]


def formats_of(paths: Iterable[Path]) -> list[str]:
    """Formats of the data among some files, in order; those that may describe others only by themselves."""
    suffixes = {suffix_of(path) for path in paths}
    formats = sorted({FORMAT_OF_SUFFIX[suffix] for suffix in suffixes if suffix in FORMAT_OF_SUFFIX})
    return [name for name in formats if name not in DESCRIPTIONS] or formats


def _of_splits(folder: Path, shards: list[Path], settings: ImportConfig) -> list[Path]:
    """The shards of the splits that are wanted; all where there is one split at most and none is wanted."""
    splits: dict[str, list[Path]] = {}
    for path in shards:
        if SHARD.match(_stem(path)):
            splits.setdefault(_split_of(path), []).append(path)
    wanted = wanted_splits(settings)
    if settings.split is None and len(splits) <= 1:
        return shards
    if not splits:  # train.jsonl beside test.jsonl
        for path in shards:
            splits.setdefault(_split_of(path), []).append(path)
    if names_several(settings) and not wanted:
        wanted = list(splits)
    if wanted and {*wanted} <= {*splits}:
        return [path for name in wanted for path in splits[name]]
    raise DataError(
        f"{str(folder)!r} must hold one split or those that are named; it has {', '.join(splits)}: name one with "
        "`--split`, several as `--split train,test`, or all with `--split all`."
    )


def _stem(path: Path) -> str:
    name = path.name
    for zipped in OPENERS:
        name = name.removesuffix(zipped)
    return Path(name).stem


def _no_data_message(folder: Path, inside: list[Path]) -> str:
    below = [path for path in inside if path.is_dir()]
    said = f"; look into its folders, such as {str(below[0])!r}" if below else ""
    return (
        f"{str(folder)!r} is not a folder made by `save_to_disk` of `datasets` and holds no data file "
        f"({', '.join(SUFFIXES)}): name another{said}."
    )


def natural_key(path: Path) -> list[tuple[bool, int, str]]:
    """Orders names as people do: 2 before 10."""
    parts = re.split(r"(\d+)", path.name.lower())
    return [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts]


def _listed(paths: Sequence[Path]) -> str:
    return ", ".join(repr(str(path)) for path in paths[:3]) or "none"
