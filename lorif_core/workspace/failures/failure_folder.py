"""What is kept of a file of failures that was asked: ``failures/RUN/``.

``run.json`` says what was asked; ``scores-FIRST-STOP.parquet`` holds the influence of every text on questions from
FIRST to before STOP, a column each, in store order; ``texts-K.parquet`` adds them up per text, and is there once all
were asked. Nothing holds more than one question's scores of all texts in memory.
"""

import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from lorif_core.errors import ArtefactError, DamagedArtefact
from lorif_core.files import BLANK_SEAL, SEAL, check_file, read_json, replace_sealed, write_json
from lorif_core.metrics.group_sums import top_rows
from lorif_core.system_failures import refuse_if_of_the_machine

FOLDER = "failures"
RUN = "run.json"
REMEDY = "Move its folder away and ask the file again."
SCORES = re.compile(r"scores-(\d{5,})-(\d{5,})\.parquet")
TOP = 20
"""How many texts of a question's ranking count as those that taught it, unless a person says another number."""

SUMS = ("value", "positive", "negative")
COUNTS = ("num_top", "num_bottom", "num_for")


@dataclass(frozen=True)
class AskedFailure:
    """One failure as it was asked."""

    question_id: str
    """Within the run: ``r17`` is row or sample 17 of the file."""

    line: int
    prompt: str
    completion: str
    expected: str | None
    why: str
    system: str | None
    messages: tuple[dict[str, Any], ...]
    form: str | None
    """raw where the prompt is all that the model read; None: as is usual for the index."""


@dataclass(frozen=True)
class FailureFolder:
    """The folder of one run, finished or not."""

    path: Path

    @property
    def run_id(self) -> str:
        """Its name."""
        return self.path.name

    def begin(self, said: dict[str, Any], asked: list[AskedFailure]) -> None:
        """Keep what is asked, and of which file, in place of what was kept when the same was asked before.

        The questions are the same then; what else the file says of them, and of the rows that passed, may be new.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        write_json(self.path / RUN, said | {"questions": [asdict(one) for one in asked]})

    def said(self) -> dict[str, Any]:
        """What was asked, as ``begin`` kept it.

        Raises:
            ArtefactError: It is missing or damaged.
        """
        return read_json(self.path / RUN, "index_id", "questions")

    @property
    def asked_at(self) -> float:
        """When its file was asked last, in seconds since 1970."""
        return (self.path / RUN).stat().st_mtime

    def questions(self) -> list[AskedFailure]:
        """Every failure that is asked, in the order of the file."""
        return [AskedFailure(**one | {"messages": tuple(one["messages"])}) for one in self.said()["questions"]]

    def num_done(self) -> int:
        """How many of the first questions have their scores, up to the first one that lacks them.

        Questions behind it may have theirs, where a damaged file was taken away.
        """
        done = 0
        for first, stop, _ in self._score_files():
            if first > done:
                break
            done = max(done, stop)
        return done

    def _score_files(self) -> list[tuple[int, int, Path]]:
        found = [(SCORES.fullmatch(path.name), path) for path in self.path.glob("scores-*.parquet")]
        return sorted((int(match[1]), int(match[2]), path) for match, path in found if match)

    def scores(self, number: int) -> NDArray[np.float32]:
        """Influence of every text on a question, (N,), in nats and in store order.

        Args:
            number: Place of the question, from 0.

        Raises:
            ArtefactError: It was not asked yet.
            DamagedArtefact: The file is damaged.
        """
        for first, stop, path in self._score_files():
            if first <= number < stop:
                return _column(path, str(number))
        raise ArtefactError(f"question {number + 1} of {self.run_id} was not asked yet: resume its job.")

    def iter_scores(self) -> Iterator[NDArray[np.float32]]:
        """The scores of every question in turn."""
        for number in range(len(self.said()["questions"])):
            yield self.scores(number)

    def texts(self, k: int = TOP) -> pl.DataFrame:
        """What every text is to all questions, in store order; added up once and kept.

        Columns: value (sum over the questions, nats), positive and negative (its two parts), num_top and num_bottom
        (in how many questions it is among the k strongest that support, and that oppose), num_for (how many it
        supports).
        """
        path = self.path / f"texts-{k}.parquet"
        if not path.is_file():
            with replace_sealed(path) as partial:
                table = _added_up(self.iter_scores(), k).to_arrow()
                pq.write_table(table.replace_schema_metadata({SEAL: BLANK_SEAL}), partial, compression="zstd")
        _check(path)
        return pl.read_parquet(path)


def _added_up(all_scores: Iterator[NDArray[np.float32]], k: int) -> pl.DataFrame:
    sums: dict[str, NDArray[Any]] = {}
    for scores in all_scores:
        if not sums:
            sums = {name: np.zeros(len(scores)) for name in SUMS}
            sums |= {name: np.zeros(len(scores), np.int32) for name in COUNTS}
        wide = scores.astype(np.float64)
        sums["value"] += wide
        sums["positive"] += wide.clip(min=0)
        sums["negative"] += wide.clip(max=0)
        sums["num_for"] += scores > 0
        for name, signed in (("num_top", scores), ("num_bottom", -scores)):
            rows = top_rows(signed, k)
            sums[name][rows[signed[rows] > 0]] += 1
    return pl.DataFrame(sums)


class KeptPasses:
    """Writes the scores of one pass after the other, each into a file of its own that is there when it is whole."""

    def __init__(self, folder: FailureFolder, first: int, num_texts: int) -> None:
        self.folder = folder
        self.first = first
        """Number of the first question of the next passes."""

        self.num_texts = num_texts
        self._stack = ExitStack()
        self._writer: PassWriter | None = None

    def __enter__(self) -> "KeptPasses":
        return self

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._finish()
        else:
            self._stack.__exit__(error_type, error, trace)

    def begin(self, rows: slice) -> "PassWriter":
        """What receives the scores of the next pass; the pass before it is whole.

        Raises:
            ArtefactError: The pass before lacks scores.
        """
        self._finish()
        numbers = range(self.first + rows.start, self.first + rows.stop)
        path = self.folder.path / f"scores-{numbers.start:05d}-{numbers.stop:05d}.parquet"
        schema = pa.schema([(str(number), pa.float32()) for number in numbers], metadata={SEAL: BLANK_SEAL})
        partial = self._stack.enter_context(replace_sealed(path))
        # No dictionary: scores hardly repeat, and one would hold them once more.
        options = {"compression": "zstd", "use_dictionary": False, "use_byte_stream_split": True}
        writer = self._stack.enter_context(pq.ParquetWriter(partial, schema, **options))
        self._writer = PassWriter(writer, schema)
        return self._writer

    def _finish(self) -> None:
        """Give the file of the latest pass its name."""
        with self._stack.pop_all():
            writer, self._writer = self._writer, None
            if writer is not None:
                writer.require(self.num_texts)


@dataclass
class PassWriter:
    """Writes the scores of some questions, stretch by stretch."""

    writer: pq.ParquetWriter
    schema: pa.Schema
    num_written: int = 0

    def take(self, start: int, scores: NDArray[np.float32]) -> None:
        """The scores (q, n) of the texts from a position on.

        Raises:
            ArtefactError: Texts before it have none.
        """
        self.require(start)
        self.writer.write_table(pa.table([pa.array(row) for row in scores], schema=self.schema))
        self.num_written += scores.shape[1]

    def require(self, num_texts: int) -> None:
        """Refuse to go on, or to keep what is there, unless so many texts have their scores.

        Raises:
            ArtefactError: They have not: what is kept must be whole.
        """
        if self.num_written != num_texts:
            lacking = num_texts - self.num_written
            raise ArtefactError(f"{lacking:,} texts have no scores, and failures need those of all. Resume the job.")


def _check(path: Path) -> None:
    try:
        check_file(path, remedy=REMEDY)
    except OSError as error:
        refuse_if_of_the_machine(error, path)
        raise DamagedArtefact(f"{str(path)!r} cannot be read. {REMEDY}") from error


def _column(path: Path, name: str) -> NDArray[np.float32]:
    _check(path)
    try:
        return pq.read_table(path, columns=[name])[name].to_numpy()
    except (pa.ArrowException, OSError, KeyError) as error:
        refuse_if_of_the_machine(error, path)
        raise DamagedArtefact(f"{str(path)!r} is damaged. {REMEDY}") from error
