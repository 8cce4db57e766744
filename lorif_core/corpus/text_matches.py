"""Where the texts of one version of a data set are in the next one: under their ids, under others, or nowhere.

A text is what of an example people read: the columns that are trained on, and no metadata. Two are the same when
they are equal character by character.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import polars as pl

KEYS = ["key", "other_key"]
"""Two 64-bit hashes of a text: one of them alone could be equal by chance in a large data set."""


class TextsOfVersion(NamedTuple):
    """Where the texts of a version lie."""

    path: Path
    """Its ``examples.parquet``."""

    columns: Sequence[str]
    """The columns that people read."""


class TextMatches(NamedTuple):
    """What became of the texts of a data set, and of those that somebody decided about."""

    num_shared_ids: int
    """Ids that both versions have."""

    replaced: list[str]
    """Those of them whose text is another one, where the text of before is nowhere in the new version."""

    num_shared_texts: int
    """Examples of the new version whose text the old one has, under any id."""

    moved: dict[str, str]
    """Decided id → the id under which its text is now."""

    changed: list[str]
    """Decided ids that now stand for another text; where that of before went, ``moved`` says, if anywhere."""

    gone: list[str]
    """Decided ids of the latest version that the new one has no more, nor their texts."""

    ambiguous: list[str]
    """Decided ids whose text is there several times, so that it was chosen by their order which copy is meant."""


def match_texts(versions: Sequence[TextsOfVersion], new: TextsOfVersion, decided: Sequence[str]) -> TextMatches:
    """Compare a new version with those before it.

    Args:
        versions: All versions before, the latest first. A decided id that the latest one lacks stands for the text
            that it had in the latest one that has it.
        new: The version that comes.
        decided: Ids that somebody decided about.
    """
    after = _texts(new)
    latest = _texts(versions[0])
    before = _with_lost_ids(latest, versions[1:], decided)
    kept = before.join(after, on=["train_id", *KEYS], how="semi")
    elsewhere = before.join(kept, on="train_id", how="anti")
    other_text = elsewhere.join(after, on="train_id", how="semi")
    shared = latest.join(after, on="train_id", how="semi")
    replaced = shared.join(other_text, on="train_id", how="semi").join(after, on=KEYS, how="anti")
    is_decided = pl.col("train_id").is_in(list(decided))
    free = after.join(before, on=["train_id", *KEYS], how="anti")
    in_latest = latest.join(elsewhere, on="train_id", how="semi")
    # A text that the latest version had under another id took its decisions there when that version came.
    waiting = elsewhere.join(latest, on="train_id", how="anti").join(latest, on=KEYS, how="anti")
    sources = pl.concat([in_latest, waiting]).with_columns(is_decided.alias("is_decided"))
    moved, ambiguous = _moved(sources, free)
    nowhere = in_latest.filter(is_decided).join(after, on=KEYS, how="anti").join(after, on="train_id", how="anti")
    return TextMatches(
        num_shared_ids=len(shared),
        replaced=replaced["train_id"].to_list(),
        num_shared_texts=len(after.join(latest, on=KEYS, how="semi")),
        moved=moved,
        changed=other_text.filter(is_decided)["train_id"].to_list(),
        gone=nowhere["train_id"].to_list(),
        ambiguous=ambiguous,
    )


def returned_ids(
    latest: TextsOfVersion, new: TextsOfVersion, decided: Sequence[tuple[TextsOfVersion, Sequence[str]]]
) -> dict[str, str]:
    """Id of a text that is back, when decided on → its id in the new version.

    Args:
        latest: The version that the new one follows.
        new: The version that comes.
        decided: A version, and the ids whose texts there were decided on before others came under these ids.
    """
    if not decided:
        return {}
    before = pl.concat([_texts(version).filter(pl.col("train_id").is_in(list(ids))) for version, ids in decided])
    was, now = _texts(latest), _texts(new)
    same = before.join(now, on=["train_id", *KEYS], how="semi").join(was, on=["train_id", *KEYS], how="anti")
    # A text that the latest version had under another id took its decisions there when that version came.
    waiting = before.join(now, on=["train_id", *KEYS], how="anti").join(was, on=KEYS, how="anti")
    places = now.unique(KEYS, keep="first", maintain_order=True).rename({"train_id": "new_id"})
    moved = waiting.join(places, on=KEYS, how="inner", maintain_order="left").select("train_id", "new_id")
    return {train_id: train_id for train_id in same["train_id"]} | dict(moved.iter_rows())


def _texts(version: TextsOfVersion) -> pl.DataFrame:
    """Id and hashes of every text, in the order of the file."""
    parts = [pl.col(name).cast(pl.String) for name in version.columns]
    # Between the parts a sign that no text has to hold, so that a word that goes over to the next part is a change.
    text = pl.concat_str(parts, separator="\x1f", ignore_nulls=True)
    hashes = [text.hash(seed).alias(name) for seed, name in enumerate(KEYS)]
    return pl.scan_parquet(version.path, glob=False).select("train_id", *hashes).collect()


def _with_lost_ids(latest: pl.DataFrame, older: Sequence[TextsOfVersion], decided: Sequence[str]) -> pl.DataFrame:
    missing = set(decided) - set(latest["train_id"])
    found = [latest]
    for version in older:
        if not missing:
            break
        part = _texts(version).filter(pl.col("train_id").is_in(list(missing)))
        found.append(part)
        missing -= set(part["train_id"])
    return pl.concat(found)


def _moved(elsewhere: pl.DataFrame, free: pl.DataFrame) -> tuple[dict[str, str], list[str]]:
    """Decided id → new id of the same text, copies in their order; and those of which several copies could be meant.

    Args:
        elsewhere: Examples whose text is not under their id any more.
        free: Examples of the new version whose text was not under their id before.
    """
    wanted = elsewhere.filter(pl.col("is_decided").any().over(KEYS)).join(free, on=KEYS, how="semi")
    sources = wanted.group_by(KEYS, maintain_order=True).agg("train_id", "is_decided")
    targets = free.join(wanted, on=KEYS, how="semi").group_by(KEYS).agg(pl.col("train_id").alias("new_ids"))
    moved: dict[str, str] = {}
    ambiguous: list[str] = []
    for row in sources.join(targets, on=KEYS, maintain_order="left").iter_rows(named=True):
        marked = list(zip(row["train_id"], row["is_decided"], strict=True))
        fits = len(marked) == len(row["new_ids"])
        ordered = marked if fits else sorted(marked, key=lambda one: not one[1])  # the decided ones first
        pairs = zip(ordered, row["new_ids"], strict=False)
        moved |= {old: new for (old, is_decided), new in pairs if is_decided}
        if not fits:
            ambiguous += [old for old, is_decided in marked if is_decided]
    return moved, ambiguous
