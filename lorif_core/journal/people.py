"""Who may do what, and the reasons that people may give."""

import re
from typing import get_args

from sqlalchemy import Connection, insert, select, update

from lorif_core.errors import JournalError, RoleError
from lorif_core.journal.entries import (
    BUILT_IN_REASONS,
    MAX_NAME_LENGTH,
    Member,
    Reason,
    Role,
    check_choice,
    check_name,
    utc_now,
)
from lorif_core.journal.journal_tables import MemberRow, ReasonRow

ROLES: tuple[Role, ...] = get_args(Role)
"""From the one that may do least to the one that may do all."""

REASON_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


def read_members(connection: Connection) -> list[Member]:
    """Everyone with a role, by name."""
    table = MemberRow.__table__
    rows = connection.execute(select(table.c.actor, table.c.role, table.c.added_by, table.c.at)).mappings()
    return sorted((Member(**row) for row in rows), key=lambda member: member.actor)


def role_of(connection: Connection, actor: str) -> Role:
    """The role of a person: admin while nobody has one, viewer if only others have."""
    members: dict[str, Role] = {member.actor: member.role for member in read_members(connection)}
    return members.get(actor, "viewer") if members else "admin"


def require_role(connection: Connection, actor: str, least: Role, task: str) -> Role:
    """Role of a person who may do something.

    Raises:
        RoleError: They may not.
    """
    role = role_of(connection, actor)
    if ROLES.index(role) < ROLES.index(least):
        article = {"admin": "an admin", "curator": "a curator"}[least]
        raise RoleError(f"only {article} may {task}, and {actor!r} is a {role}: ask an admin for the role.")
    return role


def write_role(connection: Connection, actor: str, role: str, by: str) -> Member:
    """Give a person a role.

    Raises:
        JournalError: There is no such role.
        RoleError: ``by`` is no admin, or nobody would be one.
    """
    check_name("actor", actor)
    check_name("by", by)
    new = check_choice("a role", role, ROLES)
    require_role(connection, by, "admin", "give roles")
    others = [member for member in read_members(connection) if member.actor != actor]
    if new != "admin" and not any(member.role == "admin" for member in others):
        raise RoleError(
            f"a journal with members needs an admin, and without {actor!r} there would be none: make somebody "
            "an admin first."
        )
    member = Member(actor=actor, role=new, added_by=by, at=utc_now())
    values = {"role": new, "added_by": by, "at": member.at}
    changed = connection.execute(update(MemberRow).where(MemberRow.actor == actor).values(values))
    if changed.rowcount == 0:
        connection.execute(insert(MemberRow).values(actor=actor, **values))
    return member


def read_reasons(connection: Connection) -> list[Reason]:
    """The built-in reasons, then the added ones by name."""
    rows = connection.execute(select(ReasonRow.name, ReasonRow.description, ReasonRow.added_by))
    added = [Reason(name=row.name, description=row.description, added_by=row.added_by) for row in rows]
    return [*BUILT_IN_REASONS, *sorted(added, key=lambda reason: reason.name)]


def check_reason(connection: Connection, name: str | None) -> None:
    """Refuse a reason that is not on the list, and show the list."""
    known = [reason.name for reason in read_reasons(connection)]
    if name is not None and name not in known:
        raise JournalError(
            f"no reason is called {name!r}; there are {', '.join(known)}. An admin can add one, or use `other`."
        )


def write_reason(connection: Connection, name: str, description: str, by: str) -> Reason:
    """Add a reason to the list.

    Raises:
        RoleError: ``by`` is no admin.
        JournalError: The name is taken or cannot be typed.
    """
    check_name("by", by)
    description = description.strip()
    if not REASON_NAME.fullmatch(name) or len(name) > MAX_NAME_LENGTH:
        raise JournalError(f"a reason is lower-case words joined by hyphens, got {name[:40]!r}: as in `low-quality`.")
    check_name("the description of a reason", description)
    require_role(connection, by, "admin", "add reasons")
    if any(reason.name == name for reason in read_reasons(connection)):
        raise JournalError(f"there is a reason {name!r} already: use it, or choose another name.")
    connection.execute(insert(ReasonRow).values(name=name, description=description, added_by=by, at=utc_now()))
    return Reason(name=name, description=description, added_by=by)
