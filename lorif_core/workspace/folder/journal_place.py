"""Choose where a workspace keeps people's decisions, and begin anew where they are lost."""

from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Engine, make_url
from sqlalchemy.exc import ArgumentError

from lorif_core.errors import JournalError, LostJournal, RoleError
from lorif_core.files import give_up
from lorif_core.journal.database import is_empty_database, writing
from lorif_core.journal.journal import Journal, JournalChange
from lorif_core.journal.last_seen import Seen
from lorif_core.journal.locations import parse_location, plain_address, plain_place
from lorif_core.workspace.folder.actor import current_actor
from lorif_core.workspace.folder.workspace_files import JOURNAL_VARIABLE, WorkspaceFiles


class NewJournal(NamedTuple):
    """A journal that took the place of another."""

    place: str
    """Its address, without a password."""

    lost: Seen | None
    """What the workspace knew of the one before."""

    moved: list[Path]
    """Where the files of the one before are now."""


def use_journal(files: WorkspaceFiles, url: str | None) -> None:
    """Keep decisions in the database at ``url`` from now on, or, for None, in the workspace's own file.

    Raises:
        JournalError: Decisions were made already, the address carries a password, or it cannot be opened.
        RoleError: The person is no admin.
    """
    files.journal.require_role(current_actor(), "admin", "choose where decisions are kept")
    if files.journal.revision():
        raise JournalError(
            "decisions were made already, and they stay where they are: choose the journal before the first decision."
        )
    if url is not None:
        check_address(url)
        Journal(url).close()  # makes it, or says why not
    files.choose_journal(url)


def start_anew(files: WorkspaceFiles, by: str) -> NewJournal:
    """Begin an empty journal in the place of one that is missing, damaged, another one or not wanted any more.

    A file of the workspace is moved aside with its logs, never deleted. What is at a place that somebody chose may
    be others' work and is left alone.

    Raises:
        JournalError: A journal is at a place that was chosen, or the new one cannot be made.
        RoleError: The journal can still be read, and the person is no admin.
    """
    lost = files.last_seen.read()
    _require_admin(files, by)
    location = files.journal_location
    if location == files.own_file:
        moved = give_up(files.own_file, ["-wal", "-shm"])
    else:
        moved = []
        _require_empty(location)
    return _take_over(files, "start-anew", lost, by, moved)


def accept_journal(files: WorkspaceFiles, by: str) -> NewJournal:
    """Go on with the journal that is there, though the workspace knows another one, or a newer one.

    Raises:
        JournalError: There is none, it cannot be read, or it is the one that the workspace knows.
        RoleError: The person is no admin in it.
    """
    lost = files.last_seen.read()
    try:
        Journal(files.journal_location, own=files.own_journal()).close()
    except LostJournal as refusal:
        if not refusal.is_there:
            raise
    else:
        raise JournalError("the journal is the one that the workspace knows: there is nothing to accept.")
    with Journal(files.journal_location) as journal:
        journal.require_role(by, "admin", "accept another journal")
    return _take_over(files, "accept", lost, by, [])


def _take_over(
    files: WorkspaceFiles, kind: JournalChange, lost: Seen | None, by: str, moved: list[Path]
) -> NewJournal:
    """Make the journal at the workspace's place its own, and write that down in it."""
    with Journal(files.journal_location) as journal:
        journal.write_change(kind, lost, by)
        own = files.own_journal()
        with writing(journal.engine) as connection:
            seen = own.adopt(connection)
        files.last_seen.write(seen)
        return NewJournal(place_of(journal.engine), lost, moved)


def _require_admin(files: WorkspaceFiles, by: str) -> None:
    try:
        with Journal(files.journal_location, own=files.own_journal()) as journal:
            journal.require_role(by, "admin", "start the journal again")
    except RoleError:
        raise
    except JournalError:
        return  # nobody has a role in a journal that cannot be read


def _require_empty(location: Path | str) -> None:
    place = parse_location(location)
    if isinstance(place, Path):
        is_empty = not place.exists() or (place.is_file() and place.stat().st_size == 0)
    else:
        is_empty = is_empty_database(place)
    if not is_empty:
        raise JournalError(
            f"{plain_place(location)!r} was chosen as the place of the journal and holds something, which may be "
            "others' work: choose an empty place, or move away what is there."
        )


def place_of(engine: Engine) -> str:
    """The address of a journal, without the passwords that it may carry."""
    return plain_address(engine.url)


def check_address(url: str) -> None:
    """Refuse an address that the workspace's file cannot keep.

    Raises:
        JournalError: It cannot be read, or carries a password.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        # Neither the address nor the cause is shown: they may hold a password.
        raise JournalError(
            "the address of the journal cannot be read: it looks like postgresql+psycopg://user@host/database."
        ) from None
    if parsed.password or any("password" in name for name in parsed.query):
        raise JournalError(
            "the workspace's file keeps no password: leave it out of the address and use ~/.pgpass, or put the "
            f"whole address into the variable {JOURNAL_VARIABLE}."
        )
