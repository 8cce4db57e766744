"""The journal as its users see it: one object, one transaction per call."""

import json
import weakref
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import polars as pl
from sqlalchemy import Connection, Engine, select

from lorif_core.errors import JournalError, LorifError
from lorif_core.journal import acts, chain, people, reads
from lorif_core.journal.check_journal import check_journal
from lorif_core.journal.database import open_engine, reading
from lorif_core.journal.database import writing as writing_to
from lorif_core.journal.entries import (
    Batch,
    Decision,
    ExampleEvent,
    HistoryEntry,
    Member,
    Reason,
    Role,
    Scope,
    Status,
    utc_now,
)
from lorif_core.journal.failures import UnknownCommit
from lorif_core.journal.followed_states import FollowedStates
from lorif_core.journal.journal_tables import LinkRow, RevisionRow
from lorif_core.journal.last_seen import Seen
from lorif_core.journal.own_journal import OwnJournal

REVISIONS_AT_ONCE = 2_000

JournalChange = Literal["start-anew", "accept"]
"""How a journal takes the place of the one that a workspace knew: as an empty one, or as it was found."""


class Journal:
    """People's decisions about examples, safe to use from several threads, processes and programs.

    Nothing is ever changed or deleted, and what a call has returned is on the disk. Every method raises a
    JournalError if the database cannot be used; writing ones also a RoleError if the person may not, and a
    ResourceError if the disk is full. A call that raises has written nothing.
    """

    engine: Engine
    """The database, for the jobs that lie in it too."""

    def __init__(
        self, location: Path | str, states_folder: Path | None = None, own: OwnJournal | None = None
    ) -> None:
        """Open the journal at ``location``, making it if there is none.

        Args:
            location: An SQLite file on a local disk, or ``postgresql+psycopg://user@host/database``.
            states_folder: Where copies of the states may be kept, so that a new process need not read a long
                journal from its beginning; it may be deleted at any time.
            own: What a workspace remembers of its journal. Every call then refuses one that is missing, another
                one or older, and none is made in its place.
        """
        self.engine = open_engine(location, own)
        self._states = FollowedStates(states_folder)
        # Also when nobody closes it: the last one to leave folds SQLite's log into the file.
        weakref.finalize(self, self.engine.dispose)

    def close(self) -> None:
        """Give back its connections. A call after that opens new ones."""
        self.engine.dispose()

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def decide(self, scope: Scope, decision: Decision, client_id: str | None = None) -> Batch:
        """Write one decision about any number of examples, all or nothing.

        Args:
            scope: Who decides, and on which data.
            decision: What, and why.
            client_id: Names the request. The same one again returns the first batch and adds nothing, so
                a front end may repeat a request whose answer it did not see.

        Raises:
            JournalError: The reason is unknown, or the client id stands for another request.
            RoleError: The person is a viewer, or settles without being an admin.
        """
        return self._act(lambda connection: [acts.decide(connection, scope, decision, client_id)])[0]

    def decide_all(self, scope: Scope, decisions: Sequence[Decision]) -> list[Batch]:
        """Write several decisions, all or none. Raises as ``decide``."""
        return self._act(lambda connection: [acts.decide(connection, scope, one, None) for one in decisions])

    def carry(self, scope: Scope, decisions: Sequence[Decision], request: str) -> list[Batch]:
        """Write what a new version of the data does to decisions: several of them, all or none.

        Ending disagreements is no judgement here: an id that stands for another text has none.

        Args:
            scope: Who adds the version, and which.
            decisions: In their order.
            request: Names the version; the same decisions for it again return the first batches.

        Raises:
            JournalError: A reason is unknown.
            RoleError: The person is a viewer.
        """
        return self._act(lambda connection: [acts.carry(connection, scope, one, request) for one in decisions])

    def undo(self, scope: Scope, batch_id: str | None = None, client_id: str | None = None) -> Batch:
        """Take back a batch of decisions, notes or labels, and return the act that does so.

        Args:
            scope: Who takes it back. Only an admin may for others.
            batch_id: The batch; None is the person's latest one that is not undone.
            client_id: Names the request, as in `decide`.

        Raises:
            JournalError: There is nothing to undo, it is undone already, or somebody else has since decided
                on one of the same examples. Notes and labels are nobody's decision and hinder no undo.
            RoleError: The batch is somebody else's.
        """
        return self._act(lambda connection: [acts.take_back(connection, "undo", scope, batch_id, client_id)])[0]

    def redo(self, scope: Scope, batch_id: str | None = None, client_id: str | None = None) -> Batch:
        """Bring back a batch that is undone, in its old place, and return the act that does so.

        Args:
            scope: Who brings it back. Only an admin may for others.
            batch_id: The batch; None is the one that the person's latest undo took back, provided that
                they have made no new decision since.
            client_id: Names the request, as in `decide`.

        Raises:
            JournalError: There is nothing to redo, or somebody else has since decided on one of the same
                examples.
            RoleError: The batch is somebody else's.
        """
        return self._act(lambda connection: [acts.take_back(connection, "redo", scope, batch_id, client_id)])[0]

    def states(self, corpus_id: str, train_ids: Iterable[str] | None = None) -> pl.DataFrame:
        """Where every example stands that something ever happened to, in the order of their ids.

        An example whose decisions are all undone is there, as kept. Reason, text and so on are those of
        the decision that gives the status.

        Args:
            corpus_id: The line of data set versions.
            train_ids: Only these; None is all.
        """
        ids = None if train_ids is None else list(train_ids)
        with reading(self.engine) as connection:
            if ids is not None and len(ids) <= reads.MOST_LOOKED_UP and not self._states.knows(corpus_id):
                return reads.read_states(connection, corpus_id, ids)
            states, _ = self._states.read(connection, corpus_id)
        return states if ids is None else states.filter(pl.col("train_id").is_in(ids))

    def snapshot(self, corpus_id: str) -> "Snapshot":
        """The states of ``states`` and the acts of ``history``, all of them, of one moment.

        A decision that is made meanwhile is in both or in neither.
        """
        with reading(self.engine) as connection:
            states, revision = self._states.read(connection, corpus_id)
        return Snapshot(states, revision, corpus_id, self)

    def iter_acts(self, corpus_id: str, revision: int) -> Iterator[dict[str, Any]]:
        """The fields of every batch up to a revision, newest first, undone or not.

        Memory does not grow with their number.
        """
        for last in range(revision, 0, -REVISIONS_AT_ONCE):
            with reading(self.engine) as connection:
                part = reads.read_acts(connection, corpus_id, last - REVISIONS_AT_ONCE + 1, last)
            yield from part

    def conflicts(self, corpus_id: str) -> pl.DataFrame:
        """The present decision of each person on every example on which they disagree, oldest first."""
        with reading(self.engine) as connection:
            states, _ = self._states.read(connection, corpus_id)
            disputed = states.filter("has_conflict")["train_id"].to_list()
            return reads.read_conflicts(connection, corpus_id, disputed)

    def counts(self, corpus_id: str) -> dict[Status, int]:
        """Number of examples of each status; an example without a live decision is kept and not counted."""
        return reads.counts_of(self.states(corpus_id))

    def history(
        self,
        corpus_id: str,
        *,
        train_id: str | None = None,
        actor: str | None = None,
        kind: str | None = None,
        batch_id: str | None = None,
        limit: int = 100,
        before: int | None = None,
    ) -> list[HistoryEntry]:
        """Batches, newest first, each with whether it is undone.

        Args:
            corpus_id: The line of data set versions.
            train_id: Only those that concern this example.
            actor: Only those of this person.
            kind: Only those of this kind.
            batch_id: Only this one.
            limit: At most so many.
            before: Only those of an earlier revision; the last entry's ``batch.revision`` gives the next page.
        """
        with reading(self.engine) as connection:
            return reads.read_history(
                connection,
                corpus_id,
                train_id=train_id,
                actor=actor,
                kind=kind,
                batch_id=batch_id,
                limit=limit,
                before=before,
            )

    def events_of(self, corpus_id: str, train_id: str) -> list[ExampleEvent]:
        """Everything that happened to one example, newest first, with its status before and after."""
        with reading(self.engine) as connection:
            return reads.read_events(connection, corpus_id, train_id)

    def examples_of(self, corpus_id: str, batch_id: str) -> list[str]:
        """The ids of the examples that a batch concerns, in the order in which they were given.

        Raises:
            JournalError: The corpus has no such batch.
        """
        with reading(self.engine) as connection:
            batch, _ = acts.find_batch(connection, corpus_id, batch_id)
            return acts.examples_of(connection, batch.batch_id)

    def first_examples(self, batch_ids: Sequence[str]) -> dict[str, str]:
        """Batch → the first example that it concerns; batches that the journal does not have are left out."""
        with reading(self.engine) as connection:
            return reads.read_first_examples(connection, batch_ids)

    def revision(self) -> int:
        """A number that grows with every decision, undo, redo, role and reason; not with jobs."""
        with reading(self.engine) as connection:
            return connection.execute(select(RevisionRow.number)).scalar_one()

    def members(self) -> list[Member]:
        """Everyone with a role, by name."""
        with reading(self.engine) as connection:
            return people.read_members(connection)

    def role_of(self, actor: str) -> Role:
        """What a person may do: admin while the journal has no members, viewer if it has only others."""
        with reading(self.engine) as connection:
            return people.role_of(connection, actor)

    def require_role(self, actor: str, least: Role, task: str) -> None:
        """Refuse somebody who may not do something.

        Raises:
            RoleError: ``"only a curator may {task}, …"``.
        """
        with reading(self.engine) as connection:
            people.require_role(connection, actor, least, task)

    def set_role(self, actor: str, role: str, by: str) -> Member:
        """Give a person a role. The first member must be an admin, and one admin must remain.

        Raises:
            JournalError: There is no such role.
            RoleError: ``by`` is no admin, or nobody would be one.
        """
        with self._counted_write("role", {"actor": actor, "role": role, "by": by}) as connection:
            return people.write_role(connection, actor, role, by)

    def reasons(self) -> list[Reason]:
        """The reasons that a decision can give: those of every journal, then the added ones by name."""
        with reading(self.engine) as connection:
            return people.read_reasons(connection)

    def add_reason(self, name: str, description: str, by: str) -> Reason:
        """Add a reason to the list.

        Raises:
            RoleError: ``by`` is no admin.
            JournalError: The name is taken, or is not lower-case words joined by hyphens.
        """
        with self._counted_write("reason", {"name": name, "description": description, "by": by}) as connection:
            return people.write_reason(connection, name, description, by)

    def check(self) -> list[str]:
        """What is wrong with the database or with what it says, in sentences; empty if nothing is."""
        return check_journal(self.engine)

    def write_change(self, kind: JournalChange, lost: Seen | None, by: str) -> None:
        """Write down who began this journal anew, or accepted it, when, and what the workspace gave up by it."""
        said = {"by": by, "at": utc_now().isoformat(), "lost": None if lost is None else lost._asdict()}
        with self._counted_write(kind, said):
            pass

    def changes(self) -> list[dict[str, Any]]:
        """When this journal took the place of another: its kind, by whom, at what time, and what was given up."""
        rows = select(LinkRow.kind, LinkRow.said).where(LinkRow.kind.in_(get_args(JournalChange)))
        with reading(self.engine) as connection:
            found = connection.execute(rows.order_by(LinkRow.revision)).all()
        return [{"kind": row.kind, **json.loads(row.said)} for row in found]

    def _act(self, write: Callable[[Connection], list[Batch]]) -> list[Batch]:
        """Write some batches, all or none; where the answer to the commit is lost, look if they are there.

        Raises:
            JournalError: The database cannot be used; says whether the act was written, or that nobody knows.
        """
        batches: list[Batch] = []
        try:
            with writing_to(self.engine) as connection:
                batches = write(connection)
        except UnknownCommit as lost:
            # As a writer: a commit that is still under way ends before the turn comes to us.
            try:
                with writing_to(self.engine) as connection:
                    num_written = acts.count_batches(connection, [batch.batch_id for batch in batches])
            except LorifError as error:
                raise JournalError(f"{lost} It could not be looked for: {error}") from lost
            if num_written < len(batches):
                raise JournalError(
                    "the journal did not answer when the act was committed; it was looked for since and is not "
                    "there: nothing was written, so do it again."
                ) from lost
        return batches

    @contextmanager
    def _counted_write(
        self, kind: str = chain.UNSAID, said: dict[str, Any] | None = None
    ) -> Generator[Connection, None, None]:
        """One write that counts as a revision, with what it says as JSON values."""
        with writing_to(self.engine) as connection:
            yield connection
            chain.write_link(connection, acts.next_revision(connection), kind, said)


class Snapshot(NamedTuple):
    """Where everything stands, and how it came about, at one moment."""

    states: pl.DataFrame
    """As ``Journal.states`` gives them."""

    revision: int
    """Of the newest act behind them."""

    corpus_id: str
    """The line of data set versions."""

    journal: Journal
    """Where the acts are read from; what was written once never changes."""

    def iter_acts(self) -> Iterator[dict[str, Any]]:
        """The fields of every batch behind the states, newest first; of those that are undone too."""
        return self.journal.iter_acts(self.corpus_id, self.revision)

    @property
    def batches(self) -> list[Batch]:
        """The batches of ``iter_acts``."""
        return [Batch(**act) for act in self.iter_acts()]
