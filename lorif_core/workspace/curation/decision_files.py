"""Bring decisions back from a file, matched by id or by text, and write them to one."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from lorif_core.catalog import DatasetRecord
from lorif_core.data.decision_rows import DecisionRow, iter_decision_rows
from lorif_core.data.examples import ExampleTable
from lorif_core.errors import DataError
from lorif_core.files import replace_file
from lorif_core.journal.entries import STATUS_OF, Batch, Decision, Scope
from lorif_core.journal.journal import Journal
from lorif_core.workspace.folder.workspace_files import WorkspaceFiles

KIND_OF = {status: kind for kind, status in STATUS_OF.items()}
MOST_LISTED = 20
UNDECIDED: dict[str, Any] = {"status": "kept", "reason": None, "text": None, "labels": [], "num_notes": 0}


@dataclass(frozen=True)
class FoundDecisions:
    """What a file of decisions says about a data set."""

    num_rows: int
    num_by_id: int
    """Rows whose id the data have, with the same text where the row has one."""

    num_by_text: int
    """Rows whose text the data have under another id, or that have no id."""

    num_not_found: int
    num_ambiguous: int
    """Rows whose text the data hold several times; these are left alone."""

    num_already: int
    """Matched rows that say nothing new."""

    not_found_lines: list[int]
    ambiguous_lines: list[int]
    """The first lines of each."""

    decisions: list[Decision]
    """What there is to do: one for each status, reason, comment and person, label and note."""

    def to_dict(self) -> dict[str, Any]:
        """The counts, and what is done to how many texts."""
        names = [name for name in self.__dataclass_fields__ if name != "decisions"]
        acts = [
            {"kind": one.kind, "reason": one.reason, "text": one.text, "num_texts": len(one.train_ids)}
            for one in self.decisions
        ]
        return {name: getattr(self, name) for name in names} | {"acts": acts}


def find_decisions(files: WorkspaceFiles, record: DatasetRecord, path: Path) -> FoundDecisions:
    """What a file says about a data set, compared with what is decided; writes nothing.

    Raises:
        DataError: The file cannot be read, a row cannot be understood, or two rows contradict each other.
    """
    table = files.examples(record.dataset_id)
    own_id = json.loads(record.settings_json or "{}").get("id")
    columns = list(table.columns.read_columns)
    rows = list(iter_decision_rows(path, columns, own_id if own_id not in ("none", "") else None))
    id_of, by_text, ambiguous = _matched(files.examples_file(record.dataset_id), table, rows)
    _require_no_contradiction(path, rows, id_of)
    known_reasons = {reason.name for reason in files.journal.reasons()}
    for row in rows:
        if row.reason is not None and row.status is not None and row.reason not in known_reasons:
            raise DataError(
                f"a reason is a word of the workspace's list, line {row.line:,} of {str(path)!r} has "
                f"{row.reason[:60]!r}: add it with `lorif reasons --add`, or correct the file."
            )
    matched = [row for row in rows if row.line in id_of]
    decisions, num_already = _new_decisions(files.journal, record.corpus_id, path, matched, id_of)
    missing = [row.line for row in rows if row.line not in id_of and row.line not in ambiguous]
    return FoundDecisions(
        num_rows=len(rows),
        num_by_id=len(id_of) - len(by_text),
        num_by_text=len(by_text),
        num_not_found=len(missing),
        num_ambiguous=len(ambiguous),
        num_already=num_already,
        not_found_lines=missing[:MOST_LISTED],
        ambiguous_lines=sorted(ambiguous)[:MOST_LISTED],
        decisions=decisions,
    )


def import_decisions(files: WorkspaceFiles, record: DatasetRecord, found: FoundDecisions, actor: str) -> list[Batch]:
    """Write what a file says, all or nothing; again, it adds nothing. Raises as ``Journal.decide``."""
    scope = Scope(actor=actor, corpus_id=record.corpus_id, dataset_id=record.dataset_id)
    return files.journal.decide_all(scope, found.decisions)


def _matched(
    path: Path, table: ExampleTable, rows: Sequence[DecisionRow]
) -> tuple[dict[int, str], set[int], set[int]]:
    """Line → id; the lines of them that were matched by text; and the lines whose text is there several times."""
    texts = _texts(path, table)
    named = [row.train_id for row in rows if row.train_id is not None]
    text_of = dict(texts.filter(pl.col("train_id").is_in(named)).iter_rows())
    id_of = {
        row.line: row.train_id
        for row in rows
        if row.train_id is not None and row.train_id in text_of and row.text in (None, text_of[row.train_id])
    }
    rest = [row for row in rows if row.line not in id_of and row.text is not None]
    wanted = texts.filter(pl.col("text").is_in([row.text for row in rest]))
    taken = set(id_of.values())
    ids_of: dict[str, list[str]] = {}
    for train_id, text in wanted.iter_rows():
        if train_id not in taken:
            ids_of.setdefault(text, []).append(train_id)
    lines_of: dict[str, list[int]] = {}
    for row in rest:
        if row.text in ids_of:
            lines_of.setdefault(row.text, []).append(row.line)
    by_text = {
        line: train_id
        for text, lines in lines_of.items()
        if len(lines) == len(ids_of[text])
        for line, train_id in zip(lines, ids_of[text], strict=True)
    }
    ambiguous = {line for text, lines in lines_of.items() if len(lines) != len(ids_of[text]) for line in lines}
    return id_of | by_text, set(by_text), ambiguous


def _texts(path: Path, table: ExampleTable) -> pl.DataFrame:
    parts = [pl.col(name).cast(pl.String) for name in table.shown_columns]
    text = pl.concat_str(parts, ignore_nulls=True).alias("text")
    return pl.scan_parquet(path, glob=False).select("train_id", text).collect()


def _require_no_contradiction(path: Path, rows: Sequence[DecisionRow], id_of: dict[int, str]) -> None:
    seen: dict[str, DecisionRow] = {}
    for row in rows:
        if (train_id := id_of.get(row.line)) is None or row.status is None:
            continue
        earlier = seen.setdefault(train_id, row)
        if (earlier.status, earlier.reason) != (row.status, row.reason):
            raise DataError(
                f"a file says one thing of a text, lines {earlier.line:,} and {row.line:,} of {str(path)!r} say "
                f"{earlier.status!r} and {row.status!r} ({earlier.reason} and {row.reason}) of {train_id!r}: leave "
                "one."
            )


def _new_decisions(
    journal: Journal, corpus_id: str, path: Path, rows: Sequence[DecisionRow], id_of: dict[int, str]
) -> tuple[list[Decision], int]:
    """What is not so yet, and the number of rows that say nothing new."""
    states = {row["train_id"]: row for row in journal.states(corpus_id).to_dicts()}
    groups: dict[tuple[str, str | None, str | None, str | None], list[str]] = {}
    num_already = 0
    for row in rows:
        train_id = id_of[row.line]
        state = states.get(train_id, {"status": "kept", "reason": None, "text": None, "labels": [], "num_notes": 0})
        new = [
            *_status_act(row, state),
            *_label_acts(row, state),
            *_note_acts(journal, corpus_id, row, train_id, state),
        ]
        num_already += not new
        for key in new:
            groups.setdefault(key, []).append(train_id)
    return [
        Decision(
            kind=kind,  # pyright: ignore[reportArgumentType] - one of the kinds
            train_ids=ids,
            reason=reason,
            text=text,
            rule=f"import of {path.name}" + ("" if actor is None else f", decided by {actor}"),
        )
        for (kind, reason, text, actor), ids in groups.items()
    ], num_already


Act = tuple[str, str | None, str | None, str | None]
"""Kind, reason, text and the person who decided first."""


def _status_act(row: DecisionRow, state: dict[str, Any]) -> Iterator[Act]:
    if row.status is None:
        return
    is_so = state["status"] == row.status and (row.status == "kept" or state["reason"] == row.reason)
    if not is_so or (row.comment is not None and state["text"] != row.comment):
        yield KIND_OF[row.status], row.reason, row.comment, row.actor


def _label_acts(row: DecisionRow, state: dict[str, Any]) -> Iterator[Act]:
    for label in row.labels:
        if label not in state["labels"]:
            yield "label", None, label, row.actor


def _note_acts(
    journal: Journal, corpus_id: str, row: DecisionRow, train_id: str, state: dict[str, Any]
) -> Iterator[Act]:
    if not row.notes:
        return
    there = notes_of(journal, corpus_id, train_id) if state["num_notes"] else []
    yield from (("note", None, note, row.actor) for note in row.notes if note not in there)


def notes_of(journal: Journal, corpus_id: str, train_id: str) -> list[str]:
    """Texts of the notes beside an example, oldest first."""
    events = (event for event in reversed(journal.events_of(corpus_id, train_id)) if not event.is_undone)
    return [event.batch.text for event in events if event.batch.kind == "note" and event.batch.text]


def export_decisions(files: WorkspaceFiles, record: DatasetRecord, path: Path) -> int:
    """Write every decision, label and note on a data set with its text as JSON lines; returns their number.

    Raises:
        DataError: The file is there already, or has another suffix.
    """
    if path.suffix.lower() != ".jsonl":
        raise DataError(f"decisions are written as JSON lines, got {str(path)!r}: name a .jsonl file.")
    if path.exists():
        raise DataError(f"{str(path)!r} is there already: choose another name, or move it away.")
    states = files.journal.states(record.corpus_id)
    table = files.examples(record.dataset_id)
    frame = states.join(_texts(files.examples_file(record.dataset_id), table), on="train_id", suffix="_of_example")
    with replace_file(path) as partial, partial.open("w", encoding="utf-8") as handle:
        for row in frame.iter_rows(named=True):
            notes = notes_of(files.journal, record.corpus_id, row["train_id"]) if row["num_notes"] else []
            handle.write(json.dumps(_exported(row, notes), ensure_ascii=False) + "\n")
    return len(frame)


def _exported(row: dict[str, Any], notes: list[str]) -> dict[str, Any]:
    values = {
        "id": row["train_id"],
        "status": row["status"],
        "reason": row["reason"],
        "comment": row["text"],
        "actor": row["actor"],
        "at": None if row["at"] is None else row["at"].isoformat(),
        "labels": row["labels"],
        "notes": notes,
        "text": row["text_of_example"],
    }
    return {name: value for name, value in values.items() if value not in (None, [])}
