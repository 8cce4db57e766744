"""Decide about examples, with reasons, and take decisions back. Nothing is ever overwritten."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

import polars as pl

from lorif_core.catalog import DatasetRecord
from lorif_core.corpus.conditions import queries_of
from lorif_core.corpus.filters import Filter, check_typed
from lorif_core.corpus.rules import Rule, parse_rule, parse_rules
from lorif_core.errors import DataError
from lorif_core.journal.entries import STATUS_OF, Batch, Decision, ExampleEvent, HistoryEntry, Scope, Status
from lorif_core.journal.journal import Journal
from lorif_core.plain_files import refuse_special
from lorif_core.system_failures import what_failed
from lorif_core.workspace.datasets.datasets import Datasets
from lorif_core.workspace.datasets.view import side_tables
from lorif_core.workspace.folder.actor import current_actor

if TYPE_CHECKING:  # readers of files, which a decision does not need
    from lorif_core.workspace.curation.decision_files import FoundDecisions

SAMPLE_EXAMPLES = 5


class Why(TypedDict, total=False):
    """Why a decision is made, and how it is recorded; every key may be left out."""

    reason: str | None
    """A word of the workspace's list; an exclusion needs one."""

    text: str | None
    """Free text beside it."""

    query: str | None
    """Id of the question that led to it."""

    actor: str | None
    """Who decides. Left out: LORIF_ACTOR, else the system's user."""

    client_id: str | None
    """Names the request: the same one again changes nothing."""


@dataclass(frozen=True)
class RulePreview:
    """What a rule would do."""

    rule: str
    """In its canonical spelling."""

    num_matching: int
    """Examples of which the condition holds."""

    train_ids: list[str]
    """Those of them that would change; the others have the status or label already."""

    by_status: dict[Status, int]
    """Present status → number of those that would change."""

    sample: pl.DataFrame
    """A few of those that would change."""

    def to_dict(self) -> dict[str, Any]:
        """Everything but the ids as JSON-serialisable values."""
        return {
            "rule": self.rule,
            "num_matching": self.num_matching,
            "num_changing": len(self.train_ids),
            "by_status": self.by_status,
            "sample": self.sample.to_dicts(),
        }


class Decisions:
    """What people decide about the texts of a workspace, and what they decided."""

    def __init__(self, data: Datasets) -> None:
        self.data = data
        self.files = data.files

    @property
    def journal(self) -> Journal:
        """Everything that people decided, with members and reasons."""
        return self.files.journal

    def flag(self, train_ids: Sequence[str], *, dataset: str | None = None, **why: Unpack[Why]) -> Batch:
        """Mark examples as suspicious; they stay in the data.

        Args:
            train_ids: Ids, all or none of which are marked.
            dataset: Name or id; may be left out when there is only one.
            **why: Reason, text, query and so on, see ``Why``.

        Raises:
            DataError: An id is unknown.
            JournalError: The decision cannot be recorded.
        """
        return self._decide("flag", train_ids, dataset, why)

    def exclude(self, train_ids: Sequence[str], *, dataset: str | None = None, **why: Unpack[Why]) -> Batch:
        """Leave examples out of every export from now on; needs a reason. Otherwise as ``flag``."""
        return self._decide("exclude", train_ids, dataset, why)

    def restore(self, train_ids: Sequence[str], *, dataset: str | None = None, **why: Unpack[Why]) -> Batch:
        """Keep examples, whatever was decided before. Otherwise as ``flag``."""
        return self._decide("restore", train_ids, dataset, why)

    def note(
        self,
        train_ids: Sequence[str],
        text: str,
        *,
        actor: str | None = None,
        client_id: str | None = None,
        dataset: str | None = None,
    ) -> Batch:
        """Write a note beside examples. Otherwise as ``flag``."""
        return self._decide("note", train_ids, dataset, {"text": text, "actor": actor, "client_id": client_id})

    def label(
        self,
        train_ids: Sequence[str],
        label: str,
        *,
        actor: str | None = None,
        client_id: str | None = None,
        dataset: str | None = None,
    ) -> Batch:
        """Give examples a label, besides those they have. Otherwise as ``flag``."""
        return self._decide("label", train_ids, dataset, {"text": label, "actor": actor, "client_id": client_id})

    def unlabel(
        self, train_ids: Sequence[str], label: str, *, actor: str | None = None, dataset: str | None = None
    ) -> Batch:
        """Take a label from examples. Otherwise as ``flag``."""
        return self._decide("unlabel", train_ids, dataset, {"text": label, "actor": actor})

    def settle(
        self, train_ids: Sequence[str], status: Status, *, dataset: str | None = None, **why: Unpack[Why]
    ) -> Batch:
        """End disagreements: what others decided on these examples before no longer conflicts. For an admin."""
        kind = next((kind for kind, given in STATUS_OF.items() if given == status), status)
        return self._decide(kind, train_ids, dataset, why, settles=True)

    def undo(self, batch_id: str | None = None, *, actor: str | None = None, dataset: str | None = None) -> Batch:
        """Take back a batch of decisions, or one's latest one.

        Raises:
            JournalError: There is nothing to undo, or somebody else has since decided on the same example.
            RoleError: The batch is somebody else's.
        """
        _check_typed(batch_id)
        return self.journal.undo(self._scope(self.files.choose_dataset(dataset), actor), batch_id)

    def redo(self, batch_id: str | None = None, *, actor: str | None = None, dataset: str | None = None) -> Batch:
        """Bring back what the latest undo took back, or a given batch. Raises as ``undo``."""
        _check_typed(batch_id)
        return self.journal.redo(self._scope(self.files.choose_dataset(dataset), actor), batch_id)

    def states(self, *, dataset: str | None = None) -> pl.DataFrame:
        """Present status, reason, labels and so on of every example that something was decided about."""
        return self.journal.states(self.files.choose_dataset(dataset).corpus_id)

    def conflicts(self, *, dataset: str | None = None) -> pl.DataFrame:
        """Each person's decision on every example on which people disagree."""
        return self.journal.conflicts(self.files.choose_dataset(dataset).corpus_id)

    def history(
        self,
        *,
        train_id: str | None = None,
        actor: str | None = None,
        kind: str | None = None,
        limit: int = 100,
        dataset: str | None = None,
    ) -> list[HistoryEntry]:
        """Who decided what, when and why, newest first.

        Raises:
            QueryError: What to look for is no text.
        """
        _check_typed(train_id, actor, kind)
        record = self.files.choose_dataset(dataset)
        return self.journal.history(record.corpus_id, train_id=train_id, actor=actor, kind=kind, limit=limit)

    def events_of(self, train_id: str, *, dataset: str | None = None) -> list[ExampleEvent]:
        """Everything that happened to one example, newest first.

        Raises:
            DataError: The id is unknown.
        """
        record = self.files.choose_dataset(dataset)
        self.files.examples(record.dataset_id).rows_of([train_id])
        return self.journal.events_of(record.corpus_id, train_id)

    def changes_of(self, batch_id: str, *, dataset: str | None = None, limit: int = 100) -> list[ExampleEvent]:
        """What an act did to each of its first texts: status before and after, in the order of the act.

        Raises:
            JournalError: There is no such act.
        """
        corpus_id = self.files.choose_dataset(dataset).corpus_id
        ids = self.journal.examples_of(corpus_id, batch_id)[:limit]
        histories = (self.journal.events_of(corpus_id, train_id) for train_id in ids)
        return [next(event for event in events if event.batch.batch_id == batch_id) for events in histories]

    def preview(self, rule: str, *, dataset: str | None = None, zone: str | None = None) -> RulePreview:
        """What a rule would do, without doing it.

        Args:
            rule: As typed.
            dataset: Name or id; may be left out when there is only one.
            zone: IANA name of the time zone that its times without one are meant in, where a column holds instants;
                the rule that is kept says it. None: that of this process.

        Raises:
            QueryError: The rule cannot be understood, or takes too long.
        """
        record = self.files.choose_dataset(dataset)
        return self._preview(record, self._pinned(record, rule, zone))

    def apply(
        self,
        rule: str,
        *,
        actor: str | None = None,
        client_id: str | None = None,
        dataset: str | None = None,
        zone: str | None = None,
    ) -> Batch:
        """Do what a rule says, as one batch that names the rule, with the zones of its times written out.

        Raises:
            QueryError: The rule cannot be understood, or takes too long.
            DataError: It would change nothing.
            JournalError: The decision cannot be recorded.
        """
        record = self.files.choose_dataset(dataset)
        parsed = self._pinned(record, rule, zone)
        found = self._preview(record, parsed)
        if not found.train_ids:
            raise DataError(
                f"the rule changes nothing: its condition holds for {found.num_matching:,} texts, all of which are "
                "as it wants them."
            )
        named = queries_of(parsed.condition)
        decision = Decision(
            kind=parsed.kind,
            train_ids=found.train_ids,
            reason=parsed.reason,
            text=parsed.comment if parsed.label is None else parsed.label,
            query_id=named[0] if len(named) == 1 else None,
            rule=found.rule,
        )
        return self.journal.decide(self._scope(record, actor), decision, client_id)

    def find_in_file(self, path: str | Path, *, dataset: str | None = None) -> "FoundDecisions":
        """What a file of decisions says about the texts of a data set, and what of it is not so yet; writes nothing.

        Raises:
            DataError: The file cannot be read, a row cannot be understood, or two contradict each other.
        """
        from lorif_core.workspace.curation.decision_files import find_decisions

        return find_decisions(self.files, self.files.choose_dataset(dataset), Path(path))

    def import_file(self, path: str | Path, *, actor: str | None = None, dataset: str | None = None) -> list[Batch]:
        """Bring decisions back from a file, matched by id or by text; again, it adds nothing.

        Raises as ``find_in_file``, and a JournalError if a decision cannot be recorded.
        """
        from lorif_core.workspace.curation.decision_files import find_decisions, import_decisions

        record = self.files.choose_dataset(dataset)
        found = find_decisions(self.files, record, Path(path))
        return import_decisions(self.files, record, found, actor or current_actor())

    def export_file(self, path: str | Path, *, dataset: str | None = None) -> int:
        """Write every decision, label and note with its text as JSON lines; returns their number.

        Raises:
            DataError: The file is there already, or has another suffix.
        """
        from lorif_core.workspace.curation.decision_files import export_decisions

        return export_decisions(self.files, self.files.choose_dataset(dataset), Path(path))

    def _pinned(self, record: DatasetRecord, rule: str, zone: str | None) -> Rule:
        """The rule, whose times mean the same for everyone."""
        parsed = parse_rule(rule)
        return replace(parsed, condition=self.data.corpus(record.dataset_id).pinned(parsed.condition, zone))

    def _preview(self, record: DatasetRecord, rule: Rule) -> RulePreview:
        beside = side_tables(self.files, record, queries_of(rule.condition))
        corpus, chosen = self.data.corpus(record.dataset_id), Filter(where=rule.condition)
        matching = corpus.ids(chosen, beside=beside)
        states = beside.decisions  # what the condition saw, too: read again, it might be another moment
        assert states is not None  # side tables of a data set have them
        changing = _changing(matching, states, rule)
        status_of = dict(states.select("train_id", "status").iter_rows())
        by_status: dict[Status, int] = {}
        for train_id in changing:
            status = status_of.get(train_id, "kept")
            by_status[status] = by_status.get(status, 0) + 1
        table = self.files.examples(record.dataset_id)
        sample = table.frame_at(table.rows_of(changing[:SAMPLE_EXAMPLES]))
        return RulePreview(str(rule), len(matching), changing, by_status, sample)

    def _decide(
        self, kind: Any, train_ids: Sequence[str], dataset: str | None, why: Why, *, settles: bool = False
    ) -> Batch:
        _check_typed(why.get("reason"), why.get("client_id"))
        record, query_id = self.files.choose_dataset(dataset), why.get("query")
        decision = Decision(
            kind=kind,
            train_ids=train_ids,
            reason=why.get("reason"),
            text=why.get("text"),
            query_id=query_id,
            settles=settles,
        )
        if query_id is not None:
            self.files.catalog.query(query_id)  # refuses an unknown one
        self.files.examples(record.dataset_id).rows_of(decision.train_ids)  # here, too
        return self.journal.decide(self._scope(record, why.get("actor")), decision, why.get("client_id"))

    def _scope(self, record: DatasetRecord, actor: str | None) -> Scope:
        return Scope(actor=actor or current_actor(), corpus_id=record.corpus_id, dataset_id=record.dataset_id)


def _check_typed(*texts: str | None) -> None:
    for text in texts:
        check_typed(text or "")


def _changing(matching: Sequence[str], states: pl.DataFrame, rule: Rule) -> list[str]:
    """Those of the examples that do not have the status or label yet that the rule gives."""
    if rule.label is None:
        wanted = STATUS_OF[rule.kind]
        have = states.filter(pl.col("status") == wanted)
        if wanted == "kept":  # as is everything without a decision
            others = set(states["train_id"]) - set(have["train_id"])
            return [train_id for train_id in matching if train_id in others]
        done = set(have["train_id"])
        return [train_id for train_id in matching if train_id not in done]
    labelled = set(states.filter(pl.col("labels").list.contains(rule.label))["train_id"])
    is_wanted = rule.kind == "label"
    return [train_id for train_id in matching if (train_id in labelled) != is_wanted]


def read_rules(path: Path) -> list[str]:
    """The rules of a file in their canonical spelling: one a line, ``#`` begins a comment line.

    Raises:
        DataError: The file cannot be read.
        QueryError: A line is no rule; names it.
    """
    refuse_special(path)
    try:
        return [str(rule) for rule in parse_rules(path.read_text(encoding="utf-8"))]
    except (OSError, UnicodeDecodeError) as error:
        reason = what_failed(error) if isinstance(error, OSError) else "(it is not UTF-8): save it again as UTF-8"
        raise DataError(f"the rules {str(path)!r} cannot be read {reason}.") from error
