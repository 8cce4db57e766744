"""Search for words: an SQLite FTS5 index of the texts, in one file beside ``examples.parquet``.

The index holds no texts, only where each word stands; rowid is the row number of the example + 1.
Words are cut and compared as ``normalising`` says, before FTS5 sees them: what it is given are words
between spaces, or a text of ASCII only, which its plainest tokenizer cuts in the same way. What a person
types never reaches FTS5's query language: each phrase is quoted, so that its words are looked for literally.
"""

import atexit
import json
import logging
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock
from numpy.typing import NDArray

from lorif_core.corpus.connection import ExamplesFile, damaged, missing, stop_after, too_slow
from lorif_core.corpus.highlighting import phrases_of
from lorif_core.corpus.normalising import spaced_words
from lorif_core.errors import (
    ArtefactError,
    DamagedArtefact,
    FingerprintMismatch,
    LorifError,
    QueryError,
    ResourceError,
)
from lorif_core.files import BLANK_SEAL, check_file, disk_full_message, replace_sealed
from lorif_core.system_failures import refuse_if_of_the_machine, what_failed

logger = logging.getLogger("lorif.search")

FORMAT = 2
"""1 cut words by SQLite's tables: Chinese at spaces only, Hindi at every vowel sign."""

TOKENIZER = "ascii"
HASH_BYTES = 32 << 20
"""Words gathered in memory before a segment is written; a larger value builds no faster."""

CACHE_KIB = 32 << 10


class TextHit(NamedTuple):
    """A row that a search found."""

    row: int
    """Row number of the example."""

    relevance: float
    """BM25, higher is more relevant; comparable within one search only."""


class FullText:
    """A full-text index on disk. Threads may share it; every call opens the file for itself."""

    def __init__(self, path: Path, file: ExamplesFile) -> None:
        """Open the index at ``path``.

        Raises:
            FingerprintMismatch: It was built from other examples, or by another version.
            ArtefactError: It is missing or damaged.
            QueryError: This Python has no FTS5.
        """
        self.path = path
        if path.is_file():
            check_file(path, remedy="It is built again.")
        with self._reading(None) as connection:
            found = connection.execute("SELECT format, fingerprint, text_columns FROM about").fetchall()
            connection.execute("SELECT rowid FROM texts LIMIT 1").fetchall()
        expected = [(FORMAT, file.fingerprint, json.dumps(file.text_columns))]
        if found != expected:
            raise FingerprintMismatch(
                f"{str(path)!r} must be the full-text index of the examples {file.fingerprint[:8]}…, it was built "
                "from others or by another version: delete it, and it is built again."
            )

    def search(
        self, words: str, limit: int = 20, offset: int = 0, time_limit_s: float | None = None
    ) -> list[TextHit]:
        """Rows that hold all of the words, most relevant first, ties by row.

        Args:
            words: As typed: words, "phrases in quotes" and prefixes*; the rest is meant literally. Without
                a letter or digit nothing is found.
            limit: Most rows to return.
            offset: Rows to skip.
            time_limit_s: Longest time to take.

        Raises:
            QueryError: The text cannot be searched for, or takes too long.
            DamagedArtefact: The index is damaged.
        """
        if limit < 0 or offset < 0:
            raise QueryError(f"limit and offset are 0 or more, got {limit} and {offset}: raise them.")
        sql = "SELECT rowid - 1, -rank FROM texts WHERE texts MATCH ? ORDER BY rank, rowid LIMIT ? OFFSET ?"
        expression = match_expression(words)
        if expression is None:
            return []
        with self._reading(time_limit_s) as connection:
            return [TextHit(*hit) for hit in connection.execute(sql, (expression, limit, offset))]

    def count(self, words: str, time_limit_s: float | None = None) -> int:
        """Number of rows that hold all of the words.

        Raises:
            QueryError: The text cannot be searched for, or takes too long.
            DamagedArtefact: The index is damaged.
        """
        expression = match_expression(words)
        if expression is None:
            return 0
        with self._reading(time_limit_s) as connection:
            return connection.execute("SELECT count(*) FROM texts WHERE texts MATCH ?", (expression,)).fetchone()[0]

    def matches(self, words: str, time_limit_s: float | None = None, *, ranks: bool = False) -> pl.DataFrame:
        """All rows that hold all of the words, ascending: column ``row``, with ``ranks`` also ``relevance``.

        Args:
            words: As typed.
            time_limit_s: Longest time to take.
            ranks: Whether relevance is computed, which takes several times as long.

        Raises:
            QueryError: The text cannot be searched for, or takes too long.
            DamagedArtefact: The index is damaged.
        """
        columns = {"row": "i8", "relevance": "f8"} if ranks else {"row": "i8"}
        expression = match_expression(words)
        table = np.empty(0, list(columns.items()))
        if expression is not None:
            relevance = ", -rank" if ranks else ""
            sql = f"SELECT rowid - 1{relevance} FROM texts WHERE texts MATCH ? ORDER BY rowid"
            with self._reading(time_limit_s) as connection:
                table = np.fromiter(connection.execute(sql, (expression,)), list(columns.items()))
        return pl.DataFrame({name: table[name] for name in columns})

    def iter_rows_with(self, phrases: Iterable[Sequence[str]]) -> Iterator[NDArray[np.int64]]:
        """For each phrase, the rows that hold it, ascending.

        Args:
            phrases: Words that follow each other in one column, as ``normalising.words_of`` gives them.

        Raises:
            DamagedArtefact: The index is damaged.
        """
        with self._reading(None) as connection:
            for words in phrases:
                expression = '"' + " ".join(words) + '"'
                rows = connection.execute("SELECT rowid - 1 FROM texts WHERE texts MATCH ?", (expression,))
                yield np.fromiter((row for (row,) in rows), np.int64)

    @contextmanager
    def _reading(self, time_limit_s: float | None) -> Iterator[sqlite3.Connection]:
        if not self.path.is_file():
            raise ArtefactError(f"{str(self.path)!r} is missing: build the full-text index again.")
        # Immutable: a finished index is replaced, never changed, so it needs no locks.
        with closing(_connect(f"{self.path.resolve().as_uri()}?mode=ro&immutable=1")) as connection:
            with stop_after(time_limit_s, connection.interrupt) as is_late:
                try:
                    yield connection
                except sqlite3.OperationalError as error:
                    if is_late.is_set() and time_limit_s is not None:
                        raise too_slow(time_limit_s) from error
                    raise _explained(error, self.path) from error
                except sqlite3.DatabaseError as error:
                    raise _explained(error, self.path) from error


_ELSEWHERE: dict[Path, Path] = {}
"""Where an index should be → where this process has its own, because there it cannot be written."""


def ensure_fulltext(
    file: ExamplesFile, path: Path, on_progress: Callable[[int], None] = lambda num_rows: None
) -> FullText:
    """The full-text index of the examples, built first if it is missing, damaged or of other examples.

    Processes that ask at the same time build it once. Where it cannot be written, as on a full or read-only disk,
    this process builds one for itself in the temporary folder, and says so.

    Args:
        file: The examples.
        path: Where the index is, ``search.sqlite`` beside them.
        on_progress: Told the number of examples indexed so far.

    Raises:
        QueryError: This Python has no FTS5.
        ArtefactError: The examples are missing or damaged.
        ResourceError: The disk is full.
    """
    try:
        return FullText(path, file)
    except DamagedArtefact as error:
        logger.warning("%s", error)
    except ArtefactError:
        pass  # there is none yet, or it is of other examples
    try:
        with _building_alone(path):
            with suppress(ArtefactError):  # another process has built it meanwhile
                return FullText(path, file)
            build_fulltext(file, path, on_progress)
    except (ArtefactError, ResourceError) as error:
        is_refused = isinstance(error, ResourceError) or isinstance(error.__cause__, OSError | sqlite3.Error)
        if not path.parent.is_dir() or not is_refused:
            raise
        return _built_elsewhere(file, path, error, on_progress)
    return FullText(path, file)


def _built_elsewhere(
    file: ExamplesFile, path: Path, refused: LorifError, on_progress: Callable[[int], None]
) -> FullText:
    """An index of this process, in a temporary folder."""
    if path in _ELSEWHERE:
        with suppress(ArtefactError):
            return FullText(_ELSEWHERE[path], file)
    try:
        folder = Path(tempfile.mkdtemp(prefix="lorif-search-"))
    except OSError:
        raise refused from None
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    logger.warning("the texts are indexed in the temporary folder for this time: %s", refused)
    build_fulltext(file, folder / path.name, on_progress)
    _ELSEWHERE[path] = folder / path.name
    return FullText(_ELSEWHERE[path], file)


@contextmanager
def _building_alone(path: Path) -> Iterator[None]:
    if not path.parent.is_dir():  # the lock would make it
        raise _unwritable(path, "(there is no such folder): check the path")
    lock = FileLock(path.with_name(f"{path.name}.lock"), fallback_to_soft=False)
    try:
        lock.acquire()
    except OSError as error:
        raise _unwritable(path, what_failed(error)) from error
    try:
        yield
    finally:
        lock.release()


def _unwritable(path: Path, cause: str) -> ArtefactError:
    return ArtefactError(
        f"the full-text index {str(path)!r} cannot be written {cause}. It needs a folder that you may write to."
    )


def build_fulltext(
    file: ExamplesFile, path: Path, on_progress: Callable[[int], None] = lambda num_rows: None
) -> None:
    """Write the full-text index of the examples, atomically, with one row group in memory at a time.

    Args:
        file: The examples.
        path: Where the index goes; one that is there is replaced.
        on_progress: Told the number of examples indexed so far.

    Raises:
        QueryError: This Python has no FTS5.
        ArtefactError: The examples are missing or damaged.
        ResourceError: The disk is full.
    """
    with replace_sealed(path) as partial:
        with _explaining(path), closing(_connect(str(partial))) as connection:
            _create(connection, file)
            num_rows = 0
            for texts in _iter_texts(file):
                first = num_rows + 1
                marks = ", ".join("?" * (1 + len(file.text_columns)))
                rows = ((first + place, *values) for place, values in enumerate(texts))
                connection.executemany(f"INSERT INTO texts(rowid, {_names(file)}) VALUES ({marks})", rows)
                num_rows += len(texts)
                on_progress(num_rows)
            connection.execute("COMMIT")
            connection.execute("INSERT INTO texts(texts) VALUES ('optimize')")


def match_expression(words: str) -> str | None:
    """What was typed, as an FTS5 expression in which all of it is quoted; None if it has no letter or digit.

    Raises:
        QueryError: The text is too long or no plain text.
    """
    quoted = ['"' + " ".join(phrase.words) + '"' + " *" * phrase.is_prefix for phrase in phrases_of(words)]
    return " AND ".join(quoted) or None


def _create(connection: sqlite3.Connection, file: ExamplesFile) -> None:
    # The file is flushed and renamed when it is whole, and thrown away when it is not.
    for setting in ("journal_mode = OFF", "synchronous = OFF", f"cache_size = -{CACHE_KIB}"):
        connection.execute(f"PRAGMA {setting}")
    connection.execute("BEGIN")
    connection.execute("CREATE TABLE seal(seal TEXT)")  # the first one: it lies in the first pages
    connection.execute("INSERT INTO seal VALUES (?)", [BLANK_SEAL])
    connection.execute("CREATE TABLE about(format INTEGER, fingerprint TEXT, text_columns TEXT)")
    about = (FORMAT, file.fingerprint, json.dumps(file.text_columns))
    connection.execute("INSERT INTO about VALUES (?, ?, ?)", about)
    connection.execute(f"CREATE VIRTUAL TABLE texts USING fts5({_names(file)}, content='', tokenize='{TOKENIZER}')")
    connection.execute("INSERT INTO texts(texts, rank) VALUES ('hashsize', ?)", (HASH_BYTES,))


def _names(file: ExamplesFile) -> str:
    return ", ".join(f"c{number}" for number in range(len(file.text_columns)))


def _iter_texts(file: ExamplesFile) -> Iterator[list[tuple[str, ...]]]:
    """Readable texts of the text columns, one row group after the other."""
    readers = [_contents if name in file.message_columns else _without_nul for name in file.text_columns]
    try:
        with pq.ParquetFile(file.path, page_checksum_verification=True) as parquet:
            for group in range(parquet.num_row_groups):
                table = parquet.read_row_group(group, columns=list(file.text_columns))
                columns = [
                    [spaced_words(read(text or "")) for text in table[name].to_pylist()]
                    for name, read in zip(file.text_columns, readers, strict=True)
                ]
                yield list(zip(*columns, strict=True))
    except FileNotFoundError as error:
        raise missing(file.path) from error
    except (pa.ArrowException, OSError, KeyError) as error:
        refuse_if_of_the_machine(error, file.path)
        raise damaged(file.path, error) from error


def _contents(messages: str) -> str:
    return _without_nul("\n".join(turn["content"] for turn in json.loads(messages or "[]")))


def _without_nul(text: str) -> str:
    return text.replace("\0", " ")  # SQLite's functions end a text there


def _connect(address: str) -> sqlite3.Connection:
    return sqlite3.connect(address, uri=address.startswith("file:"), isolation_level=None, check_same_thread=False)


@contextmanager
def _explaining(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise _explained(error, path) from error


def _explained(error: sqlite3.DatabaseError, path: Path) -> LorifError:
    if "no such module: fts5" in str(error):
        return QueryError(
            f"searching for words needs SQLite with FTS5, this Python's SQLite {sqlite3.sqlite_version} has none: "
            "use another build of Python, or search with `contains`."
        )
    if "disk is full" in str(error):
        return ResourceError(disk_full_message(path))
    if "unable to open" in str(error) or "readonly" in str(error):
        return _unwritable(path, str(error))
    return DamagedArtefact(
        f"{str(path)!r} is not a readable full-text index ({error}): delete it, and it is built again."
    )
