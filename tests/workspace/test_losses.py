"""Indexes of losses: imported without a model, or taken by models that are here; asked, compared, measured, kept."""

import json
import shutil

import numpy as np
import polars as pl
import pytest
from tiny_workspace import copy_of, done, imported, indexed, lorif, model_folder, root, rows, write_model, write_rows

import lorif_core as lf
from lorif_core.errors import ConfigError, FingerprintMismatch
from lorif_core.workspace.health.check_workspace import check_workspace
from lorif_core.workspace.indexes import free_memory
from lorif_core.workspace.indexes.build_losses import plan_losses

IDS = [row["id"] for row in rows()]
MODELS = [f"m{place}" for place in range(6)]
LOSSES = np.random.default_rng(1).normal(40, 3, (len(IDS) + 2, len(MODELS)))
QUESTIONS = {"q1": ("The river of Arlen is", " castle Brook."), "q2": ("q2", "")}
BYTES = 2
"""Per text and model."""


def table(folder, *, without=(), name="losses.jsonl"):
    found = []
    for one, losses in zip([*IDS, *QUESTIONS], LOSSES.tolist(), strict=True):
        said = dict(zip(("prompt", "completion"), QUESTIONS[one], strict=True)) if one == "q1" else {}
        found.append({"id": one, **said, **dict(zip(MODELS, losses, strict=True))})
    for one, model in without:
        next(row for row in found if row["id"] == one).pop(model)
    return write_rows(folder / name, found)


def read_rows(path):
    return [json.loads(one) for one in path.read_text(encoding="utf-8").splitlines()]


def correlations(question, texts=None):
    """Oracle."""
    return np.array([np.corrcoef(question, row)[0, 1] for row in (LOSSES[: len(IDS)] if texts is None else texts)])


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    folder = copy_of(indexed(), tmp_path_factory.mktemp("losses"))
    done("import-losses", folder, table(folder.parent), "--name", "api")
    return folder


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Three models that differ: the tiny one from other seeds, with its tokenizer."""
    folder = tmp_path_factory.mktemp("models")
    for seed in (1, 2, 3):
        write_model(folder / f"m{seed}", seed=seed)
    return folder


def test_a_question_of_the_table_is_answered_by_correlations_without_a_model(workspace):
    found = done("ask", workspace, "--index", "api", "--question", "q1", "-k", 121, "--opposing", 121, "--json").json
    wanted = dict(zip(IDS, correlations(LOSSES[-2]), strict=True))
    scores = {hit["train_id"]: hit["score"] for hit in found["supports"] + found["opposes"]}
    assert set(scores) == set(IDS)
    assert [scores[one] for one in IDS] == pytest.approx([wanted[one] for one in IDS], abs=5e-3)
    assert (found["question"]["prompt"], found["question"]["completion"]) == QUESTIONS["q1"]
    assert found["objective_value"] == pytest.approx(LOSSES[-2].mean())
    assert found["model_share"] == (
        "scores are covariances of losses over 6 models; no gradient was taken, and the loss that is shown is the "
        "mean over the models"
    )


def test_a_free_question_comes_with_its_losses(workspace, tmp_path):
    own = write_rows(tmp_path / "own.jsonl", [dict(zip(MODELS, LOSSES[-1].tolist(), strict=True))])
    asked = ("ask", workspace, "--index", "api", "--prompt", "Who", "--completion", " me", "--losses", own, "-k", 5)
    found = done(*asked, "--json").json
    best = [IDS[place] for place in np.argsort(-correlations(LOSSES[-1]))[:5]]
    assert [hit["train_id"] for hit in found["supports"]] == best
    again = done(*asked, "--json").json
    assert again["is_kept"]
    assert again["model_share"] == found["model_share"]  # what is said is said of a kept answer, too
    assert again["supports"] == found["supports"]


def test_the_same_words_with_other_losses_are_another_question(workspace):
    opened = lf.open_workspace(workspace)
    asked = {"index_id": "api", "k": 3}
    one, other = (
        opened.ask("Same", " words", losses=dict(zip(MODELS, row.tolist(), strict=True)), **asked)
        for row in LOSSES[-2:]
    )
    assert one.ids != other.ids
    assert one.query_id != other.query_id
    assert opened.reopen(one.query_id).ids == one.ids
    assert opened.reopen(one.query_id).question.losses == one.question.losses


def test_the_words_of_a_table_find_its_question(workspace):
    opened = lf.open_workspace(workspace)
    named = opened.ask("", question_id="q1", index_id="api", keeps=False)
    assert opened.ask(*QUESTIONS["q1"], index_id="api", keeps=False).ids == named.ids


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--prompt", "a", "--completion", "b"],
            r"index 'api' holds losses that were imported and has no model, .*q1, q2",
        ),
        (["--prompt", "a", "--generate"], r"has no model, so a question comes with its losses"),
        (
            ["--question", "q9"],
            r"index 'api' has no question 'q9': name one of its table with `--question` \(q1, q2\)",
        ),
        (["--question", "q1", "--contrast", "b"], r"a question of a table is of one completion"),
        (["--question", "q1", "--prompt", "b"], r"leave out all but `--question`"),
        (["--question", "q1", "--objective", "margin"], r"say nothing of the objective 'margin'"),
        (["--question", "q1", "--refine", "3"], r"refine"),
        (["--question", "q1", "--damping-rule", "absolute", "--damping", "3"], r"which no damping changes"),
    ],
)
def test_what_such_an_index_cannot_do_is_one_sentence(workspace, words, message):
    run = lorif("ask", workspace, "--index", "api", *words)
    assert run.code == 2
    assert run.err.count("\n") == 1 + run.err.endswith("\n\n")
    assert pl.Series([run.err]).str.contains(message).item(), run.err


def test_losses_of_a_question_are_those_of_the_indexs_models(workspace):
    opened = lf.open_workspace(workspace)
    lacking = dict(zip(MODELS[:-1], LOSSES[-1].tolist(), strict=False))
    with pytest.raises(lf.LorifError, match=r"each of the index's 6 models and no other: it lacks 'm5'\."):
        opened.ask("a", "b", losses=lacking, index_id="api")
    with pytest.raises(lf.LorifError, match=r"it lacks 'm5' and the index does not know 'x'"):
        opened.ask("a", "b", losses=lacking | {"x": 1.0}, index_id="api")
    (gradients,) = [one.index_id for one in opened.indexes.records() if one.method == "lorif"]
    with pytest.raises(ConfigError, match=r"losses are for an index of losses"):
        opened.ask("a", "b", losses=lacking, index_id=gradients)


def test_it_is_compared_with_an_index_of_gradients_like_any_other(workspace):
    opened = lf.open_workspace(workspace)
    (gradients,) = [one.index_id for one in opened.indexes.records() if one.method == "lorif"]
    a = opened.ask(*QUESTIONS["q1"], index_id=gradients)
    b = opened.ask("", question_id="q1", index_id="api")
    found = opened.compare(a, b)
    assert -1 <= found.rank_correlation <= 1
    parts = opened.questions.breakdown(b.query_id, b.ids[0])
    assert list(parts.parts) == ["losses"]
    assert parts.score == pytest.approx(b.supports[0].score, rel=1e-5)
    assert parts.no_tokens is not None
    with pytest.raises(ConfigError, match=r"adds nats, but the scores of query .* are nats²"):
        opened.what_if([b.ids[0]], [b.query_id])


def test_the_questions_of_the_table_are_a_file_of_queries(workspace, tmp_path):
    queries = write_rows(tmp_path / "q.jsonl", [{"id": one, "prompt": "a", "completion": " b"} for one in QUESTIONS])
    done("score", workspace, "--index", "api", "--queries", queries, "--out", tmp_path / "s.parquet")
    found = pl.read_parquet(tmp_path / "s.parquet").with_columns(pl.col("query_id").cast(pl.String))
    for place, one in enumerate(QUESTIONS):
        scores = found.filter(pl.col("query_id") == one)["score"].to_numpy()
        wanted = [np.cov(LOSSES[len(IDS) + place], row)[0, 1] for row in LOSSES[: len(IDS)]]
        assert scores == pytest.approx(np.array(wanted), abs=0.1)
    unknown = write_rows(tmp_path / "u.jsonl", [{"id": "who", "prompt": "a", "completion": " b"}])
    run = lorif("score", workspace, "--index", "api", "--queries", unknown, "--out", tmp_path / "t.parquet")
    assert run.code == 2
    assert "'who' is none" in run.err


def test_it_is_measured_beside_words_by_an_index_that_has_a_model(workspace, tmp_path):
    queries = write_rows(tmp_path / "q.jsonl", [{"id": one, "prompt": "a", "completion": " b"} for one in QUESTIONS])
    opened, masks = lf.open_workspace(workspace), np.random.default_rng(3).random((12, len(IDS))) < 0.5
    covariances = np.array([[np.cov(LOSSES[len(IDS) + q], row)[0, 1] for row in LOSSES[: len(IDS)]] for q in (0, 1)])
    np.savez(tmp_path / "truth.npz", masks=masks, losses=-(masks @ covariances.T))
    rows_ = lf.evaluate(opened).lds(queries, tmp_path / "truth.npz", candidates=["api"])
    own = next(one for one in rows_ if one.candidate == "api")
    assert own.lds == pytest.approx(1.0, abs=0.02)  # losses that are the sums of its own scores
    assert {one.candidate for one in rows_} >= {"api", "tokens"}


def test_every_command_about_indexes_takes_it(workspace):
    assert "covariances" not in done("indexes", workspace).err
    report = done("indexes", workspace, "api", "--json").json
    codes = next(part for part in report["parts"] if part["kind"] == "codes")
    assert codes["per_example"] == BYTES * len(MODELS)
    assert "centred losses" in done("indexes", workspace, "api").out
    near = done("neighbours", workspace, "t003", "--index", "api", "--json").json
    cosines = correlations(LOSSES[3])
    assert near["neighbours"][0]["train_id"] == IDS[np.argsort(-cosines)[1]]
    own = done("outliers", workspace, "--index", "api", "--json").json
    assert IDS[int(LOSSES[: len(IDS)].var(1).argmax())] in json.dumps(own)[:400]
    refused = lorif("map", workspace, "--index", "api")
    assert (refused.code, "this needs a model" in refused.err) == (2, True)
    found = check_workspace(lf.open_workspace(workspace).files)
    assert [one for one in found.findings if one.severity != "note"] == []


def test_texts_that_lack_a_loss_are_refused_or_left_out_and_told(tmp_path):
    folder = copy_of(imported(), tmp_path / "ws")
    file = table(tmp_path, without=[("t004", "m2"), ("t009", "m0")])
    run = lorif("import-losses", folder, file, "--name", "holes")
    assert run.code == 2
    assert "2 of 121 texts lack one, such as 't004' under 'm2'" in run.err
    assert not (folder / "indexes" / "holes").exists()
    found = done("import-losses", folder, file, "--name", "holes", "--leave-out", "--json").json
    assert found["num_left_out"] == 2
    answer = lf.open_workspace(folder).ask("", question_id="q1", index_id="holes", k=121, num_opposing=121)
    assert {"t004", "t009"}.isdisjoint(hit.train_id for hit in answer.hits)
    assert "2 texts lack a loss and never come up" in " ".join(answer.facts())
    assert "t004 (the table lacks a loss of it)" in done("indexes", folder, "holes").out.replace("\n", " ")


def test_the_same_name_takes_new_questions_and_no_other_losses(tmp_path):
    folder = copy_of(imported(), tmp_path / "ws")
    done("import-losses", folder, table(tmp_path), "--name", "api")
    before = (folder / "indexes" / "api" / "manifest.json").read_bytes()
    only_texts = write_rows(tmp_path / "t.jsonl", read_rows(table(tmp_path))[: len(IDS)])
    assert done("import-losses", folder, only_texts, "--name", "api", "--json").json["question_ids"] == []
    assert (folder / "indexes" / "api" / "manifest.json").read_bytes() == before
    run = lorif("ask", folder, "--index", "api", "--question", "q1")
    assert (run.code, "Its table came without questions" in run.err) == (2, True)
    other = read_rows(only_texts)
    other[0]["m0"] += 1
    run = lorif("import-losses", folder, write_rows(tmp_path / "o.jsonl", other), "--name", "api")
    assert (run.code, "'api' is there already with others" in run.err) == (2, True)
    run = lorif("import-losses", folder, only_texts, "--name", "cosine")
    assert (run.code, "got 'cosine'" in run.err) == (2, True)
    run = lorif("import-losses", folder, only_texts, "--name", "../x")
    assert (run.code, "got '../x'" in run.err) == (2, True)


def test_without_its_file_of_models_it_is_refused_and_the_doctor_says_so(tmp_path):
    folder = copy_of(imported(), tmp_path / "ws")
    done("import-losses", folder, table(tmp_path), "--name", "api")
    (folder / "indexes" / "api" / "losses.json").unlink()
    found = check_workspace(lf.open_workspace(folder).files)
    assert any("losses.json is missing" in one.problem for one in found.findings)
    run = lorif("neighbours", folder, "t003", "--index", "api")
    assert run.code == 0  # what is stored is there
    with pytest.raises(lf.LorifError, match=r"holds losses, and losses\.json .* is missing"):
        lf.open_workspace(folder).indexes.open("api")


def index_of(folder, models, *further):
    words = ("--model", model_folder(), "--models", f"{models}/*/", "--shard-examples", 50, *further)
    return done("index", folder, "--method", "daunce", *words, "--json").json


def test_models_that_are_here_take_the_losses_of_texts_and_questions(models, tmp_path):
    from oracles import example_loss

    from lorif_core.config import ModelConfig
    from lorif_core.models.load import load_model

    folder = copy_of(imported(), tmp_path / "ws")
    record = index_of(folder, models)
    opened = lf.open_workspace(folder)
    answer = opened.ask(*QUESTIONS["q1"], index_id=record["index_id"], k=121, num_opposing=121)
    loaded = [load_model(ModelConfig(model=str(models / one))) for one in ("m1", "m2", "m3")]
    index = opened.indexes.open(record["index_id"])
    texts = index.engine.encoder.encode_all(index.examples.iter_examples(0, 20)).texts
    own = opened.indexes.open(record["index_id"]).engine.loaded
    said = own.tokenizer(QUESTIONS["q1"][0])["input_ids"], own.tokenizer(QUESTIONS["q1"][1])["input_ids"]
    asked = [*said[0], *said[1]], [False] * len(said[0]) + [True] * len(said[1])
    question = [float(example_loss(one.model, *asked).detach()) for one in loaded]
    scores = {hit.train_id: hit.score for hit in answer.hits}
    for one, (text,) in zip(IDS, texts, strict=False):
        losses = [float(example_loss(model.model, text.input_ids, text.is_target).detach()) for model in loaded]
        assert scores.get(one, 0.0) == pytest.approx(np.corrcoef(question, losses)[0, 1], abs=1e-2)
    assert answer.objective_value == pytest.approx(float(example_loss(own.model, *asked).detach()), rel=1e-4)
    assert not (folder / "indexes" / record["index_id"] / "columns").exists()
    assert answer.hits[0].tokens == ()


def test_a_build_that_was_stopped_goes_on_with_what_is_missing(models, tmp_path, monkeypatch):
    whole, stopped = (copy_of(imported(), tmp_path / name) for name in ("whole", "stopped"))
    wanted = index_of(whole, models)
    from lorif_core.workspace.indexes import build_losses

    taken, real = [], build_losses.text_losses

    def stopping(model, texts, **how):
        if len(taken) == 4:
            raise KeyboardInterrupt
        taken.append(len(texts))
        return real(model, texts, **how)

    monkeypatch.setattr(build_losses, "text_losses", stopping)
    words = ("--method", "daunce", "--model", model_folder(), "--models", f"{models}/*/", "--shard-examples", 50)
    assert lorif("index", stopped, *words, "--json").code == 130
    taken.clear()
    monkeypatch.setattr(build_losses, "text_losses", lambda *given, **how: (taken.append(1), real(*given, **how))[1])
    found = done("index", stopped, *words, "--json").json
    assert len(taken) <= 9 - 3  # three parts under each of three models; an estimate takes a few texts, too
    assert found["fingerprint"] == wanted["fingerprint"]


def test_models_are_loaded_one_at_a_time_where_memory_is_short(models, tmp_path, monkeypatch):
    folder = copy_of(imported(), tmp_path / "ws")
    index_id = index_of(folder, models)["index_id"]
    wanted = lf.open_workspace(folder).ask(*QUESTIONS["q1"], index_id=index_id, keeps=False)
    assert not any("memory is short" in one for one in wanted.remarks())
    monkeypatch.setattr(free_memory, "free_bytes", lambda device: 0)
    found = lf.open_workspace(folder).ask(*QUESTIONS["q1"], index_id=index_id, keeps=False)
    assert found.ids == wanted.ids
    assert "memory is short, so every question loads its 3 models one at a time" in found.remarks()


def test_another_model_in_a_folder_is_refused(models, tmp_path):
    folder, own = copy_of(imported(), tmp_path / "ws"), shutil.copytree(models, tmp_path / "models")
    index_id = index_of(folder, own)["index_id"]
    write_model(own / "m2", seed=9)
    with pytest.raises(FingerprintMismatch, match=r"the losses of model 'm2' were taken from weights with"):
        lf.open_workspace(folder).ask(*QUESTIONS["q1"], index_id=index_id)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "a covariance needs 2 models at least, `--models` names 0"),
        (["--models", "/nowhere/*/"], "models must be folders of models, '/nowhere/*/' fits none. Check `--models`."),
        (["--checkpoints", "x"], "leave `--base` and `--checkpoints` out"),
        (["--plan-only"], "daunce reads its models one after the other in one process"),
        (["--workers", "2"], "daunce reads its models one after the other in one process"),
    ],
)
def test_what_cannot_be_built_is_one_sentence(words, message):
    run = lorif("index", imported(), "--method", "daunce", "--model", model_folder(), *words)
    assert run.code == 2
    assert message in run.err


def test_a_model_that_counts_twice_and_another_tokenizer_are_refused(models, tmp_path):
    folder = copy_of(imported(), tmp_path / "ws")
    files = lf.open_workspace(folder).files
    own = shutil.copytree(models, tmp_path / "models")
    shutil.copytree(own / "m1", own / "m4")

    def plan():
        settings = lf.IndexConfig(
            model=lf.ModelConfig(model=str(model_folder())),
            method=lf.method_settings("daunce", models=(f"{own}/*/",)),
        )
        return plan_losses(files, files.choose_dataset(None), settings)

    with pytest.raises(ConfigError, match=r"has the weights of .*m1'.*: it would count twice"):
        plan()
    shutil.rmtree(own / "m4")
    (own / "m3" / "tokenizer_config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(FingerprintMismatch, match=r"must read the same tokens"):
        plan()


def test_perturbed_models_are_made_resumed_and_indexed(tmp_path):
    folder, out = copy_of(imported(), tmp_path / "ws"), tmp_path / "perturbed"
    words = ("perturb", folder, "--model", model_folder(), "--out", out, "--batch-size", 64)
    assert done(*words, "--count", 2, "--json").json["num_new"] == 2
    weights = (out / "noise-000" / "model.safetensors").read_bytes()
    assert done(*words, "--count", 3, "--json").json["num_new"] == 1
    assert (out / "noise-000" / "model.safetensors").read_bytes() == weights
    assert len({(out / f"noise-00{one}" / "model.safetensors").read_bytes() for one in range(3)}) == 3
    run = lorif(*words, "--count", 3, "--noise", 2)
    assert (run.code, "was made by other settings" in run.err) == (2, True)
    assert index_of(folder, out)["num_examples"] == len(IDS)


def test_adapters_and_subsets_are_models_as_well(tmp_path):
    folder, out = copy_of(imported(), tmp_path / "ws"), tmp_path / "made"
    lora = ("--tuning", "lora", "--lora-rank", 2, "--batch-size", 64, "--count", 2)
    done("perturb", folder, "--model", model_folder(), "--out", out / "lora", *lora)
    assert (out / "lora" / "noise-001" / "adapter_model.safetensors").exists()
    assert index_of(folder, out / "lora")["total_dim"] == 2
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(f'checkpoint = "{model_folder()}"\nlearning_rate = 1e-3\nmax_length = 64\nepochs = 1\n')
    subsets = ("--kind", "subsets", "--recipe", recipe, "--count", 2)
    done("perturb", folder, "--model", model_folder(), "--out", out / "subsets", *subsets)
    assert index_of(folder, out / "subsets")["total_dim"] == 2


def test_nothing_of_this_is_left_in_the_shared_workspaces():
    assert not list((root() / "imported" / "indexes").glob("*"))
