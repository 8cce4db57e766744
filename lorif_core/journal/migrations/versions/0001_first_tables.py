"""The first tables, and the present state as views over the events."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

# An undo always takes back a whole batch, so what counts is decided once for a batch.
LIVE_EVENT = """
CREATE VIEW live_event AS
SELECT event.event_id, batch.corpus_id, event.train_id, event.batch_id, batch.actor, batch.kind, batch.text,
       batch.settles,
       CASE batch.kind WHEN 'flag' THEN 'flagged' WHEN 'exclude' THEN 'excluded' WHEN 'restore' THEN 'kept' END
         AS status
FROM batch JOIN event ON event.batch_id = batch.batch_id
WHERE batch.of_batch IS NULL
  AND coalesce(
    (SELECT act.kind FROM batch AS act
     WHERE act.of_batch = batch.batch_id
     ORDER BY act.revision DESC LIMIT 1), 'redo') = 'redo'
"""

# The latest decision of each person on each example, without those from before one that settles.
STANDING_DECISION = """
CREATE VIEW standing_decision AS
SELECT event_id, corpus_id, train_id, batch_id, actor, status
FROM live_event AS decision
WHERE status IS NOT NULL
  AND NOT EXISTS (
    SELECT 1 FROM live_event AS later
    WHERE later.train_id = decision.train_id AND later.corpus_id = decision.corpus_id
      AND later.event_id > decision.event_id AND later.status IS NOT NULL
      AND (later.settles OR later.actor = decision.actor))
"""

EXAMPLE_STATE = """
CREATE VIEW example_state AS
SELECT opinion.corpus_id, opinion.train_id, latest.status, opinion.has_conflict, latest.batch_id
FROM (
  SELECT corpus_id, train_id, max(event_id) AS event_id, min(status) <> max(status) AS has_conflict
  FROM standing_decision
  GROUP BY corpus_id, train_id
) AS opinion
JOIN live_event AS latest ON latest.event_id = opinion.event_id
"""


def upgrade() -> None:
    """Make everything."""
    _make_decisions()
    _make_people()
    _make_jobs()
    for view in (LIVE_EVENT, STANDING_DECISION, EXAMPLE_STATE):
        op.execute(view)


def _make_decisions() -> None:
    op.create_table(
        "batch",
        sa.Column("batch_id", sa.Text(), primary_key=True),
        sa.Column("revision", sa.BigInteger(), nullable=False, unique=True),
        sa.Column("corpus_id", sa.Text(), nullable=False),
        sa.Column("dataset_id", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text()),
        sa.Column("text", sa.Text()),
        sa.Column("query_id", sa.Text()),
        sa.Column("rule", sa.Text()),
        sa.Column("settles", sa.Boolean(), nullable=False),
        sa.Column("of_batch", sa.Text()),
        sa.Column("num_events", sa.BigInteger(), nullable=False),
        sa.Column("client_id", sa.Text(), unique=True),
    )
    op.create_index("batch_of_corpus", "batch", ["corpus_id"])
    _index_of_set("batch_takes_back", "batch", "of_batch")
    op.create_table(
        "event",
        sa.Column("event_id", SERIAL, primary_key=True),
        sa.Column("batch_id", sa.Text(), sa.ForeignKey("batch.batch_id"), nullable=False),
        sa.Column("train_id", sa.Text(), nullable=False),
        sa.Column("undoes", SERIAL),
    )
    op.create_index("event_of_example", "event", ["train_id"])
    op.create_index("event_of_batch", "event", ["batch_id"])
    _index_of_set("event_undoes", "event", "undoes")
    revision_table = op.create_table(
        "revision", sa.Column("number", sa.BigInteger(), primary_key=True, autoincrement=False)
    )
    op.bulk_insert(revision_table, [{"number": 0}])


def _make_people() -> None:
    op.create_table(
        "member",
        sa.Column("actor", sa.Text(), primary_key=True),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("added_by", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
    )
    op.create_table(
        "reason",
        sa.Column("name", sa.Text(), primary_key=True),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("added_by", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
    )


def _make_jobs() -> None:
    op.create_table(
        "job",
        sa.Column("job_id", sa.Text(), primary_key=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("request_json", sa.Text(), nullable=False),
        sa.Column("request_hash", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("stage", sa.Text()),
        sa.Column("done", sa.BigInteger()),
        sa.Column("total", sa.BigInteger()),
        sa.Column("message", sa.Text()),
        sa.Column("result_json", sa.Text()),
        sa.Column("wants_cancel", sa.Boolean(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("device", sa.Text(), nullable=False),
        sa.Column("worker", sa.Text()),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("started_at", sa.DateTime()),
        sa.Column("heartbeat_at", sa.DateTime()),
        sa.Column("finished_at", sa.DateTime()),
    )


def _index_of_set(name: str, table: str, column: str) -> None:
    is_set = sa.text(f"{column} IS NOT NULL")
    op.create_index(name, table, [column], sqlite_where=is_set, postgresql_where=is_set)
