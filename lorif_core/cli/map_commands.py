"""The command that computes the map of an index."""

from pathlib import Path
from typing import TYPE_CHECKING

from tyro.conf import Positional

from lorif_core.cli.output import Json, TextArg, console, print_json, progress, refuse_out, say
from lorif_core.cli.worker_commands import say_submitted

if TYPE_CHECKING:
    from lorif_core.workspace.folder.kept_map import Atlas


def map_(
    workspace: Positional[Path],
    /,
    *,
    index: TextArg = None,
    seed: int = 0,
    clusters: int | None = None,
    out: Path | None = None,
    as_job: bool = False,
    json: Json = False,
) -> None:
    """Compute the map of an index: texts that mean the same to the model lie together, in clusters with names.

    First the state of every text, by forward passes of the index's model; interrupted, the same command goes on. Then
    clusters of all texts, and a picture of at most 100,000 of them. Computed once, then kept. The studio shows it;
    `lorif browse --cluster` lists the texts of a cluster, `lorif neighbours --by meaning` those like a text.

    Args:
        workspace: Folder of the workspace.
        index: Name or id of the index; unset: the newest complete one.
        seed: Of the sample and the first points; the same one gives the same map.
        clusters: How many clusters; unset: a third of the square root of the number of texts, 2 to 40.
        out: Also write the points as Parquet: train_id, x, y, cluster.
        as_job: Let a worker in the background do it; `lorif jobs` shows how far it is.
        json: Print one JSON object instead of text.
    """
    from lorif_core.files import replace_file
    from lorif_core.workspace.folder.actor import current_actor
    from lorif_core.workspace.jobs.requests import MapRequest
    from lorif_core.workspace.jobs.submit import start_job
    from lorif_core.workspace.workspace import open_workspace

    refuse_out(out, replaces=True)
    opened = open_workspace(workspace)
    if as_job:
        request = MapRequest(opened.files.choose_index(index).index_id, seed, clusters)
        job = start_job(opened.files, request, current_actor())
        say_submitted(job, workspace, json=json)
        return
    with progress(json) as on_progress:
        found = opened.indexes.map(index, seed=seed, num_clusters=clusters, on_progress=on_progress)
    if out is not None:
        with replace_file(out) as partial:
            found.points.write_parquet(partial)
    if json:
        print_json(found.to_dict())
    else:
        _print(found)


def _print(found: "Atlas") -> None:
    from lorif_core.views.tables import records_table
    from lorif_core.views.text import visible

    rows = [[str(one.number), visible(one.name), f"{one.num_texts:,}"] for one in found.clusters]
    console().print(records_table(f"Clusters of index {found.index_id}", ["#", "name", "texts"], rows))
    placed = "all" if found.num_placed == len(found.points) else f"{found.num_placed:,}"
    say(f"The map shows {placed} of {len(found.points):,} texts. Names are frequent distinctive words.")
