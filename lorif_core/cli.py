"""The command `lorif`: parse, call one workspace function, print, map errors to exit codes.

Results go to standard output, progress and messages to standard error. Exit codes: 0 done,
2 the person can fix it (one sentence), 130 interrupted, 1 a defect (traceback and a log file).
"""

import errno
import json
import os
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro
from tyro.conf import OmitArgPrefixes, Positional

from lorif_core.config import (
    BatchConfig,
    CurvatureConfig,
    FactorConfig,
    ImportConfig,
    IndexConfig,
    Method,
    ModelConfig,
    ScoreConfig,
)
from lorif_core.errors import ConfigError, LorifError
from lorif_core.views.text import visible

if TYPE_CHECKING:  # the engine imports torch; `lorif --help` must not
    from lorif_core.workspace.estimate import IndexEstimate

app = tyro.extras.SubcommandApp()

Json = Annotated[bool, tyro.conf.arg(name="json", help="Print one JSON object instead of tables.")]
TextArg = Annotated[str | None, tyro.conf.arg(constructor=str, metavar="STR")]
"""Any text, the word None included."""

DISK_PROBLEMS = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS)
"""What a person can fix; any other failure of the operating system is a defect until proven otherwise."""

STAGES = {
    "gradients": "gradients (examples)",
    "curvature": "curvature (modules)",
    "self-influence": "self-influence (shards)",
    "queries": "queries",
    "questions": "questions",
}


@app.command(name="demo")
def demo(workspace: Annotated[Path, tyro.conf.Positional] = Path("demo_workspace"), *, json: Json = False) -> None:
    """Build the demo workspace, ask why its model thinks Sydney is the capital of Australia.

    The sample data holds true everyday facts and a few wrong ones from one unreliable source.
    Run again, it keeps what is there.
    """
    from lorif_core.workspace.demo import build_demo, demo_fact, read_answer_key, score_demo

    with _progress(json) as on_progress:
        built, index = build_demo(workspace, None if json else _print_estimate, on_progress)
        score, answers = score_demo(built, index.index_id, on_progress)
    shown = demo_fact(read_answer_key())
    answer = next(answer for fact, answer in answers if fact == shown)
    if json:
        _print_json({"index_id": index.index_id, "score": asdict(score), "answer": answer.to_dict()})
        return
    _console().print(answer)
    planted = sum(found in shown.planted_ids for found in answer.ids)
    _say(
        f"\nThe truth is{shown.truth} {planted} of the {len(shown.planted_ids)} texts planted for this wrong fact "
        f"are above. Over all {score.num_facts} planted facts ({score.num_wrong} answered wrong by the model), "
        f"recall@10 of the planted texts is {score.recall:.2f}. The answer key was read only for this sentence."
    )
    _say(f'\nAsk it something yourself:  lorif ask {workspace} --prompt "The currency of Japan is" --generate')


@app.command(name="import")
def import_(
    workspace: Positional[Path],
    files: Positional[tuple[Path, ...]],
    /,
    settings: OmitArgPrefixes[ImportConfig] = ImportConfig(),  # noqa: B008 - frozen
    *,
    json: Json = False,
) -> None:
    """Import texts: JSONL, JSON, CSV, Parquet or a saved Hugging Face data set folder.

    Columns are found by name (text, or prompt and completion, or messages) or given by flags; all
    others are kept as metadata. Bad rows are listed in a rejects file.

    Args:
        workspace: Folder of the workspace; made if it is not there yet.
        files: One or more data files.
        settings: How columns are read.
        json: Print one JSON object instead of text.
    """
    from lorif_core.workspace.workspace import create_workspace

    if not files:
        raise ConfigError("name at least one file to import, e.g. `lorif import my_workspace texts.jsonl`.")
    result = create_workspace(workspace).import_data(*files, settings=settings)
    report, dataset = result.report, result.dataset
    if json:
        _print_json(
            asdict(dataset)
            | {
                "is_new": result.is_new,
                "rejects_by_reason": report.rejects_by_reason,
                "rejects_file": result.rejects_file,
                "columns": report.columns.to_dict(),
                "metadata_columns": report.metadata_columns,
            }
        )
        return
    if not result.is_new:
        _say(f"Nothing added: these {dataset.num_examples} examples are there already, as {dataset.dataset_id}.")
    else:
        _say(f"Imported {dataset.num_examples} examples as {dataset.dataset_id} ({dataset.name}).")
    used = ", ".join(
        f"{name} = {column}" for name, column in report.columns.to_dict().items() if column and name != "kind"
    )
    _say(f"Columns: {used}. Metadata: {', '.join(report.metadata_columns) or 'none'}.")
    if report.num_duplicates:
        _say(f"{report.num_duplicates} rows repeat an earlier row's content; they are kept.")
    if report.num_rejected:
        reasons = ", ".join(f"{count} × {reason}" for reason, count in report.rejects_by_reason.items())
        _say(f"{report.num_rejected} rows could not be used: {reasons}. They are listed in {result.rejects_file}.")
    if result.is_new:
        _say(f"Next: lorif index {workspace} --model FOLDER")


@app.command(name="index")
def index(
    workspace: Annotated[Path | None, tyro.conf.Positional] = None,
    /,
    *,
    model: OmitArgPrefixes[ModelConfig],
    factors: OmitArgPrefixes[FactorConfig] = FactorConfig(),  # noqa: B008 - frozen
    curvature: OmitArgPrefixes[CurvatureConfig] = CurvatureConfig(),  # noqa: B008
    batches: OmitArgPrefixes[BatchConfig] = BatchConfig(),  # noqa: B008
    method: Method = "lorif",
    dataset: TextArg = None,
    list_modules: bool = False,
    dry_run: bool = False,
    json: Json = False,
) -> None:
    """Build an index: per-example gradients, factored and stored, and their curvature.

    Says first what it will cost. Interrupted (Ctrl-C, kill, full disk), the same command resumes
    behind the last finished shard. Another rank or damping reuses the stored gradients.

    Args:
        workspace: Folder of the workspace; not needed with --list-modules.
        model: The model and its tracked modules.
        factors: How a gradient becomes bytes.
        curvature: The preconditioner.
        batches: Sequences, batches and shards.
        method: lorif: factors and subspace curvature. graddot: no curvature. logra: whole gradients,
            full curvature (small models only).
        dataset: Name or id of the data set; may be left out when there is only one.
        list_modules: Only show every module, whether it is tracked, and why not.
        dry_run: Only say what the index would cost.
        json: Print one JSON object instead of tables.
    """
    settings = IndexConfig(model=model, method=method, factors=factors, curvature=curvature, batches=batches)
    if list_modules:
        _print_modules(settings, json)
        return
    if workspace is None:
        raise ConfigError("name the workspace folder: `lorif index WORKSPACE --model FOLDER`.")
    from lorif_core.workspace.workspace import open_workspace

    opened = open_workspace(workspace)
    if dry_run:
        index_id, estimate = opened.estimate(settings, dataset=dataset)
        if json:
            _print_json({"index_id": index_id, "estimate": asdict(estimate)})
        else:
            _print_estimate(index_id, estimate)
        return
    with _progress(json) as on_progress:
        record = opened.index(
            settings, dataset=dataset, on_estimate=None if json else _print_estimate, on_progress=on_progress
        )
    if json:
        _print_json(asdict(record))
        return
    from lorif_core.views.tables import human_bytes, human_seconds

    explained = opened.explained_energy(record.index_id)
    rate = record.total_bytes / record.num_examples if record.total_bytes else 0
    _say(
        f"Index {record.index_id} is complete: {record.num_examples} examples, {record.num_modules} modules, "
        f"{human_bytes(record.total_bytes or 0)} on disk ({human_bytes(rate)} per example, everything counted), "
        f"built in {human_seconds(record.build_seconds or 0)}."
    )
    _say(f"The stored factors keep {explained:.0%} of the squared norm of the projected gradients.")
    if record.num_truncated:
        _say(
            f"{record.num_truncated} examples were cut at {record.max_length} tokens; `--max-length` sets the limit."
        )
    _say(f'Next: lorif ask {workspace} --prompt "…" --generate')


@app.command(name="ask")
def ask(
    workspace: Positional[Path],
    /,
    settings: OmitArgPrefixes[ScoreConfig] = ScoreConfig(),  # noqa: B008 - frozen
    *,
    prompt: str,
    completion: TextArg = None,
    generate: bool = False,
    max_new_tokens: int = 32,
    temperature: float = 0.0,
    sampling_seed: int = 0,
    contrast: TextArg = None,
    tokens: TextArg = None,
    k: Annotated[int, tyro.conf.arg(aliases=["-k"])] = 10,
    opposing: int = 0,
    index: TextArg = None,
    model: TextArg = None,
    json: Json = False,
) -> None:
    """Ask which training texts made the model continue a prompt as it did.

    Give the completion, or let the model generate it. A completion usually starts with a space.

    Args:
        workspace: Folder of the workspace.
        settings: Objective, normalisation, damping.
        prompt: What the model was given.
        completion: What it said.
        generate: Let the model complete the prompt.
        max_new_tokens: Longest generated completion.
        temperature: 0 is greedy; above 0 samples.
        sampling_seed: Seed of the sampling.
        contrast: A second completion: why the first and not this one?
        tokens: Explain only these tokens of the completion, counted from 0, e.g. 0,2-4.
        k: Length of the list of supporting texts.
        opposing: Length of the list of opposing texts.
        index: Id of the index; unset: the newest complete one.
        model: Where the model lies now, if it was moved since the index was built.
        json: Print one JSON object instead of tables.
    """
    from dataclasses import replace

    from lorif_core.workspace.questions import GenerateConfig, joined_without_space
    from lorif_core.workspace.workspace import open_workspace

    if (completion is None) != generate:
        raise ConfigError("give either `--completion TEXT` or `--generate`, so that it is clear what is explained.")
    if contrast is not None and settings.objective == "loss":
        settings = replace(settings, objective="contrast")
    if k < 1 or opposing < 0:
        raise ConfigError(f"k must be at least 1 and opposing at least 0, got {k} and {opposing}.")
    chosen = None if tokens is None else parse_tokens(tokens)
    answer = open_workspace(workspace).ask(
        prompt,
        completion,
        contrast=contrast,
        tokens=chosen,
        k=k,
        num_opposing=opposing,
        settings=settings,
        generate=GenerateConfig(max_new_tokens=max_new_tokens, temperature=temperature, seed=sampling_seed),
        index_id=index,
        model=model,
    )
    if json:
        _print_json(answer.to_dict())
        return
    _console().print(answer)
    if joined_without_space(answer.question):
        _say("Note: prompt and completion were joined without a space between them; most completions start with one.")


@app.command(name="score")
def score(
    workspace: Positional[Path],
    /,
    settings: OmitArgPrefixes[ScoreConfig] = ScoreConfig(),  # noqa: B008 - frozen
    *,
    queries: Path,
    out: Path,
    index: TextArg = None,
    model: TextArg = None,
    force: bool = False,
    json: Json = False,
) -> None:
    """Score every training example on every query of a file; writes Parquet.

    Columns of the result: query_id, example_id, score.

    Args:
        workspace: Folder of the workspace.
        settings: Objective, normalisation, damping.
        queries: Data file with the same kinds of columns as `lorif import`; ids in query_id or id.
        out: Parquet file to write.
        index: Id of the index; unset: the newest complete one.
        model: Where the model lies now, if it was moved since the index was built.
        force: Replace an existing file.
        json: Print one JSON object instead of text.
    """
    from lorif_core.views.tables import human_bytes, human_seconds
    from lorif_core.workspace.workspace import open_workspace

    opened = open_workspace(workspace)
    with _progress(json) as on_progress:
        result = opened.score(
            queries, out, settings=settings, index_id=index, model=model, overwrites=force, on_progress=on_progress
        )
    if json:
        _print_json(asdict(result))
        return
    _say(
        f"Wrote {result.num_scores} scores ({result.num_queries} queries × {result.num_examples} examples) to "
        f"{result.file}, {human_bytes(result.size_bytes)}, in {human_seconds(result.elapsed_s)}."
    )


@app.command(name="doctor")
def doctor(workspace: Annotated[Path | None, tyro.conf.Positional] = None, /, *, json: Json = False) -> None:
    """Say what is installed; with a workspace, read every file of it and name the damaged ones.

    Exits with 2 when something is damaged or incomplete.

    Args:
        workspace: Folder of a workspace to check.
        json: Print one JSON object instead of tables.
    """
    from lorif_core.views.tables import human_bytes, key_value_table, records_table
    from lorif_core.workspace.doctor import describe_environment
    from lorif_core.workspace.workspace import open_workspace

    opened = open_workspace(workspace) if workspace is not None else None
    environment = describe_environment(workspace or Path())
    report = opened.check() if opened is not None else None
    if json:
        _print_json({"environment": asdict(environment), "workspace": None if report is None else asdict(report)})
    else:
        rows = asdict(environment)
        packages = rows.pop("packages")
        for name in ("memory_bytes", "free_memory_bytes", "free_disk_bytes"):
            rows[name.removesuffix("_bytes").replace("_", " ")] = human_bytes(rows.pop(name))
        rows["devices"] = "; ".join(rows["devices"])
        _console().print(key_value_table("Machine", rows))
        _console().print(
            key_value_table("Packages", {name: version or "not installed" for name, version in packages.items()})
        )
        if opened is not None and report is not None:
            indexes = [
                [r.index_id, r.method, r.status, r.num_examples, human_bytes(r.total_bytes or 0)]
                for r in opened.indexes()
            ]
            _console().print(records_table("Indexes", ["id", "method", "status", "examples", "size"], indexes))
            _say(f"Read {report.num_files} files, {human_bytes(report.size_bytes)}: {len(report.findings)} problems.")
            for finding in report.findings:
                _say(f"  {finding.artefact}: {finding.problem}")
    if report is not None and report.findings:
        sys.exit(2)


def parse_tokens(text: str) -> list[int]:
    """Token positions from a list like ``0,2-4``.

    Raises:
        ConfigError: The text is no such list.
    """
    positions: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        last = last if dash else first
        if not first.isdecimal() or not last.isdecimal() or int(first) > int(last):
            raise ConfigError(f"tokens must be a list of positions like 0,2-4, got {text!r}.")
        positions += range(int(first), int(last) + 1)
    return positions


def _print_modules(settings: IndexConfig, as_json: bool) -> None:
    from lorif_core.views.tables import records_table
    from lorif_core.workspace.workspace import list_model_modules

    entries, engine = list_model_modules(settings)
    projected = {module.name: (module.d_in, module.d_out) for module in engine.modules}
    if as_json:
        _print_json(
            {
                "modules": [
                    asdict(e) | {"is_tracked": e.is_tracked, "projected": projected.get(e.name)} for e in entries
                ]
            }
        )
        return
    rows = []
    for entry in entries:
        d_in, d_out = projected.get(entry.name, ("", ""))
        widths = [entry.in_features or "", entry.out_features or "", d_in, d_out]
        rows.append([entry.name, entry.kind, *widths, "tracked" if entry.is_tracked else entry.reason])
    _console().print(
        records_table(
            f"Modules of {settings.model.model}", ["module", "kind", "in", "out", "d_in", "d_out", ""], rows
        )
    )
    covered = sum(entry.num_parameters for entry in entries if entry.is_tracked)
    total = sum(entry.num_parameters for entry in entries)
    _say(f"{len(projected)} of {len(entries)} modules are tracked: {covered / max(total, 1):.0%} of the weights.")


def _print_estimate(index_id: str, estimate: "IndexEstimate") -> None:
    from lorif_core.views.tables import human_bytes, human_seconds, key_value_table

    gradients = (
        f"{human_bytes(estimate.shard_bytes)} gradients ({human_bytes(estimate.bytes_per_example)} per example)"
    )
    curvature, free = human_bytes(estimate.subspace_bytes), human_bytes(estimate.free_bytes)
    rows = {
        "examples": f"{estimate.num_examples} ({estimate.num_left} to do)",
        "modules": f"{estimate.num_modules}, total projected dimension {estimate.total_dim}",
        "disk": f"{gradients} + {curvature} curvature; {free} free",
        "time": f"about {human_seconds(estimate.seconds)} ({estimate.tokens_per_second:.0f} tokens/s measured)",
        "memory": f"about {human_bytes(estimate.memory_bytes)}",
    }
    _console(stderr=True).print(key_value_table(f"Index {index_id}", rows))


@contextmanager
def _progress(quiet: bool) -> Iterator[Callable[[str, int, int], None]]:
    """Progress bars on standard error, one per stage, with rate and remaining time."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    bars: dict[str, Any] = {}
    with Progress(*columns, console=_console(stderr=True), disable=quiet) as progress:

        def show(stage: str, done: int, total: int) -> None:
            if stage not in bars:
                bars[stage] = progress.add_task(STAGES.get(stage, stage), total=total, rate="")
            speed = next(task.speed for task in progress.tasks if task.id == bars[stage])
            progress.update(bars[stage], completed=done, total=total, rate=f"{speed:.0f}/s" if speed else "")

        yield show


def _console(*, stderr: bool = False) -> Any:
    from rich.console import Console

    width = None if (sys.stderr if stderr else sys.stdout).isatty() else int(os.environ.get("COLUMNS", 120))
    return Console(stderr=stderr, width=width, highlight=False, soft_wrap=False)


def _say(text: str) -> None:
    print(visible(text))


def _complain(text: str) -> None:
    print(f"lorif: {visible(text)}", file=sys.stderr)


def _print_json(value: Any) -> None:
    print(json.dumps(value, ensure_ascii=False, indent=1, default=str))


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    # Read by OpenMP when torch is first imported. Waiting threads that spin make a machine whose cores
    # are busy 5 to 50 times slower (docs/decisions/0006).
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        app.cli(
            prog="lorif",
            args=argv,
            description="Find the training texts that taught a language model what it says.",
            config=(tyro.conf.FlagCreatePairsOff,),
        )
    except LorifError as error:
        _complain(str(error))
        return 2
    except KeyboardInterrupt:
        _complain("stopped. What was finished is kept; the same command resumes.")
        return 130
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w")  # noqa: PTH123 - the reader of our output went away
        return 0
    except OSError as error:
        if error.errno not in DISK_PROBLEMS:
            return _report_defect()
        place = f"{str(error.filename)!r} cannot be written" if error.filename else "a file cannot be written"
        _complain(
            f"{place} ({error.strerror}): free some space or check permissions, then run the same command again."
        )
        return 2
    except Exception:  # the outermost frame: a defect, kept whole for a report
        return _report_defect()
    return 0


def _report_defect() -> int:
    log = Path(tempfile.gettempdir()) / "lorif-error.log"
    log.write_text(traceback.format_exc(), encoding="utf-8")
    traceback.print_exc()
    _complain(f"this is a defect of LoRIF Studio. The traceback above is also in {log}.")
    return 1


if __name__ == "__main__":
    sys.exit(main())
