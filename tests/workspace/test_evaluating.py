"""`lorif evaluate …` on a tiny workspace: figures whose right value is known, and refusals."""

import importlib.util
import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_workspace import SMALL, copy_of, done, imported, indexed, lorif, model_folder, root, rows, write_rows

import lorif_core as lf
from lorif_core.config import ScoreConfig
from lorif_core.errors import ConfigError, JobError
from lorif_core.workspace.asking.score_file import read_query_examples
from lorif_core.workspace.folder.progress import no_progress
from lorif_core.workspace.indexes import query_capture
from lorif_core.workspace.jobs.kinds import KINDS
from lorif_core.workspace.quality import candidates
from lorif_core.workspace.quality.candidates import score_candidates
from lorif_core.workspace.quality.scored import parse_candidate
from lorif_core.workspace.quality.sweep_choices import combinations_of

NUM_QUERIES, NUM_SUBSETS = 5, 40


@cache
def queries_file() -> Path:
    """The first training texts, as queries."""
    return write_rows(root() / "queries.jsonl", rows()[:NUM_QUERIES])


@pytest.fixture
def workspace(tmp_path):
    return copy_of(indexed(), tmp_path)


def scores_of(workspace: Path, name: str) -> np.ndarray:
    opened = lf.open_workspace(workspace)
    (scored,) = score_candidates(opened, [parse_candidate(name)], queries_file(), ("none",), no_progress)
    return scored.scores.numpy()


def index_id(workspace: Path) -> str:
    return lf.open_workspace(workspace).indexes.records()[0].index_id


def write_truth(path: Path, scores: np.ndarray) -> Path:
    """The losses that a model would have whose loss falls by exactly the summed scores of its texts."""
    masks = np.random.default_rng(0).random((NUM_SUBSETS, scores.shape[1])) < 0.5
    np.savez(path, masks=masks, losses=-(masks @ scores.T.astype(np.float64)))
    return path


def evaluate(*words: object):
    return done("evaluate", *words, "--json").json


def lds(workspace: Path, truth: Path, *words: object) -> list[dict]:
    return evaluate("lds", workspace, "--queries", queries_file(), "--truth", truth, *words)["rows"]


def test_scores_that_predict_every_loss_have_an_lds_of_one_and_stand_first(workspace, tmp_path):
    truth = write_truth(tmp_path / "truth.npz", scores_of(workspace, index_id(workspace)))
    found = lds(workspace, truth, "--candidates", "repsim", index_id(workspace), "--normalisations", "none")
    assert [row["lds"] for row in found] == sorted((row["lds"] for row in found), reverse=True)
    assert found[0]["candidate"] == index_id(workspace)
    assert found[0]["lds"] == pytest.approx(1)
    assert {row["candidate"] for row in found[1:]} == {"repsim", "bm25", "tokens"}
    assert all(row["lds"] < 0.9 for row in found[1:])
    assert found[0]["total_bytes"] > found[0]["codes_bytes"] > 0


def test_every_reference_is_the_best_predictor_of_its_own_sums(workspace, tmp_path):
    for name in (
        "ekfac:0.1", "kfac:0.1", "ekfac+head:0.1", "kfac+head:0.1", "graddot", "repsim", "bm25", "tokens",
    ):  # fmt: skip
        truth = write_truth(tmp_path / f"{name}.npz", scores_of(workspace, name))
        row, *others = lds(workspace, truth, "--candidates", name, "--normalisations", "none")
        assert (row["candidate"], row["lds"]) == (name, pytest.approx(1))
        assert row["codes_bytes"] is None
        assert {name, *(one["candidate"] for one in others)} == {name, "bm25", "tokens"}


def test_partial_scores_are_what_is_left_beyond_shared_tokens(workspace, tmp_path):
    """Losses that words alone predict leave nothing; of losses that are half words' the other half is left."""
    truth = write_truth(tmp_path / "words.npz", scores_of(workspace, "tokens"))
    by_name = {row["candidate"]: row for row in lds(workspace, truth, "--normalisations", "none")}
    own = by_name[index_id(workspace)]
    assert own["lds"] > 0.1
    assert (own["partial"], own["partial_subsets_low"], own["partial_queries_high"]) == (0, 0, 0)
    assert by_name["tokens"]["partial"] is None
    both = sum(one / one.std() for one in (scores_of(workspace, "tokens"), scores_of(workspace, index_id(workspace))))
    mixed = lds(workspace, write_truth(tmp_path / "mixed.npz", both), "--normalisations", "none")
    own = next(row for row in mixed if row["candidate"] == index_id(workspace))
    assert 0.5 < own["partial"] < 0.99
    assert 0.5 < own["partial_subsets_low"] < own["partial_subsets_high"] < 1


def test_lines_are_compared_with_the_best_or_with_the_one_that_is_named(workspace, tmp_path):
    truth = write_truth(tmp_path / "truth.npz", scores_of(workspace, index_id(workspace)))
    best, *others = lds(workspace, truth)
    assert best["difference"] is None
    assert best["partial_difference"] is None
    assert [row["difference"] for row in others] == pytest.approx([row["lds"] - best["lds"] for row in others])
    assert all(row["difference_low"] <= row["difference"] <= row["difference_high"] <= 0 for row in (*others[-1:],))
    named = lds(workspace, truth, "--against", "repsim")
    base = next(row for row in named if row["candidate"] == "repsim")
    assert (base["difference"], base["partial_difference"]) == (None, None)
    assert named[0]["difference"] == pytest.approx(named[0]["lds"] - base["lds"])
    assert named[0]["partial_difference"] == pytest.approx(named[0]["partial"] - base["partial"])
    words = next(row for row in named if row["candidate"] == "tokens")
    assert words["partial_difference"] is None


def test_a_table_without_bm25_says_so(workspace, tmp_path, monkeypatch):
    truth = write_truth(tmp_path / "truth.npz", scores_of(workspace, index_id(workspace)))
    words = ("evaluate", "lds", workspace, "--queries", queries_file(), "--truth", truth)
    assert "Without bm25" not in done(*words).out
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "bm25s" else find(name, *rest)
    )
    assert "Without bm25, which needs the package bm25s: `pip install 'lorif-studio[bm25]'`." in done(*words).out


def test_a_head_that_is_tracked_as_any_linear_map_is_not_counted_twice(tmp_path):
    workspace = copy_of(imported(), tmp_path)
    done("index", workspace, "--model", model_folder(), *SMALL, "--include", "*mlp*", "lm_head")
    with pytest.raises(ConfigError, match=r"with \+head it would count twice\. Leave \+head out"):
        scores_of(workspace, "kfac+head")


def test_cosine_is_graddot_over_the_norm_of_the_text(workspace):
    opened, names = lf.open_workspace(workspace), [parse_candidate("graddot"), parse_candidate("cosine")]
    scored = list(score_candidates(opened, names, queries_file(), ("none", "relatif"), no_progress))
    by_name = {(one.candidate.name, one.normalisation): one.scores for one in scored}
    torch.testing.assert_close(by_name["cosine", "unit"], by_name["graddot", "relatif"])
    ratio = by_name["graddot", "none"] / by_name["cosine", "unit"]
    usable = by_name["cosine", "unit"].abs() > 1e-3
    for text in range(ratio.shape[1]):
        values = ratio[:, text][usable[:, text]]
        assert values.numel() == 0 or float(values.std(correction=0) / values.mean()) < 1e-3


def test_an_index_that_cannot_be_refined_has_its_plain_line_beside_those_that_can(workspace):
    opened, name = lf.open_workspace(workspace), parse_candidate(index_id(workspace))
    scored = list(score_candidates(opened, [name], queries_file(), ("none",), no_progress, refines=(0, 2)))
    assert len(scored) == 1
    assert "refined" not in scored[0].label


def test_an_index_without_compression_agrees_with_the_uncompressed_dot_product(tmp_path):
    workspace = copy_of(imported(), tmp_path)
    full = ("--method", "graddot", "--f", 1, "--factor-rank", 32)
    done("index", workspace, "--model", model_folder(), *full)
    (row,) = evaluate("fidelity", workspace, "--queries", queries_file(), "--reference", "graddot", "--k", 5)["rows"]
    assert row["spearman"] > 0.9999
    assert row["overlap"] == 1


def test_a_sweep_holds_every_combination_and_the_index_itself_is_untouched(workspace, tmp_path):
    truth = write_truth(tmp_path / "truth.npz", scores_of(workspace, index_id(workspace)))
    grid = ("--damping-ratios", 0.5, 5, "--subspace-ranks", 0, 8, "--normalisations", "none", "tempered")
    found = evaluate("sweep", workspace, "--queries", queries_file(), "--truth", truth, *grid)["rows"]
    assert len(found) == len({(row["label"], row["normalisation"]) for row in found}) == 8
    assert all(-1 <= row["partial_subsets_low"] <= row["partial"] <= 1 for row in (found[0], found[-1]))
    best = next(row for row in found if "damping 0.5, r' 8" in row["label"] and row["normalisation"] == "none")
    assert best["lds"] == pytest.approx(1)


def test_results_are_kept_with_the_settings_that_repeat_them(workspace, tmp_path):
    truth = write_truth(tmp_path / "truth.npz", scores_of(workspace, index_id(workspace)))
    found = evaluate("lds", workspace, "--queries", queries_file(), "--truth", truth)["rows"]
    (kept,) = evaluate("results", workspace)
    assert kept["kind"] == "lds"
    assert kept["settings"]["truth"] == str(truth)
    assert kept["result"] == found
    assert "lds" in done("evaluate", "results", workspace).out


def test_the_figure_is_a_page_that_loads_nothing_from_elsewhere(workspace, tmp_path):
    truth = write_truth(tmp_path / "truth.npz", scores_of(workspace, index_id(workspace)))
    figure = tmp_path / "curve.html"
    out = done("evaluate", "lds", workspace, "--queries", queries_file(), "--truth", truth, "--figure", figure).out
    assert "Linear datamodelling score" in out
    assert 'src="http' not in figure.read_text(encoding="utf-8")


def recipe_file(folder: Path) -> Path:
    path = folder / "recipe.toml"
    path.write_text(f'checkpoint = "{model_folder()}"\nlearning_rate = 1e-3\nmax_length = 32\nepochs = 1\n')
    return path


def test_ground_truth_is_retrained_and_taken_by_lds(workspace, tmp_path):
    out = tmp_path / "truth.npz"
    words = ("--recipe", recipe_file(tmp_path), "--queries", queries_file(), "--out", out, "--subsets", 3)
    assert evaluate("retrain", workspace, *words)["num_subsets"] == 3
    first = np.load(out)
    again = evaluate("retrain", workspace, *words)
    assert np.array_equal(np.load(out)["losses"], first["losses"])
    assert again["num_queries"] == NUM_QUERIES
    assert first["masks"].sum(1).tolist() == [60, 60, 60]
    assert len(lds(workspace, out)) == 4


def test_a_ground_truth_in_part_says_so_until_the_same_command_completes_it(workspace, tmp_path):
    out = tmp_path / "truth.npz"
    words = ("--recipe", recipe_file(tmp_path), "--queries", queries_file(), "--out", out, "--subsets", 3)
    said = done("evaluate", "retrain", workspace, *words, "--stop-at", 2).out
    assert f"after 2 of 3 trainings to {out}" in said
    assert "without --stop-at goes on" in said
    found = lds(workspace, out)
    assert {(row["num_subsets"], row["planned_subsets"]) for row in found} == {(2, 3)}
    table = done("evaluate", "lds", workspace, "--queries", queries_file(), "--truth", out).out
    assert "Linear datamodelling score, 2 of 3 subsets" in table
    assert evaluate("retrain", workspace, *words)["num_subsets"] == 3


def test_one_command_trains_compares_and_draws(workspace, tmp_path):
    truth, figure = tmp_path / "truth.npz", tmp_path / "curve.html"
    words = ("evaluate", "lds", workspace, "--queries", queries_file(), "--truth", truth, "--figure", figure)
    recipe = recipe_file(tmp_path)
    first = done(*words, "--recipe", recipe, "--subsets", 3, "--seed", 5)
    assert np.load(truth)["losses"].shape == (3, NUM_QUERIES)
    assert "retraining (subsets): 3 of 3" in first.err
    assert "candidates: 3 of 3" in first.err
    assert figure.stat().st_size > 0
    recipe.unlink()  # the truth is there, so nothing is trained by it
    assert "retraining" not in done(*words, "--recipe", recipe).err


def test_tail_patch_and_brittleness_report_every_candidate_and_random(workspace, tmp_path):
    words = ("--recipe", recipe_file(tmp_path), "--queries", queries_file(), "--k", 2)
    for kind, extra in (("tail-patch", ()), ("brittleness", ("--seeds", 0, "--num-queries", 1))):
        found = evaluate(kind, workspace, *words, *extra)["rows"]
        assert found[-1]["name"] == "random"
        assert len(found) == 2
    patched = evaluate("tail-patch", workspace, *words)["rows"]
    assert patched[0]["gain"] > patched[1]["gain"]  # the queries are training texts themselves
    assert "random" in done("evaluate", "tail-patch", workspace, *words).out


def test_exchanged_completions_are_marked_and_looked_for(tmp_path):
    changed = tmp_path / "changed.jsonl"
    source = write_rows(tmp_path / "source.jsonl", rows()[:-1])
    count = evaluate("corrupt", source, "--out", changed, "--fraction", 0.2)["num_corrupted"]
    lines = [json.loads(line) for line in changed.read_text(encoding="utf-8").splitlines()]
    before = {row["id"]: row["completion"] for row in rows()}
    assert count == 24
    assert [line["is_corrupted"] for line in lines] == [line["completion"] != before[line["id"]] for line in lines]
    workspace = tmp_path / "ws"
    done("import", workspace, changed)
    done("index", workspace, "--model", model_folder(), *SMALL)
    found = evaluate("mislabel", workspace, "--column", "is_corrupted", "--queries", queries_file(), "--ks", 5)
    assert set(found) == {"self-influence", "influence on clean texts"}
    assert all(0 <= report["auc"] <= 1 and report["share_corrupted"] == 0.2 for report in found.values())
    refused = lorif("evaluate", "mislabel", workspace, "--column", "year")
    assert refused.code == 2
    assert "must hold only true and false" in refused.err


def test_planted_texts_are_looked_up_in_the_answers(workspace, tmp_path):
    key = tmp_path / "key.json"
    ids = lf.open_workspace(workspace).ask(rows()[0]["prompt"], k=3).ids
    fact = {"prompt": rows()[0]["prompt"], "wrong": "x", "planted_ids": [ids[0], ids[1], "absent", "missing"]}
    key.write_text(json.dumps({"planted": [fact]}), encoding="utf-8")
    found = evaluate("planted", workspace, "--key", key, "--k", 3)
    assert (found["recall"], found["reciprocal_rank"], found["num_wrong"]) == (0.5, 1.0, 0)


def test_a_measurement_belongs_to_the_data_of_the_index_that_was_measured(workspace, tmp_path):
    first = index_id(workspace)
    truth = write_truth(tmp_path / "truth.npz", scores_of(workspace, first))
    dataset = lf.open_workspace(workspace).indexes.records()[0].dataset_id
    done("import", workspace, write_rows(tmp_path / "other.jsonl", rows()[:30]))
    other = next(one for one in lf.open_workspace(workspace).data.records() if one.dataset_id != dataset).dataset_id
    done("index", workspace, "--model", model_folder(), "--dataset", other, *SMALL)  # the newest, over other texts
    key = tmp_path / "key.json"
    fact = {"prompt": rows()[0]["prompt"], "wrong": "x", "planted_ids": [rows()[0]["id"]]}
    key.write_text(json.dumps({"planted": [fact]}), encoding="utf-8")
    evaluate("planted", workspace, "--key", key, "--index", first)
    lds(workspace, truth, "--candidates", first)
    assert [one.dataset_id for one in lf.evaluate(lf.open_workspace(workspace)).results()] == [dataset] * 2


REFUSED = {
    "no measurement": ((), "name a measurement"),
    "bad ratio": (("lds", "--candidates", "ekfac:much"), "after the colon stands a damping ratio above 0"),
    "unknown index": (("lds", "--candidates", "ix-none"), "ix-none"),
    "other truth": (("lds", "--truth", "{small}"), "over 7 texts"),
    "no truth": (("lds", "--truth", "{tmp}/none.npz"), "none.npz"),
    "no column": (("mislabel", "--column", "nothing"), "must be a metadata column"),
    "no facts": (("planted", "--key", "{empty}"), "must list at least one fact"),
}


@pytest.mark.parametrize("case", REFUSED, ids=str)
def test_what_cannot_be_measured_is_refused_in_one_sentence(case, tmp_path):
    words, message = REFUSED[case]
    small, empty = tmp_path / "small.npz", tmp_path / "empty.json"
    write_truth(small, np.ones((NUM_QUERIES, 7)))
    empty.write_text("{}", encoding="utf-8")
    words = [word.format(tmp=tmp_path, small=small, empty=empty) for word in words]
    if words:
        words = [words[0], str(indexed()), *words[1:]]
    if words and words[0] == "lds":
        words += ["--queries", str(queries_file())] + ([] if "--truth" in words else ["--truth", str(small)])
    run = lorif("evaluate", *words)
    assert run.code == 2
    assert message in run.err
    assert run.err.count("\n") == 1


def test_help_names_every_measurement():
    run = lorif("evaluate", "--help")
    assert run.code == 0
    for name in (
        "lds",
        "sweep",
        "fidelity",
        "planted",
        "retrain",
        "tail-patch",
        "brittleness",
        "mislabel",
        "corrupt",
    ):
        assert name in run.out


def sweep_request(workspace: Path, truth: Path, **choices: object) -> dict[str, object]:
    """A waiting sweep as the journal keeps it."""
    arguments = {"queries": str(queries_file()), "truth": str(truth), "index_id": index_id(workspace), **choices}
    return {"measurement": "sweep", "arguments": arguments, "read": {}}


def test_a_waiting_sweep_names_its_choices_flat(workspace, tmp_path):
    truth = write_truth(tmp_path / "truth.npz", scores_of(workspace, index_id(workspace)))
    choices = {"damping_ratios": [None, 5.0], "subspace_ranks": [None], "normalisations": ["none", "tempered"]}
    told = []
    request = sweep_request(workspace, truth, **choices)
    found = KINDS["evaluate"](workspace, request, lambda *progress: told.append(progress))["result"]
    assert len(found) == 4
    assert {(row["damping_ratio"], row["normalisation"]) for row in found} == {
        (None, "none"), (None, "tempered"), (5.0, "none"), (5.0, "tempered"),
    }  # fmt: skip
    assert max(row["lds"] for row in found) == pytest.approx(1)
    assert told == [("settings", number, 4) for number in (1, 2, 3, 4)]


def test_a_choice_that_no_sweep_combines_is_refused(workspace, tmp_path):
    request = sweep_request(workspace, tmp_path / "truth.npz", colours=[1])
    with pytest.raises(JobError, match=r"the request does not fit `sweep`: .*'colours'"):
        KINDS["evaluate"](workspace, request, no_progress)
    with pytest.raises(ConfigError, match=r"a sweep combines damping_ratios, .*, got 'colours'"):
        combinations_of({"colours": [1]})


def test_a_sweep_of_nothing_asks_as_the_settings_say():
    assert combinations_of({}) == [ScoreConfig()]
    assert combinations_of({"refines": (0, 1), "damping_ratios": (2.0,)}) == [
        ScoreConfig(damping_ratio=2.0, refine=steps) for steps in (0, 1)
    ]


def test_queries_of_an_evaluation_are_read_as_the_texts_whose_losses_the_truth_holds(tmp_path, monkeypatch):
    workspace = copy_of(imported(), tmp_path)
    done("index", workspace, "--model", model_folder(), "--method", "graddot", "--max-length", 24)
    long = {"id": "long", "prompt": "The river of Arlen is " * 20, "completion": " castle Brook."}
    queries = write_rows(tmp_path / "queries.jsonl", [long])
    opened = lf.open_workspace(workspace)
    wanted = opened.indexes.open().engine.encoder.encode(read_query_examples(queries)[0])
    seen, capture = [], query_capture.capture_queries
    monkeypatch.setattr(
        query_capture,
        "capture_queries",
        lambda source, asked, *rest: seen.extend(asked) or capture(source, asked, *rest),
    )
    (name,) = [one.index_id for one in opened.indexes.records()]
    list(candidates.score_index(opened, parse_candidate(name), queries, [ScoreConfig()]))
    assert [one.sequences for one in seen] == [(wanted,)]
    assert len(wanted.input_ids) == 24
    assert wanted.is_target[-1]
