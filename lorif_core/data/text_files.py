"""Bytes of text files: unzipped, and as UTF-8 whatever their encoding is.

A file of another encoding is read as that where a person names it, or where it begins with UTF-16's mark. What the
encoding cannot decode becomes a byte that is no UTF-8, so it is a problem of its row alone.
"""

import codecs
import gzip
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from lorif_core.data.record import failed_reads_named
from lorif_core.errors import DataError
from lorif_core.plain_files import MAX_LINE_BYTES, most_bytes, refuse_special, too_much

UTF8_MARK = b"\xef\xbb\xbf"
UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
BYTES_PER_READ = 1 << 16
GUESSES = ("cp1252", "gb18030", "shift_jis", "euc_kr", "latin-1")
"""Encodings that a refusal tries, those first that fail on most other files."""


@contextmanager
def open_bytes(path: Path, most_gb: float | None = None) -> Iterator[io.BufferedIOBase]:
    """The file's bytes, unzipped.

    Args:
        path: The file.
        most_gb: What it may hold if it is compressed; None: by its size.

    Raises:
        DataError: It cannot be read, is no file, or holds more.
    """
    refuse_special(path)
    unzip = OPENERS.get(path.suffix.lower())
    with failed_reads_named(path), path.open("rb") if unzip is None else unzip(path) as handle:
        yield handle if unzip is None else io.BufferedReader(_Bounded(path, handle, most_gb), BYTES_PER_READ)


class _Bounded(io.RawIOBase):
    """What comes out of a compressed file, as long as it is no more than it may be."""

    def __init__(self, path: Path, handle: Any, most_gb: float | None):
        self._path = path
        self._handle = handle
        self._most = self._left = most_bytes(path, most_gb)

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer; 0 at the end."""
        num_read = self._handle.readinto(buffer)
        self._left -= num_read
        if self._left < 0:
            raise too_much(self._path, self._most)
        return num_read


def iter_lines(handle: Any) -> Iterator[tuple[bytes, int]]:
    """Lines of bytes with their lengths; of one that is too long only the beginning is kept."""
    while line := handle.readline(MAX_LINE_BYTES + 1):
        length = len(line)
        if length > MAX_LINE_BYTES:
            rest = line[-1:]
            while rest and not rest.endswith(b"\n"):
                rest = handle.readline(BYTES_PER_READ)
                length += len(rest)
        yield line, length


def _open_zst(path: Path) -> io.BufferedReader:
    return io.BufferedReader(pa.input_stream(str(path), compression="zstd"))  # pyright: ignore[reportArgumentType]


OPENERS: dict[str, Callable[[Path], Any]] = {".gz": gzip.open, ".zst": _open_zst}
"""Suffix of a compression → what opens it; reads are checked, so that a cut file is an error."""


@contextmanager
def open_text(path: Path, encoding: str | None = None, most_gb: float | None = None) -> Iterator[tuple[Any, int]]:
    """The file's text as bytes of UTF-8 after its byte-order mark, and where they begin.

    Args:
        path: The file.
        encoding: What it is written in; None: UTF-8, or UTF-16 where it begins with that mark.
        most_gb: What it may hold if it is compressed; None: by its size.

    Raises:
        DataError: It cannot be read.
    """
    with open_bytes(path, most_gb) as handle:
        mark = handle.peek(len(UTF8_MARK))[: len(UTF8_MARK)]  # pyright: ignore[reportAttributeAccessIssue]
        if encoding is None and mark.startswith(UTF16_MARKS):
            encoding = "utf-16"
        if encoding is not None and codecs.lookup(encoding).name != "utf-8":
            yield io.BufferedReader(_AsUtf8(handle, encoding), BYTES_PER_READ), 0
            return
        yield handle, len(handle.read(len(UTF8_MARK))) if mark == UTF8_MARK else 0


class _AsUtf8(io.RawIOBase):
    """A file of another encoding, as UTF-8."""

    def __init__(self, handle: io.BufferedIOBase, encoding: str):
        self._handle = handle
        self._decoder = codecs.getincrementaldecoder(encoding)("lorif-bad-byte")
        self._ready = b""
        self._is_done = False

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer; 0 at the end."""
        while not self._ready and not self._is_done:
            read = self._handle.read(BYTES_PER_READ)
            self._is_done = not read
            text = self._decoder.decode(read, final=self._is_done)
            self._ready = text.encode("utf-8", "surrogateescape")
        part, self._ready = self._ready[: len(buffer)], self._ready[len(buffer) :]
        buffer[: len(part)] = part
        return len(part)


def _bad_byte_kept(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    return "\udcff", error.end  # becomes 0xff, which is in no UTF-8


codecs.register_error("lorif-bad-byte", _bad_byte_kept)


def sample_of(path: Path, encoding: str | None = None, size: int = BYTES_PER_READ) -> str:
    """The beginning of a file, without the line that it cuts."""
    with open_text(path, encoding) as (handle, _):
        read = handle.read(size)
    text = read.decode("utf-8", "replace")
    return text if len(read) < size else text[: max(text.rfind("\n"), text.rfind("\r")) + 1 or None]


def is_utf16(path: Path) -> bool:
    """Whether a file begins with UTF-16's mark."""
    with open_bytes(path) as handle:
        return handle.peek(2)[:2] in UTF16_MARKS  # pyright: ignore[reportAttributeAccessIssue]


def encodings_of(path: Path) -> list[str]:
    """Encodings in which a whole file can be read."""
    found = []
    for name in GUESSES:
        with open_bytes(path) as handle:
            decoder = codecs.getincrementaldecoder(name)()
            try:
                while read := handle.read(BYTES_PER_READ):
                    decoder.decode(read)
                decoder.decode(b"", final=True)
            except UnicodeDecodeError:
                continue
            found.append(name)
    return found


def encoding_hint(path: Path) -> str:
    """How a file that is not UTF-8 may be read."""
    known = encodings_of(path)
    said = " or ".join(f"`--encoding {name}`" for name in known[:3])
    return f"name its encoding ({said} reads all of it; look at the preview)" if known else "save it again as UTF-8"


def bad_byte(content: bytes, error: UnicodeDecodeError, offset: int) -> str:
    """Where the first byte is that is no UTF-8."""
    return f"byte 0x{content[error.start]:02x} at offset {offset + error.start}"


def require_encoding(name: str) -> None:
    """Refuse an encoding that Python does not know, or that is none of text.

    Raises:
        DataError: It is unknown.
    """
    try:
        is_text = codecs.lookup(name)._is_text_encoding
    except LookupError:
        is_text = False
    if not is_text:
        raise DataError(f"`--encoding` must be a known encoding, got {name!r}: use latin-1, cp1252, utf-16, gbk, …")
