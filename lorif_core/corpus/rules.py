"""Curation rules: a verb, a condition and a reason, on one line.

    exclude where source = forum and score in the top 1 % for query 7 because misinformation: "forum dump"
    label "needs check" where text matches "colou?r"

The text form is canonical, ``parse_rule(str(rule)) == rule``, so a rule that was applied is stored
as its text and replayed by reading it.
"""

from dataclasses import dataclass
from typing import Literal, get_args

from lorif_core.corpus.conditions import Condition, format_where, quote_value
from lorif_core.corpus.reading import Reader, check_length
from lorif_core.errors import QueryError

RuleKind = Literal["flag", "exclude", "restore", "label", "unlabel"]
_LABELLING: tuple[RuleKind, ...] = ("label", "unlabel")


@dataclass(frozen=True)
class Rule:
    """What to do with every example of which a condition holds; ``str`` gives its canonical text.

    Raises:
        QueryError: The parts do not go together.
    """

    kind: RuleKind
    """The verb."""

    condition: Condition
    """Chooses the examples."""

    label: str | None = None
    """The label that ``label`` adds and ``unlabel`` takes away; None for the other verbs."""

    reason: str | None = None
    """Of the controlled list that the journal keeps; ``exclude`` always has one."""

    comment: str | None = None
    """Free text beside the reason."""

    def __post_init__(self) -> None:
        if (self.kind in _LABELLING) != (self.label is not None):
            raise QueryError(f"`label` and `unlabel` name a label and no other rule does, got {self!r}.")
        if self.kind == "exclude" and self.reason is None:
            raise QueryError(_NEEDS_REASON)
        if self.comment is not None and self.reason is None:
            raise QueryError(
                f"a comment stands behind a reason, got only the comment {self.comment!r}: add a reason."
            )
        if any(line_break in str(self) for line_break in "\n\r"):
            raise QueryError(
                'a rule is one line, this one holds a line break: use a space, or `matches` with "\\n" to find one.'
            )

    def __str__(self) -> str:
        verb = self.kind if self.label is None else f"{self.kind} {quote_value(self.label)}"
        reason = "" if self.reason is None else f" because {quote_value(self.reason)}"
        comment = "" if self.comment is None else f': "{self.comment.replace(chr(34), chr(34) * 2)}"'
        return f"{verb} where {format_where(self.condition)}{reason}{comment}"


_NEEDS_REASON = (
    'an exclusion needs a reason: end the rule with, for example, because misinformation: "what is wrong".'
)


def parse_rule(text: str) -> Rule:
    """The rule that a person typed.

    Raises:
        QueryError: It cannot be read, or its parts do not go together; quotes the column and the word.
    """
    reader = Reader(text)
    kind = _read_kind(reader)
    label = reader.read_value("the label") if kind in _LABELLING else None
    reader.require("where")
    condition = reader.read_condition()
    reason = comment = None
    if reader.accept("because"):
        reason = reader.read_value("a reason")
        if reader.accept(":"):
            comment = _read_comment(reader)
    reader.read_end(_what_could_follow(reason, comment))
    rule = Rule(kind, condition, label, reason, comment)
    check_length(str(rule))
    return rule


def _read_kind(reader: Reader) -> RuleKind:
    for kind in get_args(RuleKind):
        if reader.accept(kind):
            return kind
    raise reader.refusal(f"one of {', '.join(get_args(RuleKind))}")


def _read_comment(reader: Reader) -> str:
    if reader.next.kind != "string":
        raise reader.refusal("the comment in double quotes")
    return reader.take().text


def _what_could_follow(reason: str | None, comment: str | None) -> str:
    if comment is not None:
        return "the end"
    return "`and`, `or`, `because` or the end" if reason is None else "`:` with a comment, or the end"


def parse_rules(text: str) -> list[Rule]:
    """The rules of a file: one on a line, where empty lines and lines that begin with ``#`` are skipped.

    Raises:
        QueryError: A line is not a rule; names the line.
    """
    rules: list[Rule] = []
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), start=1):
        typed = line.strip()
        if not typed or typed.startswith("#"):
            continue
        try:
            rules.append(parse_rule(line.removesuffix("\r")))
        except QueryError as error:
            raise QueryError(f"line {number}: {error}") from error
    return rules
