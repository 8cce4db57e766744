"""A slice of an index whose model no single process holds: each of torchrun's processes makes a share of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import torch

from lorif_core.capture.hooks import evaluate_objective
from lorif_core.capture.objectives import summed_cross_entropy
from lorif_core.capture.uses import is_seen_from_outside
from lorif_core.data.batches import pad_batch
from lorif_core.data.encoding import EncodedExample
from lorif_core.errors import CaptureError, ModelError
from lorif_core.models.sharded_model import Lockstep, Rank, joined_ranks, load_sharded, rank_of_process
from lorif_core.store.parts import missing_parts
from lorif_core.weights import locate_weight
from lorif_core.workspace.folder.progress import ProgressSink
from lorif_core.workspace.folder.workspace_files import WorkspaceFiles
from lorif_core.workspace.indexes.failing_texts import FailingText
from lorif_core.workspace.indexes.index_job import IndexJob
from lorif_core.workspace.indexes.make_parts import PartMaker, PartsProgress, part_maker
from lorif_core.workspace.indexes.planned_index import ModelPlace, finish_index, job_of, planned_index
from lorif_core.workspace.indexes.slices import Slice, SliceDone, told_to_stop


def index_sharded_slice(
    files: WorkspaceFiles, index_id: str, chosen: Slice, place: ModelPlace, on_progress: ProgressSink
) -> SliceDone:
    """Make what is missing of this process's share of a slice, beside the other processes; then as ``index_slice``.

    Told to stop (SIGTERM, which torchrun hands on to all), it finishes the part in work.

    Raises:
        ConfigError: The process is none of torchrun's.
        ArtefactError: The index has no plan.
        CaptureError: A text fails: texts are not left out here, since the other processes would wait for ever.
        LorifError: The model or the data is not the planned one, or the machine does not suffice.
    """
    rank = rank_of_process()
    record, plan = planned_index(files, index_id)
    stored_at, own = files.index_place(record), share_of(chosen, rank).parts(plan.num_parts)
    left = set(missing_parts(plan, stored_at))
    if any(number in left for number in chosen.parts(plan.num_parts)):
        with joined_ranks(rank, place.device) as device, told_to_stop() as is_told:
            job = job_of(files, record, place, partial(load_sharded, device=device))
            progress = PartsProgress.over(plan, own, left, on_progress)
            with _maker_in_step(job, device) as maker:
                for number in own:
                    if number in left and not is_told():
                        _make(maker, number, progress)
    missing = missing_parts(plan, stored_at)
    left_of_own = sum(number in own for number in missing)
    finished = finish_index(files, index_id, on_progress) if not missing and rank.number == 0 else None
    return SliceDone(len(own), left_of_own, len(missing), finished)


def share_of(chosen: Slice, rank: Rank) -> Slice:
    """A process's share of a slice: every ``rank.count``-th of its parts."""
    return Slice(chosen.number + rank.number * chosen.count, chosen.count * rank.count)


@contextmanager
def _maker_in_step(job: IndexJob, device: torch.device) -> Iterator[PartMaker]:
    model = job.engine.loaded.model
    hidden = [one.name for one in job.engine.modules if not is_seen_from_outside(locate_weight(model, one.name))]
    if hidden:
        raise ModelError(
            f"in a model that is divided among processes plain linear maps can be tracked, {hidden[0]!r} is none. "
            f"Plan the index with `--exclude {hidden[0]!r}`."
        )
    lockstep = Lockstep(device)
    with part_maker(job) as maker:
        # Before those of the model that gather its weights.
        hook = model.register_forward_pre_hook(lockstep.before_pass, prepend=True)
        try:
            yield maker
            lockstep.wait_for_others(partial(_pass_over_nothing, maker))
        finally:
            hook.remove()


def _make(maker: PartMaker, number: int, progress: PartsProgress) -> None:
    try:
        maker.make(number, progress.add, leaves_out=False)
    except FailingText as failure:
        raise CaptureError(
            f"a text of part {number} fails ({failure}), and with `--shard-model` texts are not looked for. Find it "
            "with one process, `lorif index-part … --device cpu`, or take it out of the data."
        ) from failure


def _pass_over_nothing(maker: PartMaker) -> None:
    """Both passes of a text of two tokens; its gradients go nowhere."""
    batch = pad_batch([EncodedExample([maker.source.pad_id] * 2, [False, True], 2)], maker.source.pad_id)
    evaluate_objective(maker.source.model, batch, summed_cross_entropy).sum().backward()
