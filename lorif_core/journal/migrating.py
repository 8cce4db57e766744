"""Versions of the journal's tables, by Alembic.

Alembic is loaded only when there is something to do: a journal of the present version opens without it.
"""

import io
import logging
from pathlib import Path

from sqlalchemy import Connection, inspect, text

from lorif_core.errors import JournalError

HEAD = "0003"
"""The newest revision in ``migrations/versions``."""

VERSION_TABLE = "journal_version"
"""Alembic's table, under a name of its own: a PostgreSQL database may serve other programs too."""

MIGRATIONS = Path(__file__).with_name("migrations")


def is_current(connection: Connection) -> bool:
    """Whether the database holds a journal of this version; False if its tables are missing or older.

    Raises:
        JournalError: It is no journal, or one of a newer version.
    """
    tables = set(inspect(connection).get_table_names())
    if VERSION_TABLE not in tables:
        _refuse_foreign_tables(connection, tables)
        return False
    version = connection.scalar(text(f"SELECT version_num FROM {VERSION_TABLE}"))
    if version not in _known_versions():
        raise JournalError(
            f"the journal has version {version!r} and this program knows up to {HEAD!r}: it was written by a newer "
            "LoRIF Studio. Upgrade with `pip install --upgrade lorif-studio`."
        )
    return version == HEAD


def holds_journal(connection: Connection) -> bool:
    """Whether the database holds a journal of any version."""
    return inspect(connection).has_table(VERSION_TABLE)


def migrate(connection: Connection, revision: str = "head") -> None:
    """Bring the database to a revision, inside the caller's transaction."""
    from alembic import command
    from alembic.config import Config

    logger = logging.getLogger("alembic")
    level = logger.level
    config = Config(stdout=io.StringIO(), output_buffer=io.StringIO())
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    logger.setLevel(logging.WARNING)
    try:
        command.upgrade(config, revision)
    finally:
        logger.setLevel(level)


def _known_versions() -> set[str]:
    return {path.name.split("_")[0] for path in (MIGRATIONS / "versions").glob("[0-9]*.py")}


def _refuse_foreign_tables(connection: Connection, tables: set[str]) -> None:
    from lorif_core.journal.journal_tables import JournalRow

    ours = set(JournalRow.metadata.tables)
    foreign = tables if connection.dialect.name == "sqlite" else tables & ours
    if foreign:
        raise JournalError(
            f"the database holds a table {min(foreign)!r} but no journal, so it belongs to another program: check "
            "the path or address, or use an empty database."
        )
