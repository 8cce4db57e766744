"""The training texts in which what was said stands word for word, whether or not they are influential."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray
from rich.console import RenderableType

from lorif_core.corpus.verbatim import Wording
from lorif_core.corpus.verbatim_search import longest_possible
from lorif_core.data.examples import ExampleTable
from lorif_core.errors import ConfigError, DataError
from lorif_core.views.tables import human_seconds
from lorif_core.views.verbatim_lists import VerbatimText, verbatim_html, verbatim_table
from lorif_core.views.verbatim_of_hit import verbatim_of, words_text
from lorif_core.workspace.datasets.view import build_search
from lorif_core.workspace.folder.displayed import Displayed
from lorif_core.workspace.folder.workspace_files import WorkspaceFiles

MOST_READ = 1_000
"""Texts that are read for one answer: those that can have the longest spans."""

READ_AT_ONCE = 100

ONLY_COMMON = "it has only words that stand in any text, so no span of it counts"


@dataclass(frozen=True)
class VerbatimTexts(Displayed):
    """The texts of a data set with the longest spans of what was said."""

    said: str
    dataset_id: str

    texts: list[VerbatimText]
    """By the words of their longest span, then the characters of all their spans, then the order of the data."""

    num_texts: int
    """Of the data set: all of them were looked at."""

    num_holding: int
    """Texts that hold a span that counts; of those that were not read, as the index of the texts counts them, which
    does not know where a turn ends."""

    unread_words: int
    """Not all texts were read, and one that is not listed may hold a span of up to so many words; 0: none holds a
    longer one than those that are listed, and of as many words the list has those with the most characters."""

    elapsed_s: float

    def facts(self) -> list[str]:
        """What the list rests on, in short sentences."""
        looked = f"{self.num_texts:,} texts looked at in {human_seconds(self.elapsed_s)}"
        if not self.num_holding:
            has_windows = bool(Wording(self.said).windows())
            why = "no text holds a span of it that counts"
            return [
                looked,
                why if has_windows else "it has only words that stand in any text, so no span of it counts",
            ]
        verb = "text holds" if self.num_holding == 1 else "texts hold"
        found = [looked, f"{self.num_holding:,} {verb} a span of it"]
        if self.num_holding > len(self.texts):
            found.append(f"the {len(self.texts):,} with the longest are listed")
        if self.unread_words:
            most = words_text(self.unread_words)
            found.append(f"not all of them were read: others may hold up to {most} in a row")
        return found

    def __rich__(self) -> RenderableType:
        """As a terminal shows it."""
        return verbatim_table(self.said, self.texts, self.facts())

    def to_html(self, *, redact: bool = False) -> str:
        """The list as HTML without a script; every text is escaped."""
        return verbatim_html(self.said, self.texts, self.facts(), redact=redact)

    def to_polars(self) -> pl.DataFrame:
        """One row per span: rank, train_id, words, part, start, stop, span, status."""
        columns = {
            **{"rank": pl.Int64, "train_id": pl.String, "words": pl.Int64, "part": pl.String},
            **{"start": pl.Int64, "stop": pl.Int64, "span": pl.String, "status": pl.String},
        }
        rows = [
            {
                "rank": one.rank,
                "train_id": one.train_id,
                "words": span.words,
                "part": span.part,
                "start": span.start,
                "stop": span.stop,
                "span": one.text[span.start : span.stop],
                "status": one.status,
            }
            for one in self.texts
            for span in one.verbatim.spans
        ]
        return pl.DataFrame(rows, schema=columns)

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON-serialisable values."""
        return asdict(self) | {"facts": self.facts()}


def find_verbatim(files: WorkspaceFiles, said: str, k: int = 20, dataset: str | None = None) -> VerbatimTexts:
    """The texts of a data set with the longest spans of what was said.

    Args:
        files: The workspace.
        said: An answer, or any text.
        k: Length of the list.
        dataset: Name or id; may be left out when there is only one.

    Raises:
        ConfigError: Nothing was said, or the list is too long or too short.
        DataError: The data set holds token ids without a text.
    """
    started = time.perf_counter()
    if not 1 <= k <= MOST_READ:
        raise ConfigError(f"k must be between 1 and {MOST_READ:,} here, got {k}.")
    wording = Wording(said)
    if not wording.words:
        raise ConfigError(f"what is looked for word for word needs a letter or a digit, got {said[:60]!r}.")
    record = files.choose_dataset(dataset)
    table = files.examples(record.dataset_id)
    if table.columns.kind == "tokens" and table.columns.shown is None:
        raise DataError(
            f"data set {record.name!r} holds token ids without a text, so no words can be looked for in it. Import "
            "it with the column that holds the text: `--column shown=COLUMN`."
        )
    bounds = longest_possible(build_search(files, record.dataset_id), wording, table.num_examples)
    found = _longest(table, bounds, wording, k)
    rows = [one.row for one in found.texts[:k]]
    return VerbatimTexts(
        said=said,
        dataset_id=record.dataset_id,
        texts=_listed(table, rows, wording, files.journal.states(record.corpus_id, _ids(table, rows))),
        num_texts=table.num_examples,
        num_holding=int(np.count_nonzero(bounds)) - found.num_without,
        unread_words=found.unread_words,
        elapsed_s=time.perf_counter() - started,
    )


class _Ranked(NamedTuple):
    """A row, and what its place in the list is told by."""

    words: int
    """Of its longest span."""

    characters: int
    """Of all its spans."""

    row: int


class _Found(NamedTuple):
    """The texts that were read."""

    texts: list[_Ranked]
    """Those with a span, the best first."""

    num_without: int
    """Those without: the index does not know where a turn ends, and found a span over two."""

    unread_words: int


def _longest(table: ExampleTable, bounds: NDArray[np.int32], wording: Wording, k: int) -> _Found:
    """Texts in the order of what their spans can have at most, until no other one can have a longer one."""
    holding = np.flatnonzero(bounds)
    order = holding[np.argsort(-bounds[holding], kind="stable")]
    found, num_read = list[_Ranked](), 0
    while num_read < len(order):
        possible = int(bounds[order[num_read]])
        kth = found[k - 1].words if len(found) >= k else 0
        if kth > possible:
            return _Found(found, num_read - len(found), 0)
        if num_read >= MOST_READ:
            return _Found(found, num_read - len(found), possible)
        rows = np.sort(order[num_read : num_read + READ_AT_ONCE]).tolist()
        for row, example in zip(rows, table.examples_at(rows), strict=True):
            one = verbatim_of(example, wording)
            if one.spans:
                found.append(_Ranked(one.longest, sum(span.stop - span.start for span in one.spans), row))
        found.sort(key=lambda one: (-one.words, -one.characters, one.row))
        num_read += len(rows)
    return _Found(found, num_read - len(found), 0)


def _ids(table: ExampleTable, rows: Sequence[int]) -> list[str]:
    return [example.train_id for example in table.examples_at(rows)]


def _listed(table: ExampleTable, rows: Sequence[int], wording: Wording, states: pl.DataFrame) -> list[VerbatimText]:
    decided = {row["train_id"]: (row["status"], row["reason"]) for row in states.iter_rows(named=True)}
    examples, values = table.examples_at(rows), table.values_at(rows)
    return [
        VerbatimText(
            rank,
            example.train_id,
            example.plain_text,
            {name: row[name] for name in table.metadata_columns},
            *decided.get(example.train_id, ("kept", None)),
            verbatim_of(example, wording),
        )
        for rank, (example, row) in enumerate(zip(examples, values, strict=True), start=1)
    ]
