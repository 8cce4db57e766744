"""Training text on a terminal: shown, never obeyed."""

import re
import string
import unicodedata

DIRECTION_MARKS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""They reorder what stands around them, so a text could look like another one."""


def visible(text: str) -> str:
    """The text with every character that a terminal would obey replaced by a visible one.

    Control characters show as their Unicode pictures (escape as ␛); the C1 controls, which some
    terminals take for escape sequences, and characters that turn the writing direction as �.
    Line breaks and tabs stay.
    """
    return "".join(character if character in "\n\t" else _visible(character) for character in text)


def _visible(character: str) -> str:
    code = ord(character)
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "\u2421"
    is_obeyed = unicodedata.category(character) in ("Cc", "Cs") or character in DIRECTION_MARKS
    return "\ufffd" if is_obeyed else character


PLAIN = re.compile(r"[^\W_]+(?:[ _-][^\W_]+)*")
"""Words that no Markdown changes."""


def literal(text: str) -> str:
    """The text as Markdown that shows it as it is: for names that people gave, in labels, links and tooltips."""
    shown = " ".join(visible(text).split())
    if PLAIN.fullmatch(shown):
        return shown
    return "".join(f"\\{one}" if one in string.punctuation else one for one in shown)


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """A number with its noun, which takes an s unless it has another plural: ``1 text``, ``5,613 texts``."""
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"
