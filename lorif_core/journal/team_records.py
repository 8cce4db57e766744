"""What a team writes beside its decisions: guidelines, and rounds in which a queue is shared out.

Each is a revision of its own in the chain over everything that was written, with its words as JSON text, so nothing
is changed or deleted: new guidelines stand beside the old ones, and a round that ends stays readable.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, select

from lorif_core.errors import JournalError
from lorif_core.journal import acts, chain, people
from lorif_core.journal.database import reading, writing
from lorif_core.journal.entries import check_name, utc_now
from lorif_core.journal.journal_tables import LinkRow

GUIDELINES, ROUND, ROUND_ENDED = "guidelines", "round", "round-ended"
"""Kinds of revisions."""

MAX_GUIDELINES_LENGTH = 50_000
"""Characters of a page of guidelines."""

MAX_SHARED_TEXTS = 10_000
"""Texts of one round, which lie in one row."""


@dataclass(frozen=True, kw_only=True)
class Guidelines:
    """A page of Markdown that says how a data set is to be reviewed."""

    markdown: str
    """As it was written; empty takes the page away."""

    by: str
    """The admin who wrote it."""

    at: datetime
    """When."""

    revision: int
    """Its place among all writes."""


@dataclass(frozen=True, kw_only=True)
class Round:
    """A queue that was shared out among people."""

    name: str
    """What people call it; unique among the rounds of a data set."""

    queue: str
    """Where its texts come from, in words."""

    shares: Mapping[str, Sequence[str]]
    """Person → train ids, in the order of the queue."""

    overlap_percent: float
    """Texts that two people see, in % of all as it was asked for."""

    by: str
    """The admin who shared it out."""

    at: datetime
    """When."""

    revision: int
    """Its place among all writes; only later decisions belong to it."""

    is_over: bool
    """Whether an admin ended it: nobody is asked for its texts any more."""

    @property
    def train_ids(self) -> list[str]:
        """Every text of the round once, in no particular order."""
        return list(dict.fromkeys(train_id for ids in self.shares.values() for train_id in ids))

    @property
    def num_shared(self) -> int:
        """Texts that two people see."""
        return sum(len(ids) for ids in self.shares.values()) - len(self.train_ids)


class TeamRecords:
    """Guidelines and rounds in a journal. Only an admin writes them, which is asked where they are written."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def guidelines(self, corpus_id: str) -> list[Guidelines]:
        """Every version of the guidelines of a line of data set versions, newest first."""
        with reading(self._engine) as connection:
            rows = _said(connection, corpus_id, GUIDELINES)
        return [
            Guidelines(markdown=said["markdown"], by=said["by"], at=_time(said), revision=revision)
            for revision, _, said in reversed(rows)
        ]

    def write_guidelines(self, corpus_id: str, markdown: str, by: str) -> None:
        """Put a new version of the guidelines in the place of the present one.

        Raises:
            RoleError: ``by`` is no admin.
            JournalError: The page is too long or holds a character that no page has.
        """
        if len(markdown) > MAX_GUIDELINES_LENGTH:
            raise JournalError(
                f"guidelines may have {MAX_GUIDELINES_LENGTH:,} characters, got {len(markdown):,}: shorten them."
            )
        if "\0" in markdown:
            raise JournalError("guidelines are text, and these hold a zero byte: give a file of Markdown.")
        self._write(corpus_id, GUIDELINES, {"markdown": markdown}, by, "write guidelines")

    def rounds(self, corpus_id: str) -> list[Round]:
        """Every round of a line of data set versions, newest first."""
        with reading(self._engine) as connection:
            return _rounds(connection, corpus_id)

    def write_round(
        self,
        corpus_id: str,
        name: str,
        queue: str,
        shares: Mapping[str, Sequence[str]],
        overlap_percent: float,
        by: str,
    ) -> None:
        """Share a queue out.

        Args:
            corpus_id: The line of data set versions.
            name: Of the round, one that no round has.
            queue: Where its texts come from, in words.
            shares: Person → train ids.
            overlap_percent: What was asked for, in % of the texts.
            by: Who shares it out.

        Raises:
            RoleError: ``by`` is no admin, or somebody with a share may not decide.
            JournalError: The name is taken, or there are too many texts or none.
        """
        check_name("the name of a round", name)
        num_texts = len({train_id for ids in shares.values() for train_id in ids})
        if not 1 <= num_texts <= MAX_SHARED_TEXTS:
            raise JournalError(
                f"a round has 1 to {MAX_SHARED_TEXTS:,} texts, got {num_texts:,}: choose another queue."
            )
        said = {
            "name": name,
            "queue": queue,
            "shares": {person: list(ids) for person, ids in shares.items()},
            "overlap_percent": overlap_percent,
        }
        with writing(self._engine) as connection:
            people.require_role(connection, by, "admin", "share out a queue")
            for person in shares:
                people.require_role(connection, person, "curator", "have a share of a queue")
            if any(one.name == name for one in _rounds(connection, corpus_id)):
                raise JournalError(f"there is a round {name!r} already: choose another name.")
            _write_said(connection, corpus_id, ROUND, said, by)

    def end_round(self, corpus_id: str, name: str, by: str) -> None:
        """Ask nobody for the texts of a round any more; what was decided in it stays.

        Raises:
            RoleError: ``by`` is no admin.
            JournalError: There is no such round, or it is over.
        """
        with writing(self._engine) as connection:
            people.require_role(connection, by, "admin", "end a round")
            if not any(one.name == name and not one.is_over for one in _rounds(connection, corpus_id)):
                raise JournalError(f"no round called {name!r} is open: `lorif rounds` lists them.")
            _write_said(connection, corpus_id, ROUND_ENDED, {"name": name}, by)

    def _write(self, corpus_id: str, kind: str, said: dict[str, Any], by: str, task: str) -> None:
        with writing(self._engine) as connection:
            people.require_role(connection, by, "admin", task)
            _write_said(connection, corpus_id, kind, said, by)


def _write_said(connection: Connection, corpus_id: str, kind: str, said: dict[str, Any], by: str) -> None:
    check_name("by", by)
    words = {"corpus_id": corpus_id, "by": by, "at": utc_now().isoformat(), **said}
    chain.write_link(connection, acts.next_revision(connection), kind, words)


def _said(connection: Connection, corpus_id: str, *kinds: str) -> list[tuple[int, str, dict[str, Any]]]:
    """Revision, kind and words of what was written of these kinds, oldest first."""
    rows = select(LinkRow.revision, LinkRow.kind, LinkRow.said).where(LinkRow.kind.in_(kinds))
    found = connection.execute(rows.order_by(LinkRow.revision)).all()
    read = [(row.revision, row.kind, json.loads(row.said)) for row in found]
    return [one for one in read if one[2]["corpus_id"] == corpus_id]


def _rounds(connection: Connection, corpus_id: str) -> list[Round]:
    rows = _said(connection, corpus_id, ROUND, ROUND_ENDED)
    ended = {said["name"] for _, kind, said in rows if kind == ROUND_ENDED}
    return [
        Round(
            name=said["name"],
            queue=said["queue"],
            shares=said["shares"],
            overlap_percent=said["overlap_percent"],
            by=said["by"],
            at=_time(said),
            revision=revision,
            is_over=said["name"] in ended,
        )
        for revision, kind, said in reversed(rows)
        if kind == ROUND
    ]


def _time(said: Mapping[str, Any]) -> datetime:
    return datetime.fromisoformat(said["at"])
