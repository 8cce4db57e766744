"""``python -m benchmarks.truths``: the smallest version of a truth from nothing, and every plan without training."""

import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import tiny_workspace
import torch
from tiny_models import example_of

from benchmarks.truths import __main__ as command
from benchmarks.truths.base_models import build_model, start_alike, train_tokenizer
from benchmarks.truths.docstring_texts import read_docstrings
from benchmarks.truths.make_truth import Session, copy_problem, make_truth, mean_targets
from benchmarks.truths.text_pools import read_pools
from benchmarks.truths.truth_plans import TRUTHS, ModelShape, TruthPlan
from lorif_core.config import ModelConfig
from lorif_core.errors import ConfigError, DataError, FingerprintMismatch
from lorif_core.evaluation.recipe import read_recipe
from lorif_core.evaluation.retraining import RetrainingStopped
from lorif_core.models.load import load_model

TINY = replace(
    TRUTHS["gsm8k"],
    shape=ModelShape(architecture="llama", vocabulary=270, layers=1, width=16, heads=2),
    pretraining=replace(TRUTHS["gsm8k"].pretraining, epochs=1),
    tuning=replace(TRUTHS["gsm8k"].tuning, epochs=1),
    num_train=12,
    num_queries=3,
    num_base=8,
)
NEEDS_DATA = {"gsm8k", "t0"}
"""Sources; the others come from the machine or from nothing."""


def never() -> bool:
    return False


def session(folder: Path, plan: TruthPlan = TINY, should_stop: Callable[[], bool] = never) -> Session:
    return Session(folder, plan, lambda text: None, should_stop)


@cache
def problems() -> Path:
    """Thirty problems to train on and six to ask, in the form of GSM8K."""
    folder = tiny_workspace.root() / "problems"
    folder.mkdir()
    for name, count in (("train", 30), ("test", 6)):
        rows = [{"question": f"{name} {n} and {n}?", "answer": f"It is {2 * n}.\n#### {2 * n}"} for n in range(count)]
        (folder / f"{name}.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return folder


@cache
def made() -> Path:
    folder = tiny_workspace.root() / "tiny-truth"
    make_truth(session(folder), data=problems(), num_subsets=2)
    return folder


def test_a_truth_holds_models_texts_recipe_and_losses_that_belong_together():
    folder = made()
    truth = np.load(folder / "truth.npz")
    assert truth["masks"].shape == (2, 12)
    assert truth["masks"].sum(1).tolist() == [6, 6]
    assert truth["losses"].shape == (2, 3)
    rows = {name: (folder / f"{name}.jsonl").read_text("utf-8").splitlines() for name in ("train", "query")}
    assert [len(lines) for lines in rows.values()] == [12, 3]
    assert not set(rows["train"]) & set(rows["query"])
    assert read_recipe(folder / "recipe.toml") == replace(TINY.tuning, checkpoint=str(folder / "base"))
    base, model = (load_model(ModelConfig(model=str(folder / name), device="cpu")) for name in ("base", "model"))
    assert base.fingerprint != model.fingerprint
    assert json.loads((folder / "about.json").read_text("utf-8"))["num_subsets"] == 2


def test_more_subsets_are_added_to_those_that_are_there(tmp_path):
    first = np.load(made() / "truth.npz")["losses"]
    copy_problem(made(), session(tmp_path))
    steps: list[str] = []
    whole = make_truth(Session(tmp_path, TINY, steps.append, never), data=None, num_subsets=3)
    assert torch.equal(whole.losses[:2], torch.from_numpy(first))
    steps.clear()
    more = make_truth(Session(tmp_path, TINY, steps.append, never), data=None, num_subsets=4)
    assert torch.equal(more.losses[:3], whole.losses)
    assert sum("subset" in line and " s each" in line for line in steps) == 1


def test_a_truth_that_is_stopped_keeps_what_is_finished(tmp_path):
    copy_problem(made(), session(tmp_path))
    finished = tmp_path / "truth.parts" / "subset-0001.npz"
    truth = make_truth(session(tmp_path, should_stop=finished.exists), data=None, num_subsets=5)
    assert len(truth.masks) == len(np.load(tmp_path / "truth.npz")["losses"]) == 2


def test_a_truth_that_is_stopped_before_the_base_model_is_there_keeps_none(tmp_path):
    with pytest.raises(RetrainingStopped):
        make_truth(session(tmp_path, should_stop=lambda: True), data=problems(), num_subsets=2)
    assert not (tmp_path / "base").exists()


def test_another_truth_is_refused_in_the_same_folder():
    for plan in (replace(TINY, fraction=0.9), replace(TINY, num_train=11)):
        with pytest.raises(FingerprintMismatch, match="choose an empty folder"):
            make_truth(session(made(), plan), data=problems(), num_subsets=2)


def test_only_other_subsets_may_be_drawn_of_the_same_problem(tmp_path):
    copy_problem(made(), session(tmp_path, replace(TINY, fraction=0.9)))
    assert (tmp_path / "model" / "config.json").exists()
    with pytest.raises(FingerprintMismatch, match="leave `--like` out"):
        copy_problem(made(), session(tmp_path / "other", replace(TINY, seed=1)))


@pytest.mark.parametrize("name", TRUTHS)
def test_a_model_is_built_by_every_plan(name):
    plan = TRUTHS[name]
    longest = max(plan.pretraining.max_length, plan.tuning.max_length)
    with torch.device("meta"):
        model = build_model(plan.shape, num_ids=plan.shape.vocabulary, num_positions=longest, seed=plan.seed)
    assert model.get_input_embeddings().weight.shape == (plan.shape.vocabulary, plan.shape.width)
    is_tied = model.get_output_embeddings().weight is model.get_input_embeddings().weight
    assert is_tied == (plan.shape.architecture == "gpt2")
    assert 0 < plan.fraction < 1
    assert plan.pretraining.max_length >= plan.tuning.max_length


@pytest.mark.parametrize("source", sorted({plan.source for plan in TRUTHS.values()}))
def test_a_source_says_whether_it_needs_data(source, tmp_path):
    if source in NEEDS_DATA:
        with pytest.raises(ConfigError, match="--data"):
            read_pools(source, None, 0)
        with pytest.raises(DataError, match="--data"):
            read_pools(source, tmp_path / "nothing", 0)
    else:
        with pytest.raises(ConfigError, match="leave it out"):
            read_pools(source, tmp_path, 0)


def test_queries_in_capitals_share_signs_only_with_texts_in_small_letters():
    pools = read_pools("capitals", None, 0)
    taught = {letter for text in pools.train for letter in (text.completion or "") if letter.isascii()}
    asked = {letter for text in pools.held_out for letter in (text.completion or "") if letter.isascii()}
    assert set("aeiou") <= taught
    assert set("AEIOU") <= asked
    assert [letter for letter in taught & asked if letter.isalpha()] == []
    assert not {text.train_id for text in pools.train} & {text.train_id for text in pools.base or []}


def test_tokens_in_capitals_start_as_those_in_small_letters():
    tokenizer = train_tokenizer(["to be or not, TO BE OR NOT"] * 9, 300)
    model = build_model(
        ModelShape(architecture="qwen2", vocabulary=300, width=16), num_ids=300, num_positions=8, seed=0
    )
    start_alike(model, tokenizer)
    small, capitals = (tokenizer(text)["input_ids"] for text in (" not", " NOT"))
    assert small != capitals
    for table in (model.get_input_embeddings(), model.get_output_embeddings()):
        assert torch.equal(table.weight[small], table.weight[capitals])


def test_docstrings_come_with_their_names_and_only_once():
    texts = {text.train_id.split(":")[0]: text for text in read_docstrings()}
    found = texts["textwrap.dedent"]
    assert found.prompt == "textwrap.dedent(text)\n"
    assert found.completion == "Remove any common leading whitespace from every line in `text`."
    assert len({text.completion for text in texts.values()}) == len(texts)


def test_target_tokens_are_counted_by_hand():
    texts = [example_of([9, 5, 6, 6], [False, True, True, True]), (example_of([9, 5], [False, True]),)]
    assert mean_targets(texts) == 2


def test_a_tokenizer_of_bytes_reads_every_text_back():
    tokenizer = train_tokenizer(["abc abc"], 257)
    assert len(tokenizer) == 257
    assert tokenizer.decode(tokenizer("é ≠ e")["input_ids"]) == "é ≠ e"


def test_the_command_names_every_truth_and_says_what_is_wrong(tmp_path, capsys):
    with pytest.raises(SystemExit):
        command.main(["--help"])
    shown = capsys.readouterr().out
    assert [name for name in TRUTHS if name not in shown] == []
    assert command.main(["gsm8k", "--out", str(tmp_path / "truth")]) == 2
    assert "--data" in capsys.readouterr().err
