"""Commands about where a workspace's work is kept, and copies of it: journal, backup, restore-backup."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import tyro
from tyro.conf import Positional

from lorif_core.cli.output import Json, TextArg, print_json, progress, require_yes, say
from lorif_core.errors import ConfigError


def journal(
    workspace: Positional[Path],
    /,
    *,
    journal: TextArg = None,
    here: bool = False,
    start_anew: bool = False,
    accept: bool = False,
    yes: bool = False,
    json: Json = False,
) -> None:
    """Show where decisions are kept, or keep them in a PostgreSQL database that a team shares.

    Decisions that were made so far stay where they are; move the workspace to a database before work begins.
    The variable LORIF_JOURNAL, which may carry a password, goes before what the workspace says.

    Args:
        workspace: Folder of the workspace.
        journal: Address such as postgresql+psycopg://user@host/database (needs the extra `postgres`).
        here: Keep decisions in the workspace's own file again.
        start_anew: Give up a journal that is lost, damaged or not the workspace's own, and begin an empty one. The
            file is moved aside, and the new journal says who did so and when.
        accept: Go on with the journal that is there, though it is another one than the workspace knows, or older.
        yes: With --start-anew and --accept: do not ask.
        json: Print one JSON object instead of text.
    """
    from lorif_core.cli.curate_commands import opened_decisions
    from lorif_core.workspace.folder.journal_place import place_of, use_journal

    if sum((journal is not None, here, start_anew, accept)) > 1:
        raise ConfigError("give `--journal ADDRESS`, `--here`, `--start-anew` or `--accept`, not several of them.")
    if start_anew or accept:
        _take_over(workspace, accepts=accept, asks=not yes, json=json)
        return
    opened = opened_decisions(workspace)
    if journal is not None or here:
        use_journal(opened.files, journal)
        opened = opened_decisions(workspace)
    place, changes = place_of(opened.journal.engine), opened.journal.changes()
    if json:
        print_json({"journal": place, "revision": opened.journal.revision(), "changes": changes})
        return
    say(f"Decisions are kept in {place}.")
    for one in changes:
        done = "started again" if one["kind"] == "start-anew" else "accepted in place of another"
        say(f"It was {done} by {one['by']} at {one['at'][:16]}; the one before was {_known(one['lost'])}.")


def backup(
    workspace: Positional[Path], target: Positional[Path], /, *, keep: int | None = None, json: Json = False
) -> None:
    """Write a backup of a workspace while others work in it. What is as in the backup before takes no room.

    Example: lorif backup WORKSPACE /mnt/backups --keep 14

    Args:
        workspace: Folder of the workspace.
        target: Folder outside of it; every backup becomes a folder there, named after the time (UTC).
        keep: Delete all but so many of the newest backups of this workspace afterwards.
        json: Print one JSON object instead of text.
    """
    from lorif_core.views.tables import human_bytes
    from lorif_core.workspace.folder.backup import back_up
    from lorif_core.workspace.folder.workspace_files import open_files

    with progress(json) as show:
        made = back_up(open_files(workspace), target, keep=keep, on_progress=show)
    if json:
        print_json(asdict(made))
        return
    say(
        f"Wrote {made.path}: {made.num_files:,} files, {human_bytes(made.size_bytes)}, of which "
        f"{human_bytes(made.copied_bytes)} are new; decisions up to revision {made.revision:,}."
    )
    if made.removed:
        say(f"Deleted older ones: {', '.join(made.removed)}.")


def restore_backup(
    target: Positional[Path],
    workspace: Positional[Path],
    /,
    *,
    backup: TextArg = None,
    replaces: Annotated[bool, tyro.conf.arg(name="replace")] = False,
    journal: TextArg = None,
    json: Json = False,
) -> None:
    """Bring a workspace back from a backup. Every file is checked before anything appears in its place.

    Example: lorif restore-backup /mnt/backups WORKSPACE

    Args:
        target: Folder with backups, or one of them.
        workspace: Where the workspace is to be.
        backup: Name of the backup; unset: the newest.
        replaces: Move a workspace that is there aside; says where it is then.
        journal: Put the decisions into this empty PostgreSQL database instead of a file of the workspace.
        json: Print one JSON object instead of text.
    """
    from lorif_core.views.tables import human_bytes
    from lorif_core.workspace.folder.restore_backup import restore_backup as bring_back

    with progress(json) as show:
        found = bring_back(target, workspace, name=backup, replaces=replaces, journal=journal, on_progress=show)
    if json:
        print_json(asdict(found))
        return
    say(
        f"{found.path} is the workspace of {found.backup} again: {found.num_files:,} files, "
        f"{human_bytes(found.size_bytes)}, decisions up to revision {found.revision:,}, kept in {found.journal}."
    )
    if found.replaced:
        say(f"What was there is now {found.replaced}.")


def _take_over(workspace: Path, *, accepts: bool, asks: bool, json: bool) -> None:
    from lorif_core.workspace.folder.actor import current_actor
    from lorif_core.workspace.folder.journal_place import accept_journal, start_anew
    from lorif_core.workspace.folder.workspace_files import open_files

    files = open_files(workspace)
    seen = files.last_seen.read()
    known = _known(None if seen is None else seen._asdict())
    if asks:
        require_yes(
            f"{str(workspace)!r} goes on with the journal that is there; the one that it knows was {known}. What was "
            "decided only in that is given up."
            if accepts
            else f"An empty journal takes the place of the one that {str(workspace)!r} knows, which was {known}. "
            "Every decision, note, label, role, reason and job in it is given up, and what was excluded is in the "
            "next export again."
        )
    new = (accept_journal if accepts else start_anew)(files, current_actor())
    if json:
        lost = None if new.lost is None else new.lost._asdict()
        print_json({"journal": new.place, "lost": lost, "moved": [str(path) for path in new.moved]})
        return
    say(f"Decisions are kept in {new.place}{'' if accepts else ', an empty journal'}.")
    for path in new.moved:
        say(f"What was there is now {path}.")


def _known(seen: dict[str, object] | None) -> str:
    return "never seen" if seen is None else f"last seen at revision {seen['revision']}"
