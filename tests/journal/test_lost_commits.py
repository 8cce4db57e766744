"""A commit whose answer never comes: the journal looks whether the act was written, and says so."""

import sqlite3

import pytest
from acting import by, flag, statuses
from sqlalchemy import event, make_url

from lorif_core.errors import JournalError

both = pytest.mark.parametrize("location", ["sqlite", "postgresql"], indirect=True)


def end_session(location, number):
    import psycopg

    parts = make_url(location)
    where = {"host": parts.query["host"], "port": parts.query["port"], "user": parts.username}
    with psycopg.connect(**where, dbname="postgres", autocommit=True) as admin:
        admin.execute("SELECT pg_terminate_backend(%s, 5000)", [number])


def cut(journal, location, monkeypatch, *, is_written):
    """Let the next commit lose its connection, or its disk, before or after it is done."""
    dialect = journal.engine.dialect
    commit = dialect.do_commit

    def do_commit(connection):
        monkeypatch.setattr(dialect, "do_commit", commit)
        if is_written:
            commit(connection)
        if dialect.name == "sqlite":
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorname = "SQLITE_IOERR_FSYNC"
            raise error
        end_session(location, connection.driver_connection.info.backend_pid)
        connection.driver_connection.execute("SELECT 1")  # finds out that nobody is there

    monkeypatch.setattr(dialect, "do_commit", do_commit)


@both
@pytest.mark.parametrize("client_id", ["request-1", None])
def test_an_act_that_was_committed_before_the_connection_was_lost_is_returned(
    journal, location, monkeypatch, client_id
):
    cut(journal, location, monkeypatch, is_written=True)
    batch = journal.decide(by("ada"), flag("a"), client_id)
    assert statuses(journal) == {"a": "flagged"}
    assert batch.revision == journal.revision() == 1
    if client_id is not None:
        assert journal.decide(by("ada"), flag("a"), client_id) == batch


@both
def test_an_act_that_was_not_committed_is_said_not_to_be_there(journal, location, monkeypatch):
    cut(journal, location, monkeypatch, is_written=False)
    with pytest.raises(JournalError, match=r"looked for since and is not there: nothing was written, so do it again"):
        journal.decide(by("ada"), flag("a"), "request-1")
    assert statuses(journal) == {}
    assert journal.decide(by("ada"), flag("a"), "request-1").revision == 1


@both
def test_an_undo_is_looked_for_too(journal, location, monkeypatch):
    journal.decide(by("ada"), flag("a"))
    cut(journal, location, monkeypatch, is_written=True)
    assert journal.undo(by("ada")).kind == "undo"
    assert journal.revision() == 2


@pytest.mark.parametrize("location", ["postgresql"], indirect=True)
def test_what_cannot_be_found_out_is_said_to_be_unknown(journal, location, monkeypatch):
    cut(journal, location, monkeypatch, is_written=True)
    driver = journal.engine.dialect.loaded_dbapi

    def refuse(*_):
        raise driver.OperationalError("unable to open database file: connection refused")

    def forget(*_):
        event.listen(journal.engine, "do_connect", refuse)
        journal.engine.pool.dispose()

    event.listen(journal.engine, "handle_error", forget)
    with pytest.raises(
        JournalError, match=r"may be written or not: look in the history; .* It could not be looked for"
    ):
        journal.decide(by("ada"), flag("a"), "request-1")
    event.remove(journal.engine, "do_connect", refuse)
    event.remove(journal.engine, "handle_error", forget)
    assert journal.decide(by("ada"), flag("a"), "request-1").revision == 1
    assert statuses(journal) == {"a": "flagged"}
