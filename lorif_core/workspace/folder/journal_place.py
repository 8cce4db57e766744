"""Choose where a workspace keeps people's decisions."""

from sqlalchemy import Engine, make_url
from sqlalchemy.exc import ArgumentError

from lorif_core.errors import JournalError
from lorif_core.journal.journal import Journal
from lorif_core.workspace.folder.workspace_files import JOURNAL_VARIABLE, WorkspaceFiles


def use_journal(files: WorkspaceFiles, url: str | None) -> None:
    """Keep decisions in the database at ``url`` from now on, or, for None, in the workspace's own file.

    Raises:
        JournalError: Decisions were made already, the address carries a password, or it cannot be opened.
    """
    if files.journal.revision():
        raise JournalError(
            "decisions were made already, and they stay where they are: choose the journal before the first decision."
        )
    if url is not None:
        _check_address(url)
        Journal(url).close()  # makes it, or says why not
    files.choose_journal(url)


def place_of(engine: Engine) -> str:
    """The address of a journal, without the passwords that it may carry."""
    secrets = [name for name in engine.url.query if "password" in name]
    return engine.url.difference_update_query(secrets).render_as_string(hide_password=True)


def _check_address(url: str) -> None:
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
