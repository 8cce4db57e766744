"""How members sign in to the studio: salted hashes of their passwords, and invitations to choose one.

What is kept opens nothing by itself: neither a password nor the code of an invitation can be read back from it.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, insert, select, update

from lorif_core.errors import JournalError, RoleError
from lorif_core.journal.database import reading, writing
from lorif_core.journal.entries import check_name, utc_now
from lorif_core.journal.journal_tables import CredentialRow, MemberRow
from lorif_core.journal.people import require_role


class Credentials:
    """The passwords and invitations of a journal's members.

    Every method raises a JournalError if the database cannot be used.
    """

    def __init__(self, engine: Engine) -> None:
        """Use the journal's database."""
        self._engine = engine

    def password_hash(self, actor: str) -> str | None:
        """The kept hash of a member's password; None for one who has none, and for who is no member."""
        with reading(self._engine) as connection:
            return connection.scalar(select(CredentialRow.password_hash).where(CredentialRow.actor == actor))

    def with_password(self) -> list[str]:
        """The members who can sign in, by name."""
        query = select(CredentialRow.actor).where(CredentialRow.password_hash.is_not(None))
        with reading(self._engine) as connection:
            return sorted(connection.scalars(query))

    def set_password(self, actor: str, password_hash: str, by: str) -> None:
        """Keep a member's password, and end an invitation that is open.

        Raises:
            JournalError: They are no member.
            RoleError: ``by`` is neither they nor an admin.
        """
        with writing(self._engine) as connection:
            _require_member(connection, actor)
            if by != actor:
                require_role(connection, by, "admin", "set the password of somebody else")
            _write(connection, actor, by, _without_invitation(password_hash))

    def take_away(self, actor: str, by: str) -> None:
        """Let a member sign in no longer: neither by a password nor by an invitation.

        Raises:
            JournalError: They are no member.
            RoleError: ``by`` is no admin.
        """
        with writing(self._engine) as connection:
            _require_member(connection, actor)
            require_role(connection, by, "admin", "take passwords away")
            _write(connection, actor, by, _without_invitation(None))

    def invite(self, actor: str, digest: str, expires_at: datetime, by: str) -> None:
        """Keep an invitation in the place of an earlier one. A password that is there stays until it is used.

        Args:
            actor: The member.
            digest: Of the code.
            expires_at: From when on it opens nothing.
            by: Who invites.

        Raises:
            JournalError: They are no member.
            RoleError: ``by`` is no admin.
        """
        with writing(self._engine) as connection:
            _require_member(connection, actor)
            require_role(connection, by, "admin", "invite people")
            _write(connection, actor, by, {"invitation_digest": digest, "invitation_expires_at": expires_at})

    def invited(self, digest: str) -> str | None:
        """The member whom an invitation is for; None if it is unknown, used or has expired."""
        with reading(self._engine) as connection:
            return _invited(connection, digest)

    def use_invitation(self, digest: str, password_hash: str) -> str:
        """Keep the password that an invited member chose, and end the invitation: of two who use it, one can.

        Returns:
            The member.

        Raises:
            RoleError: It is unknown, used or has expired.
        """
        with writing(self._engine) as connection:
            actor = _invited(connection, digest)
            if actor is None:
                raise RoleError("this invitation was used already or has expired: ask an admin for a new one.")
            _write(connection, actor, actor, _without_invitation(password_hash))
            return actor


def _invited(connection: Connection, digest: str) -> str | None:
    query = select(CredentialRow.actor).where(
        CredentialRow.invitation_digest == digest, CredentialRow.invitation_expires_at > utc_now()
    )
    return connection.scalar(query)


def _without_invitation(password_hash: str | None) -> dict[str, str | None]:
    return {"password_hash": password_hash, "invitation_digest": None, "invitation_expires_at": None}


def _write(connection: Connection, actor: str, by: str, values: Mapping[str, Any]) -> None:
    check_name("by", by)
    told = {**values, "changed_by": by, "changed_at": utc_now()}
    changed = connection.execute(update(CredentialRow).where(CredentialRow.actor == actor).values(told))
    if changed.rowcount == 0:
        connection.execute(insert(CredentialRow).values(actor=actor, **told))


def _require_member(connection: Connection, actor: str) -> None:
    if connection.scalar(select(MemberRow.actor).where(MemberRow.actor == actor)) is None:
        raise JournalError(
            f"only members sign in, and {actor!r} is none: give them a role first, as in `lorif members WORKSPACE "
            "--set NAME --role curator`."
        )
