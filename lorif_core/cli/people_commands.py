"""The command about people: members."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from tyro.conf import Positional

from lorif_core.cli.output import Json, TextArg, console, print_json, say
from lorif_core.errors import ConfigError

if TYPE_CHECKING:
    from lorif_core.journal.journal import Journal


def members(
    workspace: Positional[Path],
    /,
    *,
    set: TextArg = None,
    role: TextArg = None,
    set_password: TextArg = None,
    invite: TextArg = None,
    take_password: TextArg = None,
    studio: str = "http://localhost:8501",
    json: Json = False,
) -> None:
    """Show who may do what, give a person a role, or let them sign in to `lorif app --auth password`.

    While there is no member, everybody who can open the workspace is an admin.

    Args:
        workspace: Folder of the workspace.
        set: The person to give a role.
        role: viewer reads, curator also imports, indexes, keeps questions and decides, admin also settles and names
            members.
        set_password: Read a password for this member from the terminal or standard input.
        invite: Print a link with which this member chooses a password, once, within two days. For an admin.
        take_password: Let this member sign in no longer, and sign them out. For an admin.
        studio: Where browsers find the studio, for the link.
        json: Print one JSON object instead of a table.
    """
    from lorif_core.journal.credentials import Credentials
    from lorif_core.views.tables import records_table
    from lorif_core.workspace.folder.actor import current_actor
    from lorif_core.workspace.folder.workspace_files import open_files
    from lorif_core.workspace.studio.passwords import INVITATION_HOURS

    if (set is None) != (role is None):
        raise ConfigError("`--set PERSON` and `--role ROLE` go together, only one was given.")
    journal = open_files(workspace).journal
    if set is not None and role is not None:
        journal.set_role(set, role, current_actor())
    said = _change_sign_in(journal, set_password, take_password)
    link = _invitation(journal, invite, studio) if invite is not None else None
    found, able = journal.members(), Credentials(journal.engine).with_password()
    if json:
        told = [asdict(member) | {"has_password": member.actor in able} for member in found]
        print_json({"members": told, "you": current_actor(), "invitation": link})
        return
    for sentence in said:
        say(sentence)
    if link is not None:
        say(f"Give {invite} this link. It works once, within {INVITATION_HOURS} hours:\n{link}")
    if found:
        rows = [
            [one.actor, one.role, "yes" if one.actor in able else "no", one.added_by, f"{one.at:%Y-%m-%d %H:%M}"]
            for one in found
        ]
        console().print(records_table("Members", ["person", "role", "password", "named by", "since (UTC)"], rows))
    else:
        say(f"There are no members: everybody is an admin. You are {current_actor()}.")


def _change_sign_in(journal: "Journal", set_password: str | None, take_password: str | None) -> list[str]:
    """Set and take passwords; returns what there is to say."""
    from lorif_core.cli.studio_commands import read_password
    from lorif_core.journal.credentials import Credentials
    from lorif_core.workspace.folder.actor import current_actor
    from lorif_core.workspace.studio.passwords import hash_password

    credentials, said = Credentials(journal.engine), []
    if set_password is not None:
        hashed = hash_password(read_password(f"New password of {set_password}: ", set_password))
        credentials.set_password(set_password, hashed, current_actor())
        said.append(f"{set_password} signs in with it from now on, and is signed out where they are signed in.")
    if take_password is not None:
        credentials.take_away(take_password, current_actor())
        said.append(f"{take_password} can sign in no longer.")
    return said


def _invitation(journal: "Journal", invite: str, studio: str) -> str:
    """A link with which a member chooses a password."""
    from lorif_core.journal.credentials import Credentials
    from lorif_core.workspace.folder.actor import current_actor
    from lorif_core.workspace.studio.passwords import make_invitation

    code = make_invitation(Credentials(journal.engine), invite, current_actor())
    return f"{studio.rstrip('/')}/_door/invitation?code={code}"
