"""Journals of both kinds: SQLite files, and databases of a PostgreSQL server of our own."""

import os
import shutil
import socket
import subprocess
import tempfile
from functools import partial
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import NamedTuple

import pytest
from sqlalchemy import make_url

from lorif_core.journal import Journal
from lorif_core.journal.migrating import HEAD

PROGRAMS = max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)
DATABASE_NUMBERS = count()
PASSWORD = "open sesame/@"


class Server(NamedTuple):
    folder: Path
    port: int

    def url(self, database):
        return f"postgresql+psycopg://lorif@/{database}?host={self.folder}&port={self.port}"


def connect(url, **options):
    import psycopg

    parts = make_url(url)
    host, port = parts.query["host"], parts.query["port"]
    return psycopg.connect(host=host, port=port, user=parts.username, dbname=parts.database, **options)


def run_as_server(*command):
    """PostgreSQL refuses to run as root."""
    prefix = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    subprocess.run([*prefix, *map(str, command)], check=True, capture_output=True, cwd="/")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="session")
def postgres_server():
    """A private server, which trusts those who come by its socket and asks those who come by TCP."""
    if PROGRAMS is None or find_spec("psycopg") is None:
        pytest.skip("needs Debian's postgresql and psycopg, see tests/SKIPPED.md")
    folder = Path(tempfile.mkdtemp(prefix="lorif-pg-"))
    server, data = Server(folder, free_port()), folder / "data"
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres")
    folder.chmod(0o755)
    (folder / "password").write_text(PASSWORD)
    run_as_server(
        PROGRAMS / "initdb", "-D", data, "-U", "lorif", "-A", "trust", "--auth-host=scram-sha-256",
        f"--pwfile={folder / 'password'}", "-E", "UTF8", "--locale=C", "--no-sync",
    )  # fmt: skip
    # No test pulls the plug of this server.
    options = f"-c listen_addresses=127.0.0.1 -p {server.port} -c unix_socket_directories={folder} -c fsync=off"
    run_as_server(PROGRAMS / "pg_ctl", "-D", data, "-w", "-t", "30", "-o", options, "-l", folder / "log", "start")
    try:
        yield server
    finally:
        run_as_server(PROGRAMS / "pg_ctl", "-D", data, "-m", "immediate", "stop")
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def new_database(postgres_server):
    """Makes an empty database and returns its address."""

    def make():
        name = f"journal{next(DATABASE_NUMBERS)}"
        with connect(postgres_server.url("postgres"), autocommit=True) as admin:
            admin.execute(f"CREATE DATABASE {name} TEMPLATE template0")
        return postgres_server.url(name)

    return make


@pytest.fixture
def new_location(request, tmp_path):
    """Where no journal is yet."""
    return request.getfixturevalue("new_database")() if request.param == "postgresql" else tmp_path / "new.sqlite"


@pytest.fixture(scope="session")
def empty_journal(tmp_path_factory):
    """Copies an empty journal; making one takes a while."""
    path = tmp_path_factory.mktemp("journal") / "journal.sqlite"
    Journal(path).close()
    return partial(shutil.copy, path)


@pytest.fixture(scope="session")
def journal_in_postgres(new_database):
    """One journal that the tests share, because a database of its own would cost each half a second."""
    url = new_database()
    Journal(url).close()
    return url


@pytest.fixture
def empty_journal_in_postgres(journal_in_postgres):
    with connect(journal_in_postgres) as connection:
        connection.execute("TRUNCATE event, batch, credential, member, reason, job, revision_link, journal_workspace")
        connection.execute("UPDATE revision SET number = 0")
    yield journal_in_postgres
    with connect(journal_in_postgres) as connection:
        connection.execute("UPDATE journal_version SET version_num = %s", [HEAD])


@pytest.fixture
def location(request, tmp_path):
    """Where an empty journal lies: an SQLite file, unless parametrised with `postgresql`."""
    if getattr(request, "param", "sqlite") == "postgresql":
        return request.getfixturevalue("empty_journal_in_postgres")
    return request.getfixturevalue("empty_journal")(tmp_path / "journal.sqlite")


@pytest.fixture
def journal(location):
    with Journal(location) as opened:
        yield opened
