"""Questions refined by the model's own curvature, from the command line to what is kept of them."""

from functools import cache
from types import SimpleNamespace

import polars as pl
import pytest
import torch
from gauss_newton_oracle import dense_solutions, explicit
from oracles import close, project, unpack_signs
from test_half_whitened_indexes import (
    FLOAT32,
    NUM_TEXTS,
    QUESTION,
    built,
    dense_gradients,
    index_command,
    num_train_tokens,
    one_each,
    oracle_model,
    scores,
    sequences,
    shard_tensors,
    stored_maps,
)
from tiny_models import example_of
from tiny_workspace import copy_of, done, lorif, manifest_of, write_rows

import lorif_core as lf
from lorif_core.config import ScoreConfig
from lorif_core.errors import ResourceError
from lorif_core.linalg.maps import ModuleMaps
from lorif_core.passes.second_moments import sample_positions
from lorif_core.workspace.asking.kept_questions import _decisive
from lorif_core.workspace.indexes import free_memory
from lorif_core.workspace.workspace import open_workspace

NARROW = ("--f", 8)
"""So that the curvature fits into one dense matrix."""

BY_MODEL = ("--refine-by", "model", "--batch", 2)
SETTINGS_BEFORE = {
    "objective",
    "normalisation",
    "refine",
    "refine_ratio",
    "query_rank",
    "subspace_rank",
    "damping_rule",
    "damping_ratio",
    "damping",
}
"""Of version 0.7: their hash is part of a kept question's."""


@cache
def wanted():
    """Scores of every text by J and G of the two texts of the batch, written out in float64."""
    manifest, stored, maps = manifest_of(built(*NARROW)), shard_tensors(built(*NARROW)), stored_maps(built(*NARROW))
    trains, query, modules, sides = [], {}, [], {}
    for module in manifest["modules"]:
        name = module["name"]
        left = unpack_signs(stored[f"left/{name}"], stored[f"left_scale/{name}"], module["d_in"])
        right = unpack_signs(stored[f"right/{name}"], one_each(stored[f"left_scale/{name}"]), module["d_out"])
        trains.append(torch.einsum("nci,nco->nio", left, right).flatten(1).double())
        own = maps[f"input/{name}"], maps[f"output/{name}"]
        query[name] = project(dense_gradients()[name][0], *own)[None]
        sides[name] = ModuleMaps(*(side.double() for side in own))
        modules.append(SimpleNamespace(name=name, form="factors"))
    source = SimpleNamespace(model=oracle_model(), modules=modules, maps=sides)
    texts = [example_of(*sequences()[place]) for place in sample_positions(NUM_TEXTS, 2, 0)]
    num_tokens = sum(len(one.input_ids) for one in texts)
    damping = sum(module["d_in"] * module["d_out"] for module in manifest["modules"]) / num_tokens
    (solution,) = dense_solutions(explicit(source, texts), query, damping)
    return torch.cat(trains, 1) @ solution / num_train_tokens()


def test_scores_refined_by_the_model_are_those_of_j_and_g_written_out():
    found = scores(built(*NARROW), *BY_MODEL, refine=120)
    plain = scores(built(*NARROW))
    assert torch.nn.functional.cosine_similarity(plain, wanted(), dim=0) < 0.99  # otherwise it would hardly show
    close(found, wanted(), relative=FLOAT32)


def test_one_step_is_the_plain_ranking_in_smaller_nats():
    one, plain = scores(built(*NARROW), *BY_MODEL, refine=1), scores(built(*NARROW))
    close(one / one.norm(), plain / plain.norm(), relative=1e-4)


def test_an_answer_says_how_it_was_refined_and_is_kept_with_it(tmp_path):
    workspace = copy_of(built(*NARROW), tmp_path / "ws")
    plain = done("ask", workspace, *QUESTION, "--json").json
    found = done("ask", workspace, *QUESTION, *BY_MODEL, "--steps", 3, "--json").json
    assert plain["refined"] is None
    assert "refined by the model's Gauss–Newton matrix over 2 training texts: 3 steps of" in found["refined"]
    assert found["query_id"] != plain["query_id"]
    again = open_workspace(workspace).reopen(found["query_id"])
    assert again.refined == found["refined"] in again.remarks()
    assert again.question.scoring.refine_by == "model"
    kept = done("ask", workspace, *QUESTION, *BY_MODEL, "--steps", 3, "--json").json
    assert kept["is_kept"]
    broken = done("breakdown", workspace, found["query_id"], found["supports"][0]["train_id"], "--json").json
    assert sum(broken["parts"].values()) == pytest.approx(found["supports"][0]["score"], rel=1e-4)
    assert "not a sum over its tokens" in broken["no_tokens"]


def test_plain_questions_keep_the_identity_that_they_had():
    assert set(_decisive(ScoreConfig())) == SETTINGS_BEFORE
    by_model = ScoreConfig(refine=2, refine_by="model")
    assert set(_decisive(by_model)) > SETTINGS_BEFORE
    assert _decisive(by_model) != _decisive(ScoreConfig(refine=2, refine_by="model", batch=8))


def test_a_file_of_queries_has_the_scores_of_its_questions_and_says_so(tmp_path):
    row = {"query_id": "a", "prompt": QUESTION[1], "completion": QUESTION[3]}
    queries = write_rows(tmp_path / "queries.jsonl", [row, row | {"query_id": "b", "completion": " moon."}])
    out = tmp_path / "scores.parquet"
    words = ("--queries", queries, "--end-token", "--out", out, *BY_MODEL, "--steps", 3)
    run = done("score", built(*NARROW), *words)
    assert "refined by the model's Gauss–Newton matrix" in run.out.replace("\n", " ")
    frame = pl.read_parquet(out).filter(pl.col("query_id") == "a")
    close(frame["score"].to_torch().double(), scores(built(*NARROW), *BY_MODEL, refine=3), relative=FLOAT32)


def test_a_fast_search_finds_what_the_exact_one_does():
    asked = ("ask", built(*NARROW), *QUESTION, *BY_MODEL, "--steps", 2, "--forget", "-k", 3, "--json")
    exact, fast = (done(*asked, "--search", search).json for search in ("exact", "fast"))
    assert fast["search"] == "fast"
    assert [hit["train_id"] for hit in fast["supports"]] == [hit["train_id"] for hit in exact["supports"]]


def test_too_little_memory_is_refused_before_any_pass(monkeypatch):
    monkeypatch.setattr(free_memory, "free_host_bytes", lambda: 1000)
    ws = open_workspace(built(*NARROW))
    settings = lf.ScoreConfig(refine=2, refine_by="model", batch=2)
    with pytest.raises(ResourceError, match=r"refining 1 question by the model takes .* GB are free"):
        ws.ask(QUESTION[1], QUESTION[3], settings=settings, keeps=False)


def test_a_method_with_another_curvature_refuses_to_be_refined_by_the_model(tmp_path):
    workspace = copy_of(built(*NARROW), tmp_path / "ws")
    done(*index_command(workspace, "--method", "graddot"))
    run = lorif("ask", workspace, *QUESTION, *BY_MODEL, "--steps", 2)
    assert run.code == 2
    assert "refine is for half-whitened indexes" in run.err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--refine-by", "model"), "takes steps, got 0"),
        (("--batch", 8, "--steps", 2), "batch belong to a refinement by the model"),
        (("--refine-by", "model", "--steps", 2, "--refine-ratio", 1), "the damping of refine_by=codes"),
        (("--refine-by", "model", "--steps", 2, "--refine-damping", 0), "refine_damping must be > 0, got 0"),
        (("--refine-by", "model", "--steps", 2, "--batch", 0), "batch must be at least 1 text, got 0"),
    ],
    ids=str,
)
def test_settings_that_contradict_each_other_are_refused(words, told):
    run = lorif("ask", built(*NARROW), *QUESTION, *words)
    assert run.code == 2
    assert told in " ".join(run.err.replace("│", " ").split())
