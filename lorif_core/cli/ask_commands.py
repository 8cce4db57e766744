"""Commands that ask an index: ask, score."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import tyro
from tyro.conf import OmitArgPrefixes, Positional

from lorif_core.cli.output import Json, TextArg, console, print_json, progress, say
from lorif_core.config import GenerateConfig, ScoreConfig
from lorif_core.errors import ConfigError


def ask(
    workspace: Positional[Path],
    /,
    settings: OmitArgPrefixes[ScoreConfig] = ScoreConfig(),  # noqa: B008 - frozen
    generation: OmitArgPrefixes[GenerateConfig] = GenerateConfig(),  # noqa: B008
    *,
    prompt: str,
    completion: TextArg = None,
    generate: bool = False,
    contrast: TextArg = None,
    tokens: TextArg = None,
    k: Annotated[int, tyro.conf.arg(aliases=["-k"])] = 10,
    opposing: int = 0,
    index: TextArg = None,
    model: TextArg = None,
    forget: bool = False,
    json: Json = False,
) -> None:
    """Ask which training texts made the model continue a prompt as it did.

    Give the completion, or let the model generate it. A completion usually starts with a space.

    Args:
        workspace: Folder of the workspace.
        settings: Objective, normalisation, damping.
        generation: How the model completes the prompt.
        prompt: What the model was given.
        completion: What it said.
        generate: Let the model complete the prompt.
        contrast: A second completion: why the first and not this one?
        tokens: Explain only these tokens of the completion, counted from 0, e.g. 0,2-4.
        k: Length of the list of supporting texts.
        opposing: Length of the list of opposing texts.
        index: Id of the index; unset: the newest complete one.
        model: Where the model lies now, if it was moved since the index was built.
        forget: Neither keep the question nor answer it from what was kept.
        json: Print one JSON object instead of tables.
    """
    from lorif_core.workspace.asking.ask.question import joined_without_space
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
        generate=generation,
        index_id=index,
        model=model,
        keeps=not forget,
    )
    if json:
        print_json(answer.to_dict())
        return
    console().print(answer)
    if joined_without_space(answer.question):
        say("Note: prompt and completion were joined without a space between them; most completions start with one.")


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
    with progress(json) as on_progress:
        result = opened.score(
            queries, out, settings=settings, index_id=index, model=model, overwrites=force, on_progress=on_progress
        )
    if json:
        print_json(asdict(result))
        return
    say(
        f"Wrote {result.num_scores} scores ({result.num_queries} queries × {result.num_examples} examples) to "
        f"{result.file}, {human_bytes(result.size_bytes)}, in {human_seconds(result.elapsed_s)}."
    )


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
