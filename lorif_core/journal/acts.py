"""Writing decisions, and taking them back, inside one transaction that is alone with the journal.

An undo deletes nothing: it is a batch whose events name the events that no longer count, and a redo is one
that makes them count again, in their old place. So a decision can be taken or brought back only as long as
nobody else has decided later on one of its examples, for they saw what it said.
"""

import json
import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal, cast

from sqlalchemy import Connection, Select, Table, Text, and_, distinct, func, insert, literal, select, text, update
from sqlalchemy.orm import aliased

from lorif_core.errors import JournalError
from lorif_core.files import fingerprint_of_value
from lorif_core.journal.chain import next_batch_digest
from lorif_core.journal.entries import STATUS_OF, Batch, Decision, Scope, check_name, utc_now
from lorif_core.journal.journal_tables import LIVE_EVENT, BatchRow, EventRow, RevisionRow
from lorif_core.journal.people import check_reason, require_role

TakingBack = Literal["undo", "redo"]

IDS_PER_INSERT = 20_000

INSERT_EVENTS = {
    "sqlite": text("INSERT INTO event (batch_id, train_id) SELECT :batch_id, value FROM json_each(:ids)"),
    "postgresql": text(
        "INSERT INTO event (batch_id, train_id) SELECT :batch_id, value FROM "
        "json_array_elements_text(CAST(:ids AS json)) AS value"
    ),
}
"""One statement for many examples, which both databases take as JSON text. By the name of the dialect."""

ACT = aliased(BatchRow, name="act")
IS_UNDONE = func.coalesce(
    select(ACT.kind)
    .where(ACT.of_batch == BatchRow.batch_id)
    .order_by(ACT.revision.desc())
    .limit(1)
    .correlate(BatchRow)
    .scalar_subquery(),
    "redo",
) == literal("undo", Text())
"""Whether a batch is taken back: what was last done to it is an undo."""

BATCH_FIELDS = tuple(Batch.__dataclass_fields__)
BATCH_COLUMNS: list[Any] = [getattr(BatchRow, name) for name in BATCH_FIELDS]


REVISION_TABLE, BATCH_TABLE = cast(Table, RevisionRow.__table__), cast(Table, BatchRow.__table__)
COUNT_ON = update(REVISION_TABLE).values(number=REVISION_TABLE.c.number + 1).returning(REVISION_TABLE.c.number)
INSERT_BATCH = insert(BATCH_TABLE).returning(*(BATCH_TABLE.c[name] for name in BATCH_FIELDS))
"""Both made once, and on the tables themselves: to make a statement costs as much as to run it."""


def next_revision(connection: Connection) -> int:
    """Count one more write."""
    return connection.execute(COUNT_ON).scalar_one()


def batch_of(row: Any) -> Batch:
    """The batch in a row that begins with ``BATCH_COLUMNS``."""
    return Batch(**dict(zip(BATCH_FIELDS, row, strict=False)))


def carry(connection: Connection, scope: Scope, decision: Decision, request: str) -> Batch:
    """Write a decision that a new version of the data brings, once for the request and its content."""
    said = [decision.kind, decision.train_ids, decision.reason, decision.text, decision.rule]
    client_id = f"{request}-{fingerprint_of_value(said)[:16]}"
    return decide(connection, scope, decision, client_id, by_import=True)


def decide(
    connection: Connection, scope: Scope, decision: Decision, client_id: str | None, *, by_import: bool = False
) -> Batch:
    """Write a decision, or find the one that the same request wrote before.

    One that an import brings may settle without an admin: an id that stands for another text has no disagreement.
    """
    request: dict[str, Any] = {
        "actor": scope.actor,
        "corpus_id": scope.corpus_id,
        "dataset_id": scope.dataset_id,
        "kind": decision.kind,
        "reason": decision.reason,
        "text": decision.text,
        "query_id": decision.query_id,
        "rule": decision.rule,
        "settles": decision.settles,
        "num_events": len(decision.train_ids),
    }
    earlier = _batch_of_request(connection, client_id, request)
    if earlier is not None:
        if set(examples_of(connection, earlier.batch_id)) != set(decision.train_ids):
            raise _other_request(client_id, earlier)
        return earlier
    require_role(connection, scope.actor, "curator", "decide about examples")
    if decision.settles and not by_import:
        require_role(connection, scope.actor, "admin", "settle a disagreement")
    check_reason(connection, decision.reason)
    batch = _write_batch(connection, client_id, request, decision.train_ids)
    for start in range(0, len(decision.train_ids), IDS_PER_INSERT):
        ids = json.dumps(decision.train_ids[start : start + IDS_PER_INSERT], ensure_ascii=False)
        connection.execute(INSERT_EVENTS[connection.dialect.name], {"batch_id": batch.batch_id, "ids": ids})
    return batch


def take_back(
    connection: Connection, kind: TakingBack, scope: Scope, batch_id: str | None, client_id: str | None
) -> Batch:
    """Undo or redo a batch, or find the act by which the same request did so before."""
    request: dict[str, Any] = {"actor": scope.actor, "corpus_id": scope.corpus_id, "kind": kind}
    if batch_id is not None:
        request["of_batch"] = batch_id
    earlier = _batch_of_request(connection, client_id, request)
    if earlier is not None:
        return earlier
    require_role(connection, scope.actor, "curator", f"{kind} decisions")
    if batch_id is not None:
        target = _named_target(connection, kind, scope, batch_id)
    else:
        target = _latest_undoable(connection, scope) if kind == "undo" else _latest_redoable(connection, scope)
    if target.kind in STATUS_OF:
        _refuse_if_decided_since(connection, kind, scope, target)
    about = {"dataset_id": scope.dataset_id, "of_batch": target.batch_id, "num_events": target.num_events}
    act = _write_batch(connection, client_id, request | about | {"settles": False}, ())
    events = (
        select(literal(act.batch_id), EventRow.train_id, EventRow.event_id)
        .where(EventRow.batch_id == target.batch_id)
        .order_by(EventRow.event_id)
    )
    connection.execute(insert(EventRow).from_select(["batch_id", "train_id", "undoes"], events))
    return act


def find_batch(connection: Connection, corpus_id: str, batch_id: str) -> tuple[Batch, bool]:
    """A batch by its id, and whether it is undone.

    Raises:
        JournalError: There is no such batch in this corpus.
    """
    wanted = and_(BatchRow.batch_id == batch_id, BatchRow.corpus_id == corpus_id)
    row = connection.execute(select(*BATCH_COLUMNS, IS_UNDONE.label("is_undone")).where(wanted)).one_or_none()
    if row is None:
        raise JournalError(f"no batch of {corpus_id!r} has the id {batch_id!r}: `lorif history` lists them.")
    return batch_of(row), bool(row.is_undone)


def examples_of(connection: Connection, batch_id: str) -> list[str]:
    """The ids of the examples that a batch concerns, in its order."""
    ids = select(EventRow.train_id).where(EventRow.batch_id == batch_id).order_by(EventRow.event_id)
    return list(connection.scalars(ids))


def _write_batch(
    connection: Connection, client_id: str | None, values: dict[str, Any], train_ids: Sequence[str]
) -> Batch:
    new = values | {
        "batch_id": secrets.token_hex(8),
        "revision": next_revision(connection),
        "at": utc_now(),
        "client_id": client_id,
    }
    new["digest"] = next_batch_digest(connection, new, train_ids)
    return batch_of(connection.execute(INSERT_BATCH, new).one())


def count_batches(connection: Connection, batch_ids: Sequence[str]) -> int:
    """How many of these batches are in the journal."""
    return sum(
        connection.execute(select(BatchRow.batch_id).where(BatchRow.batch_id == batch_id)).first() is not None
        for batch_id in batch_ids
    )


def _batch_of_request(connection: Connection, client_id: str | None, request: dict[str, Any]) -> Batch | None:
    if client_id is None:
        return None
    check_name("client_id", client_id)
    row = connection.execute(select(*BATCH_COLUMNS).where(BatchRow.client_id == client_id)).one_or_none()
    if row is None:
        return None
    batch = batch_of(row)
    if any(getattr(batch, field) != value for field, value in request.items()):
        raise _other_request(client_id, batch)
    return batch


def _other_request(client_id: str | None, batch: Batch) -> JournalError:
    return JournalError(
        f"the client id {client_id!r} stands for another request ({batch.kind} by {batch.actor!r}, "
        f"{describe_time(batch.at)}): use a new one for each request."
    )


def _named_target(connection: Connection, kind: TakingBack, scope: Scope, batch_id: str) -> Batch:
    batch, is_undone = find_batch(connection, scope.corpus_id, batch_id)
    if batch.of_batch is not None:
        raise JournalError(
            f"batch {batch_id!r} is no decision but takes {batch.of_batch!r} back or brings it back: {kind} that one."
        )
    if batch.actor != scope.actor:
        require_role(connection, scope.actor, "admin", f"{kind} what {batch.actor!r} did")
    if is_undone and kind == "undo":
        raise JournalError(f"batch {batch_id!r} {_undone_by(connection, batch_id)} already: redo brings it back.")
    if not is_undone and kind == "redo":
        raise JournalError(f"batch {batch_id!r} is not undone, so there is nothing to bring back.")
    return batch


def _undone_by(connection: Connection, batch_id: str) -> str:
    last = select(*BATCH_COLUMNS).where(BatchRow.of_batch == batch_id).order_by(BatchRow.revision.desc()).limit(1)
    act = batch_of(connection.execute(last).one())
    return f"was undone by {act.actor!r} ({describe_time(act.at)})"


def _own(scope: Scope) -> Select[*tuple[Any, ...]]:
    return select(*BATCH_COLUMNS).where(BatchRow.actor == scope.actor, BatchRow.corpus_id == scope.corpus_id)


def _latest_undoable(connection: Connection, scope: Scope) -> Batch:
    decisions = _own(scope).where(BatchRow.of_batch.is_(None), ~IS_UNDONE)
    row = connection.execute(decisions.order_by(BatchRow.revision.desc()).limit(1)).one_or_none()
    if row is None:
        raise JournalError(f"{scope.actor!r} has nothing to undo in {scope.corpus_id!r}: `lorif history` shows why.")
    return batch_of(row)


def _latest_redoable(connection: Connection, scope: Scope) -> Batch:
    later = aliased(BatchRow)
    is_answered = select(later.batch_id).where(
        later.of_batch == BatchRow.of_batch, later.revision > BatchRow.revision
    )
    undos = _own(scope).where(BatchRow.kind == "undo", ~is_answered.exists())
    row = connection.execute(undos.order_by(BatchRow.revision.desc()).limit(1)).one_or_none()
    if row is None:
        raise JournalError(f"{scope.actor!r} has nothing to redo in {scope.corpus_id!r}: redo follows an undo.")
    undo = batch_of(row)
    decided = _own(scope).where(BatchRow.of_batch.is_(None), BatchRow.revision > undo.revision)
    newer = connection.execute(decided.order_by(BatchRow.revision.desc()).limit(1)).one_or_none()
    if newer is not None:
        raise JournalError(
            f"{scope.actor!r} has made a new decision since the last undo ({describe_time(batch_of(newer).at)}), "
            f"which ends redo: bring {undo.of_batch!r} back by its id."
        )
    return find_batch(connection, scope.corpus_id, str(undo.of_batch))[0]


def _refuse_if_decided_since(connection: Connection, kind: TakingBack, scope: Scope, target: Batch) -> None:
    since = (
        EventRow.batch_id == target.batch_id,
        LIVE_EVENT.c.train_id == EventRow.train_id,
        LIVE_EVENT.c.event_id > EventRow.event_id,
        LIVE_EVENT.c.corpus_id == target.corpus_id,
        LIVE_EVENT.c.actor != scope.actor,
        LIVE_EVENT.c.status.is_not(None),
    )
    count = connection.scalar(select(func.count(distinct(LIVE_EVENT.c.train_id))).where(*since))
    if not count:
        return
    batches = select(BatchRow.actor, BatchRow.at).where(
        BatchRow.batch_id.in_(select(LIVE_EVENT.c.batch_id).where(*since))
    )
    rows = connection.execute(batches.order_by(BatchRow.revision.desc())).all()
    names = [repr(actor) for actor in dict.fromkeys(row.actor for row in rows)]
    raise JournalError(
        f"cannot {kind} batch {target.batch_id!r}: on {count:,} of its {target.num_events:,} examples {_join(names)} "
        f"decided since, last {describe_time(rows[0].at)}. Decide again about the others, or ask for that to be "
        "undone first."
    )


def _join(names: Sequence[str]) -> str:
    shown = list(names[:3]) + ([f"{len(names) - 3} more"] if len(names) > 3 else [])
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def describe_time(at: datetime) -> str:
    """A time for a sentence, to the minute."""
    return f"{at:%Y-%m-%d %H:%M} UTC"
