"""A run: gradients of the texts that a training loop trains on, taken while it does.

Maps that need statistics are made from the first batches: as many as the method asks for, or all of the first epoch.
From then on rows are stored; a text that came before is stored when it comes again. Random maps store from the start.
Of a text that comes several times for one member the last row counts: it is of the weights nearest to the end.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lorif_core.capture.layouts import Segments
from lorif_core.capture.loop_check import LoopCheck
from lorif_core.capture.loop_hooks import LoopBatch, LoopWatch
from lorif_core.errors import CaptureError, DataError, NumericalError
from lorif_core.linalg.gradients import ProjectedGradient
from lorif_core.linalg.maps import ModuleMaps
from lorif_core.methods.protocol import StatisticsSample
from lorif_core.passes.loop_batches import LoopRows, LoopStatistics, whole_maps
from lorif_core.passes.second_moments import empty_moments
from lorif_core.passes.shards import GradientSource
from lorif_core.store.statistics import read_maps, write_maps
from lorif_core.workspace.folder.progress import ProgressSink, no_progress
from lorif_core.workspace.indexes.name_members import OWN
from lorif_core.workspace.indexes.take_statistics import reached_moments
from lorif_core.workspace.runs import processes
from lorif_core.workspace.runs.join_run import join_run, refuse_missing
from lorif_core.workspace.runs.missing_texts import rows_of_missing
from lorif_core.workspace.runs.row_files import POSITION, STEP, RowWriter, last_step, stored_rows
from lorif_core.workspace.runs.run_files import RunFiles
from lorif_core.workspace.runs.text_places import HashedIds, TextPlaces, plain_ids

EPOCH = "epoch"

_DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout)


class TrainingRun:
    """What a training loop tells of its batches, while it lasts."""

    def __init__(self, run: RunFiles, watch: LoopWatch) -> None:
        self.run, self._watch = run, watch
        self._model = run.loop
        self._texts = TextPlaces(run.examples)
        self._writer = RowWriter(run.place, processes.rank())
        self._step = 1 + last_step(run.place)
        self.member = run.member
        """Number of the member that is trained now."""

        self._has = stored_rows(run.place, self.member, self._texts.num_examples).file >= 0
        self._own = self._has.copy()
        """Texts that this process has stored for the member."""

        self._source: GradientSource | None = None
        self._statistics: LoopStatistics | None = None
        self._sample = StatisticsSample(0, 0)
        self._met = np.zeros(0, bool)
        self._is_checked = processes.is_divided()  # there the weights' gradients are means over processes
        self._batch: LoopBatch | None = None
        self._mask: Tensor | None = None
        self.index_id: str | None = None
        """Of what the run became."""

        self.has_dropout = False
        """Whether gradients were taken while dropout left numbers out."""

        self.num_overflowed = 0
        """Texts of batches that a gradient scaler left out, because a gradient was not finite."""

        self._begin()

    def _begin(self) -> None:
        model, sample = self._model, self._model.method.projection.sample(self._model.modules)
        if sample is None:
            maps = {module.name: model.method.projection.maps(module, None) for module in model.modules}
            self._source = model.source(maps)
            return
        found = read_maps(self.run.place, model.names) or self.run.maps_to_take()
        if found.keys() == set(model.names):
            self._use(found)
            return
        moments = {name: one.to(model.device_of(name)) for name, one in empty_moments(model.modules).items()}
        self._sample = sample
        self._met = np.zeros(self._texts.num_examples, bool)
        self._statistics = LoopStatistics(moments, model.in_bfloat16)

    def _use(self, maps: Mapping[str, ModuleMaps]) -> None:
        write_maps(self.run.place, maps)
        self._source, self._statistics = self._model.source(maps), None

    @property
    def is_storing(self) -> bool:
        """Whether rows are stored, or statistics are still taken for the maps."""
        return self._source is not None

    @property
    def num_stored(self) -> int:
        """Texts that this process has stored for the member."""
        return int(self._has.sum())

    @contextmanager
    def batch(
        self,
        ids: Any,
        *,
        targets: float | Sequence[float] | Tensor | None,
        mask: Tensor | None = None,
        segments: Any = None,
        accumulation: int = 1,
        scaler: Any = None,
    ) -> Iterator[LoopBatch]:
        """Take the gradients of a batch whose forward and backward pass lie in the block.

        If the block raises, nothing of the batch is kept, and the run goes on.

        Args:
            ids: Of the texts, in the order of the rows of what the model is given; of packed rows one list per row.
            targets: What the loss was divided by to be a mean: the number of target tokens or terms of the batch; 1
                for a sum; or one number per text. None: the block sets ``divisors`` of what it is given, before
                ``backward``.
            mask: Which tokens are no padding, (rows, T). Unset: the model's ``attention_mask``, or all.
            segments: Of packed rows, which of the row's ids each token is of, (rows, T), counted from 0; negative for
                none.
            accumulation: What the loss was divided by besides, for gradients that several batches accumulate.
            scaler: The ``GradScaler`` that the loss was scaled by.

        Raises:
            DataError: An id is none of the data set's, or they are not as many as the rows.
            CaptureError: The gradients cannot be told apart, or are none of a tracked module.
            NumericalError: A gradient is not finite, and there is no scaler that skips the step.
        """
        positions, batch = self._batch_of(ids, segments)
        if targets is not None:
            batch.divisors = _divisors(targets, accumulation, scaler, batch.num_texts)
        if mask is not None:
            batch.num_tokens = mask.shape[1]
        self._leave_member(positions)
        self._batch, self._mask = batch, mask
        try:
            yield from self._take(positions, batch, scaler)
        finally:
            self._batch = self._mask = None
        self._step += 1

    def _take(self, positions: Tensor, batch: LoopBatch, scaler: Any) -> Iterator[LoopBatch]:
        if self._source is None:
            yield from self._sum(positions, batch)
            return
        unique, places = torch.unique(positions, return_inverse=True)
        if len(unique) == len(positions):
            unique, places = positions, torch.arange(len(positions))
        rows = LoopRows(self._source, places)
        check = self._new_check(self._source.maps)

        def take(name: str, gradient: ProjectedGradient) -> None:
            if check is not None:
                check.take(name, gradient, batch)
            rows.take_module(name, gradient)

        with self._watch.batch(self._source.maps, take, batch, narrows=self._model.in_bfloat16):
            yield batch
        self._check_seen(batch)
        self._finish_check(check, batch)
        try:
            tensors = rows.finish()
        except NumericalError as error:
            if scaler is None:
                raise NumericalError(
                    f"a gradient of the batch with {self._told(positions)} is not finite, so nothing of it can be "
                    "stored: lower the learning rate, or say `scaler=` where one scales the loss and skips the step."
                ) from error
            self.num_overflowed += len(unique)
            return
        count = len(unique)
        numbers = torch.zeros(count, dtype=torch.int64).index_add_(0, places, self._lengths(batch))
        tensors |= {
            "num_tokens": numbers.to(torch.int32),
            POSITION: unique.to(torch.int32),
            STEP: torch.full((count,), self._step, dtype=torch.int32),
        }
        self._writer.add(self.member, tensors)
        self._has[unique.numpy()] = self._own[unique.numpy()] = True

    def _sum(self, positions: Tensor, batch: LoopBatch) -> Iterator[LoopBatch]:
        """Take a batch into the statistics."""
        statistics = self._statistics
        assert statistics is not None
        maps = whole_maps(statistics.moments)
        if self._met[positions.numpy()].any() and not processes.is_divided():
            self._make_maps()
            yield from self._take(positions, batch, None)
            return
        check = self._new_check(maps)

        def take(name: str, gradient: ProjectedGradient) -> None:
            if check is not None:
                check.take(name, gradient, batch)
            statistics.take(name, gradient, batch, self._mask)

        with self._watch.batch(maps, take, batch, keeps_tokens=True):
            yield batch
        self._check_seen(batch)
        self._finish_check(check, batch)
        is_repeated = bool(self._met[positions.numpy()].any())
        self._met[positions.numpy()] = True
        numbers = [len(positions), int(self._lengths(batch).sum()), int(is_repeated)]
        counted = processes.sum_over_all(torch.tensor(numbers)).tolist()
        statistics.num_examples += counted[0]
        statistics.num_tokens += counted[1]
        if self._suffices(statistics) or counted[2]:
            self._make_maps()

    def _suffices(self, statistics: LoopStatistics) -> bool:
        wanted = min(self._sample.num_examples, self._texts.num_examples)
        has_tokens = statistics.num_tokens >= self._sample.num_tokens
        has_all = statistics.num_examples >= self._texts.num_examples
        return statistics.num_examples >= wanted and (has_tokens or has_all)

    def _make_maps(self) -> None:
        statistics = self._statistics
        assert statistics is not None
        processes.sum_moments(statistics.moments)
        projection, by_name = self._model.method.projection, {one.name: one for one in self._model.modules}
        if processes.rank() == 0:
            for name in statistics.moments:
                maps = projection.maps(by_name[name], reached_moments(name, statistics.moments))
                write_maps(self.run.place, {name: maps})
            self.run.write_statistics(statistics.num_examples, statistics.num_tokens)
        processes.wait_for_all()
        self._use(read_maps(self.run.place, self._model.names))

    def _batch_of(self, ids: Any, segments: Any) -> tuple[Tensor, LoopBatch]:
        if isinstance(ids, HashedIds):
            return self._texts.find_hashed(ids, lambda place: f"number {place + 1}"), LoopBatch(len(ids.hashes), None)
        listed = plain_ids(ids)
        if segments is None:
            if listed and isinstance(listed[0], (list, tuple)):
                raise DataError("rows that hold several texts need `segments`: which of its ids each token is of.")
            return self._texts.find(listed), LoopBatch(len(listed), None)
        numbers = torch.as_tensor(segments)
        counts = [len(one) for one in listed]
        if numbers.ndim != 2 or len(numbers) != len(listed):
            raise DataError(
                f"segments must be one row of numbers per row of ids, got the shape {tuple(numbers.shape)} for "
                f"{len(listed)} rows."
            )
        first = torch.tensor([0, *counts]).cumsum(0)[:-1, None]
        if bool((numbers >= torch.tensor(counts)[:, None]).any()):
            raise DataError("a segment must be the number of one of its row's ids, counted from 0; one is larger.")
        texts = torch.where(numbers < 0, -1, numbers + first)
        batch = LoopBatch(len(listed), None, numbers.shape[1], Segments(texts, sum(counts)))
        return self._texts.find([one for row in listed for one in row]), batch

    def _lengths(self, batch: LoopBatch) -> Tensor:
        """Tokens of each text, (texts,)."""
        if batch.segments is not None:
            return batch.segments.counts
        if self._mask is not None:
            return self._mask.sum(1).cpu()
        return torch.full((batch.num_rows,), batch.num_tokens or batch.rows_per_text)

    def on_forward(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """See in what the model is given how long its rows are; a hook before its forward pass."""
        batch = self._batch
        if batch is None:
            return
        if not self._is_checked and module.training:
            self.has_dropout |= any(one.p > 0 for one in module.modules() if isinstance(one, _DROPOUTS))
        if batch.segments is not None:
            return
        for one in (*args, *kwargs.values()):
            is_of_rows = isinstance(one, Tensor) and one.ndim == 2 and len(one) == batch.num_rows
            if is_of_rows and not one.is_floating_point():
                batch.num_tokens = one.shape[1]
                break
        mask = kwargs.get("attention_mask")
        if self._mask is None and isinstance(mask, Tensor) and mask.shape == (batch.num_rows, batch.num_tokens):
            self._mask = mask.detach().bool()

    def _check_seen(self, batch: LoopBatch) -> None:
        if not batch.seen:
            raise CaptureError(
                "the forward and the backward pass of a batch must lie inside `run.batch`, and of this one no "
                "product of a tracked layer was seen; nor is one where the model was compiled after `lf.log`."
            )
        if not batch.taken:
            raise CaptureError("a batch must be differentiated inside `run.batch`; `backward` was not called in it.")

    def _new_check(self, maps: Mapping[str, ModuleMaps]) -> LoopCheck | None:
        return None if self._is_checked else LoopCheck(self._model.model, maps, self._model.heads)

    def _finish_check(self, check: LoopCheck | None, batch: LoopBatch) -> None:
        if check is not None:
            check.finish(batch, in_bfloat16=self._model.in_bfloat16)
            self._is_checked = True

    def _told(self, positions: Tensor) -> str:
        (example,) = self.run.examples.examples_at([int(positions[0])])
        return f"text {example.train_id!r}"

    def _leave_member(self, positions: Tensor) -> None:
        if self.run.members == EPOCH and bool(self._own[positions.numpy()].any()):
            self.next_member()

    def next_member(self, name: str | None = None, model: str | None = None) -> None:
        """What is trained on from now on belongs to another member of the index's scores.

        Args:
            name: Of the member that ends; unset: its number.
            model: Where its model was saved; unset: it is saved now, beside the rows.
        """
        self.flush()
        with processes.first_alone() as is_first:
            if is_first:
                self.run.end_member(self.member, name, model)
        self.member += 1
        self._has = np.zeros(self._texts.num_examples, bool)
        self._own = self._has.copy()

    @property
    def missing(self) -> list[int]:
        """Places in the data set of texts that no process has stored for the member; what is written counts."""
        return stored_rows(self.run.place, self.member, self._texts.num_examples).missing

    def finish_missing(self) -> int:
        """Take what is missing with the model as it is now, in evaluation mode; how many texts that were.

        Of a model that is no language model the loop does so itself: a pass over ``missing_ids`` without steps.

        Raises:
            DataError: A text cannot be read, or nothing was trained on.
            ConfigError: The model is no language model, or there is no tokenizer.
        """
        self.flush()
        if self._source is None:
            self._make_maps()
        with processes.first_alone() as is_first:
            missing = self.missing if is_first else []
            assert self._source is not None
            for rows in rows_of_missing(self.run, self._source, missing, self._step):
                self._writer.add(self.member, rows)
            self.flush()
        return len(missing)

    @property
    def missing_ids(self) -> list[str]:
        """Ids of the texts that are missing."""
        return [example.train_id for example in self.run.examples.examples_at(self.missing)]

    def finish(
        self, model: str | Path | None = None, *, name: str = OWN, on_progress: ProgressSink = no_progress
    ) -> str:
        """End the run: the index of what was trained last, which answers with those of the other members; its id.

        Args:
            model: Folder where the trained model was saved, with its tokenizer; unset: it is saved in the workspace.
            name: Of the last member.
            on_progress: Receives (stage, done, total).

        Raises:
            DataError: Texts are missing.
            ModelError: The model cannot be loaded, or is another one.
        """
        self.flush()
        with processes.first_alone() as is_first:
            if is_first:
                for number in range(self.member + 1):
                    refuse_missing(self.run, number)
                place = None if model is None else str(Path(model).resolve())
                if self.member == self.run.member:
                    self.run.end_member(self.member, name, place)
                join_run(self.run, self.has_dropout, on_progress)
        self.index_id = self.run.index_ids()[0]
        return self.index_id

    def flush(self) -> None:
        """Have everything on the disk."""
        self._writer.flush(self.member)
        self._writer.wait()

    def close(self) -> None:
        """Have everything on the disk, and let go of the model."""
        self.flush()
        self._writer.close()


def _divisors(targets: Any, accumulation: int, scaler: Any, num_texts: int) -> float | Tensor:
    """What the gradients of each text are multiplied by to be those of its summed loss."""
    scale = accumulation / (1.0 if scaler is None else scaler.get_scale())
    if isinstance(targets, (int, float)) or (isinstance(targets, Tensor) and targets.numel() == 1):
        return _positive(float(targets)) * scale
    numbers = torch.as_tensor(targets, dtype=torch.float64)
    if numbers.shape != (num_texts,):
        raise DataError(
            f"targets must be one number, or one per text, got the shape {tuple(numbers.shape)} for {num_texts}."
        )
    _positive(float(numbers.min()))
    return numbers * scale


def _positive(number: float) -> float:
    if not 0 < number < float("inf"):
        raise DataError(
            f"targets is what the loss was divided by, and must be above 0, got {number:g}: say 1 for a loss that is "
            "a sum."
        )
    return number
