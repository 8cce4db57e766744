"""How members sign in to the studio."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the table of passwords and invitations."""
    op.create_table(
        "credential",
        sa.Column("actor", sa.Text(), sa.ForeignKey("member.actor"), primary_key=True),
        sa.Column("password_hash", sa.Text()),
        sa.Column("changed_by", sa.Text(), nullable=False),
        sa.Column("changed_at", sa.DateTime(), nullable=False),
        sa.Column("invitation_digest", sa.Text(), unique=True),
        sa.Column("invitation_expires_at", sa.DateTime()),
    )
