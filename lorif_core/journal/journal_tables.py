"""Tables of the journal: what people decided, who may decide, and the long jobs they asked for.

Decisions are append-only: a ``batch`` is one act of one person, its ``event`` rows say which examples it
concerns, and nothing of either is ever changed or deleted. An undo is a batch of its own, whose events name
the events that they take back. What a batch says once (who, when, why) is not repeated in a million events.

Times are UTC without a zone, as SQLite keeps none; the same tables serve SQLite and PostgreSQL.
"""

from datetime import UTC, datetime
from typing import Any, ClassVar

from sqlalchemy import (
    BigInteger,
    Boolean,
    DateTime,
    Dialect,
    Double,
    ForeignKey,
    Index,
    Integer,
    Text,
    column,
    table,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

SERIAL = BigInteger().with_variant(Integer(), "sqlite")
"""SQLite numbers rows by itself only for its own INTEGER."""


class UtcTime(TypeDecorator[datetime]):
    """An aware time, stored as UTC without a zone."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Aware to stored."""
        return None if value is None else value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Stored to aware."""
        return None if value is None else value.replace(tzinfo=UTC)


class JournalRow(DeclarativeBase):
    """Base of every table of the journal."""

    type_annotation_map: ClassVar[dict[Any, Any]] = {
        str: Text,
        int: BigInteger,
        float: Double,
        bool: Boolean,
        datetime: UtcTime,
    }


def _index_of_set(name: str, column_name: str) -> Index:
    """Index of the rows where a column is set; most rows have no undo to be found by."""
    is_set = text(f"{column_name} IS NOT NULL")
    return Index(name, column_name, sqlite_where=is_set, postgresql_where=is_set)


class BatchRow(JournalRow):
    """One act of one person on one or more examples."""

    __tablename__ = "batch"
    __table_args__ = (
        Index("batch_of_corpus", "corpus_id"),
        _index_of_set("batch_takes_back", "of_batch"),
    )

    batch_id: Mapped[str] = mapped_column(primary_key=True)
    revision: Mapped[int] = mapped_column(unique=True)
    """The journal's revision that it made: batches in the order in which they happened."""

    corpus_id: Mapped[str]
    """The line of data set versions that it concerns."""

    dataset_id: Mapped[str]
    """The version that was on screen."""

    at: Mapped[datetime]
    actor: Mapped[str]
    kind: Mapped[str]
    """flag, exclude, restore, note, label, unlabel, undo or redo."""

    reason: Mapped[str | None]
    """A word of the controlled list."""

    text: Mapped[str | None]
    """Free text: the comment of a decision, the text of a note, the name of a label."""

    query_id: Mapped[str | None]
    """The question that led to it."""

    rule: Mapped[str | None]
    """The rule that chose the examples, as it was typed."""

    settles: Mapped[bool]
    """Whether it ends a disagreement: earlier decisions of others no longer conflict with it."""

    of_batch: Mapped[str | None]
    """With undo and redo: the batch that is taken back or brought back."""

    num_events: Mapped[int]
    client_id: Mapped[str | None] = mapped_column(unique=True)
    """Chosen by the caller; the same one again is the same request and changes nothing."""

    digest: Mapped[str | None]
    """Its link in the chain over everything that was written, see ``chain``."""


class EventRow(JournalRow):
    """One example in one batch; the rowid order is the order of the journal."""

    __tablename__ = "event"
    __table_args__ = (
        Index("event_of_example", "train_id"),
        Index("event_of_batch", "batch_id"),
        _index_of_set("event_undoes", "undoes"),
    )

    event_id: Mapped[int] = mapped_column(SERIAL, primary_key=True)
    batch_id: Mapped[str] = mapped_column(ForeignKey("batch.batch_id"))
    train_id: Mapped[str]
    undoes: Mapped[int | None] = mapped_column(SERIAL)
    """With undo and redo: the decision event that is taken back or brought back, never another undo."""


class RevisionRow(JournalRow):
    """The one row that counts writes of decisions, members and reasons, so that a poller sees them."""

    __tablename__ = "revision"

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)


class LinkRow(JournalRow):
    """A revision that is no batch, in the chain over everything that was written, see ``chain``."""

    __tablename__ = "revision_link"

    revision: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    digest: Mapped[str]
    kind: Mapped[str]
    """role, reason, start-anew, guidelines, round, round-ended, or write for one that says no more."""

    said: Mapped[str | None]
    """What was written, as JSON text."""


class IdentityRow(JournalRow):
    """The one row that says which journal this is; copies of it, such as backups, have the same."""

    __tablename__ = "journal_identity"

    journal_id: Mapped[str] = mapped_column(primary_key=True)
    at: Mapped[datetime]


class WorkspaceRow(JournalRow):
    """A workspace that works with this journal. A database that was chosen for it may serve several."""

    __tablename__ = "journal_workspace"

    workspace_id: Mapped[str] = mapped_column(primary_key=True)
    at: Mapped[datetime]


class MemberRow(JournalRow):
    """A person with a role. While there is none, everyone who can open the workspace is an admin."""

    __tablename__ = "member"

    actor: Mapped[str] = mapped_column(primary_key=True)
    role: Mapped[str]
    """viewer, curator or admin."""

    added_by: Mapped[str]
    at: Mapped[datetime]


class CredentialRow(JournalRow):
    """How a member signs in to the studio. A row changes, and nothing in it can be typed at the door."""

    __tablename__ = "credential"

    actor: Mapped[str] = mapped_column(ForeignKey("member.actor"), primary_key=True)
    password_hash: Mapped[str | None]
    """Salted hash and its parameters; none before the first password, and after it was taken away."""

    changed_by: Mapped[str]
    changed_at: Mapped[datetime]
    invitation_digest: Mapped[str | None] = mapped_column(unique=True)
    """Of the code in the link that a member was given to choose a password with."""

    invitation_expires_at: Mapped[datetime | None]


class ReasonRow(JournalRow):
    """A reason that people may give, beside the ones that every journal starts with."""

    __tablename__ = "reason"

    name: Mapped[str] = mapped_column(primary_key=True)
    description: Mapped[str]
    added_by: Mapped[str]
    at: Mapped[datetime]


class JobRow(JournalRow):
    """A long piece of work that a worker process does. Unlike decisions, a job's row changes."""

    __tablename__ = "job"

    job_id: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str]
    """import, index, verify or evaluate."""

    request_json: Mapped[str]
    """What to do, as JSON text."""

    request_hash: Mapped[str]
    """Of kind and request: the same request twice is one job while that is queued or running."""

    status: Mapped[str]
    """queued, running, done, failed or cancelled."""

    stage: Mapped[str | None]
    done: Mapped[int | None]
    total: Mapped[int | None]
    message: Mapped[str | None]
    """Why it failed, in one sentence."""

    result_json: Mapped[str | None]
    wants_cancel: Mapped[bool]
    actor: Mapped[str]
    device: Mapped[str]
    worker: Mapped[str | None]
    """Host and process id of the worker that has it."""

    attempts: Mapped[int]
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    heartbeat_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


LIVE_EVENT = table(
    "live_event",
    column("event_id", BigInteger()),
    column("corpus_id", Text()),
    column("train_id", Text()),
    column("batch_id", Text()),
    column("actor", Text()),
    column("status", Text()),
)
"""View: the events of decisions, notes and labels that are not taken back; notes and labels give no status."""
