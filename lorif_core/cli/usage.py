"""What is wrong with a typed command, as one sentence instead of tyro's box.

The hook is private to tyro, so ``pyproject.toml`` bounds its version and a kind of mistake that is not
known here is left to tyro's own words.
"""

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from functools import partial
from typing import Any, NamedTuple

from tyro import _errors as mistakes

from lorif_core.errors import ConfigError


class Typed(NamedTuple):
    """A command as far as it is understood."""

    program: str
    """What precedes the command: ``lorif`` or ``lorif evaluate``."""

    commands: Collection[str]
    """Names of the commands."""

    words: Sequence[str]
    """What was typed behind the program."""

    @property
    def command(self) -> str:
        """The program with its command, if there is one of this name."""
        known = next((word for word in self.words[:1] if word in self.commands), None)
        return self.program if known is None else f"{self.program} {known}"


@contextmanager
def plain_mistakes(typed: Typed) -> Iterator[None]:
    """Let a command that cannot be understood raise a ``ConfigError`` while the block runs."""
    with mistakes.on_parse_error(partial(_refuse, typed)):
        yield


def _refuse(typed: Typed, mistake: Any) -> None:
    for kind, sentence in SENTENCES.items():
        if isinstance(mistake, kind):
            raise ConfigError(sentence(typed, mistake))


def _missing(typed: Typed, mistake: mistakes.MissingArgs) -> str:
    names = [_name(one.arg) for one in mistake.missing_arguments]
    verb = "is" if len(names) == 1 else "are"
    return f"`{typed.command}` needs {_listed(names)}, which {verb} missing: see `{typed.command} --help`."


def _no_command(typed: Typed, mistake: mistakes.MissingSubcommand) -> str:
    if mistake.found_token is None:
        return f"name a command: `{typed.program} --help` lists them."
    return _unknown_command(typed, mistake.found_token)


def _unknown_command(typed: Typed, word: str) -> str:
    meant = _meant(word, typed.commands)
    return f"`{typed.program}` has no command {word!r}.{meant} `{typed.program} --help` lists them."


def _unknown(typed: Typed, mistake: mistakes.UnrecognizedArgs) -> str:
    word = mistake.tokens[0]
    if typed.command == typed.program:
        return _unknown_command(typed, word)
    if word.startswith("-"):
        return f"`{typed.command}` has no option {word!r}: see `{typed.command} --help`."
    return f"`{typed.command}` does not know what to do with {word!r}: see `{typed.command} --help`."


def _bad_choice(typed: Typed, mistake: mistakes.InvalidChoice) -> str:
    choices = sorted(choice for choice in mistake.choices if choice != "None")
    return (
        f"{_name(mistake.argument)} is {_listed(choices, 'or')}, got {mistake.value!r}: see `{typed.command} --help`."
    )


def _bad_value(typed: Typed, mistake: mistakes.BadValue) -> str:
    verb = "needs a value, got none" if mistake.offending_value is None else "takes no value"
    return f"{_name(mistake.argument)} {verb}: see `{typed.command} --help`."


def _unusable(typed: Typed, mistake: mistakes.InstantiationFailure) -> str:
    said = mistake.message.strip().rstrip(".")
    if mistake.argument is not None and (unfit := NO_PARSE.fullmatch(said)) is not None:
        said = f"{_name(mistake.argument)} takes {mistake.argument.lowered.metavar}, got {unfit[1]}"
    elif mistake.argument is not None:
        said = f"{_name(mistake.argument)} takes {mistake.argument.lowered.metavar} ({said})"
    return f"{said}: see `{typed.command} --help`."


NO_PARSE = re.compile(r"Could not find valid parse for arguments: \[(.*)\]", re.DOTALL)
"""What tyro says of a list of which a part is not what it takes."""

SENTENCES: dict[type, Callable[[Typed, Any], str]] = {
    mistakes.MissingArgs: _missing,
    mistakes.MissingSubcommand: _no_command,
    mistakes.UnrecognizedArgs: _unknown,
    mistakes.InvalidChoice: _bad_choice,
    mistakes.BadValue: _bad_value,
    mistakes.InstantiationFailure: _unusable,
}


_TYPES = ("PATH", "STR", "INT", "FLOAT")
"""Placeholders that only say what is typed, not what for."""


def _name(argument: Any) -> str:
    """An option by its longest spelling; a positional by its placeholder, or by its name."""
    if argument.is_positional():
        holder = str(argument.lowered.metavar)
        return argument.field.intern_name.upper() if holder in _TYPES else holder
    return max(argument.lowered.name_or_flags, key=len)


def _meant(typed: str, known: Collection[str]) -> str:
    close = get_close_matches(typed, known, n=1)
    return f" Did you mean `{close[0]}`?" if close else ""


def _listed(names: Sequence[str], word: str = "and") -> str:
    return f" {word} ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
