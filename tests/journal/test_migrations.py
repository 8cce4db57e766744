"""From every version of the journal's tables to the present one."""

import logging

import pytest
from acting import by, flag, statuses
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect, text
from sqlalchemy.exc import DBAPIError

from lorif_core.journal import Journal
from lorif_core.journal.database import open_engine, reading, upgrade, writing
from lorif_core.journal.journal_tables import JournalRow
from lorif_core.journal.migrating import HEAD, MIGRATIONS, VERSION_TABLE, is_current, migrate

SCRIPTS = ScriptDirectory(MIGRATIONS)
REVISIONS = [script.revision for script in SCRIPTS.walk_revisions()]
both = pytest.mark.parametrize("new_location", ["sqlite", "postgresql"], indirect=True)


def bare_engine(location):
    """A database in which nothing is made yet."""
    return create_engine(location if isinstance(location, str) else f"sqlite:///{location}")


def test_the_newest_script_is_the_version_that_the_program_knows():
    assert SCRIPTS.get_heads() == [HEAD]


@both
@pytest.mark.parametrize("revision", ["base", *REVISIONS])
def test_every_version_is_brought_to_the_tables_of_this_program(new_location, revision):
    engine = bare_engine(new_location)
    if revision != "base":
        with writing(engine) as connection:
            migrate(connection, revision)
    engine.dispose()
    with Journal(new_location) as journal, reading(journal.engine) as connection:
        assert is_current(connection)
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        assert compare_metadata(context, JournalRow.metadata) == []
        assert {"live_event", "standing_decision", "example_state"} <= set(inspect(connection).get_view_names())
        journal.decide(by("ada"), flag("a"))
        assert statuses(journal) == {"a": "flagged"}


@both
def test_a_migration_that_fails_half_way_makes_nothing(new_location):
    engine = bare_engine(new_location)
    with engine.begin() as connection:
        connection.execute(text("CREATE VIEW example_state AS SELECT 1 AS in_the_way"))
    with pytest.raises(DBAPIError, match=r"example_state.* already exists"):
        open_engine(new_location)
    assert inspect(engine).get_table_names() == []
    engine.dispose()


def test_making_a_journal_says_nothing(tmp_path, capfd, caplog):
    caplog.set_level(logging.DEBUG)
    engine = open_engine(tmp_path / "journal.sqlite")
    upgrade(engine)
    engine.dispose()
    assert capfd.readouterr() == ("", "")
    assert [record for record in caplog.records if record.name.startswith("alembic")] == []
