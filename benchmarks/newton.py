"""Questions refined by the model's own Gauss–Newton matrix, judged by really retrained models.

    python -m benchmarks.newton FOLDER … [--work FOLDER] [--steps 1 2 5] [--batch 16 64] [--damping 1.0] [--json FILE]

A truth is a folder as ``python -m benchmarks.truths`` makes it. Each gets an index of the default method, whose plain
scores, scores refined by the stored codes and scores refined by the model stand under one another: LDS and partial
LDS with their intervals over subsets, what is left of the system, and seconds per question, capture not counted. One
solution of as many steps as the most gives all smaller numbers of steps on the way; its seconds are shared out by
steps. ``--every 2`` asks every second query only, and so do all lines.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lorif_core.cli.process import prepare_process
from lorif_core.config import BatchConfig, ImportConfig, ModelConfig, ScoreConfig
from lorif_core.errors import LorifError
from lorif_core.evaluation.recipe import read_recipe
from lorif_core.evaluation.truth import GroundTruth, load_truth
from lorif_core.linalg.linear_solvers import Matrices
from lorif_core.methods.method_settings import IndexConfig
from lorif_core.methods.registry import DEFAULT_METHOD, method_settings
from lorif_core.metrics.correlation import lds_intervals, partial_lds_intervals
from lorif_core.passes.queries import Query, QueryGradients
from lorif_core.passes.refined_queries import ModelRefinement, RefinedQueries, refine_by_model
from lorif_core.passes.scoring import iter_scores, plan_scoring
from lorif_core.passes.second_moments import sample_positions
from lorif_core.workspace.asking.member_plans import capture_members
from lorif_core.workspace.indexes.open_index import OpenIndex
from lorif_core.workspace.quality.candidates import as_a_text, read_query_examples, score_tokens
from lorif_core.workspace.workspace import Workspace, create_workspace

CODE_STEPS = (2,)
"""Of the refinement by codes, beside."""

Row = dict[str, Any]


class Judge(NamedTuple):
    """What really happened to the chosen queries, and the words that they share with the texts."""

    truth: GroundTruth
    losses: Tensor
    words: Tensor

    def figures(self, scores: Tensor) -> Row:
        """LDS and partial LDS with intervals over subsets."""
        found: Row = {}
        for name, one in (
            ("lds", lds_intervals(scores, self.truth.masks, self.losses)),
            ("partial", partial_lds_intervals(scores, self.words, self.truth.masks, self.losses)),
        ):
            found |= {name: one.mean, f"{name}_low": one.subsets_low, f"{name}_high": one.subsets_high}
        return found


def main(words: list[str] | None = None) -> int:
    """Measure, write JSON and print the tables."""
    given = _parser().parse_args(words)
    prepare_process()
    results: dict[str, list[Row]] = {}
    with TemporaryDirectory(prefix="lorif-newton-") as temporary:
        for folder in given.folders:
            name = folder.resolve().name
            results[name] = []
            try:
                workspace = create_workspace((given.work or Path(temporary)) / name)
                for row in measure_truth(workspace, folder, given):
                    results[name].append(row)
                    print(json.dumps(row), file=sys.stderr, flush=True)
                    if given.json is not None:
                        given.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
            except LorifError as error:
                print(f"benchmarks.newton: {name}: {error}", file=sys.stderr)
                return 2
    print(markdown(results))
    return 0


def measure_truth(workspace: Workspace, folder: Path, given: argparse.Namespace) -> Iterator[Row]:
    """A line per way to refine, the plain scores first.

    Raises:
        LorifError: The folder is no truth, or its model cannot be differentiated.
    """
    index = workspace.indexes.open(_index_of(workspace, folder))
    truth, rows = load_truth(folder / "truth.npz"), slice(None, None, given.every)
    words = score_tokens(workspace, index.index_id, folder / "query.jsonl").scores[rows]
    judge = Judge(truth, truth.losses[:, rows], words)
    queries = [as_a_text(index, one) for one in read_query_examples(folder / "query.jsonl")][rows]
    told = {"index": index.label, "num_queries": len(queries), "num_subsets": len(truth.masks)}
    (captured,) = capture_members(index, queries, ScoreConfig())
    for steps in (0, *CODE_STEPS):
        began = time.perf_counter()
        scores = _scores(index, captured.gradients, ScoreConfig(refine=steps))
        seconds = (time.perf_counter() - began) / len(queries)
        by = {"by": "codes" if steps else "plain", "steps": steps, "seconds_per_question": seconds}
        yield told | by | judge.figures(scores)
    for batch in given.batch:
        for damping in given.damping:
            for row in _by_model(index, captured.gradients, queries, given, batch, damping, judge):
                yield told | row


def _by_model(
    index: OpenIndex,
    gradients: QueryGradients,
    queries: Sequence[Query],
    given: argparse.Namespace,
    batch: int,
    damping: float,
    judge: Judge,
) -> Iterator[Row]:
    positions = sample_positions(index.reader.manifest.num_examples, batch, 0)
    texts = index.engine.encoder.encode_all(index.examples.examples_at(positions)).texts
    most = max(given.steps)
    asked = ScoreConfig(refine_by="model", refine=most, batch=batch, refine_damping=damping, solver=given.solver)
    found: list[Row] = []
    waited = 0.0
    began = time.perf_counter()

    def take(step: int, matrices: Matrices) -> None:
        nonlocal waited
        if step not in given.steps:
            return
        paused = time.perf_counter()
        seconds = (paused - began - waited) / len(queries)
        done = ModelRefinement(given.solver, step, batch, 0.0)
        refined = RefinedQueries(dict(matrices), gradients.objectives, gradients.stored, done)
        figures = judge.figures(_scores(index, refined, replace(asked, refine=step)))
        told = {"by": "model", "solver": given.solver, "batch": batch, "damping": damping, "steps": step}
        found.append(told | {"seconds_per_question": seconds} | figures)
        waited += time.perf_counter() - paused

    with index.engine.gradients() as source:
        solved = refine_by_model(
            source, gradients, texts, solver=given.solver, steps=most, ratio=damping, on_step=take
        )
    found[-1]["left"] = solved.refinement.residual
    return iter(found)


def _scores(index: OpenIndex, gradients: QueryGradients, asked: ScoreConfig) -> Tensor:
    """(Q, N)."""
    return torch.cat([part for _, part in iter_scores(plan_scoring(index.fitted, gradients, asked))], 1)


def _index_of(workspace: Workspace, folder: Path) -> str:
    """The id of the truth's index of the default method, which is built unless it is there."""
    workspace.data.import_files(folder / "train.jsonl", settings=ImportConfig(keep_empty=True))
    recipe = folder / "recipe.toml"
    longest = read_recipe(recipe).max_length if recipe.exists() else BatchConfig().max_length
    settings = IndexConfig(
        model=ModelConfig(model=str(folder / "model")),
        method=method_settings(DEFAULT_METHOD),
        batches=BatchConfig(max_length=longest),
    )
    return workspace.indexes.build(settings).index_id


def markdown(results: Mapping[str, Sequence[Row]]) -> str:
    """A table per truth."""
    names = ("by", "solver", "batch", "damping", "steps", "lds", "lds_low", "lds_high", "partial", "partial_low")
    names += ("partial_high", "left", "seconds_per_question")
    parts = []
    for truth, rows in results.items():
        lines = [f"### {truth}", "", f"| {' | '.join(names)} |", "|---" * len(names) + "|"]
        lines += [f"| {' | '.join(_cell(row.get(name)) for name in names)} |" for row in rows]
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def _cell(value: object) -> str:
    return "–" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="benchmarks.newton", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER")
    parser.add_argument(
        "--work", type=Path, help="where workspaces are kept; unset: in a folder that goes at the end"
    )
    parser.add_argument("--steps", type=int, nargs="+", default=[1, 2, 5, 10], help="each is a line")
    parser.add_argument("--batch", type=int, nargs="+", default=[64], help="texts of the curvature, each a line")
    parser.add_argument(
        "--damping", type=float, nargs="+", default=[1.0], help="over coordinates per token of the batch"
    )
    parser.add_argument("--solver", choices=("cg", "lissa"), default="cg")
    parser.add_argument("--every", type=int, default=1, help="ask every n-th query only")
    parser.add_argument("--json", type=Path, help="file for every figure")
    return parser


if __name__ == "__main__":
    sys.exit(main())
