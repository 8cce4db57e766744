"""Training text on a terminal: shown, never obeyed."""

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


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """A number with its noun, which takes an s unless it has another plural: ``1 text``, ``5,613 texts``."""
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"
