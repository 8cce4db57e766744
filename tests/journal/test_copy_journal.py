"""A copy of a journal is of one moment, an SQLite file whatever the database, and can be brought back into either."""

import pytest
from acting import by, exclude, flag, note, statuses
from sqlalchemy import create_engine, text

from lorif_core.errors import JournalError
from lorif_core.journal import Journal
from lorif_core.journal.copy_journal import copying, fill_database
from lorif_core.journal.jobs import Jobs
from lorif_core.workspace.folder.backup import back_up
from lorif_core.workspace.folder.journal_place import use_journal
from lorif_core.workspace.folder.restore_backup import restore_backup
from lorif_core.workspace.folder.workspace_files import create_files, open_files

both = pytest.mark.parametrize("location", ["sqlite", "postgresql"], indirect=True)


def no_steps(done, total):
    pass


def fill(journal):
    journal.decide(by("ada"), flag("a", "b"), client_id="r-1")
    journal.set_role("ada", "admin", "ada")
    journal.decide(by("ada"), exclude("b", text="ä"))
    journal.undo(by("ada"))
    journal.decide(by("ada"), note("look", "c"))
    journal.add_reason("too-old", "From before the war.", "ada")
    Jobs(journal.engine).submit("index", {"n": 1}, actor="ada")


def told(journal):
    """Everything that a journal says."""
    return (
        journal.history("facts"),
        journal.states("facts").to_dicts(),
        journal.events_of("facts", "b"),
        journal.members(),
        journal.reasons(),
        Jobs(journal.engine).jobs(),
        journal.revision(),
        journal.check(),
    )


@both
def test_a_copy_says_what_the_journal_said_when_it_began(journal, tmp_path):
    fill(journal)
    before = told(journal)
    steps = []
    with copying(journal.engine, "here") as copy:
        journal.decide(by("ada"), flag("later"))
        seen = copy(tmp_path / "copy.sqlite", lambda done, total: steps.append((done, total)))
    assert [path.name for path in tmp_path.glob("copy*")] == ["copy.sqlite"]
    assert steps[-1][0] == steps[-1][1] > 0
    with Journal(tmp_path / "copy.sqlite") as copied:
        assert told(copied) == before
        assert (seen.revision, seen.place) == (copied.revision(), "here")
        with copied.engine.connect() as connection:
            assert connection.scalar(text("SELECT journal_id FROM journal_identity")) == seen.identity
            last = "SELECT digest FROM revision_link ORDER BY revision DESC LIMIT 1"
            assert connection.scalar(text(last)) == seen.digest
        copied.decide(by("ada"), flag("z"))
        assert copied.check() == []


def test_a_copy_fills_an_empty_database_which_goes_on(journal, location, new_database):
    fill(journal)
    before = told(journal)
    journal.close()
    url = new_database()
    fill_database(location, url, no_steps)
    with Journal(url) as filled:
        assert told(filled) == before
        filled.decide(by("ada"), flag("z"))
        assert statuses(filled)["z"] == "flagged"
        assert filled.check() == []


def test_a_database_that_holds_a_journal_is_not_filled(journal, location, new_database):
    fill(journal)
    url = new_database()
    with Journal(url) as other:
        other.decide(by("eve"), flag("mine"))
    with pytest.raises(JournalError, match="holds a journal already, and decisions are restored into an empty"):
        fill_database(location, url, no_steps)
    with Journal(url) as other:
        assert statuses(other) == {"mine": "flagged"}
    with pytest.raises(JournalError, match=r"restored into a PostgreSQL database, got the file 'x.sqlite'"):
        fill_database(location, "x.sqlite", no_steps)


def test_filling_that_fails_half_way_leaves_no_rows(journal, location, new_database):
    fill(journal)
    url = new_database()

    def stop(done, total):
        if done > 3:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fill_database(location, url, stop)
    engine = create_engine(url)
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM batch")) == 0
    engine.dispose()
    fill_database(location, url, no_steps)


def test_a_workspace_with_its_journal_in_a_database_comes_back_into_a_file_or_another_database(
    new_database, tmp_path
):
    files = create_files(tmp_path / "w")
    use_journal(files, new_database())
    files = open_files(files.root)
    fill(files.journal)
    before = told(files.journal)
    back_up(files, tmp_path / "backups")
    files.journal.decide(by("ada"), flag("later"))
    into_file = restore_backup(tmp_path / "backups", tmp_path / "file")
    into_database = restore_backup(tmp_path / "backups", tmp_path / "database", journal=new_database())
    for back in (into_file, into_database):
        restored = open_files(back.path).journal
        assert told(restored) == before
        restored.decide(by("ada"), flag("z"))
        assert restored.check() == []
        restored.close()
    assert into_file.journal == "its own file"
    assert "postgresql+psycopg://" in into_database.journal
    assert not (into_database.path / "journal.sqlite").exists()
    files.journal.close()


def test_a_database_that_is_emptied_or_another_one_is_refused(new_database, tmp_path, monkeypatch):
    files = create_files(tmp_path / "w")
    monkeypatch.setenv("LORIF_JOURNAL", new_database())
    fill(files.journal)
    monkeypatch.setenv("LORIF_JOURNAL", new_database())
    with pytest.raises(JournalError, match=r"is empty, and the workspace last saw it at revision 6 in postgresql"):
        open_files(files.root).journal.revision()
    admin = create_engine(files.journal.engine.url)
    with admin.begin() as connection:
        connection.execute(text("DELETE FROM revision_link WHERE revision = 6"))
        connection.execute(text("UPDATE revision SET number = 5"))
    with pytest.raises(JournalError, match="is older than it was: it ends at revision 5"):
        files.journal.decide(by("ada"), flag("z"))
    with admin.begin() as connection:
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))
    admin.dispose()
    with pytest.raises(JournalError, match="is empty"):
        files.journal.revision()
    files.journal.close()
