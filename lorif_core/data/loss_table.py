"""A table of losses: what several models make of every text, and of questions beside them.

Two forms are read from CSV, JSONL and Parquet, with the readers of any other data file:

    long   id, model, loss                       a row per text and model
    wide   id, and a column per model            a row per text

A row whose id is a text of the data set is about that text. Any other id is a question's: it may come with a
``prompt`` and a ``completion``, which people read, and is kept with its losses. A loss is in nats, summed over what
the model was to say; any other number of that kind does, as long as it is the same for texts and questions.

The file is read twice: for the names of its models, then for the numbers, which go to a file of their own (8 bytes
per text and model), so memory does not grow with the texts.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lorif_core.data.examples import ExampleTable
from lorif_core.data.record import Record
from lorif_core.data.sources import iter_records
from lorif_core.errors import DataError

ID_COLUMNS = ("id", "text_id", "train_id", "example_id", "query_id")
"""Any of these names the texts; the first that is there."""

MODEL, LOSS = "model", "loss"
SAID = ("prompt", "completion")
"""Columns that people read."""

ROWS_AT_ONCE = 1 << 16
FEWEST_MODELS = 2

FORMS = "It has the columns id, model and loss, or id and one column of losses per model."


class LossQuestion(NamedTuple):
    """A question whose losses came with a table."""

    question_id: str
    prompt: str
    """Its id where the table says none."""

    completion: str
    """Empty where the table says none."""

    losses: tuple[float, ...]
    """In the order of the table's models."""


@dataclass(frozen=True)
class LossTable:
    """Losses of a data set's texts, and of questions, under the same models."""

    models: tuple[str, ...]
    """Sorted."""

    values: NDArray[np.float64]
    """(N, K), in the order of the data set; NaN where the table says nothing."""

    questions: tuple[LossQuestion, ...]

    @property
    def lacking(self) -> NDArray[np.bool_]:
        """Texts that lack a loss, (N,)."""
        return np.asarray(np.isnan(self.values).any(1))


def read_loss_table(path: Path, examples: ExampleTable, scratch: Path) -> LossTable:
    """The losses of a file.

    Args:
        path: CSV, JSONL, JSON or Parquet.
        examples: The data set.
        scratch: Folder for the numbers, which the table maps; it must live as long.

    Raises:
        DataError: The file is no such table, names a text twice under a model, or holds what is no finite number;
            there are fewer than two models; or no id is of the data set.
    """
    head = _read_head(path)
    shape = (examples.num_examples, len(head.models))
    values = np.memmap(scratch / "losses", np.float64, "w+", shape=shape)
    values[:] = np.nan
    reader = _TableReader(head, values)
    cells = _cells(path, head)
    while rows := list(islice(cells, ROWS_AT_ONCE)):
        reader.take(rows, _rows_of(examples, {row.text_id for row in rows}))
    if not reader.num_of_texts:
        first = next(examples.iter_ids(1), [""])[0]
        raise DataError(
            f"a table of losses is about the texts of the data set, and no id in {str(path)!r} is of one: they look "
            f"like {first!r}, the table's like {next(iter(reader.questions), '')!r}. Give the same ids."
        )
    _check_models(head, values, reader.questions)
    return LossTable(head.models, values, tuple(_question(head, one) for one in reader.questions.values()))


def read_losses(path: Path) -> dict[str, float]:
    """Losses of one question: model → loss, from a file with the columns model and loss, or one row with a column
    per model.

    Raises:
        DataError: The file is no such table.
    """
    found: dict[str, float] = {}
    for record in _valid_records(path):
        values = record.values or {}
        is_long = MODEL in values and LOSS in values
        cells = {str(values[MODEL]): values[LOSS]} if is_long else _without_id(values)
        for name, value in cells.items():
            loss = _number(value, "the question", name, record.line)
            if loss is None:
                continue
            if name in found:
                raise DataError(
                    f"a question has one loss per model, {str(path)!r} has two of {name!r} (row {record.line}): "
                    "leave one out."
                )
            found[name] = loss
    return found


class _Head(NamedTuple):
    """What the columns of a table are."""

    id_column: str
    is_long: bool
    models: tuple[str, ...]


class _Cell(NamedTuple):
    """One loss, or a row of them."""

    line: int
    text_id: str
    losses: dict[str, Any]
    """By model, as the file has them."""

    said: dict[str, str | None]


@dataclass
class _Question:
    question_id: str
    said: dict[str, str | None]
    losses: dict[str, float] = field(default_factory=dict[str, float])


def _read_head(path: Path) -> _Head:
    names: dict[str, None] = {}
    models: dict[str, None] = {}
    id_column, is_long = None, False
    for record in _valid_records(path):
        values = record.values or {}
        if id_column is None:
            id_column = next((one for one in ID_COLUMNS if one in values), None)
            is_long = MODEL in values and LOSS in values
            if id_column is None:
                raise DataError(
                    f"a table of losses names its texts in a column such as `id`, {str(path)!r} has "
                    f"{', '.join(map(repr, values))}. {FORMS}"
                )
        if is_long:
            models[_model_of(values, path, record.line)] = None
        else:
            names |= dict.fromkeys(values)
    found = sorted(models if is_long else (one for one in names if one not in (*ID_COLUMNS, *SAID)))
    if len(found) < FEWEST_MODELS:
        told = f"only {found[0]!r}" if found else "none"
        raise DataError(
            f"a covariance needs the losses of {FEWEST_MODELS} models at least, {str(path)!r} has {told}. {FORMS}"
        )
    return _Head(id_column or ID_COLUMNS[0], is_long, tuple(found))


def _valid_records(path: Path) -> Iterator[Record]:
    for record in iter_records(path):
        if record.values is None:
            raise DataError(
                f"every row of a table of losses must be readable, row {record.line} of {str(path)!r} is not "
                f"({record.problem}{record.detail and f': {record.detail}'}). Correct it, or leave it out."
            )
        yield record


def _model_of(values: Mapping[str, Any], path: Path, line: int) -> str:
    if values.get(MODEL) in (None, ""):
        raise DataError(
            f"every row of a long table of losses names its model, row {line} of {str(path)!r} has none. Add it, or "
            "leave the row out."
        )
    return str(values[MODEL])


def _cells(path: Path, head: _Head) -> Iterator[_Cell]:
    for record in _valid_records(path):
        values = record.values or {}
        text_id = values.get(head.id_column)
        if text_id in (None, ""):
            raise DataError(
                f"every row of a table of losses names its text, row {record.line} of {str(path)!r} has no "
                f"{head.id_column!r}. Add it, or leave the row out."
            )
        is_long = head.is_long
        losses = {_model_of(values, path, record.line): values.get(LOSS)} if is_long else _without_id(values)
        said = {name: None if values.get(name) is None else str(values[name]) for name in SAID}
        yield _Cell(record.line, str(text_id), losses, said)


def _without_id(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in (*ID_COLUMNS, *SAID)}


def _number(value: Any, whose: str, model: str, line: int) -> float | None:
    """A loss; None for a cell that is empty."""
    if value is None or value == "":
        return None
    try:
        found = math.nan if isinstance(value, bool | list | dict) else float(value)
    except (TypeError, ValueError):
        found = math.nan
    if not math.isfinite(found):
        raise DataError(
            f"a loss must be a finite number, that of {whose} under {model!r} is {str(value)[:40]!r} (row {line}). "
            f"Correct it, or leave it out. {FORMS}"
        )
    return found


class _TableReader:
    """Files cells under their texts and questions."""

    def __init__(self, head: _Head, values: NDArray[np.float64]) -> None:
        self.values = values
        self.questions: dict[str, _Question] = {}
        self.num_of_texts = 0
        self._column = {name: place for place, name in enumerate(head.models)}

    def take(self, cells: Sequence[_Cell], row_of: Mapping[str, int]) -> None:
        """File some cells; ``row_of`` knows the texts among them."""
        for cell in cells:
            row = row_of.get(cell.text_id)
            question = None if row is not None else self._question(cell)
            self.num_of_texts += row is not None
            for model, value in cell.losses.items():
                loss = _number(value, repr(cell.text_id), model, cell.line)
                if loss is None:
                    continue
                if row is not None:
                    place = (row, self._column[model])
                    self._refuse_second(not math.isnan(self.values[place]), cell, model)
                    self.values[place] = loss
                elif question is not None:
                    self._refuse_second(model in question.losses, cell, model)
                    question.losses[model] = loss

    def _question(self, cell: _Cell) -> _Question:
        known = self.questions.setdefault(cell.text_id, _Question(cell.text_id, dict(cell.said)))
        for name, text in cell.said.items():
            if text is not None and known.said[name] not in (None, text):
                raise DataError(
                    f"a question has one {name}, {cell.text_id!r} has {known.said[name]!r} and {text!r} (row "
                    f"{cell.line}). Give different questions different ids."
                )
            known.said[name] = known.said[name] if text is None else text
        return known

    def _refuse_second(self, is_there: bool, cell: _Cell, model: str) -> None:
        if is_there:
            raise DataError(
                f"a text has one loss per model, {cell.text_id!r} has a second one under {model!r} (row "
                f"{cell.line}): leave one out."
            )


def _rows_of(examples: ExampleTable, wanted: set[str]) -> dict[str, int]:
    """Rows of those ids that are of the data set."""
    found: dict[str, int] = {}
    ids, start = pl.Series(sorted(wanted), dtype=pl.String), 0
    for chunk in examples.iter_ids():
        column = pl.Series(chunk, dtype=pl.String)
        found |= {chunk[place]: start + place for place in column.is_in(ids.implode()).arg_true().to_list()}
        start += len(chunk)
    return found


def _check_models(head: _Head, values: NDArray[np.float64], questions: Mapping[str, _Question]) -> None:
    """Refuse a model that only texts or only questions know."""
    of_questions = {model for one in questions.values() for model in one.losses}
    for place, model in enumerate(head.models):
        if np.isnan(values[:, place]).all():
            raise DataError(
                f"texts and questions need the losses of the same models, and {model!r} has none of any text"
                f"{': its name stands with questions only' if model in of_questions else ''}. Add them, or leave the "
                "model out."
            )


def _question(head: _Head, found: _Question) -> LossQuestion:
    lacking = [model for model in head.models if model not in found.losses]
    if lacking:
        raise DataError(
            f"{found.question_id!r} is no text of the data set, so it is a question, and a question needs a loss "
            f"under every model: it has none under {lacking[0]!r}. Add it, or correct the id."
        )
    prompt, completion = (found.said[name] for name in SAID)
    losses = tuple(found.losses[model] for model in head.models)
    return LossQuestion(found.question_id, prompt if prompt else found.question_id, completion or "", losses)
