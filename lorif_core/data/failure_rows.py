"""One prompt with what a model said, as an evaluation logged it, and whether it counts as a failure."""

from dataclasses import dataclass
from typing import Any, Literal

from lorif_core.config import check_choice, require

LogFormat = Literal["rows", "lm-eval", "inspect"]
"""rows: a data file with a column each for prompt and completion; the others: sample logs of evaluations."""

WORDS = {
    **dict.fromkeys(("c", "correct", "true", "yes", "pass", "passed"), 1.0),
    **dict.fromkeys(("p", "partial"), 0.5),
    **dict.fromkeys(("i", "n", "incorrect", "wrong", "false", "no", "fail", "failed"), 0.0),
}
"""What words for a score are worth; the letters are Inspect's: correct, partial, incorrect, no answer."""


@dataclass(frozen=True)
class FailureReading:
    """How a file of failures is read; what is unset is told by the file."""

    format: LogFormat | None = None
    prompt: str | None = None
    """Column of the prompt; for ``rows`` only."""

    completion: str | None = None
    """Column of what the model said; for ``rows`` only."""

    score: str | None = None
    """Column, metric or scorer that tells failures."""

    below: float = 0.5
    """A row whose score is below this counts as a failure."""

    def __post_init__(self) -> None:
        """Check ranges."""
        if self.format is not None:
            check_choice("format", self.format, LogFormat)
        require(self.below == self.below, "below must be a number such as 0.5, got NaN.")


@dataclass(frozen=True)
class FailureRow:
    """One row that can be asked about."""

    line: int
    """From 1: the line of the file, or the number of the sample."""

    prompt: str
    """What the model was given; of a chat, the last message to it."""

    completion: str
    """What it said, as it was logged."""

    why: str
    """Why it counts as a failure, or why not."""

    is_failure: bool
    score: float | None = None
    """None: the file has no scores."""

    expected: str | None = None
    """What it should have said."""

    system: str | None = None
    messages: tuple[dict[str, Any], ...] = ()
    """Turns of a chat before the prompt."""

    is_raw: bool = False
    """Whether the prompt is all that the model read, also where an index is of chats."""


@dataclass(frozen=True)
class SkippedRow:
    """One row that cannot be asked about."""

    line: int
    reason: str


@dataclass(frozen=True)
class ReadRows:
    """What a reader of one format found in a file."""

    rows: list[FailureRow]
    skipped: list[SkippedRow]
    scores: list[str]
    """Columns, metrics or scorers that could tell failures."""

    score: str | None
    """The one that does."""

    columns: list[str]
    """Of ``rows``: all columns, for a person to choose from."""

    taken: dict[str, str]
    """What was taken for prompt, completion and so on: role → column or field."""


def as_score(value: object) -> float | None:
    """A logged score as a number: 1 is right, 0 is wrong; None where it is none."""
    if isinstance(value, bool | int | float):
        return float(value) if value == value else None
    if isinstance(value, str):
        word = value.strip().lower()
        if word in WORDS:
            return WORDS[word]
        try:
            number = float(word)
        except ValueError:
            return None
        return number if number == number else None
    return None


def judged(name: str, score: float, below: float) -> tuple[bool, str]:
    """Whether a score is a failure's, and the sentence that says so."""
    is_failure = score < below
    side = "below" if is_failure else "not below"
    return is_failure, f"{name} is {score:g}, {side} {below:g}"
