"""The command that computes the map of an index."""

from pathlib import Path

from tyro.conf import Positional

from lorif_core.cli.output import Json, TextArg, print_json, progress, say
from lorif_core.cli.worker_commands import say_submitted


def map_(
    workspace: Positional[Path],
    /,
    *,
    index: TextArg = None,
    seed: int = 0,
    out: Path | None = None,
    as_job: bool = False,
    json: Json = False,
) -> None:
    """Compute the map of an index: every text as a point, near to those that teach alike. The studio shows it.

    The plane is that in which random sketches of the stored gradients differ most. Computed once, then kept.

    Args:
        workspace: Folder of the workspace.
        index: Id of the index; unset: the newest complete one.
        seed: Of the sketches; another one turns or bends the picture a little.
        out: Also write the points as Parquet: train_id, x, y.
        as_job: Let a worker in the background do it; `lorif jobs` shows how far it is.
        json: Print one JSON object instead of text.
    """
    from lorif_core.files import replace_file
    from lorif_core.workspace.folder.actor import current_actor
    from lorif_core.workspace.jobs.requests import MapRequest
    from lorif_core.workspace.jobs.submit import start_job
    from lorif_core.workspace.workspace import open_workspace

    opened = open_workspace(workspace)
    if as_job:
        request = MapRequest(opened.files.choose_index(index).index_id, seed)
        job = start_job(opened.files, request, current_actor())
        say_submitted(job, workspace, json=json)
        return
    with progress(json) as on_progress:
        found = opened.indexes.map(index, seed=seed, on_progress=on_progress)
    if out is not None:
        with replace_file(out) as partial:
            found.points.write_parquet(partial)
    if json:
        print_json(found.to_dict())
        return
    shown = f"a plane that shows {sum(found.explained):.0%} of how they differ"
    say(f"{len(found.points):,} texts of index {found.index_id} on {shown}.")
