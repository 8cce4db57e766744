"""Indexes of FactGraSS, GraSS and TRAK from the command line to answers: what is listed is what was stored."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from test_index_members import other_model
from tiny_workspace import NUM_TEXTS, copy_of, done, imported, lorif, model_folder, rows, write_rows

import lorif_core as lf
from lorif_core.passes import cascade, cascade_plan
from lorif_core.passes.device_shards import ScoringDevice
from lorif_core.passes.sent_queries import queries_to_send
from lorif_core.workspace.asking.answer_question import answer_question
from lorif_core.workspace.asking.encode_question import encode_question
from lorif_core.workspace.asking.member_plans import capture_members, plan_members
from lorif_core.workspace.asking.question import Question
from lorif_core.workspace.asking.scan_worker import Scan, ScanWorker, digest_of
from lorif_core.workspace.indexes.open_index import open_with_members

NAMES = ("factgrass", "grass", "trak")
EVERY = pytest.mark.parametrize("name", NAMES)
JOINT = {"grass", "trak"}
SIZES = ("--sketch-width", 96, "--shard-examples", 32)
PROMPT, COMPLETION = "The river of Arlen is", " castle Brook."
PAPER = lf.ScoreConfig(objective="margin", normalisation="none")
QUESTION = Question(prompt=PROMPT, completion=COMPLETION, k=NUM_TEXTS, num_opposing=NUM_TEXTS, settings=PAPER)


def build(workspace, name, *further):
    return done("index", workspace, "--model", model_folder(), "--method", name, *SIZES, "--json", *further).json


@pytest.fixture(scope="module")
def pristine(tmp_path_factory):
    workspace = copy_of(imported(), tmp_path_factory.mktemp("sketched"))
    return workspace, {name: build(workspace, name)["index_id"] for name in NAMES}


@pytest.fixture
def opened(pristine, tmp_path):
    workspace, ids = pristine
    return lf.open_workspace(copy_of(workspace, tmp_path)), ids


def index_of(workspace, index_id):
    return open_with_members(workspace.files, workspace.files.catalog.index(index_id), None)


def ids_of(index):
    return [one.train_id for one in index.examples.iter_examples(0, NUM_TEXTS)]


def scores(found):
    return {hit.train_id: hit.score for hit in (*found.supports, *found.opposes)}


def plan_json(workspace, index_id):
    return json.loads((workspace.path / "indexes" / index_id / "plan.json").read_text())


@EVERY
def test_a_plan_says_what_was_differentiated_where_it_differs_from_what_is_stored(opened, name):
    workspace, ids = opened
    plan = plan_json(workspace, ids[name])
    assert plan.get("objective") == ("margin" if name == "trak" else None)
    if name not in JOINT:
        assert "captured" not in plan
        assert len(plan["modules"]) >= 8
        return
    (joint,) = plan["modules"]
    assert (joint["name"], joint["d_in"], joint["d_out"]) == ("all modules", 1, 96)
    assert joint["in_features"] == sum(one["in_features"] * one["out_features"] for one in plan["captured"])
    assert len(plan["captured"]) == len(plan_json(workspace, ids["factgrass"])["modules"])


def test_plans_of_other_methods_say_neither(tmp_path):
    workspace = lf.open_workspace(copy_of(imported(), tmp_path))
    index_id = done("index", workspace.path, "--model", model_folder(), "--method", "logra", "--json").json[
        "index_id"
    ]
    assert not {"captured", "objective"} & set(plan_json(workspace, index_id))


@EVERY
@pytest.mark.parametrize("normalisation", ["none", "relatif", "tempered", "unit"])
def test_a_score_is_split_over_modules_and_over_the_tokens_of_both_sides(opened, name, normalisation):
    workspace, ids = opened
    settings = lf.ScoreConfig(objective="margin", normalisation=normalisation)
    answer = workspace.ask(PROMPT, COMPLETION, index_id=ids[name], k=2, settings=settings)
    hit = answer.hits[1]
    assert sum(token.part for token in hit.tokens) == pytest.approx(
        hit.score, rel=2e-2
    )  # before the codec's rounding
    found = workspace.questions.breakdown(answer.query_id, hit.train_id)
    assert found.score == pytest.approx(hit.score, rel=1e-4)
    assert sum(found.parts.values()) == pytest.approx(hit.score, rel=1e-4)
    assert list(found.parts) == ["all modules"] if name in JOINT else len(found.parts) >= 8
    assert sum(token.part for token in found.tokens) == pytest.approx(hit.score, rel=1e-3)


@EVERY
@pytest.mark.parametrize("normalisation", ["none", "unit"])
def test_a_device_workers_and_a_fast_search_list_the_same_scores(opened, name, normalisation, monkeypatch):
    monkeypatch.setattr(cascade_plan, "SMALLEST_SAMPLE", 20)
    workspace, ids = opened
    index = index_of(workspace, ids[name])
    question = replace(QUESTION, settings=lf.ScoreConfig(normalisation=normalisation))
    wanted = scores(answer_question(index, question))
    assert len(wanted) == NUM_TEXTS
    on_device = replace(index, fitted=replace(index.fitted, scored_on=ScoringDevice(torch.device("cpu"))))
    assert scores(answer_question(on_device, question)) == pytest.approx(wanted, rel=1e-4)
    monkeypatch.setattr(cascade, "FEWEST_CEILINGS", 4)
    few = scores(answer_question(index, replace(question, k=3, num_opposing=2, search="fast")))
    assert few == pytest.approx({key: wanted[key] for key in few}, rel=1e-4)
    asked = encode_question(question, index.engine.loaded).query
    (plan,) = plan_members(index, capture_members(index, [asked], question.scoring), question.scoring)
    worker = ScanWorker(workspace.path, 1)
    worker.begin("a", Scan((queries_to_send(plan, digest_of(plan.reader)),), None, True, False))
    parts = worker.scan("a", range(len(plan.reader.manifest.shards)))
    assert parts is not None
    found = torch.cat([part.scores for part in parts], 1)[0]
    assert dict(zip(ids_of(index), found.tolist(), strict=True)) == pytest.approx(wanted, rel=1e-4)


def test_members_of_trak_are_averaged_and_their_weights_with_them(tmp_path):
    workspace = lf.open_workspace(copy_of(imported(), tmp_path))
    others = [other_model(1), other_model(2)]
    alone, weights = [], []
    for model in (model_folder(), *others):
        told = done("index", workspace.path, "--model", model, "--method", "trak", *SIZES, "--json").json
        index = index_of(workspace, told["index_id"])
        weights.append(torch.cat([shard.weights() for shard in index.reader.iter_shards()]))
        alone.append(scores(answer_question(index, QUESTION)))
    together = build(workspace.path, "trak", "--checkpoints", *others, "--member-weights", "average")
    index = index_of(workspace, together["index_id"])
    assert index.members is not None
    ids = ids_of(index)
    products = sum(
        torch.tensor([own[train_id] for train_id in ids]) / weight / 3
        for own, weight in zip(alone, weights, strict=True)
    )
    wanted = products * torch.stack(weights).mean(0)
    found = scores(answer_question(index, QUESTION))
    assert found == pytest.approx(dict(zip(ids, wanted.tolist(), strict=True)), rel=1e-3, abs=1e-7)
    kept = workspace.ask(PROMPT, COMPLETION, index_id=index.index_id, k=1, settings=PAPER)
    parts = workspace.questions.breakdown(kept.query_id, kept.hits[0].train_id)
    assert sum(parts.members.values()) == pytest.approx(kept.hits[0].score, rel=1e-4)
    assert sum(token.part for token in parts.tokens) == pytest.approx(kept.hits[0].score, rel=1e-3)


def test_two_methods_are_compared_on_one_question_and_judged_by_one_truth(opened, tmp_path):
    workspace, ids = opened
    answers = [workspace.ask(PROMPT, COMPLETION, index_id=ids[name], k=30) for name in ("factgrass", "trak")]
    assert 0 < len(set(hit.train_id for hit in answers[0].hits) & set(hit.train_id for hit in answers[1].hits))
    assert workspace.compare(*answers).to_dict()["k"] == 20
    queries = write_rows(tmp_path / "queries.jsonl", rows()[:4])
    masks = np.random.default_rng(0).random((30, NUM_TEXTS)) < 0.5
    np.savez(tmp_path / "truth.npz", masks=masks, losses=np.random.default_rng(1).random((30, 4)))
    words = ("--queries", queries, "--truth", tmp_path / "truth.npz", "--candidates", *ids.values())
    found = done("evaluate", "lds", workspace.path, *words, "--normalisations", "none", "--json").json["rows"]
    own = {row["candidate"]: row for row in found if row["candidate"] in ids.values()}
    assert len(own) == len(NAMES)
    assert [own[ids[name]]["codes_bytes"] for name in ("grass", "trak")] == pytest.approx([192, 196], rel=0.2)


@EVERY
def test_what_a_build_will_take_of_the_disk_is_said_before(opened, name):
    workspace, ids = opened
    words = ("index", workspace.path, "--model", model_folder(), "--method", name, *SIZES, "--seed", 3, "--json")
    said = done(*words, "--dry-run").json["estimate"]
    done(*words)
    (index_id,) = {one.index_id for one in workspace.indexes.records()} - set(ids.values())
    manifest = index_of(workspace, index_id).reader.manifest
    assert manifest.shard_bytes == pytest.approx(said["shard_bytes"], rel=0.2)
    fitted = sum(entry.size_bytes for entry in manifest.subspaces)
    assert fitted == pytest.approx(said["subspace_bytes"], rel=0.2)


def test_a_damping_of_another_size_reuses_what_is_stored(opened):
    workspace, ids = opened
    before = plan_json(workspace, ids["factgrass"])
    again = build(workspace.path, "factgrass", "--damping-ratio", 2.0)
    assert again["index_id"] == ids["factgrass"]
    assert plan_json(workspace, ids["factgrass"]) == before


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--sketch-width", 0), "sketch_width must be at least 1, got 0"),
        (("--mask-factor", 0), "mask_factor must be at least 1, got 0"),
        (("--damping", 1.0), "damping"),
    ],
)
def test_settings_out_of_range_are_one_sentence(opened, words, sentence):
    workspace, _ = opened
    run = lorif("index", workspace.path, "--model", model_folder(), "--method", "factgrass", *words)
    assert (run.code, run.out) == (2, "")
    assert sentence in " ".join(run.err.split())


@EVERY
@pytest.mark.parametrize("by", ["codes", "model"])
def test_sketches_are_not_refined(opened, name, by):
    workspace, ids = opened
    words = ("--prompt", PROMPT, "--completion", COMPLETION, "--index", ids[name], "--refine", 1, "--refine-by", by)
    run = lorif("ask", workspace.path, *words)
    assert (run.code, run.out) == (2, "")
    assert f"has its curvature elsewhere ({name} k=96 bf16)" in " ".join(run.err.split())


@EVERY
def test_the_report_of_an_index_counts_every_byte(opened, name):
    workspace, ids = opened
    told = done("indexes", workspace.path, ids[name], "--json").json
    parts = {one["kind"]: one["size_bytes"] for one in told["parts"]}
    assert parts["numbers"] == NUM_TEXTS * (12 if name == "trak" else 8)
    manifest = index_of(workspace, ids[name]).reader.manifest
    assert parts["codes"] + parts["numbers"] + parts["headers"] == manifest.shard_bytes
