"""What commands print: results on standard output, progress and messages on standard error."""

import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import tyro

from lorif_core.errors import ConfigError, DataError
from lorif_core.plain_files import require_folder_of
from lorif_core.views.text import visible

Json = Annotated[bool, tyro.conf.arg(name="json", help="Print one JSON object instead of tables.")]
TextArg = Annotated[str | None, tyro.conf.arg(constructor=str, metavar="STR", help_behavior_hint="")]
"""Any text, the word None included."""

STAGES = {
    "statistics": "statistics (texts)",
    "roots": "roots of the statistics (modules)",
    "gradients": "gradients (texts)",
    "curvature": "curvature (modules)",
    "self-influence": "self-influence (shards)",
    "queries": "questions",
    "model": "loading the model",
    "generate": "the model is writing (tokens)",
    "gradient": "gradient of the question",
    "refine": "refining the question (steps)",
    "texts": "words of the listed texts",
    "scores": "scores (questions × texts)",
    "questions": "questions",
    "eigenvalues": "eigenvalues of ekfac (texts)",
    "references": "references (texts)",
    "candidates": "candidates",
    "settings": "settings",
    "retraining": "retraining (subsets)",
    "tail-patch": "tail-patch (steps)",
    "brittleness": "brittleness (retrainings)",
    "verify": "verify (training steps)",
    "export": "export (texts)",
    "backup": "backup (bytes)",
    "restore": "restore (bytes)",
    "journal": "journal (pages or rows)",
    "states": "states (texts)",
    "map": "map (steps)",
}


SECONDS_PER_LINE = 10
"""Between two lines of progress of one stage, where there is no terminal."""


@contextmanager
def progress(quiet: bool) -> Iterator[Callable[[str, int, int], None]]:
    """How far each stage is, on standard error: bars on a terminal; lines, now and then, in a file or a pipe."""
    if quiet:
        yield lambda stage, done, total: None
    elif console(stderr=True).is_terminal:
        with _progress_bars() as show:
            yield show
    else:
        stages: dict[str, _StageLines] = {}

        def show_line(stage: str, done: int, total: int) -> None:
            if stage not in stages or done < stages[stage].last:  # once more from the beginning
                stages[stage] = _StageLines(stage, done)
            stages[stage].show(done, total)

        yield show_line


class _StageLines:
    """Lines of one stage."""

    def __init__(self, stage: str, done: int) -> None:
        self.name, self.first = STAGES.get(stage, stage), done
        self.began = self.said = time.monotonic()
        self.last = -1

    def show(self, done: int, total: int) -> None:
        """A line at the beginning, every ``SECONDS_PER_LINE``, and at the end; a total of 0 is not known."""
        is_news = self.last < 0 or (done == total and done > self.last)
        self.last, now = done, time.monotonic()
        if not is_news and now - self.said < SECONDS_PER_LINE:
            return
        self.said = now
        said = [f"{self.name}: {done:,} of {total:,}" if total else f"{self.name}: {done:,}"]
        if now > self.began and done > self.first:
            said.append(f"{_clock(now - self.began)} so far")
            if done < total:
                said.append(f"{_clock((now - self.began) / (done - self.first) * (total - done))} to go")
        print(visible(", ".join(said)), file=sys.stderr, flush=True)


def _clock(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))


@contextmanager
def _progress_bars() -> Iterator[Callable[[str, int, int], None]]:
    """A bar per stage, with rate and remaining time."""
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
    shown = Progress(*columns, console=console(stderr=True))

    def show(stage: str, done: int, total: int) -> None:
        if not bars:
            shown.start()  # not before: an empty display would print a blank line
        if stage not in bars:
            bars[stage] = shown.add_task(STAGES.get(stage, stage), total=total or None, rate="")
        speed = next(task.speed for task in shown.tasks if task.id == bars[stage])
        shown.update(bars[stage], completed=done, total=total, rate=f"{speed:.0f}/s" if speed else "")

    try:
        yield show
    finally:
        if bars:
            shown.stop()


def console(*, stderr: bool = False) -> Any:
    """A console as wide as the terminal, or COLUMNS, or 120, which obeys nothing that stands in the data."""
    from rich.console import Console
    from rich.segment import Segment

    class HarmlessConsole(Console):
        def render(self, renderable: Any, options: Any = None) -> Iterator[Any]:
            for segment in super().render(renderable, options):
                shown = segment.text if segment.control else visible(segment.text)
                yield Segment(shown, segment.style, segment.control)

    width = None if (sys.stderr if stderr else sys.stdout).isatty() else int(os.environ.get("COLUMNS", 120))
    return HarmlessConsole(stderr=stderr, width=width, highlight=False, soft_wrap=False)


def say(text: str) -> None:
    """Print text that may hold anything, with control characters made visible."""
    print(visible(text))


def put(text: str) -> None:
    """Write data to standard output: byte for byte to a pipe or a file, harmless on a terminal."""
    sys.stdout.write(visible(text) if sys.stdout.isatty() else text)


def put_json(text: str) -> None:
    """The same for JSON: on a terminal what it would obey is escaped as JSON does, so the value is the same."""
    sys.stdout.write(_escaped(text) if sys.stdout.isatty() else text)


def _escaped(text: str) -> str:
    return "".join(one if visible(one) == one else f"\\u{ord(one):04x}" for one in text)


def print_traceback() -> None:
    """The traceback of what is being handled, on standard error."""
    print(visible(traceback.format_exc()), file=sys.stderr)


def complain(text: str) -> None:
    """The same on standard error."""
    one_line = visible(text).replace("\n", "␊")  # a name of the data may hold a line break
    print(f"lorif: {one_line}", file=sys.stderr)


def refuse_out(out: Path | None, *, replaces: bool = False) -> None:
    """Refuse a new file that could not be written in the end, before the work for it begins.

    Raises:
        DataError: It is there already, or its folder is not.
    """
    if out is None:
        return
    if out.exists() and not replaces:
        raise DataError(f"{str(out)!r} exists already: choose another `--out`.")
    require_folder_of(out)


def require_yes(warning: str) -> None:
    """Say what is about to be given up, and ask a person.

    Raises:
        ConfigError: They did not say yes, or nobody can be asked.
    """
    complain(warning)
    if not sys.stdin.isatty():
        raise ConfigError("nothing was changed: this needs a yes, so run it in a terminal or add `--yes`.")
    if input("Type yes to go on: ").strip() != "yes":
        raise ConfigError("nothing was changed: the answer was not yes.")


def print_json(value: Any) -> None:
    """Print one JSON object."""
    put_json(json.dumps(value, ensure_ascii=False, indent=1, default=str) + "\n")
