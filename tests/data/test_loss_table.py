"""Tables of losses: both forms, every kind of file, and everything that is not in order."""

import json

import numpy as np
import polars as pl
import pytest
from tiny_workspace import imported, rows

import lorif_core as lf
from lorif_core.data.loss_table import read_loss_table, read_losses
from lorif_core.errors import DataError

MODELS = ("m1", "m2", "m3")
IDS = [row["id"] for row in rows()]
VALUES = np.random.default_rng(0).normal(30, 4, (len(IDS), len(MODELS)))
ASKED = {"id": "q1", "prompt": "Where?", "completion": " There.", "losses": (1.5, -2.0, 3.25)}


@pytest.fixture(scope="module")
def examples():
    files = lf.open_workspace(imported()).files
    return files.examples(files.choose_dataset(None).dataset_id)


def wide():
    found = [
        {"id": one, **dict(zip(MODELS, row, strict=True))} for one, row in zip(IDS, VALUES.tolist(), strict=True)
    ]
    said = {name: ASKED[name] for name in ("id", "prompt", "completion")}
    return [*found[::-1], said | dict(zip(MODELS, ASKED["losses"], strict=True))]


def long():
    return [
        {key: row.get(key) for key in ("id", "prompt", "completion")} | {"model": model, "loss": row[model]}
        for row in wide()
        for model in MODELS
    ]


def written(folder, values, ending):
    path = folder / f"losses.{ending}"
    if ending == "jsonl":
        path.write_text("".join(json.dumps(one) + "\n" for one in values), encoding="utf-8")
    else:
        frame = pl.DataFrame(values, infer_schema_length=None)
        frame.write_csv(path) if ending == "csv" else frame.write_parquet(path)
    return path


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("form", [wide, long])
def test_both_forms_of_every_file_are_the_same_table(examples, tmp_path, form, ending):
    table = read_loss_table(written(tmp_path, form(), ending), examples, tmp_path)
    assert table.models == MODELS
    assert np.array_equal(np.asarray(table.values), VALUES)  # in the order of the data set, not of the file
    (question,) = table.questions
    assert tuple(question) == tuple(ASKED.values())
    assert not table.lacking.any()


def test_rows_are_looked_up_a_few_at_a_time(examples, tmp_path, monkeypatch):
    monkeypatch.setattr("lorif_core.data.loss_table.ROWS_AT_ONCE", 7)
    table = read_loss_table(written(tmp_path, long(), "jsonl"), examples, tmp_path)
    assert np.array_equal(np.asarray(table.values), VALUES)


def test_a_question_of_its_id_alone_is_called_by_it(examples, tmp_path):
    table = read_loss_table(
        written(tmp_path, [*wide()[:-1], {"id": 7, "m1": 1, "m2": 2, "m3": 3}], "jsonl"), examples, tmp_path
    )
    assert tuple(table.questions[0]) == ("7", "7", "", (1.0, 2.0, 3.0))


def test_what_is_missing_is_missing(examples, tmp_path):
    values = wide()
    values[3] |= {"m2": None}
    values[5].pop("m1")
    table = read_loss_table(written(tmp_path, values[:-1], "jsonl"), examples, tmp_path)
    lacking = {IDS[row] for row in table.lacking.nonzero()[0]}
    assert lacking == {values[3]["id"], values[5]["id"]}


def changed(place, **values):
    def change(table):
        table[place] = table[place] | values
        return table

    return change


@pytest.mark.parametrize(
    ("form", "change", "message"),
    [
        (
            wide,
            changed(2, m1="much"),
            r"a loss must be a finite number, that of 't\d+' under 'm1' is 'much' \(row 3\)",
        ),
        (wide, changed(2, m1="nan"), r"a loss must be a finite number, .* is 'nan'"),
        (wide, changed(2, m1="-inf"), r"a loss must be a finite number, .* is '-inf'"),
        (wide, changed(2, m1=True), r"a loss must be a finite number, .* is 'True'"),
        (wide, changed(2, id=""), r"every row of a table of losses names its text, row 3 of .* has no 'id'"),
        (
            wide,
            lambda table: [*table, table[4]],
            r"a text has one loss per model, 't\d+' has a second one under 'm1'",
        ),
        (wide, lambda table: [*table, table[-1]], r"a text has one loss per model, 'q1' has a second one under 'm1'"),
        (wide, changed(-1, m2=None), r"'q1' is no text of the data set, so it is a question, .* none under 'm2'"),
        (wide, lambda table: table[-1:], r"is about the texts of the data set, and no id in .* like 't000', .* 'q1'"),
        (wide, changed(-1, m4=1.0), r"the losses of the same models, and 'm4' has none of any text: its name stands"),
        (
            wide,
            lambda table: [{"id": one["id"], "m1": one["m1"]} for one in table],
            r"2 models at least, .* only 'm1'",
        ),
        (
            wide,
            lambda table: [{"m1": 1.0, "m2": 2.0}],
            r"names its texts in a column such as `id`, .* has 'm1', 'm2'",
        ),
        (long, changed(5, model=None), r"every row of a long table of losses names its model, row 6 .* has none"),
        (long, changed(-1, prompt="Who?"), r"a question has one prompt, 'q1' has 'Where\?' and 'Who\?'"),
    ],
)
def test_what_is_not_in_order_is_refused_in_one_sentence(examples, tmp_path, form, change, message):
    path = written(tmp_path, change(form()), "jsonl")
    with pytest.raises(DataError, match=message) as refused:
        read_loss_table(path, examples, tmp_path)
    assert "\n" not in str(refused.value)


def test_a_row_that_cannot_be_read_is_named(examples, tmp_path):
    path = tmp_path / "losses.jsonl"
    path.write_text('{"id": "t000", "m1": 1, "m2": 2}\n{"id": \n', encoding="utf-8")
    with pytest.raises(DataError, match=r"every row of a table of losses must be readable, row 2 of .* is not"):
        read_loss_table(path, examples, tmp_path)


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_losses_of_one_question_are_a_row_or_a_column(tmp_path, ending):
    wanted = {"m1": 1.5, "m2": -2.0}
    assert read_losses(written(tmp_path, [wanted], ending)) == wanted
    long_ones = [{"model": name, "loss": loss} for name, loss in wanted.items()]
    assert read_losses(written(tmp_path, long_ones, ending)) == wanted


def test_a_question_has_one_loss_per_model(tmp_path):
    with pytest.raises(DataError, match=r"has two of 'm1' \(row 2\): leave one out"):
        read_losses(written(tmp_path, [{"model": "m1", "loss": 1.0}, {"model": "m1", "loss": 2.0}], "jsonl"))
