"""Questions and neighbours that are answered by a fast search, against the scores of all texts."""

import json
from dataclasses import replace

import pytest
import torch
from tiny_workspace import NUM_TEXTS, SMALL, copy_of, done, imported, indexed, lorif, model_folder, write_model

import lorif_core as lf
from lorif_core.errors import ArtefactError
from lorif_core.passes import cascade, cascade_plan
from lorif_core.passes.device_shards import ScoringDevice
from lorif_core.workspace.asking.choose_search import choose_search
from lorif_core.workspace.asking.question import Question
from lorif_core.workspace.folder.kept_scores import scores_frame
from lorif_core.workspace.indexes import usual_search
from lorif_core.workspace.indexes.open_index import open_with_members

PROMPT, COMPLETION = "The river of Arlen is", " castle Brook."
ASK = ("--prompt", PROMPT, "--completion", COMPLETION, "-k", 4)
FAST = ("--search", "fast")


@pytest.fixture(autouse=True)
def small_searches(monkeypatch):
    """A sample and candidates that are not the whole of an index of 121 texts."""
    monkeypatch.setattr(cascade_plan, "SMALLEST_SAMPLE", 20)
    monkeypatch.setattr(cascade, "FEWEST_CEILINGS", 4)
    monkeypatch.setattr(cascade, "FIRST_CANDIDATES", 2)


@pytest.fixture
def large(monkeypatch):
    """The tiny index counts as a large one."""
    monkeypatch.setattr(usual_search, "FAST_FROM", NUM_TEXTS)


@pytest.fixture
def workspace(tmp_path):
    return copy_of(indexed(), tmp_path)


def words(text):
    return " ".join(text.split())


def exact_scores(workspace, **asked):
    opened = lf.open_workspace(workspace)
    answer = opened.ask(PROMPT, COMPLETION, search="exact", **asked)
    return dict(scores_frame(opened.files, opened.files.catalog.query(answer.query_id)).iter_rows())


@pytest.mark.parametrize("normalisation", ["none", "unit", "relatif", "tempered"])
def test_the_listed_scores_are_the_exact_ones(workspace, normalisation):
    settings = lf.ScoreConfig(normalisation=normalisation)
    found = lf.open_workspace(workspace).ask(
        PROMPT, COMPLETION, search="fast", settings=settings, k=4, num_opposing=3
    )
    scores = exact_scores(workspace, settings=settings)
    order = sorted(scores, key=lambda one: -scores[one])
    assert found.fast_search.num_scored_in_full < NUM_TEXTS
    assert found.ids == order[:4]
    assert [hit.train_id for hit in found.opposes] == order[::-1][:3]
    assert [hit.score for hit in found.hits] == pytest.approx([scores[hit.train_id] for hit in found.hits], rel=1e-4)


def test_scores_of_members_are_added_up_and_divided_by_the_first_ones_norms(tmp_path):
    workspace, base = copy_of(imported(), tmp_path), write_model(tmp_path / "base", seed=3)
    done("index", workspace, "--model", model_folder(), "--base", base, *SMALL)
    found = lf.open_workspace(workspace).ask(PROMPT, COMPLETION, search="fast", k=4)
    scores = exact_scores(workspace)
    assert found.members is not None
    assert [hit.score for hit in found.supports] == pytest.approx([scores[one] for one in found.ids], rel=1e-4)
    assert found.ids == sorted(scores, key=lambda one: -scores[one])[:4]


def test_an_answer_says_that_it_was_fast_wherever_it_is_read(workspace):
    shown = words(done("ask", workspace, *ASK, *FAST, "--forget").out)
    told = done("ask", workspace, *ASK, *FAST, "--json").json
    facts = told["fast_search"]
    assert told["search"] == "fast"
    assert 0 < facts["share_read"] <= 1
    assert 0 < facts["expected_recall"] <= 1
    assert facts["list_length"] == 4
    assert facts["ceiling"] is not None
    sentences = told["remarks"][:3]
    assert f"fast search: {facts['share_read']:.0%} of the stored bytes were read" in sentences[0]
    assert "expected recall" in sentences[1] or "proved to be the exact list" in sentences[1]
    assert "estimated from a sample of 20" in sentences[2]
    again = words(done("reopen", workspace, told["query_id"]).out)
    page = lf.open_workspace(workspace).reopen(told["query_id"]).to_html()
    for sentence in sentences:
        assert sentence in shown
        assert sentence in again
        assert sentence in page
    assert f"{NUM_TEXTS} texts searched in" in shown
    assert "the list holds about" in shown


def test_an_exact_answer_claims_nothing_of_the_kind(workspace):
    told = done("ask", workspace, *ASK, "--json").json
    assert (told["search"], told["fast_search"], told["why_exact"]) == ("exact", None, None)
    assert "fast search" not in done("ask", workspace, *ASK).out


def test_a_fast_answer_is_kept_without_the_scores_of_all_texts(workspace):
    first = done("ask", workspace, *ASK, *FAST, "--json").json
    assert not list((workspace / "scores").glob("*"))
    again = done("ask", workspace, *ASK, *FAST, "--json").json
    assert (again["query_id"], again["is_kept"]) == (first["query_id"], True)
    assert again["fast_search"] == first["fast_search"]
    assert [one["search"] for one in done("queries", workspace, "--json").json["queries"]] == ["fast"]
    assert "fast" in done("queries", workspace).out
    assert done("doctor", workspace).code == 0
    opened = lf.open_workspace(workspace)
    assert opened.reopen("1").question.search == "fast"
    assert opened.reopen("1").ask_again(k=6).fast_search.list_length == 6


def test_an_exact_question_is_never_answered_from_a_fast_one(workspace):
    fast = done("ask", workspace, *ASK, *FAST, "--json").json
    exact = done("ask", workspace, *ASK, "--search", "exact", "--json").json
    assert (exact["search"], exact["is_kept"]) == ("exact", False)
    assert exact["query_id"] != fast["query_id"]
    assert len(list((workspace / "scores").glob("*.parquet"))) == 1
    assert [one["search"] for one in done("queries", workspace, "--json").json["queries"]] == ["fast", "exact"]


def test_a_kept_exact_answer_is_as_good_as_a_fast_one(workspace):
    exact = done("ask", workspace, *ASK, "--json").json
    found = done("ask", workspace, *ASK, *FAST, "--json").json
    assert (found["search"], found["is_kept"], found["query_id"]) == ("exact", True, exact["query_id"])


def test_what_needs_all_scores_refuses_a_fast_answer_with_the_next_step(workspace):
    done("ask", workspace, *ASK, *FAST)
    done("ask", workspace, *ASK, "--search", "exact", "-k", 5)
    for command in (("compare", workspace, "1", "2"), ("browse", workspace, "--sort", "score:1")):
        refused = lorif(*command)
        assert refused.code != 0
        assert "`--search exact`" in words(refused.err), refused.err
    with pytest.raises(ArtefactError, match="--search exact"):
        lf.open_workspace(workspace).reopen("1").score_figure()


def test_a_what_if_leaves_fast_answers_out_of_its_controls_and_refuses_them_as_targets(workspace):
    done("ask", workspace, *ASK, *FAST)
    done("ask", workspace, *ASK, "--search", "exact")
    told = done("what-if", workspace, "t003", "--queries", "2", "--json").json
    assert [query["query_id"] for query in told["queries"]] == ["2"]
    refused = lorif("what-if", workspace, "t003", "--queries", "1")
    assert refused.code == 2
    assert "`--search exact`" in words(refused.err)


def test_a_large_index_is_searched_fast_unless_it_is_asked_to_be_exact(workspace, large, monkeypatch):
    assert done("ask", workspace, *ASK, "--forget", "--json").json["search"] == "fast"
    assert done("ask", workspace, *ASK, "--forget", "--search", "exact", "--json").json["search"] == "exact"
    monkeypatch.setattr(usual_search, "FAST_FROM", NUM_TEXTS + 1)
    assert done("ask", workspace, *ASK, "--forget", "--json").json["search"] == "exact"


def test_from_how_many_texts_on_a_search_is_fast():
    assert [usual_search.usual_search(one) for one in (99_999, 100_000)] == ["exact", "fast"]


def test_files_of_queries_are_scored_in_full_however_large_the_index(workspace, large, tmp_path):
    queries = tmp_path / "queries.jsonl"
    queries.write_text(json.dumps({"query_id": "q", "prompt": PROMPT, "completion": COMPLETION}))
    printed = done("score", workspace, "--queries", queries, "--out", tmp_path / "s.parquet", "--json").json
    assert printed["num_scores"] == NUM_TEXTS


OTHER_DAMPING = ("--damping-rule", "absolute", "--damping", "3.0")


@pytest.mark.parametrize("settings", [OTHER_DAMPING, ("--subspace-rank", "2")], ids=str)
def test_settings_that_read_everything_anyway_refuse_a_fast_search(workspace, large, settings):
    refused = lorif("ask", workspace, *ASK, *FAST, *settings)
    assert refused.code == 2
    assert "a fast search is not possible" in words(refused.err)
    assert "`--search exact`" in words(refused.err)
    unset = done("ask", workspace, *ASK, *settings, "--json").json
    assert unset["search"] == "exact"
    assert "every text was scored" in unset["why_exact"]
    assert unset["why_exact"] in unset["remarks"]
    assert done("reopen", workspace, unset["query_id"], "--json").json["why_exact"] == unset["why_exact"]
    plain = done("ask", workspace, *ASK, *FAST, *settings, "--normalisation", "none", "--json").json
    assert plain["search"] == "fast"


def test_refinement_refuses_a_fast_search(tmp_path, large):
    workspace = copy_of(imported(), tmp_path)
    done("index", workspace, "--model", model_folder())
    refused = lorif("ask", workspace, *ASK, *FAST, "--refine", 1)
    assert refused.code == 2
    assert "refine=1 reads every stored text" in words(refused.err)
    assert done("ask", workspace, *ASK, "--refine", 1, "--json").json["search"] == "exact"
    found = done("ask", workspace, *ASK, "--json").json  # the default method: codes of signs, and an output head
    assert found["search"] == "fast"
    scores = exact_scores(workspace)
    listed = {hit["train_id"]: hit["score"] for hit in found["supports"]}
    assert listed == pytest.approx({one: scores[one] for one in listed}, rel=1e-3)


def test_an_index_on_a_gpu_is_scored_in_full_and_says_so(workspace):
    files = lf.open_workspace(workspace).files
    index = open_with_members(files, files.catalog.indexes()[0], None)
    question = Question(prompt=PROMPT, completion=COMPLETION, search="fast")
    assert choose_search(index, question, has_workers=False) == (question, None)
    there = replace(index, fitted=replace(index.fitted, scored_on=ScoringDevice(torch.device("cpu"))))
    chosen, why = choose_search(there, question, has_workers=False)
    assert chosen.search == "exact"
    assert "on a GPU" in why


def test_an_unknown_search_is_refused(workspace):
    for command in (("ask", workspace, *ASK), ("neighbours", workspace, "t003")):
        refused = lorif(*command, "--search", "quick")
        assert refused.code == 2
        assert "quick" in refused.err


def test_neighbours_are_found_fast_and_it_is_said(workspace, large):
    exact = lf.open_workspace(workspace).indexes.neighbours("t003", NUM_TEXTS, search="exact").texts
    cosines = dict(exact.select("train_id", "cosine").iter_rows())
    printed = done("neighbours", workspace, "t003", "-k", 3, "--json").json
    assert printed["search"] == "fast"
    assert printed["fast_search"]["num_scored_in_full"] < NUM_TEXTS
    assert [one["train_id"] for one in printed["neighbours"]] == exact["train_id"].to_list()[:3]
    for one in printed["neighbours"]:
        assert one["cosine"] == pytest.approx(cosines[one["train_id"]], abs=1e-5)
    shown = words(done("neighbours", workspace, "t003", "-k", 3).out)
    assert "fast search:" in shown
    told = done("neighbours", workspace, "t003", "-k", 3, "--search", "exact", "--json").json
    assert (told["search"], told["fast_search"]) == ("exact", None)
    assert "fast search" not in done("neighbours", workspace, "t003", "--search", "exact").out
