"""What people decide about examples, as plain values.

A request checks itself when it is made; what needs the journal to judge (a known reason, a role, whether
somebody decided since) is checked where it is written. Times are aware and in UTC.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, TypeVar, get_args

from lorif_core.errors import JournalError

Word = TypeVar("Word", bound=str)

Role = Literal["viewer", "curator", "admin"]
"""A viewer reads, a curator also decides, an admin also settles, takes back for others and names members."""

DecisionKind = Literal["flag", "exclude", "restore", "note", "label", "unlabel"]
"""What a person can do to examples."""

BatchKind = Literal["flag", "exclude", "restore", "note", "label", "unlabel", "undo", "redo"]
"""What a batch can be."""

Status = Literal["kept", "flagged", "excluded"]
"""Where an example stands."""

STATUS_OF: dict[str, Status] = {"flag": "flagged", "exclude": "excluded", "restore": "kept"}
"""The status that a decision gives."""

NEED_TEXT = {"note": "text", "label": "a name", "unlabel": "the name of a label"}

MAX_TEXT_LENGTH = 10_000
"""Characters of a comment, a note or a rule."""

MAX_NAME_LENGTH = 200
"""Characters of a label, an id or a person's name."""


@dataclass(frozen=True, kw_only=True)
class Scope:
    """Who acts, and on which data."""

    actor: str
    """The person, as the front end names them."""

    corpus_id: str
    """The line of data set versions."""

    dataset_id: str
    """The version on screen; kept for the record, it changes no status."""

    def __post_init__(self) -> None:
        """Check the names."""
        for field in ("actor", "corpus_id", "dataset_id"):
            check_name(field, getattr(self, field))


@dataclass(frozen=True, kw_only=True)
class Decision:
    """A request: one kind of decision about one or more examples."""

    kind: DecisionKind
    """What to do."""

    train_ids: Sequence[str]
    """The examples, each at most once after construction, in the order given. Need not exist."""

    reason: str | None = None
    """A word of the controlled list; ``exclude`` needs one."""

    text: str | None = None
    """A comment; the text of a note; the name of a label."""

    query_id: str | None = None
    """The question that led to it."""

    rule: str | None = None
    """The rule that chose the examples, as it was typed."""

    settles: bool = False
    """Whether it ends disagreements: earlier decisions of others no longer conflict. For an admin."""

    def __post_init__(self) -> None:
        """Check everything that needs no journal."""
        check_choice("a decision", self.kind, get_args(DecisionKind))
        object.__setattr__(self, "train_ids", _distinct_ids(self.train_ids))
        object.__setattr__(self, "text", (self.text or "").strip() or None)
        if self.kind == "exclude" and self.reason is None:
            raise JournalError(
                "to exclude needs a reason, got none: give one of the workspace's reasons, or `other`."
            )
        if self.kind in NEED_TEXT and self.text is None:
            raise JournalError(f"to {self.kind} needs {NEED_TEXT[self.kind]}, got none: give it as the text.")
        if self.settles and self.kind not in STATUS_OF:
            raise JournalError(f"only {', '.join(STATUS_OF)} settle a disagreement, got {self.kind!r}.")
        if self.kind in ("label", "unlabel"):
            check_name("a label", self.text or "")
        check_text("text", self.text)
        check_text("rule", self.rule)
        if self.query_id is not None:
            check_name("query_id", self.query_id)


@dataclass(frozen=True, kw_only=True)
class Batch:
    """One act of one person, as it stands in the journal."""

    batch_id: str
    """What `undo` is told."""

    revision: int
    """Its place among all writes; a later one is larger."""

    corpus_id: str
    """The line of data set versions that it concerns."""

    dataset_id: str
    """The version that was on screen."""

    at: datetime
    """When it was written."""

    actor: str
    """Who did it."""

    kind: BatchKind
    """What was done."""

    reason: str | None
    """A word of the controlled list."""

    text: str | None
    """Comment, note or label."""

    query_id: str | None
    """The question that led to it."""

    rule: str | None
    """The rule that chose the examples."""

    settles: bool
    """Whether it ended disagreements."""

    of_batch: str | None
    """With undo and redo: the batch that was taken back or brought back."""

    num_events: int
    """Examples that it concerns."""


@dataclass(frozen=True, kw_only=True)
class HistoryEntry:
    """A batch, and whether it still counts."""

    batch: Batch
    """What was done."""

    is_undone: bool
    """Whether it is taken back at present. Never true of an undo or redo."""


@dataclass(frozen=True, kw_only=True)
class ExampleEvent:
    """One event in the life of one example."""

    event_id: int
    """Its place in the journal; a later one is larger."""

    batch: Batch
    """The act that it was part of."""

    is_undone: bool
    """Whether it is taken back at present. Never true of an undo or redo."""

    status_before: Status
    """Status of the example until then."""

    status_after: Status
    """Status of the example from then on."""


@dataclass(frozen=True, kw_only=True)
class Member:
    """A person with a role."""

    actor: str
    """The person."""

    role: Role
    """What they may do."""

    added_by: str
    """Who gave them the role."""

    at: datetime
    """Since when."""


@dataclass(frozen=True, kw_only=True)
class Reason:
    """A word of the controlled list."""

    name: str
    """Lower case, with hyphens."""

    description: str
    """What it is for, in one line."""

    added_by: str | None = None
    """Who added it; None if every journal has it."""


BUILT_IN_REASONS = (
    Reason(name="misinformation", description="It states something that is false."),
    Reason(name="outdated", description="It was true once and is no longer."),
    Reason(name="duplicate", description="Another text says the same in the same words."),
    Reason(name="low-quality", description="Garbled, cut off, machine-made or otherwise not worth learning from."),
    Reason(name="off-topic", description="It does not belong to what this data set is for."),
    Reason(name="toxic", description="Insult, hate, harassment or a call for violence."),
    Reason(name="personal-data", description="It identifies a private person or reveals their data."),
    Reason(name="copyright", description="Its licence or owner does not allow this use."),
    Reason(name="spam", description="Advertising, link lists or text written for search engines."),
    Reason(name="test-leak", description="It contains questions or answers of an evaluation set."),
    Reason(name="other", description="Anything else: say it in the comment."),
)
"""The reasons that every journal starts with."""


def utc_now() -> datetime:
    """The present time in UTC, to the microsecond."""
    return datetime.now(UTC)


def check_choice(what: str, value: str, known: Sequence[Word]) -> Word:
    """The known word that the value is; one that is none of them is refused, and these are listed."""
    for word in known:
        if word == value:
            return word
    raise JournalError(f"{what} is one of {', '.join(known)}, got {value!r}.")


def check_name(field: str, value: str) -> None:
    """Refuse an empty or overlong name, or one with a control character."""
    if not value.strip() or len(value) > MAX_NAME_LENGTH:
        raise JournalError(f"{field} needs 1 to {MAX_NAME_LENGTH} characters, got {len(value.strip())}.")
    _check_characters(field, value, allowed="")


def check_text(field: str, value: str | None) -> None:
    """Refuse overlong text, and control characters other than line breaks and tabs."""
    if value is None:
        return
    if len(value) > MAX_TEXT_LENGTH:
        raise JournalError(f"{field} may have {MAX_TEXT_LENGTH:,} characters, got {len(value):,}: shorten it.")
    _check_characters(field, value, allowed="\n\r\t")


def _check_characters(field: str, value: str, allowed: str) -> None:
    for character in value:
        if unicodedata.category(character) in ("Cc", "Cs") and character not in allowed:
            raise JournalError(
                f"{field} may not contain control characters, got {character!r} in {value[:40]!r}: remove it."
            )


def _distinct_ids(train_ids: Sequence[str]) -> tuple[str, ...]:
    if isinstance(train_ids, str):
        raise JournalError(f"train_ids is a list of ids, got the text {train_ids[:40]!r}: put it in a list.")
    distinct = tuple(dict.fromkeys(train_ids))
    if not distinct:
        raise JournalError("a decision is about at least one example, got none: select some first.")
    other = next((train_id for train_id in distinct if not _is_id(train_id)), None)
    if other is not None:
        raise JournalError(f"a train id is a text that is not empty, got {other!r}.")
    joined = "".join(distinct)
    if "\0" in joined or not _is_utf8(joined):
        raise JournalError("a train id may hold no zero byte and no half character: no data set has such an id.")
    return distinct


def _is_id(value: object) -> bool:
    return isinstance(value, str) and bool(value)


def _is_utf8(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
