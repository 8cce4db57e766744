"""The command `lorif index-part`: one task of an array job that builds an index."""

import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro
from tyro.conf import Positional

from lorif_core.cli.output import Json, TextArg, print_json, progress, say

if TYPE_CHECKING:  # the engine imports torch; `lorif --help` must not
    from lorif_core.workspace.indexes.planned_index import Planned
    from lorif_core.workspace.indexes.slices import SliceDone

STOPPED = 143
"""Exit code of a task that was told to stop and left something of its slice: 128 + SIGTERM."""


def index_part(
    workspace: Positional[Path],
    index: Positional[str],
    /,
    *,
    slice_: Annotated[str, tyro.conf.arg(name="slice", metavar="I/N", constructor=str)],
    model: TextArg = None,
    device: str = "auto",
    shard_model: bool = False,
    json: Json = False,
) -> None:
    """Make the parts of one slice of a planned index that are missing: a task of a SLURM array or a Kubernetes job.

    The index is planned by `lorif index … --plan-only`. Tasks need the workspace on a shared disk and no word from
    one another; one that is started again goes on with what is missing. SIGTERM ends it after the part in work, with
    exit code 143 if something of its slice is left. The task that finds all parts there finishes the index.

    Args:
        workspace: Folder of the workspace.
        index: Id of the index, as `--plan-only` says it, or its name.
        slice_: Which share of the parts, counted from 1: 3/16 is the third of sixteen.
        model: Where the model is on this machine, if it was moved.
        device: auto (a GPU when there is one, else the CPU), cpu or cuda:N.
        shard_model: For a model that no GPU holds: divide it, and the slice, among the processes of
            `torchrun --standalone --nproc-per-node 8 --no-python lorif index-part …`.
        json: Print one JSON object instead of sentences.
    """
    from lorif_core.workspace.workspace import open_workspace

    is_first = not shard_model or os.environ.get("RANK", "0") == "0"  # one of torchrun's processes speaks for all
    with progress(json or not is_first) as on_progress:
        done = open_workspace(workspace).indexes.build_slice(
            index, slice_, device=device, model=model, shards_model=shard_model, on_progress=on_progress
        )
    if json and is_first:
        print_json(asdict(done))
    elif is_first:
        _say(workspace, index, slice_, done)
    if done.num_left_of_own:
        raise SystemExit(STOPPED)


def _say(workspace: Path, index: str, slice_: str, done: "SliceDone") -> None:
    if done.num_left_of_own:
        say(
            f"Told to stop: {done.num_left_of_own:,} of the {done.num_own:,} parts of slice {slice_} are left. The "
            "same command goes on with them."
        )
    elif done.num_left:
        say(f"Slice {slice_} is done; {done.num_left:,} parts of index {index} are left to the other slices.")
    elif done.record is None:
        say(f"All parts of index {index} are there, and another process is finishing it.")
    else:
        say(f'Index {index} is complete. Next: lorif ask {workspace} --prompt "…" --generate')


def say_planned(planned: "Sequence[Planned]", workspace: Path, *, json: bool) -> None:
    """Say that indexes are planned, and how their parts are made."""
    if json:
        values = [
            {
                "index_id": one.record.index_id,
                "num_parts": one.plan.num_parts,
                "shard_examples": one.plan.shard_examples,
            }
            for one in planned
        ]
        print_json(values[0] if len(values) == 1 else values[0] | {"members": values})
        return
    for record, plan in planned:
        say(
            f"Index {record.index_id} is planned: {plan.num_parts:,} parts of up to {plan.shard_examples:,} texts, "
            f"{plan.num_examples:,} texts in all."
        )
        say(f"Next, a task for each I from 1 to N: lorif index-part {workspace} {record.index_id} --slice I/N")
    if len(planned) > 1:
        say("When all are complete, the same `lorif index` command without `--plan-only` links the members.")


COMMANDS = {"index-part": index_part}
"""The commands of this module by name."""
