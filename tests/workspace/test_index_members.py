"""Indexes whose scores are sums over several models."""

import json
import shutil
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
import torch
from oracles import close, projected_gradients
from tiny_workspace import (
    ask,
    bytes_below,
    copy_of,
    done,
    imported,
    lorif,
    model_folder,
    root,
    start,
    write_model,
    write_rows,
)

import lorif_core as lf
from lorif_core.config import BatchConfig, ModelConfig, ScoreConfig
from lorif_core.errors import ConfigError, DataError
from lorif_core.files import read_json, write_json
from lorif_core.members_config import MembersConfig
from lorif_core.methods.method_settings import IndexConfig
from lorif_core.workspace.asking.encode_question import encode_question
from lorif_core.workspace.asking.question import Question
from lorif_core.workspace.folder.progress import no_progress
from lorif_core.workspace.indexes.name_members import members_asked, place_members, weigh_members
from lorif_core.workspace.indexes.open_index import open_index, open_with_members
from lorif_core.workspace.indexes.trust import trust_in
from lorif_core.workspace.jobs.kinds import KINDS, json_of
from lorif_core.workspace.jobs.requests import index_request

GRADDOT = ("--method", "graddot", "--f", 4, "--shard-examples", 16)
QUESTION = Question(prompt="The river of Arlen is", completion=" castle Brook.")


def other_model(seed: int) -> Path:
    folder = root() / f"other-{seed}"
    return folder if folder.exists() else write_model(folder, seed=seed)


def index(workspace: Path, *further: object, code: int = 0):
    run = lorif("index", workspace, "--model", model_folder(), *GRADDOT, "--json", *further)
    assert run.code == code, run.err
    return run.json if code == 0 else run


@pytest.fixture(scope="module")
def pristine(tmp_path_factory) -> Path:
    """The own model and two others, the weights a third each."""
    workspace = copy_of(imported(), tmp_path_factory.mktemp("members"))
    index(workspace, "--base", other_model(1), "--checkpoints", other_model(2))
    return workspace


@pytest.fixture
def workspace(pristine, tmp_path) -> Path:
    return Path(shutil.copytree(pristine, tmp_path / "ws"))


@pytest.fixture
def lonely(tmp_path) -> Path:
    """The own model alone, finished."""
    workspace = copy_of(imported(), tmp_path)
    index(workspace)
    return workspace


def own_folder(workspace: Path) -> Path:
    (path,) = workspace.glob("indexes/*/members.json")
    return path.parent


def scores_of_one(workspace: Path, index_id: str, model: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """A member's products with the question, and every text's with itself, in float64 from what is stored."""
    alone = open_index(lf.open_workspace(workspace).files, record_of(workspace, index_id), str(model))
    network = alone.engine.loaded.model.double()
    asked = encode_question(QUESTION, alone.engine.loaded).query.sequences[0]
    queries = projected_gradients(network, alone.engine.maps, [(asked.input_ids, asked.is_target)])
    products, own = torch.zeros(121, dtype=torch.float64), torch.zeros(121, dtype=torch.float64)
    for module in alone.reader.modules:
        parts = [shard.block(module).dense().flatten(1).double() for shard in alone.reader.iter_shards()]
        rows = torch.cat(parts)
        products += rows @ queries[module.name].flatten()
        own += rows.square().sum(1)
    return products, own


def record_of(workspace: Path, index_id: str):
    return lf.open_workspace(workspace).files.catalog.index(index_id)


def members_of(workspace: Path) -> list[tuple[str, Path]]:
    kept = read_json(own_folder(workspace) / "members.json")
    models = [Path(one["model"]) for one in kept["others"]]
    return [
        (kept["index_id"], model_folder()),
        *zip([one["index_id"] for one in kept["others"]], models, strict=True),
    ]


def kept_scores(workspace: Path, *arguments: object) -> torch.Tensor:
    out = workspace.parent / f"scores-{len(list(workspace.parent.iterdir()))}.parquet"
    asked = write_rows(
        workspace.parent / "asked.jsonl", [{"id": "q", "prompt": QUESTION.prompt, "completion": QUESTION.completion}]
    )
    done("score", workspace, "--queries", asked, "--out", out, *arguments)
    return pl.read_parquet(out)["score"].to_torch()


@pytest.mark.parametrize("normalisation", ["none", "relatif"])
def test_a_score_is_the_weighted_sum_of_the_members_scores_divided_by_the_first_ones_own(normalisation, workspace):
    named = members_of(workspace)
    assert len({index_id for index_id, _ in named}) == 3
    products, owns = zip(*(scores_of_one(workspace, *one) for one in named), strict=True)
    for weights in ((1 / 3, 1 / 3, 1 / 3), (2.0, -1.0, 0.25)):
        reweighed(workspace, *weights)
        wanted = sum(weight * one for weight, one in zip(weights, products, strict=True))
        wanted = wanted if normalisation == "none" else wanted / owns[0].sqrt()
        close(kept_scores(workspace, "--normalisation", normalisation), wanted, relative=2e-3)


def reweighed(workspace: Path, own: float, *others: float) -> None:
    path = own_folder(workspace) / "members.json"
    kept = read_json(path)
    theirs = [one | {"weight": weight} for one, weight in zip(kept["others"], others, strict=True)]
    write_json(path, kept | {"weight": own, "others": theirs})


def test_an_answer_lists_these_scores_and_its_tokens_and_modules_add_up_to_them(workspace):
    scores = kept_scores(workspace, "--normalisation", QUESTION.scoring.normalisation)
    opened = lf.open_workspace(workspace)
    answer = opened.questions.ask(QUESTION)
    table = opened.files.examples(opened.indexes.records()[0].dataset_id)
    for hit in answer.hits:
        (position,) = table.rows_of([hit.train_id])
        assert hit.score == pytest.approx(float(scores[position]), rel=1e-3)
    best = answer.supports[0]
    assert sum(part.part for part in best.tokens) == pytest.approx(best.score, rel=0.02)
    split = opened.questions.breakdown(answer.query_id, best.train_id)
    assert split.score == pytest.approx(best.score, rel=1e-3)
    assert sum(split.members.values()) == pytest.approx(best.score, rel=1e-3)
    assert sum(part.part for part in split.tokens) == pytest.approx(best.score, rel=1e-3)
    assert list(split.members) == ["final", "base", "other-2"]
    assert len({round(part, 6) for part in split.members.values()}) == 3


def test_models_that_do_not_fit_into_memory_are_loaded_one_at_a_time_for_the_same_scores(workspace):
    files = lf.open_workspace(workspace).files
    record = files.choose_index(None)
    held, short = (open_with_members(files, record, None, free) for free in (1 << 40, 0))
    assert [other.held is None for other in (*held.others, *short.others)] == [False, False, True, True]
    assert (held.memory_note, "one at a time" in short.memory_note) == (None, True)
    names = short.over_members(lambda one: one.fitted.member)
    assert [(one.name, round(one.weight, 3)) for one in names] == [
        ("final", 0.333),
        ("base", 0.333),
        ("other-2", 0.333),
    ]


def test_every_front_says_which_members_answer(workspace, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")  # no line is broken
    told = "scores are sums over 3 members: 0.333 × final, 0.333 × base, 0.333 × other-2"
    opened = lf.open_workspace(workspace)
    answer = opened.questions.ask(QUESTION)
    assert told in answer.facts()
    assert told in lf.open_workspace(workspace).questions.reopen(answer.query_id).facts()
    assert "+ base, other-2 (average)" in done("indexes", workspace).out
    report = done("indexes", workspace, own_folder(workspace).name)
    assert told[1:] in " ".join(report.out.split())
    listed = done("indexes", workspace, "--json").json["indexes"]
    assert [one["members"] and len(one["members"]["others"]) for one in listed] == [2, None, None]
    assert "3 times the time of one model and 3 models in memory" in listed[0]["members"]["cost"]


def test_the_newest_index_that_answers_unnamed_is_no_member_of_another_one(workspace):
    assert ask(workspace)["index_id"] == own_folder(workspace).name


def test_members_are_added_to_a_finished_index_whose_stored_files_stay_as_they_are(lonely):
    before = {name: content for name, content in bytes_below(lonely / "indexes").items() if "lock" not in name}
    alone = kept_scores(lonely)
    opened = lf.open_workspace(lonely)
    first = opened.questions.ask(QUESTION)
    index(lonely, "--base", other_model(1))
    after = bytes_below(lonely / "indexes")
    assert {name: after[name] for name in before} == before
    both = kept_scores(lonely)
    base = kept_scores(lonely, "--index", read_json(own_folder(lonely) / "members.json")["others"][0]["index_id"])
    close(both, (alone + base) / 2, relative=1e-4)
    again = opened.questions.ask(QUESTION)
    assert (again.is_kept, again.members) == (False, "scores are sums over 2 members: 0.5 × final, 0.5 × base")
    with pytest.raises(DataError, match="its own model alone; now scores are sums over 2"):
        opened.questions.breakdown(first.query_id, first.ids[0])
    index(lonely, "--base", other_model(1), "--checkpoints", other_model(2))
    assert [one["name"] for one in read_json(own_folder(lonely) / "members.json")["others"]] == ["base", "other-2"]


def test_the_same_command_without_members_leaves_them_and_alone_takes_them_away(workspace):
    kept = (own_folder(workspace) / "members.json").read_bytes()
    assert len(index(workspace)["members"]["others"]) == 2
    assert (own_folder(workspace) / "members.json").read_bytes() == kept
    assert index(workspace, "--alone")["members"] is None
    assert not list(workspace.glob("indexes/*/members.json"))
    assert ask(workspace)["members"] is None


def test_another_rule_alone_weighs_the_same_members_anew(lonely):
    index(lonely, "--base", other_model(1))
    found = index(lonely, "--member-weights", "final-minus-base")["members"]
    assert (found["weight"], [one["weight"] for one in found["others"]]) == (1.0, [-1.0])


@pytest.mark.slow
def test_a_build_that_is_killed_between_members_goes_on_and_links_when_all_are_there(lonely, tmp_path):
    command = ("index", lonely, "--model", model_folder(), *GRADDOT, "--base", other_model(1))
    process = start(*command, at="parts/.00003-*.unfinished", gets=signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    statuses = [one.status for one in lf.open_workspace(lonely).indexes.records()]
    assert statuses == ["complete", "building"]
    assert not list(lonely.glob("indexes/*/members.json"))
    assert ask(lonely)["members"] is None
    made = {path: path.stat().st_mtime_ns for path in lonely.glob("indexes/*/parts/*.safetensors")}
    done(*command)
    assert {path: path.stat().st_mtime_ns for path in made} == made
    assert ask(lonely)["members"] == "scores are sums over 2 members: 0.5 × final, 0.5 × base"
    assert done("doctor", lonely, "--json").json["workspace"]["findings"] == []


def spoiled(workspace: Path) -> Iterator[str]:
    """Ways in which a member is no longer what was linked, one after the other, and what is said then."""
    folder = own_folder(workspace)
    path, kept = folder / "members.json", (folder / "members.json").read_bytes()
    member = workspace / "indexes" / read_json(path)["others"][0]["index_id"]
    path.write_bytes(kept.replace(b'"average"', b'"averagf"'))
    yield "is not what was written"
    path.unlink()
    yield "members.json in its folder, which names them, is missing"
    path.write_bytes(kept)
    moved = member.rename(workspace.parent / "moved")
    yield "whose folder is gone"
    moved.rename(member)
    parts = member / "manifest.json"
    manifest = parts.read_bytes()
    parts.unlink()
    yield "not complete"
    parts.write_bytes(manifest)
    values = read_json(parts)
    values["parents"]["dataset"] = "0" * 32
    write_json(parts, values)
    yield "built from texts with fingerprint 00000000"
    parts.write_bytes(manifest)
    write_json(path, read_json(path) | {"index_id": "ix-000000000000"})
    yield "is of index 'ix-000000000000'"


def test_a_member_that_is_missing_damaged_or_of_other_texts_is_refused_and_never_left_out(workspace):
    ends = []
    for said in spoiled(workspace):
        run = lorif("ask", workspace, "--prompt", "a", "--completion", " b", "--index", own_id(workspace))
        assert (run.code, said in run.err) == (2, True), run.err
        looked = lorif("doctor", workspace, "--json").json["workspace"]
        assert not looked["is_whole"]
        ends.append(said)
    assert len(ends) == 6


def own_id(workspace: Path) -> str:
    return lf.open_workspace(workspace).indexes.records()[0].index_id


def test_an_index_with_another_shard_size_or_method_setting_is_no_member(lonely):
    done("index", lonely, "--model", other_model(1), *GRADDOT[:4], "--shard-examples", 64)
    run = index(lonely, "--base", other_model(1), code=2)
    assert "another number of texts per shard than the index" in run.err
    assert not list(lonely.glob("indexes/*/members.json"))


def test_a_refined_question_is_refused_in_one_sentence(tmp_path):
    workspace = copy_of(imported(), tmp_path)
    small = ("--stats-examples", 32, "--shard-examples", 64)
    done("index", workspace, "--model", model_folder(), *small, "--base", other_model(1))
    opened = lf.open_workspace(workspace)
    with pytest.raises(ConfigError, match=r"refine is for an index that is alone, and 'ix-.*' has 2 members"):
        opened.questions.ask(replace(QUESTION, settings=ScoreConfig(refine=2)))


def test_near_texts_are_near_in_the_mean_over_all_members(workspace):
    opened = lf.open_workspace(workspace)
    near, own = opened.indexes.neighbours("t003", 120).texts, own_id(workspace)
    each = [
        opened.indexes.neighbours("t003", 120, index_id=index_id).texts for index_id, _ in members_of(workspace)[1:]
    ]
    done("index", workspace, "--model", model_folder(), *GRADDOT, "--alone")
    each.append(opened.indexes.neighbours("t003", 120).texts)
    assert ask(workspace)["index_id"] == own
    mean = pl.concat(each).group_by("train_id").agg(pl.col("cosine").mean().alias("mean"))
    joined = near.join(mean, on="train_id")
    assert len(joined) == 120
    close(joined["cosine"].to_torch(), joined["mean"].to_torch(), relative=1e-5)


def test_what_was_measured_of_an_index_alone_says_nothing_about_it_with_members(lonely):
    opened = lf.open_workspace(lonely)
    asked = write_rows(lonely.parent / "asked.jsonl", [{"id": "q", "prompt": "The", "completion": " river Arlen."}])
    lf.evaluate(opened).fidelity(asked, reference="graddot")
    own = own_id(lonely)
    assert [check.kind for check in trust_in(opened.files, own).checks] == ["fidelity"]
    index(lonely, "--base", other_model(1))
    assert trust_in(opened.files, own).checks == []
    (row,) = lf.evaluate(opened).fidelity(asked, reference="graddot", candidates=[own])
    assert row.label.endswith("+ base (average)")
    assert [check.kind for check in trust_in(opened.files, own).checks] == ["fidelity"]


def checkpoint(folder: Path, *rates: tuple[int, float], step: int = 20) -> str:
    folder.mkdir()
    history = [{"step": at, "learning_rate": rate} for at, rate in rates] + [{"step": step, "train_loss": 1.0}]
    (folder / "trainer_state.json").write_text(json.dumps({"global_step": step, "log_history": history}))
    return str(folder)


def test_tracin_weighs_checkpoints_by_their_last_logged_learning_rates(tmp_path):
    own = checkpoint(tmp_path / "ckpt-30", (10, 3e-4), (20, 1e-4), (30, 9e-4))
    other = checkpoint(tmp_path / "ckpt-20", (10, 3e-4))
    found = weigh_members(own, MembersConfig(checkpoints=(own, other), member_weights="tracin"))
    assert [(one.name, one.weight) for one in found] == [
        ("final", pytest.approx(0.25)),
        ("ckpt-20", pytest.approx(0.75)),
    ]


@pytest.mark.parametrize(
    ("rates", "said"),
    [(None, "has none"), ((), "logs no `learning_rate`"), (((20, 0.0),), "is 0: it would add nothing")],
)
def test_tracin_refuses_checkpoints_whose_learning_rate_cannot_be_told_or_is_0(rates, said, tmp_path):
    own = checkpoint(tmp_path / "own", (10, 3e-4))
    (tmp_path / "bare").mkdir()
    other = str(tmp_path / "bare") if rates is None else checkpoint(tmp_path / "ckpt", *rates)
    with pytest.raises(DataError, match=f"{said}.*Name the checkpoints that have one"):
        weigh_members(own, MembersConfig(checkpoints=(other,), member_weights="tracin"))


def test_final_minus_base_is_for_one_base():
    assert [one.weight for one in weigh_members("m", MembersConfig(base="b", member_weights="final-minus-base"))] == [
        1.0,
        -1.0,
    ]
    with pytest.raises(ConfigError, match="for a model and its base, got final, c"):
        weigh_members("m", MembersConfig(checkpoints=("/x/c",), member_weights="final-minus-base"))


def test_patterns_are_expanded_in_the_order_of_their_numbers_and_fit_something(tmp_path, monkeypatch):
    for number in (100, 20, 3):
        (tmp_path / f"ckpt-{number}").mkdir()
    (tmp_path / "ckpt-log").write_text("")
    monkeypatch.chdir(tmp_path)
    placed = place_members(MembersConfig(checkpoints=("ckpt-*/",)))
    assert [Path(one).name for one in placed.checkpoints] == ["ckpt-3", "ckpt-20", "ckpt-100"]
    with pytest.raises(ConfigError, match="'step-\\*' fits none"):
        place_members(MembersConfig(checkpoints=("step-*",)))


def test_a_model_is_not_counted_twice(lonely, tmp_path):
    copied = shutil.copytree(model_folder(), tmp_path / "copy")
    run = index(lonely, "--checkpoints", copied, code=2)
    assert "is the same as the index's own: it would count twice" in run.err
    assert "must be another model" in index(lonely, "--base", model_folder(), code=2).err


def test_whom_a_build_names_replaces_whom_the_index_had():
    known = MembersConfig(base="b", checkpoints=("c",), member_weights="average")
    assert members_asked(MembersConfig(), known) == known
    assert members_asked(MembersConfig(checkpoints=("d",)), known) == MembersConfig(
        checkpoints=("d",), member_weights="average"
    )
    assert members_asked(MembersConfig(alone=True), known) == MembersConfig()
    with pytest.raises(ConfigError, match="alone takes an index's further members away"):
        MembersConfig(alone=True, base="b")


def test_a_dry_run_says_what_every_member_costs(lonely):
    run = lorif("index", lonely, "--model", model_folder(), *GRADDOT, "--base", other_model(1), "--dry-run", "--json")
    assert [(one["name"], one["estimate"]["num_left"]) for one in run.json["members"]] == [
        ("final", 0),
        ("base", 121),
    ]


def test_a_job_builds_the_members_that_were_named_wherever_its_worker_runs(lonely, tmp_path, monkeypatch):
    shutil.copytree(other_model(1), tmp_path / "ckpt-1")
    monkeypatch.chdir(tmp_path)
    settings = IndexConfig(
        model=ModelConfig(model=str(model_folder())),
        method=lf.method_settings("graddot", f=4),
        batches=BatchConfig(shard_examples=16),
        members=MembersConfig(checkpoints=("ckpt-*",)),
    )
    request = json_of(index_request(settings, lf.open_workspace(lonely).files.choose_dataset(None).dataset_id))
    monkeypatch.chdir(lonely)
    KINDS["index"](lonely, json.loads(json.dumps(request)), no_progress)
    assert ask(lonely)["members"] == "scores are sums over 2 members: 0.5 × final, 0.5 × ckpt-1"
