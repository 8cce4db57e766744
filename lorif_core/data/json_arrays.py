"""Values of a JSON array, one after the other, without the whole file in memory."""

import codecs
import json
from collections.abc import Iterator
from typing import Any

from lorif_core.plain_files import MAX_LINE_BYTES

CHARACTERS_PER_READ = 1 << 16
_SPACE = " \t\n\r"


class _Text:
    """Text of a file, as far as it was read."""

    def __init__(self, handle: Any, offset: int = 0):
        self._num_bytes = offset
        self.text = ""
        self.place = 0
        self.is_whole = False
        self._handle = handle
        self._decoder = codecs.getincrementaldecoder("utf-8")()

    def read(self, size: int = CHARACTERS_PER_READ) -> None:
        """Read on; what lies before the place is forgotten."""
        read = self._handle.read(size)
        self.is_whole = not read
        self.text = self.text[self.place :] + self._decoded(read)
        self.place = 0

    def _decoded(self, read: bytes) -> str:
        start = self._num_bytes - len(self._decoder.getstate()[0])
        self._num_bytes += len(read)
        try:
            return self._decoder.decode(read, final=self.is_whole)
        except UnicodeDecodeError as error:
            place = f"byte 0x{error.object[error.start]:02x} at offset {start + error.start}"
            raise UnicodeDecodeError(error.encoding, error.object, error.start, error.end, place) from error

    def next_character(self) -> str:
        """The next one that is no space; empty at the end."""
        while True:
            while self.place < len(self.text) and self.text[self.place] in _SPACE:
                self.place += 1
            if self.place < len(self.text) or self.is_whole:
                return self.text[self.place : self.place + 1]
            self.read()


def iter_array(handle: Any, offset: int = 0) -> Iterator[tuple[Any, bool]]:
    """Every value of the array that a file holds, and whether its text has an escape such as ``\\u00e9``.

    Args:
        handle: The file's bytes.
        offset: Where they begin.

    Raises:
        UnicodeDecodeError: The file is not UTF-8; its reason says where.
        ValueError: It is no JSON array.
        RecursionError: A value is nested too deeply.
    """
    source = _Text(handle, offset)
    if source.next_character() != "[":
        raise ValueError("it does not begin with [")
    source.place += 1
    if source.next_character() == "]":
        source.place += 1
    else:
        while True:
            yield _next_value(source)
            end = source.next_character()
            source.place += 1
            if end == "]":
                break
            if end != ",":
                raise ValueError(f"a comma or ] must follow a value, got {end!r}")
    if source.next_character():
        raise ValueError("something follows the array")


def _next_value(source: _Text) -> tuple[Any, bool]:
    source.next_character()
    size = CHARACTERS_PER_READ
    while True:
        try:
            value, stop = json.JSONDecoder().raw_decode(source.text, source.place)
        except json.JSONDecodeError:
            if source.is_whole:
                raise
        else:
            if stop < len(source.text) or source.is_whole:  # 12 may be the beginning of 123
                has_escapes = "\\u" in source.text[source.place : stop]
                source.place = stop
                return value, has_escapes
        if len(source.text) > MAX_LINE_BYTES:
            raise ValueError(f"a value is longer than {MAX_LINE_BYTES >> 20} MiB, or is never closed")
        source.read(size)
        size *= 2  # a large value is not read in many small steps
