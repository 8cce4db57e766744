"""The whole quality table again: every method on every truth, in one command.

    python -m benchmarks.quality FOLDER … [--work FOLDER] [--json FILE] [--table FILE] [--only NAME …]

A truth is a folder as ``python -m benchmarks.truths`` makes it: train.jsonl, query.jsonl, model/, truth.npz and, for
the longest sequence, recipe.toml. Each gets a workspace, an index of every configuration, and one evaluation of them
beside the uncompressed references. What `lorif evaluate lds` measures is what the table shows, column by column.
Workspaces under ``--work`` are gone on with: an index that is there is not built again.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from benchmarks.truths.train_checkpoints import CHECKPOINTS, find_checkpoints
from lorif_core.cli.process import prepare_process
from lorif_core.config import BatchConfig, ImportConfig, ModelConfig, Normalisation
from lorif_core.errors import LorifError
from lorif_core.evaluation.recipe import read_recipe
from lorif_core.members_config import MembersConfig
from lorif_core.methods.method_settings import IndexConfig, MethodSettings
from lorif_core.methods.registry import DEFAULT_METHOD, METHODS, method_settings
from lorif_core.workspace.quality.evaluate import Evaluation
from lorif_core.workspace.workspace import Workspace, create_workspace

PERTURBED = "perturbed"
"""Where in a truth's folder `lorif perturb` put its models."""

BUDGETS = ("0.5KB", "1KB", "2KB", "4KB", "8KB")


class Configuration(NamedTuple):
    """An index to be measured."""

    method: MethodSettings
    include: tuple[str, ...] = ()
    """Patterns of modules; empty: what the method tracks by itself."""

    segments: int | None = None
    """Of the training, whose checkpoints are members; None: the model alone. A truth has them from
    ``python -m benchmarks.truths.train_checkpoints``."""

    refits: bool = False
    """Whether it is the index of another one with another curvature, so that it is measured by itself, at the end."""

    needs_perturbed: bool = False
    """Whether it compares the losses of models that `lorif perturb … --out FOLDER/perturbed` made of the truth's."""


CONFIGURATIONS: Mapping[str, Configuration] = {
    "default": Configuration(method_settings(DEFAULT_METHOD)),
    **{budget: Configuration(method_settings(DEFAULT_METHOD, budget=budget)) for budget in BUDGETS},
    "2KB without the head": Configuration(method_settings(DEFAULT_METHOD, budget="2KB", head_columns=0)),
    "2KB with attention": Configuration(method_settings(DEFAULT_METHOD, budget="2KB"), ("*",)),
    "2KB of 0.1": Configuration(method_settings(DEFAULT_METHOD, budget="2KB", head_columns=0), ("*",)),
    "lorif": Configuration(method_settings("lorif")),
    "logra": Configuration(method_settings("logra")),
    "graddot-index": Configuration(method_settings("graddot"), refits=True),
    "factgrass": Configuration(method_settings("factgrass")),
    "grass": Configuration(method_settings("grass")),
    "trak": Configuration(method_settings("trak")),
    "source": Configuration(method_settings("source"), segments=3),
    "daunce": Configuration(method_settings("daunce"), needs_perturbed=True),
}
"""What is built, by the name in the table."""

REFERENCES = ("kfac:0.003", "ekfac:0.003", "kfac+head:0.003", "ekfac+head:0.003", "graddot")
"""What nothing is stored of, with the ratio that does best on t0-gpt2; words alone are always beside them."""

SUMMARISED = ("lds", "partial")
"""Figures that have a table over all truths."""

Row = dict[str, Any]
Say = Callable[[str], None]


def main(words: list[str] | None = None) -> int:
    """Measure, write JSON and print the table."""
    given = _parser().parse_args(words)
    prepare_process()
    chosen = given.only or list(CONFIGURATIONS)
    results: dict[str, list[Row]] = {}
    with TemporaryDirectory(prefix="lorif-quality-") as temporary:
        for folder in given.folders:
            name = folder.resolve().name
            try:
                workspace = create_workspace((given.work or Path(temporary)) / name)
                results[name] = measure_truth(
                    workspace, folder, chosen, references=given.references, normalisations=given.normalisations
                )
            except LorifError as error:
                print(f"benchmarks.quality: {name}: {error}", file=sys.stderr)
                return 2
            if given.json is not None:  # after every truth: the next one may take an hour
                given.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    table = markdown(results)
    if given.table is not None:
        given.table.write_text(table, encoding="utf-8")
    print(table)
    return 0


def measure_truth(
    workspace: Workspace,
    folder: Path,
    configurations: Sequence[str],
    *,
    references: Sequence[str] = REFERENCES,
    normalisations: Sequence[Normalisation] = ("none",),
) -> list[Row]:
    """One line per configuration and reference, best first, with every figure of ``Evaluation.lds``.

    Raises:
        LorifError: The folder is no truth, or a configuration cannot be built.
    """
    say = _say_for(workspace.path.name)
    workspace.data.import_files(folder / "train.jsonl", settings=ImportConfig(keep_empty=True))
    refitted = [one for one in configurations if CONFIGURATIONS[one].refits]
    rounds = [[one for one in configurations if one not in refitted], *([one] for one in refitted)]
    found: list[Row] = []
    for number, chosen in enumerate(one for one in rounds if one):
        names = _build(workspace, folder, chosen, say)
        candidates = [*names, *(references if number == 0 else ())]
        if not candidates and number < len(refitted):  # what was left out leaves the next to be measured
            continue
        say(f"scoring {len(candidates)} candidates")
        rows = Evaluation(workspace).lds(
            folder / "query.jsonl", folder / "truth.npz", candidates=candidates, normalisations=normalisations
        )
        found += [
            {"configuration": names.get(row.candidate, row.candidate), **asdict(row)}
            for row in rows
            if number == 0 or row.candidate in names
        ]
    return sorted(found, key=lambda row: row["lds"], reverse=True)


def _build(workspace: Workspace, folder: Path, configurations: Sequence[str], say: Say) -> dict[str, str]:
    """The configurations by the ids of their indexes."""
    names: dict[str, str] = {}
    for configuration in configurations:
        settings = _settings(folder, CONFIGURATIONS[configuration])
        if settings is None:
            say(f"{configuration}: left out, as {folder} has no {CHECKPOINTS} or {PERTURBED}")
            continue
        say(f"{configuration} …")
        started = time.perf_counter()
        record = workspace.indexes.build(settings)
        names.setdefault(record.index_id, configuration)
        say(f"{configuration}: index {record.index_id}, {time.perf_counter() - started:.0f} s")
    return names


def _settings(folder: Path, chosen: Configuration) -> IndexConfig | None:
    """Of an index; None where it needs further models, and the truth has none."""
    model, members, method = folder / "model", MembersConfig(), chosen.method
    if chosen.needs_perturbed:
        found = sorted(str(place) for place in (folder / PERTURBED).glob("*/"))
        if not found:
            return None
        method = method_settings(method.name, models=tuple(found))
    if chosen.segments is not None:
        places = find_checkpoints(folder / CHECKPOINTS)
        if not places:
            return None
        # The last one is the model again, by the same recipe, beside what its trainer said.
        model = places[-1]
        members = MembersConfig(checkpoints=tuple(map(str, places[:-1])), segments=chosen.segments)
    return IndexConfig(
        model=ModelConfig(model=str(model), include=chosen.include),
        method=method,
        batches=BatchConfig(max_length=_longest(folder)),
        members=members,
    )


def markdown(results: Mapping[str, Sequence[Row]]) -> str:
    """Plain and partial LDS of every configuration on every truth, then all figures of each truth."""
    lines = dict.fromkeys((row["configuration"], row["normalisation"]) for rows in results.values() for row in rows)
    parts = [_side_by_side(results)]
    for figure in SUMMARISED:
        found = [
            {(row["configuration"], row["normalisation"]): row[figure] for row in rows} for rows in results.values()
        ]
        cells = [[*line, *(by_line.get(line) for by_line in found)] for line in lines]
        parts.append(f"### {figure}\n\n" + _markdown_table(["method", "normalised", *results], cells))
    for name, rows in results.items():
        columns = [column for column in rows[0] if any(row[column] is not None for row in rows)]
        parts.append(
            f"### {name}\n\n" + _markdown_table(columns, [[row[column] for column in columns] for row in rows])
        )
    return "\n".join(parts)


def _side_by_side(results: Mapping[str, Sequence[Row]]) -> str:
    """Every configuration with its plain scores: LDS with its interval over subsets, bytes all in, passes, seconds.

    The default stands first, and what nothing is stored of last.
    """
    by_line: dict[str, dict[str, Row]] = {}
    for truth, rows in results.items():
        for row in rows:
            if row["normalisation"] == "none":
                by_line.setdefault(row["configuration"], {})[truth] = row
    order = {name: place for place, name in enumerate(CONFIGURATIONS)}
    cells: list[list[Any]] = []
    for line, found in sorted(by_line.items(), key=lambda item: order.get(item[0], len(order))):
        some = list(found.values())
        built = [row for row in some if row["total_bytes"] is not None]
        passes = METHODS[CONFIGURATIONS[line].method.name].passes if line in CONFIGURATIONS else None
        cells.append(
            [
                line,
                *(_with_interval(found[truth]) if truth in found else None for truth in results),
                _span([row["codes_bytes"] for row in built]),
                _span([row["total_bytes"] for row in built]),
                passes,
                _span([row["build_seconds"] for row in some if row["build_seconds"] is not None]),
                _span([row["query_seconds"] for row in some if row["query_seconds"] is not None]),
            ]
        )
    columns = ["bytes of codes", "bytes all in", "passes", "seconds to build", "seconds per question"]
    return "### Methods: LDS (interval over subsets)\n\n" + _markdown_table(["method", *results, *columns], cells)


def _with_interval(row: Row) -> str:
    return f"{row['lds']:.3f} ({row['subsets_low']:.3f} to {row['subsets_high']:.3f})"


def _span(numbers: Sequence[float]) -> str | None:
    """The smallest and the largest over the truths."""
    if not numbers:
        return None
    low, high = _cell(float(min(numbers))), _cell(float(max(numbers)))
    return low if low == high else f"{low} to {high}"


def _markdown_table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    head = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    return "\n".join([*head, *(f"| {' | '.join(map(_cell, row))} |" for row in rows)]) + "\n"


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3f}"
    return str(value).replace("|", "\\|")


def _longest(folder: Path) -> int:
    """Tokens of the longest sequence in training."""
    recipe = folder / "recipe.toml"
    return read_recipe(recipe).max_length if recipe.exists() else BatchConfig().max_length


def _say_for(name: str) -> Say:
    def say(text: str) -> None:
        print(f"{time.strftime('%H:%M:%S')} {name}: {text}", file=sys.stderr, flush=True)

    return say


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="benchmarks.quality", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER")
    parser.add_argument(
        "--work", type=Path, help="where workspaces are kept; unset: in a folder that goes at the end"
    )
    parser.add_argument("--json", type=Path, help="file for every figure")
    parser.add_argument("--table", type=Path, help="Markdown file; it is printed as well")
    parser.add_argument("--only", nargs="+", choices=list(CONFIGURATIONS), help="what is built; unset: everything")
    parser.add_argument("--references", nargs="*", default=list(REFERENCES), help="what is scored uncompressed")
    parser.add_argument("--normalisations", nargs="+", default=["none"], help="each is a line of its own")
    return parser


if __name__ == "__main__":
    sys.exit(main())
