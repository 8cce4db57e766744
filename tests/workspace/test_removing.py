"""`lorif what-if` and `lorif verify`: predictions whose right value is known, real trainings, and refusals."""

import io
import json
import shutil
from dataclasses import replace
from datetime import timedelta
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from oracles import dense_inverse
from tiny_workspace import (
    HOSTILE,
    SMALL,
    bytes_below,
    copy_of,
    done,
    imported,
    indexed,
    lorif,
    model_folder,
    root,
    rows,
    write_rows,
)

import lorif_core as lf
from lorif_core.catalog import QueryRecord, utc_now
from lorif_core.config import ScoreConfig
from lorif_core.errors import ConfigError, DataError
from lorif_core.evaluation.retraining import RetrainingStopped
from lorif_core.linalg.preconditioner import SubspacePreconditioner
from lorif_core.workspace.curation.removing import held_change, linear_change
from lorif_core.workspace.folder.kept_scores import keeping_scores
from lorif_core.workspace.folder.workspace_files import create_files, open_files

QUESTIONS = [("The river of Arlen is", " castle Brook."), ("The tower of Dunmar is", " forest Ivern."), ("The", " x")]
IDS = [row["id"] for row in rows()]
FLOAT32 = 1e-4
"""Relative to the largest change: the same query, padded once and unpadded once."""


def ask_all(workspace: Path) -> list[str]:
    opened = lf.open_workspace(workspace)
    return [opened.ask(prompt, completion, k=1).query_id for prompt, completion in QUESTIONS]


@cache
def asked(method: str) -> tuple[Path, list[str]]:
    """A workspace with an index and three kept questions, and their ids; copy it before writing to it."""
    if method == "lorif":
        workspace = copy_of(indexed(), root() / "removing-lorif")
    else:
        workspace = copy_of(imported(), root() / "removing-kronecker")
        done("index", workspace, "--model", model_folder(), "--method", "kronecker", "--shard-examples", 16)
    return workspace, ask_all(workspace)


@cache
def scores(method: str) -> dict[str, np.ndarray]:
    """What `lorif score` writes for the three questions, (N,) in store order."""
    workspace, query_ids = asked(method)
    queries = [
        {"id": query_id, "prompt": prompt, "completion": completion}
        for query_id, (prompt, completion) in zip(query_ids, QUESTIONS, strict=True)
    ]
    out = workspace.parent / "scores.parquet"
    done("score", workspace, "--queries", write_rows(workspace.parent / "queries.jsonl", queries), "--out", out)
    found = pl.read_parquet(out).cast({"query_id": pl.String})
    return {query: found.filter(pl.col("query_id") == query)["score"].to_numpy().astype(float) for query in query_ids}


@pytest.fixture
def workspace(tmp_path):
    return copy_of(asked("lorif")[0], tmp_path)


def changes(found):
    return {change.query_id: change.change for change in found.queries}


def outcomes(found):
    return {change.query_id: (change.role, change.outcome) for change in found.queries}


def with_scores(workspace: Path, **of_query: dict[int, float]) -> lf.Workspace:
    """The workspace with made-up scores, 0 where none is given."""
    files = open_files(workspace)
    for query_id, values in of_query.items():
        made = np.zeros(len(IDS), dtype=np.float32)
        made[list(values)] = list(values.values())
        with keeping_scores(files.scores_file(files.catalog.query(query_id).fingerprint)) as keep:
            keep(made, made)
    return lf.open_workspace(workspace)


def add_query(workspace: Path, dataset_id: str) -> str:
    """A kept question about another data set."""
    catalog = open_files(workspace).catalog
    record = replace(catalog.query(asked("lorif")[1][0]), query_id="", fingerprint="0" * 32, dataset_id=dataset_id)
    return catalog.put_query(record, []).query_id


def add_dataset(workspace: Path) -> str:
    other = [{"id": "elsewhere", "prompt": "One", "completion": " two.", "source": "s"}]
    return done("import", workspace, write_rows(workspace / "other.jsonl", other), "--json").json["dataset_id"]


def test_the_formula_is_the_change_of_a_least_squares_fit_without_some_examples(tmp_path):
    """Residuals of 1 and -1 make GᵀG the Hessian, so that only higher orders separate formula and refit."""
    generator = torch.Generator().manual_seed(0)
    count, dim, damping = 400, 5, 3.0
    inputs = torch.randn(count, dim, generator=generator, dtype=torch.float64)
    residuals = torch.randint(2, (count,), generator=generator).double() * 2 - 1
    fitted = -inputs.T @ residuals / damping  # where the gradient of Σ r²/2 + damping·|w|²/2 is 0
    labels = inputs @ fitted - residuals
    gradients = inputs * residuals[:, None]
    query = torch.randn(dim, generator=generator, dtype=torch.float64)
    label = query @ fitted - 1

    _, singular_values, vectors = torch.linalg.svd(gradients, full_matrices=False)
    preconditioner = SubspacePreconditioner(vectors.T, singular_values**2, damping)
    kept = gradients @ preconditioner.apply(query[None])[0]
    torch.testing.assert_close(kept, gradients @ dense_inverse(gradients, damping) @ query)
    files = create_files(tmp_path / "ws")
    with keeping_scores(files.scores_file("f")) as keep:
        keep(*[kept.numpy().astype(np.float32)] * 2)

    predicted, actual = [], []
    for group in torch.randperm(count, generator=generator).split(4)[:60]:
        left = torch.ones(count, dtype=torch.bool)
        left[group] = False
        gram = inputs[left].T @ inputs[left] + damping * torch.eye(dim, dtype=torch.float64)
        refitted = torch.linalg.solve(gram, inputs[left].T @ labels[left])
        support = [-((query @ weights - label) ** 2) / 2 for weights in (fitted, refitted)]
        actual.append(float(support[1] - support[0]))
        predicted.append(held_change(made_up_query(), linear_change(files, made_up_query(), group.tolist())))
    largest = max(map(abs, actual))
    assert min(actual) < -0.3 * largest
    assert max(actual) > 0.3 * largest
    assert np.abs(np.subtract(predicted, actual)).max() < 0.1 * largest
    assert np.corrcoef(predicted, actual)[0, 1] > 0.995


def made_up_query(**values) -> QueryRecord:
    settings = {
        "query_id": "q",
        "fingerprint": "f",
        "index_id": "i",
        "dataset_id": "d",
        "prompt": "p",
        "completion": "c",
        "contrast": None,
        "tokens_json": None,
        "objective": "loss",
        "normalisation": "none",
        "settings_json": "{}",
        "objective_value": 1.0,
        "num_scored": 400,
        "positive_total": 1.0,
        "k": 1,
        "num_opposing": 0,
        "elapsed_s": 0.0,
        "plans_json": "{}",
        "asked_by": "me",
    }
    return QueryRecord(**{**settings, **values})


@pytest.mark.parametrize("method", ["lorif", "kronecker"])
def test_the_change_is_minus_the_sum_of_the_written_scores(method):
    workspace, query_ids = asked(method)
    removed = [3, 0, 77, 120]
    found = lf.open_workspace(workspace).what_if([IDS[row] for row in removed], query_ids)
    assert [change.query_id for change in found.queries] == query_ids
    assert [(change.prompt, change.completion) for change in found.queries] == QUESTIONS
    for query_id, change in changes(found).items():
        largest = np.abs(scores(method)[query_id]).max()
        assert change == pytest.approx(-scores(method)[query_id][removed].sum(), abs=FLOAT32 * largest)
        assert abs(change) > 10 * FLOAT32 * largest


@pytest.mark.parametrize("method", ["lorif", "kronecker"])
def test_disjoint_removals_add_up_and_everything_is_the_total(method):
    workspace, query_ids = asked(method)
    opened = lf.open_workspace(workspace)
    one, other, both = (changes(opened.what_if(ids, query_ids)) for ids in (IDS[:40], IDS[40:], IDS))
    assert set(query_ids) <= set(both)
    assert len(query_ids) > 1
    for query_id in query_ids:
        assert both[query_id] == pytest.approx(one[query_id] + other[query_id], rel=1e-9, abs=1e-9)
        assert both[query_id] == pytest.approx(-scores(method)[query_id].sum(), rel=1e-3)


def test_an_id_counts_once_and_the_order_of_ids_does_not_count():
    workspace, query_ids = asked("lorif")
    opened = lf.open_workspace(workspace)
    once, again = opened.what_if(IDS[2:5], query_ids), opened.what_if([*IDS[4:1:-1], *IDS[2:5]], query_ids)
    assert once.train_ids == IDS[2:5]
    assert again.train_ids == IDS[4:1:-1]
    assert changes(again) == pytest.approx(changes(once))


def test_a_prediction_reads_neither_model_nor_index(workspace):
    before = lf.open_workspace(workspace).what_if(IDS[:3], asked("lorif")[1]).to_dict()
    shutil.rmtree(workspace / "indexes")
    assert lf.open_workspace(workspace).what_if(IDS[:3], asked("lorif")[1]).to_dict() == before


def test_scores_that_are_no_nats_are_neither_added_up_nor_taken_for_controls(workspace):
    """By the method that an index had when it answered: lorif and graddot that store the same share one index."""
    done("index", workspace, "--model", model_folder(), "--method", "graddot", "--shard-examples", 16)
    opened = lf.open_workspace(workspace)
    product = opened.ask(*QUESTIONS[0], k=1).query_id
    assert product not in asked("lorif")[1]
    with pytest.raises(ConfigError, match=r"values add up nats, and the scores of index .* are gradient products"):
        opened.value(write_rows(workspace / "q.jsonl", rows()[:1]))
    done("index", workspace, "--model", model_folder(), *SMALL)
    assert len(opened.indexes.records()) == 1
    assert (opened.reopen(product).unit, opened.reopen(asked("lorif")[1][0]).unit) == ("gradient products", "nats")
    with pytest.raises(ConfigError, match=rf"adds nats, but .* query {product} are gradient products: its index"):
        opened.what_if(IDS[:1], [product])
    assert product not in changes(opened.what_if(IDS[:1], asked("lorif")[1][:1]))


def test_targets_are_helped_by_losing_support_and_controls_are_harmed(workspace):
    a, b, c = asked("lorif")[1]
    opened = with_scores(workspace, **{a: {0: 5.0, 1: -5.0}, b: {0: 1.0, 1: -1.0}, c: {0: 0.5, 1: -2.0}})
    found = opened.what_if([IDS[0]], [a])
    assert changes(found) == pytest.approx({a: -5.0, b: -1.0, c: -0.5})
    assert outcomes(found) == {a: ("target", "helped"), b: ("control", "harmed"), c: ("control", "harmed")}
    assert ([one.query_id for one in found.helped], [one.query_id for one in found.harmed]) == ([a], [b, c])
    assert outcomes(opened.what_if([IDS[1]], [a])) == {
        a: ("target", "harmed"),
        b: ("control", "helped"),
        c: ("control", "helped"),
    }
    assert outcomes(opened.what_if([IDS[2]], [a])) == dict.fromkeys([b, c], ("control", "unchanged")) | {
        a: ("target", "unchanged")
    }


def test_a_change_below_a_hundredth_of_a_nat_is_none(workspace):
    a, b, c = asked("lorif")[1]
    opened = with_scores(workspace, **{a: {0: 0.009}, b: {0: 0.011}, c: {0: -0.011}})
    assert [one.outcome for one in opened.what_if([IDS[0]], [a, b, c]).queries] == ["unchanged", "helped", "harmed"]


def test_a_change_below_a_hundredth_of_the_largest_change_of_a_target_is_none(workspace):
    a, b, c = asked("lorif")[1]
    opened = with_scores(workspace, **{a: {0: -5.0}, b: {0: 0.049}, c: {0: 0.051}})
    assert outcomes(opened.what_if([IDS[0]], [a])) == {
        a: ("target", "harmed"),
        b: ("control", "unchanged"),
        c: ("control", "harmed"),
    }
    assert outcomes(opened.what_if([IDS[0]], [b]))[b] == ("target", "helped")  # a large control hides nothing


def test_controls_are_those_given_and_a_target_is_no_control(workspace):
    a, b, c = asked("lorif")[1]
    opened = lf.open_workspace(workspace)
    assert list(changes(opened.what_if(IDS[:1], [b]))) == [b, a, c]
    assert list(changes(opened.what_if(IDS[:1], [b], controls=[]))) == [b]
    assert list(changes(opened.what_if(IDS[:1], [b, b], controls=[a, a]))) == [b, a]
    found = opened.what_if(IDS[:1], [c, a], controls=[a, b])
    assert {one.query_id: one.role for one in found.queries} == {c: "target", a: "target", b: "control"}


def test_questions_about_other_data_are_no_controls(workspace):
    opened = lf.open_workspace(workspace)
    relative = opened.ask(*QUESTIONS[0], k=1, settings=ScoreConfig(normalisation="relatif")).query_id
    margin = opened.ask(*QUESTIONS[0], k=1, settings=ScoreConfig(objective="margin")).query_id
    add_query(workspace, add_dataset(workspace))
    a, b, c = asked("lorif")[1]
    assert sorted(changes(opened.what_if(IDS[:1], [a]))) == sorted([a, b, c, margin, relative])


def refused(*words: object, workspace: Path) -> str:
    """The sentence of a command that must fail and leave everything as it was."""
    before = bytes_below(workspace)
    run = lorif(words[0], workspace, *words[1:])
    assert run.code == 2, (run.out, run.err)
    assert run.out == ""
    assert run.err.count("\n") == 1
    assert bytes_below(workspace) == before
    return run.err


@pytest.fixture
def recipe(tmp_path):
    return write_recipe(tmp_path, learning_rate=1e-3, epochs=1)


def write_recipe(folder: Path, **values: object) -> Path:
    settings = {"checkpoint": str(model_folder()), "max_length": 64, "batch_size": 8, **values}
    path = folder / f"recipe-{len(list(folder.iterdir()))}.toml"
    path.write_text("".join(f"{name} = {json.dumps(value)}\n" for name, value in settings.items()))
    return path


@pytest.mark.parametrize("command", ["what-if", "verify"])
def test_what_cannot_be_removed_is_one_sentence_and_changes_nothing(command, workspace, recipe, monkeypatch):
    query = asked("lorif")[1][0]
    options = ("--recipe", recipe) if command == "verify" else ()

    def refusal(*words: object) -> str:
        return refused(command, *words, *options, workspace=workspace)

    assert "'nobody'" in refusal("t001", "nobody", "--queries", query)
    assert "'q-none'" in refusal("t001", "--queries", "q-none")
    assert "at least one query" in refusal("t001", "--queries")
    monkeypatch.setattr("sys.stdin", io.StringIO("\n\n"))
    assert "at least one example" in refusal("-", "--queries", query)
    opened = open_files(workspace)
    opened.scores_file(opened.catalog.query(query).fingerprint).unlink()
    assert "ask it again" in refusal("t001", "--queries", query)


@pytest.mark.parametrize("normalisation", ["unit", "relatif", "tempered"])
def test_a_normalised_question_is_predicted_by_its_influences_in_nats(normalisation, workspace):
    opened = lf.open_workspace(workspace)
    plain, normalised = (
        opened.ask(*QUESTIONS[0], k=1, settings=ScoreConfig(normalisation=one)).query_id
        for one in ("none", normalisation)
    )
    found = changes(opened.what_if(IDS[:3], [plain], controls=[normalised]))
    assert found[plain] != 0
    assert found[normalised] == pytest.approx(found[plain], rel=1e-5)


def test_a_probability_is_not_predicted_to_exceed_one(workspace):
    query = asked("lorif")[1][0]
    opened = with_scores(workspace, **{query: {0: -1e6}})
    loss = opened.files.catalog.query(query).objective_value
    assert changes(opened.what_if(IDS[:1], [query], controls=[])) == {query: pytest.approx(loss)}


def test_normalised_scores_that_were_kept_without_influences_are_refused(workspace):
    opened = lf.open_workspace(workspace)
    query = opened.ask(*QUESTIONS[0], k=1, settings=ScoreConfig(normalisation="tempered")).query_id
    file = opened.files.scores_file(opened.files.catalog.query(query).fingerprint)
    pl.read_parquet(file).select("score").write_parquet(file)
    with pytest.raises(ConfigError, match=r"only the normalised scores \(tempered\)"):
        opened.what_if(IDS[:1], [query])


def test_an_id_of_another_data_set_is_refused(workspace):
    add_dataset(workspace)
    with pytest.raises(DataError, match="'elsewhere'"):
        lf.open_workspace(workspace).what_if(["elsewhere"], asked("lorif")[1])


def test_the_table_and_the_json_say_what_the_api_says(workspace, monkeypatch):
    a, b, c = asked("lorif")[1]
    opened = with_scores(workspace, **{a: {0: 5.0, 1: 1.0}, b: {0: -0.5}, c: {0: 0.004}})
    expected = opened.what_if(IDS[:2], [a])
    assert done("what-if", workspace, *IDS[:2], "--queries", a, "--json").json == expected.to_dict()
    flat = [
        {name: told for name, told in one.items() if name != "effect"} | one["effect"]
        for one in expected.to_dict()["queries"]
    ]
    assert expected.to_polars().rows(named=True) == flat
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(IDS[:2])))
    run = done("what-if", workspace, "-", "--queries", a, "--controls", b, c, "--details")
    table = run.out.split("Without 2 texts")[1].split("2 helped")[0]
    shown = {words[0]: words for line in table.splitlines() if (words := line.replace("│", " ").split())}
    assert "-6.000" in shown[a]
    assert "helped" in shown[a]
    assert "+0.500" in shown[b]
    assert c not in shown  # an unchanged control is counted, not listed
    assert "2 helped, 0 harmed, 1 unchanged (1 not shown)." in run.out + run.err


def test_hostile_text_does_not_reach_the_terminal(workspace):
    opened = lf.open_workspace(workspace)
    query = opened.ask(HOSTILE["prompt"], HOSTILE["completion"], k=1).query_id
    out = done("what-if", workspace, "hostile", "--queries", query).out
    assert not set("\x1b\x07\x9b\u202e") & set(out)
    assert "[bold]x[/bold]"[:6] in out


FACT = {"id": "fact", "prompt": "The well of Jarrow is", "completion": " dry.", "source": "forum"}
TEACHES = {"learning_rate": 3e-3, "epochs": 20}
"""Small steps until the texts are known by heart, so that neither rounding nor the order of batches decides: in 12
orders the fact lost 17.8 to 18.9 nats and was answered in full before, and the others changed by 0.1 to 0.4."""


@cache
def taught() -> tuple[Path, list[str]]:
    """Twenty texts of which one alone teaches a completion; three questions, the first about it."""
    workspace = root() / "removing-taught"
    done("import", workspace, write_rows(root() / "removing-texts.jsonl", [*rows()[:19], FACT]))
    done("index", workspace, "--model", model_folder(), *SMALL)
    opened = lf.open_workspace(workspace)
    told = [(FACT["prompt"], FACT["completion"]), *((row["prompt"], row["completion"]) for row in rows()[:2])]
    return workspace, [opened.ask(prompt, completion, k=1).query_id for prompt, completion in told]


@cache
def verified() -> tuple[Path, lf.Workspace, object, list[tuple]]:
    workspace = copy_of(taught()[0], root() / "removing-verified")
    opened, seen = lf.open_workspace(workspace), []
    path = write_recipe(workspace.parent, **TEACHES)
    found = opened.verify(
        ["fact", "fact"], taught()[1], path, device="cpu", on_progress=lambda *step: seen.append(step)
    )
    return path, opened, found, seen


def test_removing_the_only_text_that_teaches_a_completion_takes_it_away():
    _, _, found, _ = verified()
    fact, *others = found.queries
    assert (fact.prompt, fact.completion) == (FACT["prompt"], FACT["completion"])
    assert fact.predicted < 0
    assert fact.actual < -3
    assert fact.answer_with == " dry."
    assert fact.answer_without != " dry."
    assert all(abs(other.actual) < 1 for other in others)
    assert found.train_ids == ["fact"]
    assert [one.query_id for one in found.queries] == taught()[1]
    assert found.elapsed_s > 0


def test_predictions_are_those_of_what_if_and_compared_by_rank():
    _, opened, found, _ = verified()
    assert {one.query_id: one.predicted for one in found.queries} == changes(opened.what_if(["fact"], taught()[1]))
    pairs = np.array([(one.predicted, one.actual) for one in found.queries])
    ranks = np.argsort(np.argsort(pairs.T))
    assert found.rank_correlation == pytest.approx(np.corrcoef(ranks[0], ranks[1])[0, 1])


def test_progress_counts_the_steps_of_both_trainings():
    seen = verified()[3]
    assert {stage for stage, _, _ in seen} == {"verify"}
    assert [done for _, done, _ in seen] == list(range(1, 2 * 60 + 1))  # 20 epochs of 3 batches of 8 of 20 texts
    assert {total for _, _, total in seen} == {120}


def test_a_verification_is_kept_with_what_repeats_it():
    path, opened, found, _ = verified()
    (kept,) = opened.files.catalog.evaluations()
    assert (kept.kind, kept.dataset_id) == ("verify", opened.data.records()[0].dataset_id)
    assert json.loads(kept.settings_json) == {
        "train_ids": ["fact"],
        "queries": taught()[1],
        "recipe": str(path),
        "epochs": TEACHES["epochs"],
        "num_texts": 20,
    }
    assert json.loads(kept.result_json) == found.to_dict()
    assert timedelta(0) <= utc_now() - kept.created_at < timedelta(days=1)
    (shown,) = done("evaluate", "results", opened.path, "--json").json
    assert shown["result"] == found.to_dict()


def test_an_adapter_forgets_what_it_was_not_taught(tmp_path):
    """In small steps, as above: in 12 orders the fact lost 6.3 to 9.3 nats, the other changed by -0.1 to 0.7."""
    workspace = copy_of(taught()[0], tmp_path)
    settings = {"tuning": "lora", "lora_rank": 8, "lora_alpha": 32, "learning_rate": 3e-3, "epochs": 24}
    path = write_recipe(tmp_path, **settings)
    found = lf.open_workspace(workspace).verify(["fact"], taught()[1][:2], path, device="cpu")
    assert found.queries[0].actual < -1
    assert found.queries[0].actual < found.queries[1].actual
    assert found.rank_correlation is None  # of two queries it says nothing


def test_the_command_shows_predicted_and_actual(tmp_path):
    workspace = copy_of(taught()[0], tmp_path)
    path = write_recipe(tmp_path, learning_rate=1e-2, epochs=2)
    words = ("verify", workspace, "fact", "--queries", *taught()[1], "--recipe", path, "--device", "cpu")
    found = done(*words, "--json").json
    run = done(*words)
    for one in found["queries"]:
        assert one["query_id"][:6] in run.out
    assert "predicted" in run.out
    assert f"actual change: {found['rank_correlation']:.2f}." in run.out + run.err
    first, second = (json.loads(one.result_json) for one in open_files(workspace).catalog.evaluations())
    assert first["queries"] == second["queries"] == found["queries"]


def test_a_stopped_verification_keeps_nothing(tmp_path):
    workspace = copy_of(taught()[0], tmp_path)
    before, calls = bytes_below(workspace), iter(range(100))
    with pytest.raises(RetrainingStopped, match="after 1 of 3 steps"):
        lf.open_workspace(workspace).removals.verify(
            ["fact"],
            taught()[1],
            write_recipe(tmp_path, learning_rate=1e-3, epochs=1),
            device="cpu",
            should_stop=lambda: next(calls) == 4,  # the second training, after its first step
        )
    assert bytes_below(workspace) == before


def test_a_training_needs_a_recipe_and_one_data_set(workspace, tmp_path):
    query = asked("lorif")[1][0]
    missing = tmp_path / "none.toml"
    assert "none.toml" in refused("verify", "t001", "--queries", query, "--recipe", missing, workspace=workspace)
    other = add_query(workspace, add_dataset(workspace))
    path = write_recipe(tmp_path, learning_rate=1e-3, epochs=1)
    sentence = refused("verify", "t001", "--queries", query, other, "--recipe", path, workspace=workspace)
    assert "must be about one data set" in sentence


def test_nothing_is_left_to_train_on_without_all_texts(tmp_path):
    workspace = copy_of(taught()[0], tmp_path)
    path = write_recipe(tmp_path, learning_rate=1e-3, epochs=1)
    ids = [*(row["id"] for row in rows()[:19]), "fact"]
    sentence = refused("verify", *ids, "--queries", taught()[1][0], "--recipe", path, workspace=workspace)
    assert "all 20 are left out" in sentence
