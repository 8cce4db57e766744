"""What can stand in a journal's way, and what it tells a person to do."""

import os
import sqlite3
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest
from acting import CORPUS, by, flag, statuses
from sqlalchemy import create_engine, event, make_url, text

from lorif_core.errors import JournalError, ResourceError
from lorif_core.journal import Journal
from lorif_core.journal.database import open_engine, reading, writing
from lorif_core.journal.locations import file_system_of, is_network_file_system, parse_location

both = pytest.mark.parametrize("location", ["sqlite", "postgresql"], indirect=True)


@contextmanager
def ordinary_user():
    """Root may write everywhere."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def open_folder():
    """A folder that an ordinary user can reach."""
    with tempfile.TemporaryDirectory(prefix="lorif-journal-") as name:
        Path(name).chmod(0o777)
        yield Path(name)


def test_decisions_are_flushed_to_the_disk_before_they_are_acknowledged(journal):
    with reading(journal.engine) as connection:
        settings = {
            name: connection.execute(text(f"PRAGMA {name}")).scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    assert settings == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 30_000}


@both
def test_a_reader_sees_one_moment(journal):
    journal.decide(by("ada"), flag("a"))
    count = text("SELECT count(*) FROM event")
    with reading(journal.engine) as connection:
        before = connection.scalar(count)
        journal.decide(by("ada"), flag("b"))
        assert connection.scalar(count) == before == 1


@both
def test_an_error_in_a_write_leaves_nothing_behind(journal):
    def write():
        with writing(journal.engine) as connection:
            connection.execute(text("UPDATE revision SET number = 99"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write()
    assert journal.revision() == 0


@both
def test_a_lock_that_is_never_given_back_is_named(journal, location, monkeypatch):
    with writing(journal.engine):
        monkeypatch.setattr("lorif_core.journal.database.LOCK_TIMEOUT_S", 0.05)
        with Journal(location) as other:
            with pytest.raises(JournalError, match=r"has been locked by another program for 30 s: try again when"):
                other.decide(by("ada"), flag("a"))
            assert statuses(other) == {}
            monkeypatch.undo()
    journal.decide(by("ada"), flag("a"))


@pytest.mark.parametrize("content", [b"no database" * 1000, b"{}"], ids=["long", "short"])
def test_a_file_that_is_no_database_is_refused_and_kept(tmp_path, content):
    path = tmp_path / "journal.sqlite"
    path.write_bytes(content)
    with pytest.raises(JournalError, match=r"journal.sqlite' is not an SQLite database: check the path, or bring"):
        Journal(path)
    assert path.read_bytes() == content


def test_a_damaged_file_is_refused(location):
    with Journal(location) as journal:
        journal.decide(by("ada"), flag(*map(str, range(5000))))
    content = Path(location).read_bytes()
    Path(location).write_bytes(content[:8192] + b"\xff" * (len(content) - 8192))
    with pytest.raises(JournalError, match=r"is damaged: restore a backup with .*SQLite says: "):
        Journal(location).decide(by("ada"), flag("a"))


def test_a_database_of_another_program_is_refused(tmp_path):
    with sqlite3.connect(tmp_path / "other.sqlite") as connection:
        connection.execute("CREATE TABLE recipe(name)")
    connection.close()
    with pytest.raises(JournalError, match=r"holds a table 'recipe' but no journal, so it belongs to another"):
        Journal(tmp_path / "other.sqlite")


def test_tables_of_another_program_in_postgres_are_refused_only_if_they_are_in_the_way(new_database):
    url = new_database()
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE event(name text)"))
        connection.execute(text("CREATE TABLE recipe(name text)"))
    with pytest.raises(JournalError, match=r"holds a table 'event' but no journal"):
        Journal(url)
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE event"))
    engine.dispose()
    with Journal(url) as journal:
        assert journal.revision() == 0


@both
def test_a_journal_of_a_newer_version_is_refused(location):
    with Journal(location) as journal, writing(journal.engine) as connection:
        connection.execute(text("UPDATE journal_version SET version_num = '9999'"))
    with pytest.raises(JournalError, match=r"has version '9999' and this program knows up to .* Upgrade with `pip"):
        Journal(location)


def test_a_missing_folder_is_not_made(tmp_path):
    with pytest.raises(JournalError, match=r"typo' is not a folder, so it cannot hold a journal"):
        Journal(tmp_path / "typo" / "journal.sqlite")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_no_journal(tmp_path):
    with pytest.raises(JournalError, match=r"a journal is a file, and .* is a folder"):
        Journal(tmp_path)


def test_a_folder_without_write_permission_is_read_and_every_write_refused(open_folder, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", "/tmp")
    open_folder.chmod(0o555)
    with ordinary_user(), Journal(open_folder / "journal.sqlite") as journal:
        assert journal.revision() == 0
        with pytest.raises(JournalError, match=r"cannot be written \(Permission denied\).* It needs"):
            journal.decide(by("ada"), flag("a"))
    open_folder.chmod(0o777)
    assert list(open_folder.iterdir()) == []


def test_a_file_without_write_permission_is_read_and_every_write_refused(open_folder, empty_journal, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", "/tmp")
    path = Path(empty_journal(open_folder / "journal.sqlite"))
    with Journal(path) as journal:
        journal.decide(by("ada"), flag("a"))
    path.chmod(0o444)
    with ordinary_user(), Journal(path) as journal:
        assert journal.revision() == 1
        with pytest.raises(JournalError, match=r"journal.sqlite' cannot be written \(Permission"):
            journal.decide(by("ada"), flag("b"))
        os.seteuid(0)  # who may write does so meanwhile
        with Journal(path) as other:
            other.decide(by("bob"), flag("b"))
            os.seteuid(65534 if os.geteuid() == 0 else os.geteuid())
            assert journal.revision() == 2


def test_a_file_that_loses_its_permission_while_open_is_named(journal):
    @event.listens_for(journal.engine, "connect")
    def forbid(connection, _record):
        connection.execute("PRAGMA query_only = ON")

    journal.close()
    with pytest.raises(JournalError, match=r"cannot be written: a journal needs a file and a folder that you may"):
        journal.decide(by("ada"), flag("a"))


def test_a_full_disk_is_named_and_nothing_is_kept(journal):
    journal.decide(by("ada"), flag("a"))

    @event.listens_for(journal.engine, "connect")
    def fill(connection, _record):
        connection.execute("PRAGMA max_page_count = 1")  # never less than there are

    journal.close()
    with pytest.raises(ResourceError, match=r"the disk that holds .* is full while writing 'journal.sqlite'"):
        journal.decide(by("ada"), flag(*map(str, range(100_000))))
    assert statuses(journal) == {"a": "flagged"}
    assert len(journal.history(CORPUS)) == 1


def test_a_file_that_is_removed_while_open_is_named(journal, location):
    Path(location).rename(f"{location}.away")
    with pytest.raises(JournalError, match=r"has been removed or renamed: bring it back"):
        journal.decide(by("ada"), flag("a"))
    assert not Path(location).exists()
    Path(f"{location}.away").rename(location)
    journal.decide(by("ada"), flag("a"))
    assert statuses(journal) == {"a": "flagged"}


def test_decisions_go_to_the_file_that_has_the_name(journal, location, empty_journal):
    journal.decide(by("ada"), flag("a"))
    journal.close()
    Path(location).unlink()
    empty_journal(location)
    journal.decide(by("ada"), flag("b"))
    with Journal(location) as other:
        assert statuses(other) == {"b": "flagged"}


def test_a_log_without_its_file_is_not_thrown_away(tmp_path):
    log = tmp_path / "journal.sqlite-wal"
    log.write_bytes(b"decisions")
    with pytest.raises(JournalError, match=r"is missing, but 'journal.sqlite-wal' beside it holds decisions"):
        Journal(tmp_path / "journal.sqlite")
    assert log.read_bytes() == b"decisions"


def test_a_path_may_hold_what_an_address_may_not(tmp_path):
    path = tmp_path / "50% why?#1 &ü.sqlite"
    with Journal(str(path)) as journal:
        journal.decide(by("ada"), flag("a"))
    with Journal(f"sqlite:///{tmp_path}/plain.sqlite") as journal:
        journal.decide(by("ada"), flag("a"))
    assert {file.name for file in tmp_path.iterdir() if file.suffix != ".lock"} == {path.name, "plain.sqlite"}


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("mysql://me:hunter2@host/x", r"got an address of 'mysql': give a path or `postgresql\+psycopg://"),
        ("postgresql+asyncpg://me:hunter2@host/x", r"got an address of 'postgresql\+asyncpg'"),
        ("postgresql://me:hunter2@host:port/x", r"the address of the journal cannot be read"),
        ("://hunter2", r"the address of the journal cannot be read"),
        ("sqlite://", r"SQLite needs a file: give its path"),
        ("sqlite:///:memory:", r"SQLite needs a file: give its path"),
    ],
)
def test_an_address_that_is_no_journal_is_refused_without_its_password(location, message):
    with pytest.raises(JournalError, match=message) as refusal:
        open_engine(location)
    assert "hunter2" not in str(refusal.value)
    assert refusal.value.__cause__ is None


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_postgres_is_reached_through_psycopg(scheme):
    assert parse_location(f"{scheme}://me@host/x").drivername == "postgresql+psycopg"


def test_a_server_that_is_not_there_is_named_without_the_password():
    with pytest.raises(JournalError, match=r"the PostgreSQL database 'x' on 127.0.0.1 cannot be reached") as refusal:
        Journal("postgresql://me:hunter2@127.0.0.1:1/x")
    assert "hunter2" not in str(refusal.value)


def test_a_wrong_password_is_named_and_not_shown(postgres_server):
    with pytest.raises(JournalError, match=r"check the address, the user, the password .*authentication") as refusal:
        Journal(f"postgresql://lorif:hunter2@127.0.0.1:{postgres_server.port}/postgres")
    assert "hunter2" not in str(refusal.value)


def test_a_database_that_is_not_there_is_named(postgres_server):
    with pytest.raises(JournalError, match=r"cannot be reached: .*database \"nowhere\" does not exist"):
        Journal(postgres_server.url("nowhere"))


def test_a_user_who_may_not_make_tables_is_told(new_database):
    url = make_url(new_database())
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("CREATE ROLE guest LOGIN"))
    engine.dispose()
    with pytest.raises(JournalError, match=r"does not let this user create or change its tables: grant that"):
        Journal(url.set(username="guest").render_as_string())


def test_postgres_without_its_driver_names_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(JournalError, match=r'needs the package psycopg.*`pip install "lorif-studio\[postgres\]"`'):
        Journal("postgresql://me@127.0.0.1:1/x")


MOUNTS = r"""22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:40 / /home rw shared:2 - nfs4 server:/home rw,vers=4.2
31 30 8:2 / /home/me/local\040disk rw - xfs /dev/sdb rw
32 22 0:41 / /mnt/share rw - cifs //server/share rw
33 22 0:42 / /mnt/over rw - ext4 /dev/sdc rw
34 33 0:43 / /mnt/over rw - fuse.sshfs host: rw
35 22 0:44 / /home2 rw - tmpfs tmpfs rw
"""


@pytest.mark.parametrize(
    ("path", "file_system", "is_network"),
    [
        ("/data/journal.sqlite", "ext4", False),
        ("/home/me/journal.sqlite", "nfs4", True),
        ("/home/me/local disk/journal.sqlite", "xfs", False),
        ("/home2/journal.sqlite", "tmpfs", False),
        ("/mnt/share/a/b/journal.sqlite", "cifs", True),
        ("/mnt/over/journal.sqlite", "fuse.sshfs", True),
    ],
)
def test_the_innermost_mount_decides_whether_a_path_is_on_the_network(path, file_system, is_network):
    assert file_system_of(Path(path), MOUNTS) == file_system
    assert is_network_file_system(file_system) is is_network


def test_a_journal_on_a_network_file_system_is_refused(tmp_path, monkeypatch):
    table = tmp_path / "mountinfo"
    table.write_text(
        f"1 0 8:1 / / rw - ext4 /dev/vda rw\n2 1 0:4 / {tmp_path.resolve()} rw master:1 - nfs host:/ rw\n"
    )
    monkeypatch.setattr("lorif_core.journal.locations.MOUNT_TABLE", table)
    with pytest.raises(
        JournalError, match=r"network file system \(nfs\), .* or use `--journal postgresql\+psycopg://"
    ):
        Journal(tmp_path / "journal.sqlite")
    assert not (tmp_path / "journal.sqlite").exists()
