"""Whether a journal is the one that its workspace works with, and as new as the workspace has seen it.

A journal that was deleted, replaced or set back would otherwise look like one in which nothing was decided, and
what people excluded would come back into the data. So every transaction compares the journal with what the
workspace remembers, and refuses one that is missing, empty, another one or older.
"""

from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, func, insert, select
from sqlalchemy.exc import DBAPIError

from lorif_core.errors import JournalError, LorifError
from lorif_core.journal.chain import HEAD, Link
from lorif_core.journal.entries import utc_now
from lorif_core.journal.journal_tables import WorkspaceRow
from lorif_core.journal.last_seen import LastSeen, Seen

OPTION = "lorif_own_journal"
"""Where an engine keeps its ``OwnJournal``."""

OWN_FILE = "its own file"
"""Where the journal of a workspace is that chose no place; its folder may move."""

NO_SUCH_TABLE = "42P01"

STANDING = """
SELECT (SELECT journal_id FROM journal_identity), (SELECT number FROM revision),
  coalesce((SELECT digest FROM batch WHERE revision = {0}),
           (SELECT digest FROM revision_link WHERE revision = {0}), '')
"""
"""Which journal it is, how far it has come, and its digest at a revision. As text: every transaction asks it."""

STANDING_OF = {"sqlite": STANDING.format("?1"), "postgresql": STANDING.format("%(seen)s")}
"""By the name of the dialect."""


class Standing(NamedTuple):
    """What a journal answers to ``STANDING``."""

    journal_id: str | None
    number: int
    digest: str
    """At the revision that was asked for; empty if there is none."""


class OwnJournal:
    """The journal of one workspace, as the workspace remembers it. Threads may share it."""

    def __init__(self, memory: LastSeen, workspace: Path, workspace_id: str, place: str, *, is_chosen: bool) -> None:
        """Begin with what is remembered.

        Args:
            memory: Of the workspace.
            workspace: Its folder, for sentences.
            workspace_id: Its identity.
            place: Where the journal is looked for, without a password.
            is_chosen: Whether a person chose the place; such a journal may serve several workspaces.
        """
        self.memory = memory
        self.place = place
        self.workspace_id = workspace_id
        self._workspace = workspace
        self._is_chosen = is_chosen
        self._kept_as = place if is_chosen else OWN_FILE

    def may_be_new(self) -> bool:
        """Whether no journal is known yet, or only one without a decision at another place."""
        seen = self.memory.read()
        if seen is None:
            return not self.memory.exists()
        return seen.revision == 0 and seen.place != self._kept_as

    def meet(self, connection: Connection) -> bool:
        """Check a journal that was just opened; whether it is seen for the first time.

        Raises:
            JournalError: It is another one, or older.
        """
        if not self.may_be_new():
            seen = self.memory.read()
            self._check(connection, seen)
            return seen is None or not self._is_known_to(connection)
        if not self._is_chosen and self._workspaces(connection) and not self._is_known_to(connection):
            raise self.refusal("belongs to another workspace")
        return True

    def adopt(self, connection: Connection) -> Seen:
        """Write down in the journal that the workspace works with it, and return what there is to remember."""
        if not self._is_known_to(connection):
            connection.execute(insert(WorkspaceRow).values(workspace_id=self.workspace_id, at=utc_now()))
        number = _standing(connection, 0).number
        found = _standing(connection, number)
        return Seen(str(found.journal_id), number, found.digest, self._kept_as)

    @contextmanager
    def watching(self, connection: Connection) -> Generator[None, None, None]:
        """Check the journal that a transaction reads, before anything of it counts.

        The check is the last read of the transaction: what readers keep from before may not be newer than the moment
        they see, which their first read decides. What is remembered is read first, so it cannot be newer either.
        """
        seen = self.memory.read()
        try:
            yield
        except (LorifError, DBAPIError) as error:
            with suppress(DBAPIError):  # PostgreSQL answers nothing in a transaction that failed
                self._check(connection, seen)
            if isinstance(error, DBAPIError) and _says_no_table(error):
                raise self.refusal("is empty") from error
            raise
        self._check(connection, seen)

    def check_before_write(self, connection: Connection) -> None:
        """Check the journal that a transaction is about to write to.

        Raises:
            JournalError: It is another one, or older.
        """
        seen = self.memory.read()
        found = self._check(connection, seen)
        is_head = seen is not None and seen.revision == found.number
        connection.info[HEAD] = Link(seen.revision, seen.digest) if seen is not None and is_head else None

    def follow(self, connection: Connection) -> None:
        """Remember what a transaction wrote, once it is on the disk."""
        link: Link | None = connection.info.pop(HEAD, None)
        seen = self.memory.read()
        if link is not None and seen is not None and link.revision > seen.revision:
            self.memory.follow(Seen(seen.identity, link.revision, link.digest, self._kept_as))

    def refusal(self, problem: str) -> JournalError:
        """The error that says what is wrong with the journal, and what can be done."""
        seen = self.memory.read()
        known = "" if seen is None else f", and the workspace last saw it at revision {seen.revision:,}"
        if seen is not None and seen.place != self._kept_as:
            known += f" in {seen.place}"
        return JournalError(
            f"the journal {self.place!r} {problem}{known}: bring the right one back, restore a backup with `lorif "
            "restore-backup`, or give up what was decided with "
            f"`lorif journal {self._workspace} --start-anew`."
        )

    def _check(self, connection: Connection, seen: Seen | None) -> Standing:
        try:
            found = _standing(connection, 0 if seen is None else seen.revision)
        except DBAPIError as error:
            if not _says_no_table(error):
                raise
            raise self.refusal("is empty") from error
        if found.journal_id is None:
            raise self.refusal("is empty")
        if seen is None:
            if not self._is_known_to(connection):
                raise self.refusal("is not known to be the workspace's own, whose `last-seen.json` cannot be read")
        elif found.journal_id != seen.identity:
            raise self.refusal("is another one")
        elif found.number < seen.revision:
            raise self.refusal(f"is older than it was: it ends at revision {found.number:,}")
        elif found.digest != seen.digest:
            raise self.refusal(f"is not what it was: it says something else up to revision {seen.revision:,}")
        return found

    def _is_known_to(self, connection: Connection) -> bool:
        known = select(func.count()).where(WorkspaceRow.workspace_id == self.workspace_id)
        return bool(connection.scalar(known))

    def _workspaces(self, connection: Connection) -> int:
        return connection.scalar(select(func.count()).select_from(WorkspaceRow)) or 0


def own_journal_of(engine: Engine) -> OwnJournal | None:
    """What a workspace remembers of the journal behind an engine; None without a workspace."""
    return engine.get_execution_options().get(OPTION)


def _standing(connection: Connection, revision: int) -> Standing:
    name = connection.dialect.name
    parameters: Any = (revision,) if name == "sqlite" else {"seen": revision}
    return Standing(*connection.exec_driver_sql(STANDING_OF[name], parameters).one())


def _says_no_table(error: DBAPIError) -> bool:
    return getattr(error.orig, "sqlstate", None) == NO_SUCH_TABLE or "no such table" in str(error.orig)
