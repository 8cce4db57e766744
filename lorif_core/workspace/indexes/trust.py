"""Can the scores of an index be trusted: what was measured of them so far, each beside what chance would give.

Every kind of evaluation has a number that random scores would reach: 0 for a correlation, k / N for the share of
planted texts among the first k, 0.5 for the area under a curve, the measured change for random removals. An index is
*doubtful* when the latest measurement of any kind beats that by less than ``MARGIN``.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from lorif_core.catalog import EvaluationRecord, IndexRecord
from lorif_core.workspace.asking.conventions import members_told
from lorif_core.workspace.folder.workspace_files import WorkspaceFiles
from lorif_core.workspace.indexes.linked_members import readable_members

MARGIN = 0.1
"""Of a correlation or a share: those of working methods are far higher, see docs/explanation/how-good.md."""

Level = Literal["not checked", "checked", "doubtful"]


@dataclass(frozen=True)
class Check:
    """One measurement beside chance."""

    kind: str
    """Of the evaluation."""

    value: float
    chance: float
    """What random scores reach."""

    meaning: str
    """What the number is, for people."""

    evaluation_id: str

    margin: float = MARGIN
    """By how much the value must beat chance."""

    @property
    def is_passed(self) -> bool:
        """Whether it beats chance by the margin."""
        return self.value - self.chance >= self.margin


@dataclass(frozen=True)
class Trust:
    """What is known about the quality of an index's scores."""

    index_id: str
    checks: list[Check]
    """The latest of each kind, by kind."""

    @property
    def level(self) -> Level:
        """One word for all checks."""
        if not self.checks:
            return "not checked"
        return "checked" if all(check.is_passed for check in self.checks) else "doubtful"


def trust_in(files: WorkspaceFiles, index_id: str) -> Trust:
    """What the catalog's evaluations say about an index.

    Raises:
        CatalogError: There is no such index.
    """
    index = files.catalog.index(index_id)
    latest: dict[str, Check] = {}
    records = [one for one in files.catalog.evaluations() if one.dataset_id == index.dataset_id]
    for record in sorted(records, key=lambda one: (one.created_at, one.evaluation_id)):
        measured = Measured(record, json.loads(record.settings_json), json.loads(record.result_json), index)
        if record.kind in READERS and _may_speak_of(files, measured):
            latest |= {check.kind: check for check in READERS[record.kind](measured)}
    return Trust(index_id, [latest[kind] for kind in sorted(latest)])


class Measured(NamedTuple):
    """An evaluation, and the index that is asked about."""

    record: EvaluationRecord
    settings: Mapping[str, Any]
    result: Any
    index: IndexRecord


def _may_speak_of(files: WorkspaceFiles, measured: Measured) -> bool:
    """Whether an evaluation that measures one index measured this one; the others name theirs in each line."""
    record, index_id = measured.record, measured.index.index_id
    members = readable_members(files, measured.index)
    now = None if members is None else members.sentence
    if record.kind == "verify":
        asked = {one["query_id"] for one in measured.result["queries"]}
        kept = [one for one in files.catalog.queries() if one.query_id in asked and one.index_id == index_id]
        return any(members_told(one) == now for one in kept)
    if measured.settings.get("members", {}).get(index_id) != now:
        return False  # its scores were others then
    if "index_id" not in measured.settings:
        return True
    # None was the newest complete index of that time.
    known = [
        one for one in files.catalog.indexes() if one.status == "complete" and one.created_at <= record.created_at
    ]
    return (measured.settings["index_id"] or (known[-1].index_id if known else None)) == index_id


def _lds(measured: Measured) -> Iterator[Check]:
    words = next((row["lds"] for row in measured.result if row["candidate"] == "tokens"), None)
    for row in _rows_of(measured):
        meaning = f"LDS {row['lds']:.2f}: how well summed scores predict retrained models"
        meaning += "" if words is None else f"; shared tokens alone, without a model, {words:.2f}"
        yield Check("lds", row["lds"], 0.0, meaning, measured.record.evaluation_id)
        if row.get("partial") is not None:
            meaning = f"partial LDS {row['partial']:.2f}: what is left of it beyond shared tokens"
            yield Check("partial lds", row["partial"], 0.0, meaning, measured.record.evaluation_id)


def _fidelity(measured: Measured) -> Iterator[Check]:
    for row in _rows_of(measured):
        meaning = f"rank correlation {row['spearman']:.2f} with {measured.settings['reference']}, nothing compressed"
        yield Check("fidelity", row["spearman"], 0.0, meaning, measured.record.evaluation_id)


def _planted(measured: Measured) -> Iterator[Check]:
    k, recall = measured.settings["k"], measured.result["recall"]
    chance = min(1.0, k / max(measured.index.num_examples, 1))
    meaning = f"{recall:.0%} of planted texts among the first {k}"
    yield Check("planted", recall, chance, meaning, measured.record.evaluation_id)


def _mislabel(measured: Measured) -> Iterator[Check]:
    best = max(report["auc"] for report in measured.result.values())
    meaning = f"area {best:.2f} under the curve of finding corrupted texts"
    yield Check("mislabel", best, 0.5, meaning, measured.record.evaluation_id)


def _verified(measured: Measured) -> Iterator[Check]:
    if (value := measured.result.get("rank_correlation")) is not None:
        meaning = f"rank correlation {value:.2f} of predicted and actual changes after a removal"
        yield Check("verify", value, 0.0, meaning, measured.record.evaluation_id)


def _tail_patch(measured: Measured) -> Iterator[Check]:
    yield from _against_random(measured, "gain", "nats gained by a step on the top texts")


def _brittleness(measured: Measured) -> Iterator[Check]:
    yield from _against_random(measured, "loss_change", "nats lost without the top texts")


def _against_random(measured: Measured, figure: str, unit: str) -> Iterator[Check]:
    """A change in nats beside that of random texts; it must lie above the whole interval of those."""
    named = {row["name"].split()[0].split(":")[0]: row for row in measured.result}
    index_id = measured.index.index_id
    if index_id in named and "random" in named:
        value, random = named[index_id][figure], named["random"][figure]
        margin = named["random"][f"{figure}_high"] - random
        meaning = f"{value:+.3f} {unit}, {random:+.3f} with random ones"
        yield Check(measured.record.kind, value, random, meaning, measured.record.evaluation_id, margin=margin)


def _rows_of(measured: Measured) -> list[Mapping[str, Any]]:
    """The index's own line, un-normalised, at its own damping."""
    index_id = measured.index.index_id
    return [row for row in measured.result if row["candidate"] == index_id and row["normalisation"] == "none"][:1]


READERS: Mapping[str, Callable[[Measured], Iterator[Check]]] = {
    "lds": _lds,
    "fidelity": _fidelity,
    "planted": _planted,
    "mislabel": _mislabel,
    "verify": _verified,
    "tail-patch": _tail_patch,
    "brittleness": _brittleness,
}
"""How to read the figures of each kind of evaluation."""
