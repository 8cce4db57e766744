"""Reading a typed condition, from characters to a tree."""

import re
import unicodedata
from collections.abc import Callable
from decimal import Decimal
from typing import Literal, NamedTuple, get_args

from lorif_core.corpus.conditions import (
    DECISION,
    HAS_CONFLICT,
    LABEL,
    LABELS,
    RESERVED,
    And,
    Comparison,
    Condition,
    Extreme,
    Not,
    Operator,
    Or,
    Side,
    is_word_character,
)
from lorif_core.errors import QueryError

MAX_CHARACTERS = 10_000
"""Longest text of a condition or rule."""

MAX_DEPTH = 100
"""Deepest nesting of parentheses and ``not``."""


class Token(NamedTuple):
    """One word, quoted string, name in backticks or symbol of a typed text."""

    kind: Literal["word", "string", "name", "symbol", "end"]
    """A word may be a keyword; a string and a name never are."""

    text: str
    """Without quotes."""

    column: int
    """Of the first character, from 1."""


_SYMBOLS = ("!=", "<=", ">=", "=", "<", ">", "(", ")", ",", "%", ":")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_CLOCK = re.compile(r"[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]+)?)?([Zz]|[+-][0-9]{2}(:?[0-9]{2})?)?")
_ZONE = re.compile(r"Z|UTC|[+-][0-9]{2}(:?[0-9]{2})?")
_QUOTES: dict[str, Literal["string", "name"]] = {'"': "string", "'": "string", "`": "name"}


def tokenize(text: str) -> list[Token]:
    """The tokens of a typed text, ended by one of kind ``end``.

    Raises:
        QueryError: Too long, an unreadable character or an open quote; names its column.
    """
    check_length(text)
    tokens: list[Token] = []
    at = 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        token, at = _token_at(text, at)
        tokens.append(token)
    return [*tokens, Token("end", "", len(text) + 1)]


def check_length(text: str) -> None:
    """Refuse a text that is too long or holds what no text may hold.

    Raises:
        QueryError: More than ``MAX_CHARACTERS``, a NUL or half of a surrogate pair.
    """
    if len(text) > MAX_CHARACTERS:
        raise QueryError(
            f"a condition or rule has at most {MAX_CHARACTERS:,} characters, this one has {len(text):,}: split it."
        )
    for column, character in enumerate(text, start=1):
        if character == "\0" or unicodedata.category(character) == "Cs":
            raise QueryError(
                f"a condition or rule is plain text, the character at column {column} is {character!r}: remove it."
            )


def _token_at(text: str, at: int) -> tuple[Token, int]:
    if text[at] in _QUOTES:
        return _quoted_at(text, at)
    if is_word_character(text[at]) and text[at] != ":":
        end = at
        while end < len(text) and is_word_character(text[end]):
            end += 1
        word = text[at:end].rstrip(":")  # `misinformation: "why"` is a word, a colon and a string
        return Token("word", word, at + 1), at + len(word)
    for symbol in _SYMBOLS:
        if text.startswith(symbol, at):
            return Token("symbol", symbol, at + 1), at + len(symbol)
    raise QueryError(
        f"at column {at + 1}, {text[at]!r} cannot stand outside quotes: put the whole value in straight double "
        'quotes, as in source = "trivia board".'
    )


def _quoted_at(text: str, at: int) -> tuple[Token, int]:
    quote = text[at]
    end = at + 1
    while (end := text.find(quote, end)) >= 0:
        if text[end + 1 : end + 2] != quote:
            inside = text[at + 1 : end].replace(quote * 2, quote)
            return Token(_QUOTES[quote], inside, at + 1), end + 1
        end += 2
    raise QueryError(
        f"the quote opened at column {at + 1} is never closed: add a closing {quote}, and double any {quote} inside."
    )


class Reader:
    """Tokens of a typed text, read from left to right.

    Conditions and rules share it; every ``read_`` method raises QueryError where the text does
    not continue as it must, quoting the column and the word.
    """

    def __init__(self, text: str) -> None:
        self._tokens = tokenize(text)
        self._place = 0
        self._depth = 0

    @property
    def next(self) -> Token:
        """The token to read next."""
        return self._tokens[self._place]

    def take(self) -> Token:
        """The next token, which is read by this."""
        token = self.next
        self._place += token.kind != "end"
        return token

    def accept(self, *keywords: str) -> bool:
        """Read all of these keywords or symbols if they come next, else none of them."""
        coming = self._tokens[self._place : self._place + len(keywords)]
        if [token.text.casefold() for token in coming if token.kind in ("word", "symbol")] != list(keywords):
            return False
        self._place += len(keywords)
        return True

    def require(self, *keywords: str) -> None:
        """Read these keywords or symbols.

        Raises:
            QueryError: Something else comes next.
        """
        for keyword in keywords:
            if not self.accept(keyword):
                raise self.refusal(f"`{keyword}`")

    def refusal(self, expected: str) -> QueryError:
        """The error that says where reading stopped and what should stand there."""
        token = self.next
        found = "the end" if token.kind == "end" else f"`{shortened(token.text)}`"
        return QueryError(f"at column {token.column}, expected {expected}, found {found}.")

    def read_end(self, expected: str) -> None:
        """Check that nothing is left.

        Raises:
            QueryError: Something is; ``expected`` says what could have followed.
        """
        if self.next.kind != "end":
            raise self.refusal(expected)

    def read_value(self, what: str = "a value") -> str:
        """A bare word or a quoted string.

        Raises:
            QueryError: Neither comes next.
        """
        token = self.next
        if token.kind == "word" and token.text.casefold() in RESERVED:
            raise self.refusal(f'{what} (write "{token.text}" in quotes if it is one)')
        if token.kind not in ("word", "string"):
            raise self.refusal(what)
        self.take()
        return token.text if token.kind == "string" else self._with_clock(token.text)

    def _with_clock(self, word: str) -> str:
        """A day with the time behind it, such as ``2026-03-01 13:00 +01:00``, else the word alone."""
        if _DAY.fullmatch(word):
            for pattern in (_CLOCK, _ZONE):
                if self.next.kind != "word" or not pattern.fullmatch(self.next.text):
                    break
                word += f" {self.take().text}"
        return word

    def read_condition(self) -> Condition:
        """A whole condition, as far as it goes.

        Raises:
            QueryError: It is not one, or nests too deeply.
        """
        parts = [self._read_and()]
        while self.accept("or"):
            parts.append(self._read_and())
        return parts[0] if len(parts) == 1 else Or(tuple(parts))

    def _read_and(self) -> Condition:
        parts = [self._read_not()]
        while self.accept("and"):
            parts.append(self._read_not())
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def _read_not(self) -> Condition:
        column = self.next.column
        if self.accept("not"):
            return Not(self._nested(column, self._read_not))
        if self.accept("("):
            inside = self._nested(column, self.read_condition)
            if not self.accept(")"):
                raise self.refusal("`and`, `or` or `)`")
            return inside
        return self._read_comparison()

    def _nested(self, column: int, read: Callable[[], Condition]) -> Condition:
        if self._depth == MAX_DEPTH:
            raise QueryError(
                f"parentheses and `not` nest at most {MAX_DEPTH} deep, those at column {column} are deeper: "
                "write the condition flatter."
            )
        self._depth += 1
        inside = read()
        self._depth -= 1
        return inside

    def _read_comparison(self) -> Condition:
        if self.accept("has", "conflict"):
            return HAS_CONFLICT
        if self.accept("decided", "by"):
            return Comparison(f"{DECISION}actor", "=", (self.read_value("a person's name"),))
        token = self.next
        if token.kind not in ("word", "string", "name") or not token.text or _is_reserved(token):
            raise self.refusal("a condition such as source = forum")
        self.take()
        is_word = token.kind == "word"
        is_score = is_word and token.text.casefold() == "score"
        if is_score and self.accept("in", "the"):
            return self._read_extreme()
        operator = self._read_operator(token)
        values = self._read_values(operator)
        if is_score and self.accept("for", "query"):
            return Comparison("score", operator, values, self.read_value("the id of a query"))
        return Comparison(LABELS if is_word and token.text == LABEL else token.text, operator, values)

    def _read_operator(self, subject: Token) -> Operator:
        for operator in get_args(Operator):
            if self.accept(*operator.split()):
                return operator
        after = shortened(subject.text)
        raise self.refusal(
            f"one of =, !=, <, <=, >, >=, in, not in, between, contains, matches, is missing after `{after}`"
        )

    def _read_values(self, operator: Operator) -> tuple[str, ...]:
        if operator in ("is missing", "is not missing"):
            return ()
        if operator == "between":
            low = self.read_value()
            self.require("and")
            return low, self.read_value()
        if operator not in ("in", "not in"):
            return (self.read_value(),)
        self.require("(")
        values = [self.read_value()]
        while self.accept(","):
            values.append(self.read_value())
        if not self.accept(")"):
            raise self.refusal("`,` or `)`")
        return tuple(values)

    def _read_extreme(self) -> Condition:
        if not (self.accept("top") or self.accept("bottom")):
            raise self.refusal("`top` or `bottom`")
        side: Side = "top" if self._tokens[self._place - 1].text.casefold() == "top" else "bottom"
        amount, is_share = self._read_amount()
        self.require("for", "query")
        return Extreme(self.read_value("the id of a query"), side, amount, is_share)

    def _read_amount(self) -> tuple[Decimal, bool]:
        token = self.next
        rule = "a number of texts such as 25, or a percentage such as 1 %"
        if token.kind != "word" or not re.fullmatch(r"[0-9]{1,15}(\.[0-9]{1,15})?", token.text):
            raise self.refusal(rule)
        amount = Decimal(token.text)
        after = self._tokens[self._place + 1]
        is_share = (after.kind, after.text) == ("symbol", "%")
        if is_share and not 0 < amount <= 100:
            raise self.refusal("a percentage above 0 and up to 100")
        if not is_share and (amount < 1 or amount != amount.to_integral_value()):
            raise self.refusal(rule)
        self._place += 1 + is_share
        return amount, is_share


def _is_reserved(token: Token) -> bool:
    return token.kind == "word" and token.text.casefold() in RESERVED


def shortened(text: str, most: int = 40) -> str:
    """A text short enough for a message."""
    return text if len(text) <= most else f"{text[: most - 1]}…"
