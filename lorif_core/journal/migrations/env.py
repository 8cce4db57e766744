"""How Alembic runs the migrations: on the connection, and in the transaction, of the caller."""

from alembic import context

from lorif_core.journal.journal_tables import JournalRow
from lorif_core.journal.migrating import VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=JournalRow.metadata,
    version_table=VERSION_TABLE,
    render_as_batch=True,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
