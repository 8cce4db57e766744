"""Commands about where a workspace's work is kept, and copies of it: journal, backup, restore-backup."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import tyro
from tyro.conf import Positional

from lorif_core.cli.output import Json, TextArg, complain, print_json, progress, say
from lorif_core.errors import ConfigError


def journal(
    workspace: Positional[Path],
    /,
    *,
    journal: TextArg = None,
    here: bool = False,
    start_anew: bool = False,
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
        yes: With --start-anew: do not ask.
        json: Print one JSON object instead of text.
    """
    from lorif_core.cli.curate_commands import opened_decisions
    from lorif_core.workspace.folder.journal_place import place_of, use_journal

    if sum((journal is not None, here, start_anew)) > 1:
        raise ConfigError("give `--journal ADDRESS`, `--here` or `--start-anew`, not several of them.")
    if start_anew:
        _start_anew(workspace, asks=not yes, json=json)
        return
    opened = opened_decisions(workspace)
    if journal is not None or here:
        use_journal(opened.files, journal)
        opened = opened_decisions(workspace)
    place, starts = place_of(opened.journal.engine), opened.journal.starts()
    if json:
        print_json({"journal": place, "revision": opened.journal.revision(), "starts": starts})
        return
    say(f"Decisions are kept in {place}.")
    for start in starts:
        say(f"It was begun anew by {start['by']} at {start['at'][:16]}, {_lost(start['lost'])}.")


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


def _start_anew(workspace: Path, *, asks: bool, json: bool) -> None:
    from lorif_core.workspace.folder.actor import current_actor
    from lorif_core.workspace.folder.journal_place import start_anew
    from lorif_core.workspace.folder.workspace_files import open_files

    files = open_files(workspace)
    seen = files.last_seen.read()
    lost = _lost(None if seen is None else seen._asdict())
    warning = (
        f"An empty journal takes the place of the one that {str(workspace)!r} works with: every decision, note, "
        f"label, role, reason and job in it is given up, {lost}, and what was excluded is in the next export again."
    )
    if asks:
        complain(warning)
        if not sys.stdin.isatty():
            raise ConfigError("nothing was changed: this needs a yes, so run it in a terminal or add `--yes`.")
        if input("Type yes to go on: ").strip() != "yes":
            raise ConfigError("nothing was changed: the answer was not yes.")
    new = start_anew(files, current_actor())
    if json:
        lost = None if new.lost is None else new.lost._asdict()
        print_json({"journal": new.place, "lost": lost, "moved": [str(path) for path in new.moved]})
        return
    say(f"Decisions are kept in {new.place}, an empty journal.")
    for path in new.moved:
        say(f"What was there is now {path}.")


def _lost(seen: dict[str, object] | None) -> str:
    return "nothing is known of how much" if seen is None else f"up to revision {seen['revision']} as last seen"
