"""Which journal it is, which workspaces work with it, and a chain over everything that was written."""

import uuid

import sqlalchemy as sa
from alembic import op

from lorif_core.journal.chain import chain_all
from lorif_core.journal.entries import utc_now

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Give the journal an identity, and every revision so far its digest."""
    identity = op.create_table(
        "journal_identity",
        sa.Column("journal_id", sa.Text(), primary_key=True),
        sa.Column("at", sa.DateTime(), nullable=False),
    )
    op.create_table(
        "journal_workspace",
        sa.Column("workspace_id", sa.Text(), primary_key=True),
        sa.Column("at", sa.DateTime(), nullable=False),
    )
    op.create_table(
        "revision_link",
        sa.Column("revision", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("said", sa.Text()),
    )
    op.add_column("batch", sa.Column("digest", sa.Text()))
    op.bulk_insert(identity, [{"journal_id": uuid.uuid4().hex, "at": utc_now().replace(tzinfo=None)}])
    chain_all(op.get_bind())
