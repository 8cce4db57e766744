"""Take decisions along from one version of a data set to the next: they follow the text, whatever its id.

Before a version is added it is compared with the one that it replaces. Another data set of the same name is asked
about, and so is a version without texts that somebody decided about. When it is added, decisions on texts that have
other ids now are made anew on these, and those on ids that stand for other texts now are taken off. Both are acts of
their own in the history and can be undone; what was decided before stays written.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from lorif_core.catalog import DatasetRecord
from lorif_core.config import NextVersion
from lorif_core.corpus.text_matches import TextMatches, TextsOfVersion, match_texts, returned_ids
from lorif_core.data.examples import ExampleTable
from lorif_core.errors import DataError
from lorif_core.files import replace_file
from lorif_core.journal.entries import STATUS_OF, Decision, Scope
from lorif_core.journal.journal import Journal
from lorif_core.workspace.folder.actor import current_actor
from lorif_core.workspace.folder.workspace_files import WorkspaceFiles

SHOWN_CHARACTERS = 60
SHOWN_TEXTS = 3
KIND_OF = {status: kind for kind, status in STATUS_OF.items()}

RULE_OF_IMPORT = "import of version "

ON_EARLIER_TEXT = "decided on an earlier text"
"""Comment of the act that takes decisions off an id that stands for another text now."""


@dataclass(frozen=True)
class Carried:
    """What a new version does to decisions."""

    num_moved: int
    """Decided texts that have another id now; decisions went with them."""

    num_changed: int
    """Decided ids that stand for another text now; decisions do not hit it."""

    num_gone: int
    """Decided texts that are not in the new version; decisions wait for them."""

    num_ambiguous: int
    """Decided texts that are there several times: it was chosen by their order which copy is meant."""

    num_returned: int
    """Decided texts that are back after another one came under their id, with what was decided on them."""

    examples: list[dict[str, str]]
    """The first changed and missing ones: id, text, and whether ``changed`` or ``gone``."""

    file: Path | None = None
    """JSON lines with all of ``examples``; None when there are none, or nothing was written."""

    batches: tuple[str, ...] = ()
    """Ids of the acts, which `lorif undo` takes."""

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON-serialisable values."""
        return asdict(self) | {"file": None if self.file is None else str(self.file)}


@dataclass(frozen=True)
class Foreseen:
    """What an import of a next version would do to decisions."""

    version: int
    """The one that it would follow."""

    carried: Carried
    lost: list[dict[str, str]]
    """All decided texts that are missing or changed: id, status, ``gone`` or ``changed``, text."""

    why_another: str | None
    """Why it is taken for another data set; None if it is not."""

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON-serialisable values."""
        return asdict(self) | {"carried": self.carried.to_dict()}


@dataclass(frozen=True)
class Comparison:
    """A version that comes, compared with those before it."""

    parent: DatasetRecord
    name: str
    before: Sequence[Path]
    """Files of the versions before, the latest first."""

    new: Path
    states: pl.DataFrame
    """Of the examples that somebody decided about."""

    matches: TextMatches

    returned: dict[str, str]
    """Id of a text that was decided on before another one came under it, and that is back → its id now."""

    @property
    def missing(self) -> list[str]:
        """Flagged, excluded, labelled and noted texts that are not in the new version."""
        matters = self.states.filter(
            (pl.col("status") != "kept") | (pl.col("labels").list.len() > 0) | (pl.col("num_notes") > 0)
        )
        return matters.filter(pl.col("train_id").is_in(self.matches.gone))["train_id"].to_list()

    def lost(self) -> Iterator[dict[str, str]]:
        """Decided texts that are not under their id any more, nor under another one."""
        for train_ids, what in ((self.missing, "gone"), (self._replaced_decided(), "changed")):
            for train_id in train_ids:
                status = self.states.filter(train_id=train_id)["status"][0]
                yield {"id": train_id, "status": status, "change": what, "text": _text(self.before, train_id)}

    def _replaced_decided(self) -> list[str]:
        return [train_id for train_id in self.matches.changed if train_id not in self.matches.moved]

    def carried(self) -> Carried:
        """The counts."""
        matches = self.matches
        return Carried(
            num_moved=len(matches.moved),
            num_changed=len(self._replaced_decided()),
            num_gone=len(self.missing),
            num_ambiguous=len(matches.ambiguous),
            num_returned=len(self.returned),
            examples=[one for one, _ in zip(self.lost(), range(SHOWN_TEXTS), strict=False)],
        )

    def foreseen(self) -> "Foreseen":
        """What an import would do, and refuse."""
        return Foreseen(self.parent.version, self.carried(), list(self.lost()), self._why_another())

    def require(self, said: NextVersion, list_file: Path) -> None:
        """Refuse what a person has not said to want.

        Args:
            said: What they said.
            list_file: Where all decided texts that are missing are listed.

        Raises:
            DataError: It is another data set, or decided texts are missing.
        """
        if not said.as_version and (why := self._why_another()) is not None:
            raise DataError(
                f"a data set of the name {self.name!r} is there already, and {why}. Import it as a data set of its "
                "own with `--name OTHER`, or with `--as-version` if it is really the next version."
            )
        if self.missing and not said.drop_decided:
            write_lost(self, list_file)
            raise DataError(self._why_missing(list_file))

    def _why_another(self) -> str | None:
        matches = self.matches
        if not matches.num_shared_ids and not matches.num_shared_texts:
            return f"the new data share no id and no text with its version {self.parent.version}"
        if 2 * len(matches.replaced) <= matches.num_shared_ids:
            return None
        train_id = matches.replaced[0]
        old, new = _shortened(_text(self.before, train_id)), _shortened(_text([self.new], train_id))
        return (
            f"{len(matches.replaced):,} of the {matches.num_shared_ids:,} ids that both have stand for other texts, "
            f"{train_id!r} for {new!r} instead of {old!r}"
        )

    def _why_missing(self, list_file: Path) -> str:
        gone = self.missing
        shown = ", ".join(f"{one!r} ({_shortened(_text(self.before, one))!r})" for one in gone[:SHOWN_TEXTS])
        more = f" and {len(gone) - SHOWN_TEXTS:,} more" if len(gone) > SHOWN_TEXTS else ""
        return (
            f"a new version holds the texts that somebody decided about, {len(gone):,} of them are missing by id and "
            f"by text: {shown}{more}; all are listed in {str(list_file)!r}. Nothing was imported; pass "
            "`--drop-decided` to go on without them, their decisions come back with the texts."
        )


def compare_next(files: WorkspaceFiles, parent: DatasetRecord, new: Path) -> Comparison:
    """A file of examples compared with the versions that it comes after."""
    line = [record for record in files.catalog.datasets() if record.corpus_id == parent.corpus_id]
    line = sorted(line, key=lambda record: -record.version)
    before = [files.examples_file(record.dataset_id) for record in line]
    there = [path for path in before if path.exists()]
    states = files.journal.states(parent.corpus_id)
    is_of_import = pl.col("rule").str.contains(f"^{RULE_OF_IMPORT}[0-9]+$")
    taken_off = states.filter((pl.col("text") == ON_EARLIER_TEXT) & is_of_import)
    decided = states.filter(
        (pl.col("batch_id").is_not_null() & pl.col("text").ne_missing(ON_EARLIER_TEXT))
        | (pl.col("labels").list.len() > 0)
        | (pl.col("num_notes") > 0)
    )
    versions = [_texts_of(path) for path in there]
    matches = match_texts(versions, _texts_of(new), decided["train_id"].to_list())
    texts_by_version = {
        record.version: texts
        for record, path in zip(line, before, strict=True)
        for texts in versions
        if texts.path == path
    }
    returned = returned_ids(versions[0], _texts_of(new), _decided_before(taken_off, texts_by_version))
    already = set(matches.moved.values())
    return Comparison(
        parent=parent,
        name=parent.name,
        before=there,
        new=new,
        states=decided,
        matches=matches,
        returned={train_id: new_id for train_id, new_id in returned.items() if new_id not in already},
    )


def _decided_before(
    taken_off: pl.DataFrame, versions: dict[int, TextsOfVersion]
) -> list[tuple[TextsOfVersion, list[str]]]:
    """The versions whose texts were decided on, with the ids off which their decisions were taken later."""
    found: list[tuple[TextsOfVersion, list[str]]] = []
    for (rule,), group in taken_off.group_by("rule", maintain_order=True):
        came = int(str(rule).removeprefix(RULE_OF_IMPORT))
        earlier = [version for version in versions if version < came]
        if earlier:
            found.append((versions[max(earlier)], group["train_id"].to_list()))
    return found


def take_along(files: WorkspaceFiles, found: Comparison, record: DatasetRecord, carried: Carried) -> Carried:
    """Write the acts that a new version needs; the same ones again add nothing.

    Raises:
        RoleError: Somebody who may not decide adds a version that decisions must follow into.
    """
    scope = Scope(actor=current_actor(), corpus_id=record.corpus_id, dataset_id=record.dataset_id)
    decisions = list(_decisions(files.journal, found, record.version))
    acts = files.journal.carry(scope, decisions, f"import-{record.dataset_id}") if decisions else []
    place = None
    if carried.num_gone or carried.num_changed:
        place = files.lost_file(found.name)
        write_lost(found, place)
    return replace(carried, file=place, batches=tuple(act.batch_id for act in acts))


def _decisions(journal: Journal, found: Comparison, version: int) -> Iterator[Decision]:
    rule = f"{RULE_OF_IMPORT}{version}"
    changed = found.states.filter(pl.col("train_id").is_in(found.matches.changed))
    if undecided := changed.filter(pl.col("batch_id").is_not_null())["train_id"].to_list():
        yield Decision(kind="restore", train_ids=undecided, text=ON_EARLIER_TEXT, rule=rule, settles=True)
    for label in changed["labels"].explode().drop_nulls().unique().sort():
        ids = changed.filter(pl.col("labels").list.contains(label))["train_id"].to_list()
        yield Decision(kind="unlabel", train_ids=ids, text=label, rule=rule)
    moved = found.states.filter(pl.col("train_id").is_in(list(found.matches.moved)))
    yield from _moved_decisions(moved, found.matches.moved, rule)
    yield from _returned_decisions(journal, found, rule)
    yield from _moved_notes(journal, found, moved.filter(pl.col("num_notes") > 0)["train_id"].to_list(), rule)


def _moved_decisions(moved: pl.DataFrame, new_ids: dict[str, str], rule: str) -> Iterator[Decision]:
    same = ["status", "reason", "text", "actor", "query_id"]
    decided = moved.filter(pl.col("batch_id").is_not_null())
    for values, group in decided.group_by(same, maintain_order=True):
        status, reason, text, actor, query_id = map(_text_or_none, values)
        yield Decision(
            kind=KIND_OF[status or "kept"],  # pyright: ignore[reportArgumentType] - one of the kinds
            train_ids=[new_ids[train_id] for train_id in group["train_id"]],
            reason=reason,
            text=text,
            query_id=query_id,
            rule=f"{rule}: same text, other id, decided by {actor}",
        )
    for label in moved["labels"].explode().drop_nulls().unique().sort():
        ids = moved.filter(pl.col("labels").list.contains(label))["train_id"]
        yield Decision(kind="label", train_ids=[new_ids[one] for one in ids], text=label, rule=rule)


def _returned_decisions(journal: Journal, found: Comparison, rule: str) -> Iterator[Decision]:
    ids_of: dict[tuple[str, str | None, str | None, str], list[str]] = {}
    for train_id, new_id in found.returned.items():
        events = (event for event in journal.events_of(found.parent.corpus_id, train_id) if not event.is_undone)
        acts = (event.batch for event in events if event.batch.kind in STATUS_OF)
        act = next((act for act in acts if act.text != ON_EARLIER_TEXT), None)
        if act is not None:
            ids_of.setdefault((act.kind, act.reason, act.text, act.actor), []).append(new_id)
    for (kind, reason, text, actor), ids in ids_of.items():
        yield Decision(
            kind=kind,  # pyright: ignore[reportArgumentType] - one of the kinds
            train_ids=ids,
            reason=reason,
            text=text,
            rule=f"{rule}: the text is back, decided by {actor}",
        )


def _moved_notes(journal: Journal, found: Comparison, noted: Sequence[str], rule: str) -> Iterator[Decision]:
    ids_of: dict[tuple[str, str], list[str]] = {}
    for train_id in noted:
        for event in reversed(journal.events_of(found.parent.corpus_id, train_id)):
            if event.batch.kind == "note" and not event.is_undone and event.batch.text:
                new_id = found.matches.moved[train_id]
                ids_of.setdefault((event.batch.text, event.batch.actor), []).append(new_id)
    for (text, actor), ids in ids_of.items():
        yield Decision(kind="note", train_ids=ids, text=text, rule=f"{rule}: same text, other id, noted by {actor}")


def write_lost(found: Comparison, path: Path) -> None:
    """List all decided texts that are missing or changed, as JSON lines."""
    path.parent.mkdir(exist_ok=True)
    with replace_file(path) as partial, partial.open("w", encoding="utf-8") as handle:
        handle.writelines(json.dumps(one, ensure_ascii=False) + "\n" for one in found.lost())


def _texts_of(path: Path) -> TextsOfVersion:
    return TextsOfVersion(path, ExampleTable(path).shown_columns)


def _text(paths: Sequence[Path], train_id: str) -> str:
    """The text under an id in the first file that has it."""
    for path in paths:
        table = ExampleTable(path)
        try:
            return table.examples_at(table.rows_of([train_id]))[0].plain_text
        except DataError:
            continue
    return ""


def _text_or_none(value: Any) -> str | None:
    return None if value is None else str(value)


def _shortened(text: str) -> str:
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[: SHOWN_CHARACTERS - 1]}…"
