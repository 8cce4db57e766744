"""Make parts of an index: a part is a function of the plan and its number, whoever makes it, whenever."""

import os
import platform
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from lorif_core.data.encoding import EncodedTexts
from lorif_core.data.sequences import add_counts, count_tokens, has_targets, is_cut
from lorif_core.errors import CaptureError, FingerprintMismatch
from lorif_core.passes.shards import GradientSource, ShardTensors
from lorif_core.passes.text_gradients import OnBatch
from lorif_core.store.parts import Origin, ShardFacts, is_finished, missing_parts, write_part
from lorif_core.store.plan import Plan, read_plan
from lorif_core.workspace.folder.progress import ProgressSink
from lorif_core.workspace.indexes.failing_texts import (
    FailingText,
    num_left_to_fail,
    take_whole,
    take_without_failing,
)
from lorif_core.workspace.indexes.index_job import IndexJob


@dataclass(frozen=True)
class PartMaker:
    """Makes the parts of one index, with the model ready for capture."""

    job: IndexJob
    plan: Plan
    source: GradientSource

    def make(self, number: int, on_batch: OnBatch = lambda *_: None, *, leaves_out: bool = True) -> None:
        """Make a part unless it is there.

        Args:
            number: Of the part.
            on_batch: Called with (texts, tokens) after each batch.
            leaves_out: Whether texts that fail are looked for and stored as zero; else they stop the part.

        Raises:
            FailingText: A text fails, and none is left out.
            CaptureError: More texts fail than may.
            ResourceError: The disk is full.
        """
        if is_finished(self.job.place, number):  # by another worker, meanwhile
            return
        began = time.monotonic()
        ids, encoded = self._encoded(self.plan.rows_of(number))
        num_unreadable = len(encoded.unreadable)
        try:
            shard = take_whole(self.source, encoded, on_batch)
        except FailingText as failure:
            if not leaves_out:
                raise
            shard, encoded = self._without_failing(ids, encoded, failure)
        facts = _facts(ids, encoded, shard, len(encoded.unreadable) - num_unreadable)
        write_part(self.job.place, self.plan, number, shard.tensors, facts, self._origin(time.monotonic() - began))

    def _without_failing(
        self, ids: Sequence[str], encoded: EncodedTexts, failure: FailingText
    ) -> tuple[ShardTensors, EncodedTexts]:
        try:
            return take_without_failing(self.source, ids, encoded, lambda: num_left_to_fail(self.job.place))
        except FailingText as again:
            raise CaptureError(
                f"the gradients of texts {ids[0]!r} to {ids[-1]!r} cannot be taken together ({failure}), and each of "
                "them can by itself: try another `--tokens-per-batch`, which changes no score."
            ) from again

    def _encoded(self, rows: range) -> tuple[list[str], EncodedTexts]:
        job = self.job
        examples = list(job.examples.iter_examples(rows.start, rows.stop))
        if len(examples) != len(rows):
            raise FingerprintMismatch(
                f"data set {job.dataset.dataset_id!r} has fewer examples than the {job.manifest.num_examples} that "
                "the index expects: its examples.parquet was changed. Import the data again."
            )
        return [example.train_id for example in examples], job.engine.encoder.encode_all(examples)

    def _origin(self, seconds: float) -> Origin:
        return Origin(str(self.job.engine.loaded.device), torch.__version__, worker_name(), seconds)


def worker_name() -> str:
    """What the parts that this process makes are signed with."""
    return f"{platform.node()}:{os.getpid()}"


@contextmanager
def part_maker(job: IndexJob) -> Iterator[PartMaker]:
    """What makes parts of an index whose plan is written, while its model is frozen."""
    with job.engine.gradients() as source:
        yield PartMaker(job, read_plan(job.place), source)


def make_parts(
    job: IndexJob,
    numbers: Iterable[int],
    on_progress: ProgressSink,
    is_told_to_stop: Callable[[], bool] = lambda: False,
) -> None:
    """Make some parts in this process, but for those that are there.

    Args:
        job: The index; its plan is written.
        numbers: Of the parts.
        on_progress: Receives ("gradients", texts done, all of these parts).
        is_told_to_stop: Asked before each part.

    Raises:
        CaptureError: More texts fail than may.
        ResourceError: The disk is full.
    """
    chosen = list(numbers)
    plan = read_plan(job.place)
    left = set(missing_parts(plan, job.place))
    missing = [number for number in chosen if number in left]
    progress = PartsProgress.over(plan, chosen, missing, on_progress)
    if not missing:
        return
    with part_maker(job) as maker:
        for number in missing:
            if is_told_to_stop():
                return
            maker.make(number, progress.add)


def _facts(ids: Sequence[str], encoded: EncodedTexts, shard: ShardTensors, num_failing: int) -> ShardFacts:
    count = add_counts(map(count_tokens, encoded.texts))
    silent = [
        train_id
        for train_id, text in zip(ids, encoded.texts, strict=True)
        if not has_targets(text) and train_id not in encoded.unreadable
    ]
    return ShardFacts(
        num_truncated=sum(map(is_cut, encoded.texts)),
        num_without_targets=len(silent),
        kept_energy=shard.kept_energy,
        stored_energy=shard.stored_energy,
        total_energy=shard.total_energy,
        failed_ids=list(encoded.unreadable),
        failed_reasons=list(encoded.unreadable.values()),
        num_without_gradients=num_failing,
        ids_without_targets=silent,
        num_tokens=count.whole,
        num_tokens_read=count.read,
        num_positions=count.positions,
    )


@dataclass
class PartsProgress:
    """Counts the texts of some parts."""

    done: int
    total: int
    on_progress: ProgressSink

    @classmethod
    def over(
        cls, plan: Plan, chosen: Iterable[int], missing: Collection[int], on_progress: ProgressSink
    ) -> "PartsProgress":
        """Those of the chosen parts that are not missing are done."""
        sizes = {number: len(plan.rows_of(number)) for number in chosen}
        return cls(
            sum(size for number, size in sizes.items() if number not in missing), sum(sizes.values()), on_progress
        )

    def add(self, num_examples: int, num_tokens: int) -> None:
        """Count the texts of a batch."""
        self.done += num_examples
        self.on_progress("gradients", self.done, self.total)
