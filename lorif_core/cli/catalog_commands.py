"""The command about what a workspace knows of its data sets and indexes: catalog."""

from pathlib import Path

from tyro.conf import Positional

from lorif_core.cli.output import Json, print_json, require_yes, say


def catalog(
    workspace: Positional[Path], /, *, start_anew: bool = False, yes: bool = False, json: Json = False
) -> None:
    """Show how much the workspace's catalog knows, or begin an empty one where it is lost.

    Args:
        workspace: Folder of the workspace.
        start_anew: Give up a catalog that is lost, damaged, too old or not the workspace's own, and begin an empty
            one. The file is moved aside; data, indexes and decisions stay where they are.
        yes: With --start-anew: do not ask.
        json: Print one JSON object instead of text.
    """
    from lorif_core.workspace.folder.workspace_files import open_files

    files = open_files(workspace)
    if start_anew:
        _start_anew(workspace, asks=not yes, json=json)
        return
    known = files.catalog
    counts = {
        "datasets": len(known.datasets()),
        "models": len(known.models()),
        "indexes": len(known.indexes()),
        "queries": len(known.queries()),
        "evaluations": len(known.evaluations()),
    }
    if json:
        print_json({"catalog": str(files.catalog_file)} | counts)
        return
    say(
        f"{files.catalog_file} knows {counts['datasets']:,} versions of data sets, {counts['models']:,} models, "
        f"{counts['indexes']:,} indexes, {counts['queries']:,} questions and {counts['evaluations']:,} evaluations."
    )


def _start_anew(workspace: Path, *, asks: bool, json: bool) -> None:
    from lorif_core.catalog.begin_catalog import begin_catalog
    from lorif_core.workspace.folder.actor import current_actor
    from lorif_core.workspace.folder.workspace_files import open_files

    files = open_files(workspace)
    files.journal.require_role(current_actor(), "admin", "start the catalog again")
    warning = (
        f"An empty catalog takes the place of the one that {str(workspace)!r} works with: names and versions of its "
        "data sets, the questions that were asked with their answers, all measurements, and which index belongs to "
        "which data and model are given up. Data that are imported again from the same files keep their decisions, "
        "if that is done in the order of their versions; indexes must be built again."
    )
    if asks:
        require_yes(warning)
    moved = begin_catalog(files.catalog_file, files.last_seen_catalog)
    if json:
        print_json({"catalog": str(files.catalog_file), "moved": [str(path) for path in moved]})
        return
    say(f"{files.catalog_file} is an empty catalog.")
    for path in moved:
        say(f"What was there is now {path}.")
