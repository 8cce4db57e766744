"""Files of queries: each has the scores that it has alone, in few passes, and what is cut is said."""

from dataclasses import replace
from functools import cache

import numpy as np
import polars as pl
import pytest
import torch
from tiny_workspace import NUM_TEXTS, copy_of, done, imported, model_folder, root, rows, write_rows

import lorif_core as lf
from lorif_core.errors import ConfigError
from lorif_core.passes import scoring
from lorif_core.passes.device_shards import ScoringDevice
from lorif_core.passes.queries import capture_directions, capture_queries
from lorif_core.workspace.asking import query_passes
from lorif_core.workspace.asking.query_limits import QueryFile, QueryLimits
from lorif_core.workspace.asking.score_file import read_query_examples, score_file, to_query

NUM_QUERIES = 9
METHODS = {
    "default": (),
    "numbers": ("--method", "kronecker", "--codec", "bf16"),
    "logra": ("--method", "logra"),
    "lorif": ("--method", "lorif", "--subspace-rank", 4),
}


@cache
def queries_file():
    found = [
        {"query_id": f"q{number}", "prompt": row["prompt"], "completion": row["completion"]}
        for number, row in enumerate(rows()[:NUM_QUERIES])
    ]
    return write_rows(root() / "many-queries.jsonl", found)


@cache
def workspace(method):
    folder = copy_of(imported(), root() / f"many-{method}")
    done("index", folder, "--model", model_folder(), "--shard-examples", 16, *METHODS[method])
    return lf.open_workspace(folder)


def scores(method, folder, settings, limits=None):
    """(Q, N) in the order of the file and of the texts, and the report."""
    asked = QueryFile(queries_file(), limits=limits or QueryLimits())
    result = workspace(method).questions.score(asked, folder / "scores", settings=settings, overwrites=True)
    frame = pl.read_parquet(folder / "scores").with_columns(pl.col("query_id").cast(pl.String))
    found = [frame.filter(pl.col("query_id") == f"q{number}") for number in range(NUM_QUERIES)]
    ids = [row["id"] for row in rows()]
    assert all(one["example_id"].to_list() == ids for one in found)
    return np.stack([one["score"].to_numpy() for one in found]).astype(float), result


@cache
def alone(method, settings):
    """The same by a question each."""
    found = np.zeros((NUM_QUERIES, NUM_TEXTS))
    place = {row["id"]: number for number, row in enumerate(rows())}
    for number, row in enumerate(rows()[:NUM_QUERIES]):
        answer = workspace(method).ask(
            row["prompt"], row["completion"], settings=settings, k=NUM_TEXTS, num_opposing=NUM_TEXTS, keeps=False
        )
        for hit in answer.hits:
            found[number, place[hit.train_id]] = hit.score
    return found


@pytest.mark.parametrize(("method", "normalisation"), [*((one, "none") for one in METHODS), ("default", "unit")])
def test_a_query_of_many_has_the_scores_that_it_has_alone(method, normalisation, tmp_path):
    settings = lf.ScoreConfig(normalisation=normalisation)
    found, result = scores(method, tmp_path, settings)
    wanted = alone(method, settings)
    # What is left out unasked, and rounding, of the largest score of each query.
    assert (np.abs(found - wanted) <= 1e-4 * np.abs(wanted).max(1, keepdims=True)).all()
    assert result.passes.num_passes == 1
    assert result.passes.left_out <= 1e-5


@pytest.mark.parametrize("more", [{"query_rank": 1}, {"objective": "margin"}], ids=str)
def test_settings_of_a_question_are_those_of_many(more, tmp_path):
    settings = lf.ScoreConfig(**more)
    found, _ = scores("default", tmp_path, settings)
    wanted = alone("default", settings)
    assert (np.abs(found - wanted) <= 1e-4 * np.abs(wanted).max(1, keepdims=True)).all()


@pytest.mark.parametrize("method", ["default", "lorif", "logra"])
def test_neither_passes_nor_stretches_of_texts_change_a_score(method, tmp_path, monkeypatch):
    wanted, _ = scores(method, tmp_path, lf.ScoreConfig())
    monkeypatch.setattr(query_passes, "DIRECTIONS_AT_ONCE", 2)
    monkeypatch.setattr(query_passes, "CAPTURED_NUMBERS", 1)
    monkeypatch.setattr(scoring, "SCORES_AT_ONCE", 5 * 2)
    found, result = scores(method, tmp_path, lf.ScoreConfig(), QueryLimits(query_memory_mb=1e-6))
    assert result.passes.num_passes == (5 if method == "default" else 9)
    assert result.num_scores == NUM_QUERIES * NUM_TEXTS
    assert (np.abs(found - wanted) <= 1e-5 * np.abs(wanted).max(1, keepdims=True)).all()


def test_directions_are_the_gradients_and_orthogonal():
    index = workspace("default").indexes.open()
    queries = [to_query(index, one, ends=False) for one in read_query_examples(queries_file())]
    with index.engine.gradients() as source:
        whole = capture_queries(source, queries, lf.ScoreConfig(normalisation="unit"))
        found = capture_directions(source, queries, lf.ScoreConfig(normalisation="unit"))
    torch.testing.assert_close(found.objectives, whole.objectives)
    for name, matrices in whole.matrices.items():
        batch = found.modules[name]
        lefts, rights = (torch.split(side.double(), list(batch.ranks), 1) for side in (batch.left, batch.right))
        for matrix, left, right in zip(matrices.double(), lefts, rights, strict=True):
            torch.testing.assert_close(left @ right.mT, matrix, rtol=0, atol=1e-5 * float(matrix.abs().max()))
            for gram in (left.mT @ left, right.mT @ right):
                assert float((gram - gram.diag().diag()).abs().max()) <= 1e-5 * float(gram.max())
    for name, block in whole.stored.items():
        torch.testing.assert_close(found.stored[name].dense(), block.dense())


def test_on_a_device_they_have_the_same_scores(tmp_path, monkeypatch):
    wanted, _ = scores("default", tmp_path, lf.ScoreConfig())
    index = workspace("default").indexes.open()
    there = replace(index, fitted=replace(index.fitted, scored_on=ScoringDevice(torch.device("cpu"))))
    monkeypatch.setattr(query_passes, "ON_DEVICE_NUMBERS", 1)  # a pass for each
    result = score_file(there, QueryFile(queries_file()), tmp_path / "there", lf.ScoreConfig())
    assert result.passes.num_passes == NUM_QUERIES
    found = pl.read_parquet(tmp_path / "there")["score"].to_numpy().reshape(NUM_QUERIES, NUM_TEXTS)
    # Question vectors are two bfloat16 numbers there, which leaves 2⁻¹⁷ of them out.
    assert (np.abs(found - wanted) <= 1e-4 * np.abs(wanted).max(1, keepdims=True)).all()


def test_what_a_tolerance_leaves_out_is_said_and_bounds_every_error(tmp_path):
    tolerance = 0.3
    exact, _ = scores("default", tmp_path, lf.ScoreConfig())
    found, result = scores("default", tmp_path, lf.ScoreConfig(), QueryLimits(query_tolerance=tolerance))
    assert 0 < result.passes.left_out <= tolerance
    index = workspace("default").indexes.open()
    norms = torch.cat([shard.norms() for shard in index.reader.iter_shards()]).double().numpy()
    queries = [to_query(index, one, ends=False) for one in read_query_examples(queries_file())]
    with index.engine.gradients() as source:
        matrices = capture_queries(source, queries, lf.ScoreConfig()).matrices
    unit = index.fitted.unit_per_product
    of_queries = sum(matrix.double().square().sum((1, 2)) for matrix in matrices.values()).sqrt().numpy() * unit
    bound = tolerance * of_queries[:, None] * norms
    assert (np.abs(found - exact) <= bound * (1 + 1e-4)).all()
    assert np.abs(found - exact).max() > 1e-3 * np.abs(exact).max()
    assert "not exact: up to " in result.passes.sentence


def test_the_command_says_what_was_left_out_and_how_many_passes_there_were(tmp_path):
    folder = workspace("default").path
    given = ("score", folder, "--queries", queries_file(), "--query-tolerance", 0.1)
    said = done(*given, "--out", tmp_path / "a.parquet").out
    assert "one pass over the index" in said
    assert "of a query's norm was left out" in said
    told = done(*given, "--out", tmp_path / "b.parquet", "--json").json["passes"]
    assert told["num_passes"] == 1
    assert 0 < told["left_out"] <= told["tolerance"] == 0.1
    valued = done("value", folder, "--queries", queries_file(), "--query-tolerance", 0.1).out
    assert "9 questions took one pass over the index" in valued


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"query_memory_mb": 0}, "query_memory_mb must be above 0, got 0"),
        ({"query_tolerance": 0.0}, "query_tolerance must be above 0 and below 1, got 0.0"),
        ({"query_tolerance": 1.0}, "query_tolerance must be above 0 and below 1, got 1.0"),
    ],
    ids=str,
)
def test_limits_that_make_no_sense_are_refused(given, message):
    with pytest.raises(ConfigError, match=message):
        QueryLimits(**given)
