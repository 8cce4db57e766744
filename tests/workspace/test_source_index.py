"""Indexes of the method `source`: a training unrolled between checkpoints, from the command to the answer."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from oracles import close
from tiny_workspace import copy_of, done, imported, lorif, root, write_model

import lorif_core as lf
from lorif_core.config import ScoreConfig
from lorif_core.errors import ConfigError, DataError
from lorif_core.files import read_json, write_json
from lorif_core.members_config import MembersConfig
from lorif_core.workspace.asking.question import Question
from lorif_core.workspace.folder.index_members import read_members
from lorif_core.workspace.indexes.name_members import config_of
from lorif_core.workspace.indexes.trainer_state import summed_rates
from lorif_core.workspace.indexes.training_segments import training_asked, unroll_training

SOURCE = ("--method", "source", "--f", 4, "--subspace-rank", 8, "--shard-examples", 16)
QUESTION = Question(prompt="The river of Arlen is", completion=" castle Brook.")
STEPS = (10, 20, 30)
NUM_TEXTS = 121
EPOCHS = 2.0


def checkpoint(folder: Path, step: int, **state) -> Path:
    """What a trainer writes beside a model, with a learning rate that falls from 3e-3 to 0."""
    history = [{"step": at, "learning_rate": 3e-3 * (1 - at / 40)} for at in range(0, step + 1, 5)]
    written = {
        "global_step": step,
        "epoch": EPOCHS * step / 30,
        "log_history": [*history, {"step": step, "loss": 1.0}],
    }
    write_json(folder / "trainer_state.json", {**written, **state})
    return folder


def trained(folder: Path) -> Path:
    """A folder with checkpoint-10, checkpoint-20 and checkpoint-30."""
    for seed, step in enumerate(STEPS):
        kept = root() / f"source-{step}"
        place = folder / f"checkpoint-{step}"
        shutil.copytree(kept if kept.exists() else write_model(kept, seed=seed), place)
        checkpoint(place, step)
    return folder


def index(workspace: Path, out: Path, *further: object):
    named = ("--model", out / "checkpoint-30", "--checkpoints", out / "checkpoint-*")
    return lorif("index", workspace, *SOURCE, *named, "--json", *further)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("source")
    out, workspace = trained(folder / "out"), copy_of(imported(), folder)
    run = index(workspace, out)
    assert run.code == 0, run.err
    return workspace, out, run.json


@pytest.fixture
def family(built, tmp_path):
    workspace, out, found = built
    shutil.copytree(workspace, tmp_path / "ws")
    return tmp_path / "ws", out, found


def kept_scores(workspace: Path, *further: object):
    asked = (
        "--prompt",
        QUESTION.prompt,
        "--completion",
        QUESTION.completion,
        "-k",
        NUM_TEXTS,
        "--opposing",
        NUM_TEXTS,
    )
    found = done("ask", workspace, *asked, "--json", *further).json
    return {hit["train_id"]: hit["score"] for hit in (*found["supports"], *found["opposes"])}


def test_a_score_is_the_chain_of_dense_exponentials_over_what_is_stored(built):
    workspace, _, record = built
    opened = lf.open_workspace(workspace)
    members = opened.indexes.members(record["index_id"])
    others = {one.name: one.index_id for one in members.others}
    readers = [opened.files.open_index(others[f"checkpoint-{step}"]) for step in STEPS[:2]]
    readers.append(opened.files.open_index(record["index_id"]))
    rates = [3e-3 * sum(1 - at / 40 for at in range(first + 1, first + 11)) for first in (0, 10, 20)]
    texts_per_step = NUM_TEXTS * EPOCHS / 30
    query = own_gradients(opened, record["index_id"])
    total = torch.zeros(NUM_TEXTS, dtype=torch.float64)
    for module in readers[0].modules:
        after = query[module.name][0].flatten().double()
        for reader, rate in reversed(list(zip(readers, rates, strict=True))):
            rows = torch.cat([shard.block(module).dense().flatten(1).double() for shard in reader.iter_shards()])
            gram = cut_to_8(rows)
            tau = (
                rate * (texts_per_step * module.in_features * module.out_features / (NUM_TEXTS * gram.trace())) ** 0.5
            )
            block = torch.zeros(2 * len(gram), 2 * len(gram), dtype=torch.float64)
            block[: len(gram), : len(gram)], block[: len(gram), len(gram) :] = -tau * gram, tau * torch.eye(len(gram))
            whole = torch.linalg.matrix_exp(block)
            total += rows @ whole[: len(gram), len(gram) :] @ after
            after = whole[: len(gram), : len(gram)] @ after
    found = kept_scores(workspace, "--normalisation", "none")
    table = opened.files.examples(opened.indexes.records()[0].dataset_id)
    positions = table.rows_of(list(found))
    close(torch.tensor(list(found.values())), total[positions], relative=2e-3)
    assert len(found) > 100


def own_gradients(opened, index_id):
    from lorif_core.passes.queries import capture_queries
    from lorif_core.workspace.asking.encode_question import encode_question

    own = opened.indexes.open(index_id)
    with own.engine.gradients() as source:
        return capture_queries(source, [encode_question(QUESTION, own.engine.loaded).query], ScoreConfig()).matrices


def cut_to_8(rows):
    """A Gram matrix of which eight directions are kept, and the mean of all others."""
    values, vectors = torch.linalg.eigh(rows.T @ rows)
    values[:-8] = values[:-8].mean()
    return vectors @ torch.diag(values) @ vectors.T


def test_every_front_says_what_was_unrolled(built, monkeypatch):
    monkeypatch.setenv("COLUMNS", "250")
    workspace, _, record = built
    told = (
        "scores are those of the training unrolled in 3 segments (adamw, 8.06667 texts a step): steps 1 to 10 by "
        "checkpoint-10, learning rates 0.0259 in all; steps 11 to 20 by checkpoint-20, learning rates 0.0184 in all; "
        "steps 21 to 30 by final, learning rates 0.0109 in all"
    )
    assert record["members"]["sentence"] == told
    opened = lf.open_workspace(workspace)
    answer = opened.questions.ask(QUESTION)
    assert told in answer.facts()
    assert "+ checkpoint-10, checkpoint-20 (3 segments)" in done("indexes", workspace).out
    kept = read_members(workspace / "indexes" / record["index_id"])
    assert (kept.rule, kept.weight, {one.weight for one in kept.others}) == ("source", 1.0, {1.0})
    assert done("doctor", workspace, "--json").json["workspace"]["findings"] == []


def test_tokens_modules_and_members_of_an_answer_add_up_to_its_scores(built):
    workspace = built[0]
    opened = lf.open_workspace(workspace)
    for normalisation in ("none", "relatif", "unit"):
        answer = opened.questions.ask(replace(QUESTION, settings=ScoreConfig(normalisation=normalisation)))
        best = answer.supports[0]
        assert sum(part.part for part in best.tokens) == pytest.approx(best.score, rel=0.02)
        split = opened.questions.breakdown(answer.query_id, best.train_id)
        assert split.score == pytest.approx(best.score, rel=1e-3)
        assert sum(split.members.values()) == pytest.approx(best.score, rel=1e-3)
        assert list(split.members) == ["final", "checkpoint-10", "checkpoint-20"]
        assert sum(part.part for part in split.tokens) == pytest.approx(best.score, rel=1e-3)


def test_a_fast_search_finds_the_texts_of_the_exact_one(built):
    opened = lf.open_workspace(built[0])
    exact, fast = (opened.questions.ask(replace(QUESTION, k=5, search=one, keeps=False)) for one in ("exact", "fast"))
    assert [hit.train_id for hit in fast.supports] == [hit.train_id for hit in exact.supports]
    assert [hit.score for hit in fast.supports] == pytest.approx([hit.score for hit in exact.supports], rel=1e-4)


def test_other_segments_are_another_link_and_no_other_index(family):
    workspace, out, record = family
    before = {path: path.stat().st_mtime_ns for path in workspace.glob("indexes/*/parts/*")}
    first = kept_scores(workspace)
    again = index(workspace, out, "--segments", 1, "--trained-by", "sgd")
    assert again.code == 0, again.err
    training = again.json["members"]["training"]
    assert [one["members"] for one in training["segments"]] == [["checkpoint-10", "checkpoint-20", "final"]]
    assert again.json["members"]["weight"] == pytest.approx(1 / 3)
    assert {path: path.stat().st_mtime_ns for path in workspace.glob("indexes/*/parts/*")} == before
    assert kept_scores(workspace) != first
    # What is left out stays as it was.
    plain = done("index", workspace, *SOURCE, "--model", out / "checkpoint-30", "--json").json
    assert plain["members"]["training"] == training
    assert again.json["index_id"] == record["index_id"] == plain["index_id"]


def test_a_checkpoint_by_itself_has_no_answer_and_says_whom_to_ask(built):
    workspace, _, record = built
    (other, *_) = record["members"]["others"]
    run = lorif("ask", workspace, "--prompt", "a", "--completion", " b", "--index", other["index_id"])
    assert (run.code, "is one checkpoint of a training" in run.err) == (2, True), run.err


def test_what_source_has_no_use_for_is_refused(built):
    opened = lf.open_workspace(built[0])
    for asked, said in ((ScoreConfig(damping_ratio=1.0), "source has no damping"), (ScoreConfig(refine=2), "refine")):
        with pytest.raises(ConfigError, match=said):
            opened.questions.ask(replace(QUESTION, settings=asked))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--base", "x"), "source weighs the checkpoints of one training by how it went, and base was asked for"),
        (("--member-weights", "average"), "and member_weights was asked for"),
        (("--segments", 4), "segments must be at most the number of checkpoints, 3 with the model itself, got 4"),
        (
            ("--steps", 1, 2, "--learning-rates", 1e-3, 1e-3),
            "steps must be one per checkpoint, the model itself last",
        ),
    ],
)
def test_a_build_that_is_no_training_is_refused(built, words, said):
    workspace, out, _ = built
    run = index(workspace, out, *words)
    assert (run.code, said in " ".join(run.err.split())) == (2, True), run.err


def test_a_method_that_unrolls_nothing_takes_nothing_about_the_training(built):
    workspace, out, _ = built
    run = lorif("index", workspace, "--method", "graddot", "--model", out / "checkpoint-30", "--segments", 2)
    assert (run.code, "segments is for `--method source`" in run.err) == (2, True), run.err


def test_without_checkpoints_the_method_says_that_it_needs_them():
    with pytest.raises(ConfigError, match="source needs checkpoints of the training"):
        training_asked(MembersConfig(), MembersConfig())


def asked(*checkpoints: Path, **training) -> MembersConfig:
    return training_asked(MembersConfig(checkpoints=tuple(map(str, checkpoints)), **training), MembersConfig())


@pytest.fixture
def folders(tmp_path):
    for step in STEPS:
        (tmp_path / f"checkpoint-{step}").mkdir()
        checkpoint(tmp_path / f"checkpoint-{step}", step)
    return [tmp_path / f"checkpoint-{step}" for step in STEPS]


def test_checkpoints_are_divided_evenly_in_the_order_of_their_steps(folders):
    first, second, own = folders
    found = unroll_training(str(own), asked(second, first, segments=2), 60, 1000)
    assert [one.members for one in found.training.segments] == [("checkpoint-10",), ("checkpoint-20", "final")]
    assert [(one.first_step, one.last_step) for one in found.training.segments] == [(1, 10), (11, 30)]
    assert [(one.name, one.weight) for one in found.models] == [
        ("final", 0.5),
        ("checkpoint-10", 1.0),
        ("checkpoint-20", 0.5),
    ]
    assert (found.training.texts_per_step, found.training.num_targets) == (60 * EPOCHS / 30, 1000)


def test_rates_that_no_trainer_wrote_are_named(folders):
    for folder in folders:
        (folder / "trainer_state.json").unlink()
    first, second, own = folders
    given = {"steps": (5, 15, 45), "learning_rates": (1e-3, 2e-3, 1e-3), "trained_by": "sgd"}
    training = unroll_training(str(own), asked(first, second, **given), 60, 1000).training
    assert [one.rates for one in training.segments] == pytest.approx([5e-3, 20e-3, 30e-3])
    with pytest.raises(DataError, match="how many texts are in a batch, and `--steps` do not tell it"):
        unroll_training(str(own), asked(first, second, **(given | {"trained_by": "adamw"})), 60, 1000)
    with pytest.raises(DataError, match=r"trainer_state.json`, and .* has none. Name `--steps`"):
        unroll_training(str(own), asked(first, second), 60, 1000)


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ({"global_step": 30}, "steps that rise up to that of the model itself, got checkpoint-10 at 10"),
        ({"global_step": "soon"}, "is not what a trainer writes"),
    ],
)
def test_checkpoints_that_are_not_of_one_training_are_refused(folders, state, said):
    first, second, own = folders
    checkpoint(second, 20, **state)
    with pytest.raises(DataError, match=said):
        unroll_training(str(own), asked(first, second), 60, 1000)


def test_rates_are_linear_between_those_that_were_logged_and_stay_beyond():
    logged = [(10, 2.0), (20, 1.0)]
    assert summed_rates(logged, 1, 10) == pytest.approx(20.0)
    assert summed_rates(logged, 11, 20) == pytest.approx(sum(2.0 - number / 10 for number in range(1, 11)))
    assert summed_rates(logged, 21, 25) == pytest.approx(5.0)


def test_the_file_of_members_is_read_as_it_was_written_and_refused_where_it_cannot_be(family):
    workspace, _, record = family
    folder = workspace / "indexes" / record["index_id"]
    kept = read_json(folder / "members.json")
    members = read_members(folder)
    assert config_of(members).segments == 3
    for spoil in (
        {"trained_by": "luck"},
        {"num_targets": 0},
        {"segments": kept["training"]["segments"][:2]},
        {"segments": [*kept["training"]["segments"][:2], kept["training"]["segments"][2] | {"rates": float("inf")}]},
    ):
        (folder / "members.json").write_text(json.dumps(kept | {"training": kept["training"] | spoil}))
        run = lorif("ask", workspace, "--prompt", "a", "--completion", " b", "--index", record["index_id"])
        assert (run.code, "members.json" in run.err) == (2, True), run.err
