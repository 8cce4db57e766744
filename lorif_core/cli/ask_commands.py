"""Commands that ask an index: ask, score."""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import tyro
from tyro.conf import OmitArgPrefixes, Positional

from lorif_core.cli.output import Json, TextArg, console, print_json, progress, say
from lorif_core.cli.score_args import ScoreArgs
from lorif_core.config import GenerateConfig, ScoreConfig, Search
from lorif_core.errors import ConfigError
from lorif_core.plain_files import refuse_special
from lorif_core.workers_config import HERE, ScanConfig
from lorif_core.workspace.asking.query_limits import USUAL_LIMITS, QueryFile, QueryLimits
from lorif_core.workspace.asking.question import USUAL_NORMALISATION, Question


@dataclass(frozen=True, kw_only=True)
class IndexArgs:
    """Which index is asked, and which processes scan it."""

    index: TextArg = None
    """Name or id of the index; unset: the newest complete one."""

    model: TextArg = None
    """Where the model is now, if it was moved since the index was built."""

    scan: OmitArgPrefixes[ScanConfig] = HERE
    """Which processes scan the index."""


@dataclass(frozen=True, kw_only=True)
class AskArgs:
    """What is asked."""

    prompt: str = ""
    """What the model was given. As a chat: the user's message."""

    completion: TextArg = None
    """What it said, exactly: white space counts. Only this is explained."""

    generate: bool = False
    """Let the model complete the prompt; the tokens that it says are explained."""

    question_id: Annotated[TextArg, tyro.conf.arg(name="question")] = None
    """Instead of a prompt: the id of a question that came with the table of an index of losses."""

    losses: Path | None = None
    """Losses of the completion under the models of an index of losses: a file with the columns model and loss, or
    one row with a column per model."""

    end_token: bool = False
    """The completion ends there: explain its end token, too."""

    chat: bool = False
    """Put the prompt as a user's message, by the model's own chat template. An index of chats does so by itself."""

    raw: bool = False
    """Put the prompt as it stands, also to an index of chats."""

    system: TextArg = None
    """System message of the chat."""

    messages: TextArg = None
    """Earlier turns of the chat: a JSON file, or JSON text, with a list of {"role": …, "content": …}. Without
    `--prompt` the last one is what the model answers."""

    contrast: TextArg = None
    """A second completion: why the first and not this one?"""

    tokens: TextArg = None
    """Explain only these tokens of the completion, counted from 0, e.g. 0,2-4."""

    k: Annotated[int, tyro.conf.arg(aliases=["-k"])] = 10
    """Length of the list of supporting texts."""

    opposing: int = 0
    """Length of the list of opposing texts."""

    search: Search | None = None
    """exact: score every text. fast: find the strongest texts by reading a part of what is stored; the answer says
    how much was read and what may be missing. Unset: exact below 100,000 texts, else fast where it is possible."""

    forget: bool = False
    """Neither keep the question nor answer it from what was kept."""

    def question(self, settings: ScoreConfig, generation: GenerateConfig, where: IndexArgs) -> Question:
        """The question that was typed.

        Raises:
            ConfigError: It says nothing, or contradicts itself.
        """
        if self.question_id is not None:
            return self._of_table(settings, where)
        messages = [] if self.messages is None else read_messages(self.messages)
        is_answered = not self.prompt and bool(messages) and messages[-1]["role"] == "assistant"
        losses = None if self.losses is None else self._losses(self.losses)
        has_no_said = losses is not None and self.completion is None and not is_answered
        if is_answered + (self.completion is not None) + self.generate + has_no_said != 1:
            raise ConfigError(
                "give either `--completion TEXT` or `--generate`, or messages that end with the assistant's, so that "
                "it is clear what is explained."
            )
        if self.contrast is not None and settings.objective == "loss":
            settings = replace(settings, objective="contrast")
        if self.chat and self.raw:
            raise ConfigError("a prompt is put as a chat or raw, `--chat` and `--raw` were both given. Give one.")
        if not self.prompt and self.messages is None and self.completion is None:
            raise ConfigError("a question needs a prompt, none was given. Pass `--prompt TEXT`, or `--messages`.")
        return Question(
            prompt=self.prompt,
            completion=self.completion,
            ends=self.end_token,
            form="chat" if self.chat else "raw" if self.raw else None,
            system=self.system,
            messages=tuple(messages),
            contrast=self.contrast,
            tokens=None if self.tokens is None else tuple(parse_tokens(self.tokens)),
            settings=settings,
            k=self.k,
            num_opposing=self.opposing,
            search=self.search,
            index_id=where.index,
            losses=losses,
            model=where.model,
            generate=generation,
            keeps=not self.forget,
        )

    def _of_table(self, settings: ScoreConfig, where: IndexArgs) -> Question:
        """A question that came with the losses of an index."""
        given = [self.prompt or None, self.completion, self.generate or None, self.messages, self.losses, self.tokens]
        if any(one is not None for one in given):
            raise ConfigError(
                "a question of a table has its prompt, its completion and its losses there: leave out all but "
                "`--question`, or leave that out."
            )
        return Question(
            prompt="",
            question_id=self.question_id,
            contrast=self.contrast,
            settings=settings,
            k=self.k,
            num_opposing=self.opposing,
            search=self.search,
            index_id=where.index,
            model=where.model,
            keeps=not self.forget,
        )

    def _losses(self, path: Path) -> dict[str, float]:
        """Losses of a question from a file."""
        from lorif_core.data.loss_table import read_losses

        return read_losses(path)


def ask(
    workspace: Positional[Path],
    /,
    settings: OmitArgPrefixes[ScoreArgs] = ScoreArgs(normalisation=USUAL_NORMALISATION),  # noqa: B008 - frozen
    generation: OmitArgPrefixes[GenerateConfig] = GenerateConfig(),  # noqa: B008
    where: OmitArgPrefixes[IndexArgs] = IndexArgs(),
    *,
    asked: OmitArgPrefixes[AskArgs],
    json: Json = False,
) -> None:
    """Ask which training texts made the model continue a prompt as it did.

    Give the completion, or let the model generate it. The texts are put together as they stand, so a completion that
    begins a new word starts with a space.

    \b
      lorif ask demo_workspace --prompt "The capital of France is" --completion " Lyon"
      lorif ask demo_workspace --prompt "The capital of France is" --generate --opposing 5
      lorif ask chats --prompt "What is the capital of France?" --completion "Lyon." --system "Be brief."
      lorif ask demo_workspace --index api --question q1                    an index of losses, see import-losses

    Args:
        workspace: Folder of the workspace.
        settings: Objective, normalisation, damping.
        generation: How the model completes the prompt.
        where: Which index, and which processes scan it.
        asked: Prompt, completion and so on.
        json: Print one JSON object instead of tables.
    """
    from lorif_core.workspace.workspace import open_workspace

    question = asked.question(settings.settings, generation, where)
    with open_workspace(workspace).questions.scanned_by(where.scan) as questions:
        answer = questions.ask(question)
    if json:
        print_json(answer.to_dict())
        return
    console().print(answer)
    if answer.question.joins_without_space:
        say("Note: prompt and completion were joined without a space between them; most completions start with one.")


def read_messages(given: str) -> list[dict[str, Any]]:
    """Turns of a chat from a JSON file, or from JSON text.

    Raises:
        ConfigError: They are no list of messages.
    """
    path = Path(given)
    try:
        is_file = path.is_file()
        refuse_special(path)
    except OSError:  # too long for a name
        is_file = False
    try:
        found = json.loads(path.read_text(encoding="utf-8") if is_file else given)
    except (ValueError, OSError, RecursionError) as error:
        raise ConfigError(
            f"messages must be a JSON list, or the name of a file with one, got {given[:60]!r} ({error})."
        ) from error
    found = found.get("messages") if isinstance(found, dict) else found
    is_list = isinstance(found, list) and all(isinstance(one, dict) and "role" in one for one in found)
    if not is_list or not found:
        raise ConfigError(
            f'messages must be a list of turns like [{{"role": "user", "content": "…"}}], got {str(found)[:60]!r}.'
        )
    return found


@dataclass(frozen=True, kw_only=True)
class QueriesArgs:
    """Questions of a file."""

    queries: Path
    """Data file with the same kinds of columns as `lorif import`; ids in query_id or id."""

    end_token: bool = False
    """The completions end there: their end tokens are explained, too. Empty ones always do."""

    limits: OmitArgPrefixes[QueryLimits] = USUAL_LIMITS
    """What the questions of a pass may take."""

    def file(self) -> QueryFile:
        """The questions."""
        return QueryFile(self.queries, ends=self.end_token, limits=self.limits)


def score(
    workspace: Positional[Path],
    /,
    settings: OmitArgPrefixes[ScoreArgs] = ScoreArgs(),  # noqa: B008 - frozen
    where: OmitArgPrefixes[IndexArgs] = IndexArgs(),
    *,
    what: OmitArgPrefixes[QueriesArgs],
    out: Path,
    force: bool = False,
    json: Json = False,
) -> None:
    """Score every text on every question of a file; writes Parquet.

    Columns of the result: query_id, example_id, score.

    Args:
        workspace: Folder of the workspace.
        settings: Objective, normalisation, damping.
        where: Which index, and which processes scan it.
        what: Questions, and what they may take.
        out: Parquet file to write.
        force: Replace an existing file.
        json: Print one JSON object instead of text.
    """
    from lorif_core.views.tables import human_bytes, human_seconds
    from lorif_core.workspace.workspace import open_workspace

    opened = open_workspace(workspace)
    with opened.questions.scanned_by(where.scan) as questions, progress(json) as on_progress:
        result = questions.score(
            what.file(),
            out,
            settings=settings.settings,
            index_id=where.index,
            model=where.model,
            overwrites=force,
            on_progress=on_progress,
        )
    if json:
        print_json(asdict(result))
        return
    say(
        f"Wrote {result.num_scores} scores ({result.num_queries} questions × {result.num_examples} texts) to "
        f"{result.file}, {human_bytes(result.size_bytes)}, in {human_seconds(result.elapsed_s)}: "
        f"{result.passes.sentence}."
    )
    if result.missing is not None:
        say(f"Note: {result.missing.sentence}.")


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
