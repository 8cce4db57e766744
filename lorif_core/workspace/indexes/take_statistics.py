"""The second moments behind half-whitened codes: taken once per model and data set, group by group, kept, resumed."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import torch

from lorif_core.catalog import DatasetRecord
from lorif_core.data.sequences import EncodedText, add_counts, count_tokens
from lorif_core.linalg.maps import ModuleMaps
from lorif_core.linalg.whitening import Moments
from lorif_core.methods.protocol import StatisticsSample
from lorif_core.passes.layer_groups import families, layer_groups
from lorif_core.passes.second_moments import add_moments, empty_moments, placed_moments, sample_order
from lorif_core.shapes import ModuleShape
from lorif_core.store.plan import Parents
from lorif_core.store.statistics import Progress, read_moments, write_moments
from lorif_core.weights import family_of
from lorif_core.workspace.folder.progress import ProgressSink
from lorif_core.workspace.folder.workspace_files import WorkspaceFiles
from lorif_core.workspace.indexes.build_memory import room_for_moments
from lorif_core.workspace.indexes.engine import Engine
from lorif_core.workspace.indexes.failing_sample import check_moments, failing_in_sample
from lorif_core.workspace.indexes.failing_texts import is_of_a_text, most_failing, too_many, untaken
from lorif_core.workspace.indexes.free_memory import free_bytes
from lorif_core.workspace.indexes.statistics_files import statistics_file

EXAMPLES_PER_STEP = 64
"""Examples summed between two possible checkpoints; part of the result up to float rounding, so fixed."""

SECONDS_PER_CHECKPOINT = 30

CHECKPOINT_SHARE = 10
"""A checkpoint is not written before this many times what the last one took has gone by."""


def iter_maps(
    files: WorkspaceFiles, dataset: DatasetRecord, engine: Engine, sample: StatisticsSample, on_progress: ProgressSink
) -> Iterator[tuple[str, ModuleMaps]]:
    """Half-whitening maps of tracked modules, one after another, from statistics that are taken now or were before.

    Args:
        files: The workspace.
        dataset: The texts.
        engine: Its modules are those whose maps are made.
        sample: Of the texts.
        on_progress: Receives ("statistics", examples done, all of every pass), then ("roots", modules done, all).

    Raises:
        NumericalError: A module's statistics are not finite, or zero.
    """
    projection = engine.method.projection
    by_name = {module.name: module for module in engine.modules}
    done = 0
    for moments in iter_statistics(files, dataset, engine, sample, on_progress):
        for name in moments:
            on_progress("roots", done, len(by_name))
            yield name, projection.maps(by_name[name], reached_moments(name, moments))
            done += 1
    on_progress("roots", done, len(by_name))


def statistics_paths(
    files: WorkspaceFiles, dataset: DatasetRecord, engine: Engine, sample: StatisticsSample
) -> dict[Path, list[ModuleShape]]:
    """Where the statistics of the tracked modules lie, or would, and the modules of each file."""
    statistics = _Statistics(files, dataset, engine, sample)
    return {statistics.path(family): family for family in families(engine.modules)}


def reached_moments(name: str, moments: Mapping[str, Moments]) -> Moments:
    """A module's moments; those of all experts of its layer together, for one that no token of the sample reached."""
    own = moments[name]
    if own.inputs.any() and own.output_grads.any():
        return own
    family = [one for other, one in moments.items() if family_of(other) == family_of(name)]
    inputs = torch.stack([one.inputs for one in family]).sum(0)
    output_grads = torch.stack([one.output_grads for one in family]).sum(0)
    counts = (sum(one.num_tokens for one in family), sum(one.num_inputs for one in family))
    return Moments(inputs, output_grads, *counts)


def take_statistics(
    files: WorkspaceFiles, dataset: DatasetRecord, engine: Engine, sample: StatisticsSample, on_progress: ProgressSink
) -> dict[str, Moments]:
    """Second moments of every tracked module over a sample, all in memory."""
    found: dict[str, Moments] = {}
    for moments in iter_statistics(files, dataset, engine, sample, on_progress):
        found |= moments
    return found


def iter_statistics(
    files: WorkspaceFiles, dataset: DatasetRecord, engine: Engine, sample: StatisticsSample, on_progress: ProgressSink
) -> Iterator[dict[str, Moments]]:
    """Second moments of some tracked modules after others: kept ones first, then one pass for each group.

    A group is as many layers as there is memory for. An interrupted pass goes on where it was saved.
    """
    statistics = _Statistics(files, dataset, engine, sample)
    missing: list[ModuleShape] = []
    for family in families(engine.modules):
        kept = statistics.kept(family)
        if kept is None:
            missing += family
        else:
            yield kept
    if not missing:
        return
    texts = statistics.texts()
    groups = layer_groups(missing, room_for_moments(free_bytes(engine.loaded.device)))
    for number, group in enumerate(groups):

        def say(done: int, number: int = number) -> None:
            on_progress("statistics", number * len(texts) + done, len(groups) * len(texts))

        yield statistics.take(group, texts, say)


class _Statistics:
    """Statistics of one model, sample and data set: where they lie and how they are taken."""

    def __init__(
        self, files: WorkspaceFiles, dataset: DatasetRecord, engine: Engine, sample: StatisticsSample
    ) -> None:
        self.files, self.dataset, self.engine, self.sample = files, dataset, engine, sample
        loaded = engine.loaded
        self.parents = Parents(dataset.fingerprint, loaded.fingerprint, loaded.tokenizer_fingerprint)

    def path(self, family: Sequence[ModuleShape]) -> Path:
        """Where the moments of a family lie."""
        cut = (self.engine.encoder.max_length, self.engine.stride)
        return statistics_file(self.files, self.parents, family, cut, self.sample, self.engine.precision)

    def kept(self, family: Sequence[ModuleShape]) -> dict[str, Moments] | None:
        """A family's moments, if they are there and of the whole sample."""
        found = self._read(family)
        return found[0] if found is not None and found[1].is_complete else None

    def texts(self) -> dict[int, EncodedText]:
        """The texts of the sample by their positions in the data set, in its order."""
        examples, encoder = self.files.examples(self.dataset.dataset_id), self.engine.encoder
        order = sample_order(self.dataset.num_examples, self.sample.seed)
        found: dict[int, EncodedText] = {}
        wanted, tokens = self.sample.num_examples, 0
        while len(found) < min(wanted, len(order)) or (tokens < self.sample.num_tokens and len(found) < len(order)):
            positions = sorted(order[len(found) : max(wanted, len(found) + EXAMPLES_PER_STEP)])
            texts = encoder.encode_all(examples.examples_at(positions)).texts
            found |= zip(positions, texts, strict=True)
            tokens += add_counts(map(count_tokens, texts)).positions
        return {position: found[position] for position in sorted(found)}

    def take(
        self, group: Sequence[ModuleShape], texts: Mapping[int, EncodedText], say: Callable[[int], None]
    ) -> dict[str, Moments]:
        """Second moments of a group over the texts of the sample; kept at the end, and now and then before.

        Texts that fail are left out.

        Raises:
            CaptureError: More fail than may.
        """
        try:
            return self._sum(group, list(texts.values()), say)
        except Exception as error:  # whatever a text makes a model do
            failing = is_of_a_text(error, self.engine.loaded.model) and self._failing(group, texts)
            if not failing:
                raise
        return self._sum(group, [text for position, text in texts.items() if position not in failing], say)

    def _failing(self, group: Sequence[ModuleShape], texts: Mapping[int, EncodedText]) -> dict[int, str]:
        with self.engine.frozen_model():
            found = failing_in_sample(self.engine, group, texts)
        if len(found) > most_failing(self.dataset.num_examples):
            examples = self.files.examples(self.dataset.dataset_id).examples_at(list(found))
            reasons = map(untaken, found.values())
            raise too_many(dict(zip((one.train_id for one in examples), reasons, strict=True)))
        return found

    def _sum(
        self, group: Sequence[ModuleShape], texts: Sequence[EncodedText], say: Callable[[int], None]
    ) -> dict[str, Moments]:
        model, (moments, done) = self.engine.loaded.model, self._begun(group, len(texts))
        placed = placed_moments(model, moments)
        saved, took = time.monotonic(), 0.0
        with self.engine.frozen_model():
            while done < len(texts):
                chosen = texts[done : done + EXAMPLES_PER_STEP]
                add_moments(
                    model,
                    placed,
                    chosen,
                    pad_id=self.engine.pad_id,
                    tokens_per_batch=self.engine.batches.tokens_per_batch,
                    in_bfloat16=self.engine.precision == "bfloat16",
                )
                done += len(chosen)
                say(done)
                began = time.monotonic()
                if done == len(texts) or began - saved > max(SECONDS_PER_CHECKPOINT, CHECKPOINT_SHARE * took):
                    check_moments(placed)
                    self._write(group, placed, Progress(done, len(texts)))
                    saved = time.monotonic()
                    took = saved - began
        return placed

    def _begun(self, group: Sequence[ModuleShape], num_texts: int) -> tuple[dict[str, Moments], int]:
        """Moments of a pass that was interrupted, if it was over this group; else of none."""
        found = [self._read(family) for family in families(group)]
        kept = [one for one in found if one is not None]
        if len(kept) == len(found) and {one[1] for one in kept} == {Progress(kept[0][1].num_examples, num_texts)}:
            return {name: moment for moments, _ in kept for name, moment in moments.items()}, kept[0][1].num_examples
        return empty_moments(group), 0

    def _read(self, family: Sequence[ModuleShape]) -> tuple[dict[str, Moments], Progress] | None:
        path = self.path(family)
        return read_moments(path, [module.name for module in family]) if path.exists() else None

    def _write(self, group: Sequence[ModuleShape], moments: Mapping[str, Moments], progress: Progress) -> None:
        for family in families(group):
            write_moments(self.path(family), {module.name: moments[module.name] for module in family}, progress)
