"""What of SOURCE matters on a truth: segments, optimiser, the rest of the curvature, how long training counts as.

    python -m benchmarks.source_variants FOLDER --work FOLDER [--json FILE] [--only NAME …]

FOLDER is a truth with checkpoints (``python -m benchmarks.truths.train_checkpoints``). One index of `source` with all
of them is built below ``--work``, or found there; every line is scored from what it stores, module by module:

    last          the last checkpoint alone, by its damped inverse as `lorif` has it
    average       the mean of all checkpoints' scores of that kind, each with the query in its own model
    products      the mean of all checkpoints' plain products with the query in the last one
    source L by   L segments; `x4`: as if the learning rates were four times as large; `rest 0`: no curvature outside
"""

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.truths.train_checkpoints import CHECKPOINTS, find_checkpoints
from lorif_core.cli.process import prepare_process
from lorif_core.config import BatchConfig, ImportConfig, ModelConfig, ScoreConfig
from lorif_core.evaluation.recipe import read_recipe
from lorif_core.evaluation.truth import load_truth
from lorif_core.linalg.spectra import Chain, Spectrum, mean_spectrum, remaining, response, spectrum_of
from lorif_core.members_config import MembersConfig
from lorif_core.methods.method_settings import IndexConfig
from lorif_core.methods.registry import method_settings
from lorif_core.metrics.correlation import LdsResult, lds_difference, lds_intervals, partial_lds_intervals
from lorif_core.passes.fitting import preconditioner_of
from lorif_core.passes.queries import capture_queries
from lorif_core.shapes import ModuleShape
from lorif_core.store.blocks import block_rows
from lorif_core.store.reader import StoreReader
from lorif_core.workspace.asking.score_file import as_a_text, read_query_examples
from lorif_core.workspace.indexes.open_index import OpenIndex
from lorif_core.workspace.quality.candidates import score_tokens
from lorif_core.workspace.workspace import Workspace, create_workspace

Rows = Mapping[str, float | str]
OfModule = Callable[["Family", ModuleShape], Tensor]
"""Scores that one module adds, (Q, N)."""


class Family:
    """Checkpoints, the first one first, with the queries in each."""

    def __init__(self, index: OpenIndex, queries: Path) -> None:
        assert index.members is not None
        assert index.members.training is not None
        self.training = index.members.training
        asked = [as_a_text(index, one) for one in read_query_examples(queries)]

        def capture(member: OpenIndex) -> tuple[str, StoreReader, dict[str, Tensor]]:
            with member.engine.gradients() as source:
                found = capture_queries(source, asked, ScoreConfig()).matrices
            return member.fitted.member.name, member.reader, found

        by_name = {name: (reader, found) for name, reader, found in index.over_members(capture)}
        order = [name for one in self.training.segments for name in one.members]
        self.readers = [by_name[name][0] for name in order]
        self.queries = [by_name[name][1] for name in order]
        self.rates = [one.rates for one in self.training.segments]
        self.curvature = index.fitted.curvature
        self._means: dict[tuple[int, int, str], Spectrum] = {}

    def mean(self, first: int, last: int, module: ModuleShape) -> Spectrum:
        """Of the curvatures of some checkpoints, kept from one variant to the next."""
        key = first, last, module.name
        if key not in self._means:
            self._means[key] = mean_spectrum([spectrum_of(one.subspace(module)) for one in self.readers[first:last]])
        return self._means[key]

    def rows(self, number: int, module: ModuleShape) -> Tensor:
        """Stored gradients of one checkpoint, (N, D)."""
        return torch.cat([block_rows(shard.block(module)) for shard in self.readers[number].iter_shards()])

    def query(self, number: int, module: ModuleShape) -> Tensor:
        """Of the queries in one checkpoint, (Q, D)."""
        return self.queries[number][module.name].flatten(1)


def damped(numbers: Sequence[int], family: Family, module: ModuleShape) -> Tensor:
    """The mean of some checkpoints' scores by their own damped inverses."""
    parts = [
        preconditioner_of(family.readers[number].subspace(module), family.curvature).apply(
            family.query(number, module)
        )
        @ family.rows(number, module).mT
        for number in numbers
    ]
    return torch.stack(parts).mean(0)


def products(family: Family, module: ModuleShape) -> Tensor:
    """The mean of plain products with the query in the last checkpoint."""
    query = family.query(-1, module)
    return torch.stack([query @ family.rows(number, module).mT for number in range(len(family.readers))]).mean(0)


def unrolled(
    num_segments: int, trained_by: str, scale: float, has_rest: bool, family: Family, module: ModuleShape
) -> Tensor:
    """SOURCE; the index has a segment for every checkpoint, and these are put together."""
    edges = [number * len(family.readers) // num_segments for number in range(num_segments + 1)]
    spectra: list[Spectrum] = []
    durations: list[float] = []
    for first, last in pairwise(edges):
        mean = family.mean(first, last, module)
        spectra.append(mean if has_rest else replace(mean, rest=0.0))
        durations.append(scale * sum(family.rates[first:last]) * _per_rate(family, module, mean.trace, trained_by))
    total = torch.zeros(len(family.query(-1, module)), family.readers[0].manifest.num_examples)
    for number, (first, last) in enumerate(pairwise(edges)):
        later = range(num_segments - 1, number, -1)
        kept = [remaining(spectra[one], durations[one]) for one in later]
        query = Chain((*kept, response(spectra[number], durations[number]))).apply(family.query(-1, module))
        total += query @ torch.stack([family.rows(one, module) for one in range(first, last)]).mean(0).mT
    return total


def _per_rate(family: Family, module: ModuleShape, trace: float, trained_by: str) -> float:
    if trained_by == "sgd":
        return 1 / family.training.num_targets
    numbers = module.in_features * module.out_features
    return (family.training.texts_per_step * numbers / (family.readers[0].manifest.num_examples * trace)) ** 0.5


def variants(num_checkpoints: int) -> dict[str, OfModule]:
    """What is compared, by its name; what takes longest comes last."""
    few = min(3, num_checkpoints)
    found: dict[str, OfModule] = {"last": partial(damped, [num_checkpoints - 1]), "products": products}
    for trained_by in ("adamw", "sgd"):
        found[f"source {few} {trained_by}"] = partial(unrolled, few, trained_by, 1.0, True)
    for scale in (0.0625, 0.25, 4.0, 16.0):
        found[f"source {few} adamw x{scale:g}"] = partial(unrolled, few, "adamw", scale, True)
    found[f"source {few} adamw rest 0"] = partial(unrolled, few, "adamw", 1.0, False)
    found["average"] = partial(damped, range(num_checkpoints))
    for count in sorted({1, 2, num_checkpoints} - {few}, reverse=True):
        found[f"source {count} adamw"] = partial(unrolled, count, "adamw", 1.0, True)
    return found


def measure(workspace: Workspace, folder: Path, only: Sequence[str] = ()) -> list[Rows]:
    """Plain and partial LDS of every variant, or of some in this order, and their differences to the first one."""
    workspace.data.import_files(folder / "train.jsonl", settings=ImportConfig(keep_empty=True))
    *others, own = find_checkpoints(folder / CHECKPOINTS)
    settings = IndexConfig(
        model=ModelConfig(model=str(own)),
        method=method_settings("source"),
        batches=BatchConfig(max_length=read_recipe(folder / "recipe.toml").max_length),
        members=MembersConfig(checkpoints=tuple(map(str, others)), segments=len(others) + 1, trained_by="adamw"),
    )
    index_id = workspace.indexes.build(settings).index_id
    queries, truth = folder / "query.jsonl", load_truth(folder / "truth.npz")
    words = score_tokens(workspace, index_id, queries).scores
    family = Family(workspace.indexes.open(index_id), queries)
    found: list[Rows] = []
    base: LdsResult | None = None
    known = variants(len(others) + 1)
    for name in only or known:
        of_module = known[name]
        scores = torch.stack([of_module(family, module) for module in family.readers[0].modules]).sum(0)
        plain = lds_intervals(scores, truth.masks, truth.losses)
        given_words = partial_lds_intervals(scores, words, truth.masks, truth.losses)
        base = base or plain
        found.append(_row(name, plain, base) | {"partial": given_words.mean})
        more = found[-1]
        print(
            f"{name:<24} {plain.mean:.3f} ({plain.subsets_low:.3f} to {plain.subsets_high:.3f}), above the first by "
            f"{more['difference']:.3f} ({more['low']:.3f} to {more['high']:.3f}), partial {given_words.mean:.3f}",
            flush=True,
        )
    return found


def _row(name: str, plain: LdsResult, base: LdsResult) -> dict[str, float | str]:
    above = lds_difference(plain, base)
    return {
        "variant": name,
        "lds": plain.mean,
        "subsets_low": plain.subsets_low,
        "subsets_high": plain.subsets_high,
        "difference": above.value,
        "low": above.low,
        "high": above.high,
    }


def main(words: list[str] | None = None) -> int:
    """Measure one truth."""
    parser = argparse.ArgumentParser(
        prog="benchmarks.source_variants", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--work", type=Path, required=True, help="where the workspace is kept")
    parser.add_argument("--json", type=Path, help="file for every figure")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="what is compared; unset: everything")
    given = parser.parse_args(words)
    prepare_process()
    found = measure(create_workspace(given.work), given.folder, given.only)
    if given.json is not None:
        given.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
