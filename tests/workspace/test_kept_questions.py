"""A question is kept with its lists and scores, and answered from them without a model."""

import shutil
from contextlib import contextmanager
from dataclasses import replace

import polars as pl
import pytest
from tiny_workspace import SMALL, bytes_below, copy_of, done, indexed, lorif, model_folder, write_rows

import lorif_core as lf
from lorif_core.errors import ArtefactError, CatalogError, LorifError
from lorif_core.workspace.folder.kept_scores import read_scores
from lorif_core.workspace.folder.workspace_files import open_files

PROMPT, COMPLETION = "The river of Arlen is", " castle Brook."
ACTOR = "LORIF_ACTOR"


@contextmanager
def without_model():
    """Move the model away while the block runs."""
    away = model_folder().rename(model_folder().with_name("away"))
    try:
        yield
    finally:
        away.rename(model_folder())


def ask(workspace, prompt=PROMPT, completion=COMPLETION, **arguments):
    return lf.open_workspace(workspace).ask(prompt, completion, **arguments)


def lines(hits):
    return [(hit.rank, hit.train_id, hit.score, hit.tokens, hit.text, hit.metadata) for hit in hits]


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A workspace with one kept question of 5 supporting and 3 opposing texts, and its answer."""
    workspace = copy_of(indexed(), tmp_path_factory.mktemp("asked"))
    return workspace, ask(workspace, k=5, num_opposing=3)


@pytest.fixture
def asked(template, tmp_path):
    return copy_of(template[0], tmp_path), template[1]


def test_an_answer_is_computed_the_first_time(template):
    assert (template[1].query_id, template[1].is_kept) == ("1", False)
    assert (len(template[1].supports), len(template[1].opposes)) == (5, 3)


def test_the_same_question_again_has_the_same_lists_and_needs_no_model(asked):
    workspace, first = asked
    with without_model():
        again = ask(workspace, k=5, num_opposing=3)
    assert (again.query_id, again.is_kept) == ("1", True)
    assert lines(again.supports) == lines(first.supports)
    assert lines(again.opposes) == lines(first.opposes)


def test_everything_else_of_an_answer_is_read_back_too(asked):
    workspace, first = asked
    again = lf.open_workspace(workspace).reopen("1")
    for fact in ("question", "index_id", "objective", "objective_value", "num_scored", "elapsed_s", "plans"):
        assert getattr(again, fact) == getattr(first, fact)
    assert again.positive_total == pytest.approx(first.positive_total)
    assert again.positive_share == pytest.approx(first.positive_share)


def test_reopening_by_command_needs_no_model(asked):
    workspace, first = asked
    with without_model():
        found = done("reopen", workspace, "1", "--json").json
        assert "query 1 (kept earlier)" in " ".join(done("reopen", workspace, "1").out.split())
    assert [hit["train_id"] for hit in found["supports"]] == first.ids
    assert found["is_kept"] is True


def test_a_shorter_list_is_the_beginning_of_the_kept_one(asked):
    workspace, first = asked
    with without_model():
        short = ask(workspace, k=2, num_opposing=1)
    assert lines(short.supports) == lines(first.supports[:2])
    assert lines(short.opposes) == lines(first.opposes[:1])


@pytest.mark.parametrize(("k", "num_opposing"), [(12, 3), (5, 8)])
def test_a_longer_list_is_computed_anew_and_keeps_the_id_and_who_asked_first(asked, monkeypatch, k, num_opposing):
    workspace, first = asked
    (before,) = lf.open_workspace(workspace).questions.records()
    monkeypatch.setenv(ACTOR, "somebody else")
    longer = ask(workspace, k=k, num_opposing=num_opposing)
    assert (longer.query_id, longer.is_kept) == ("1", False)
    assert (len(longer.supports), len(longer.opposes)) == (k, num_opposing)
    assert longer.ids[:5] == first.ids
    assert [(one.train_id, one.score) for one in longer.opposes[:3]] == [
        (one.train_id, one.score) for one in first.opposes
    ]
    # Parts of tokens are those of another batch of texts, to float tolerance.
    parts = [[token.part for hit in hits for token in hit.tokens] for hits in (longer.opposes[:3], first.opposes)]
    assert parts[0] == pytest.approx(parts[1], rel=1e-3, abs=1e-5)
    (after,) = lf.open_workspace(workspace).questions.records()
    assert (after.k, after.num_opposing) == (k, num_opposing)
    assert (after.created_at, after.asked_by) == (before.created_at, before.asked_by)
    again = lf.open_workspace(workspace).reopen("1")
    assert lines(again.hits) == lines(longer.hits)


def test_a_longer_list_of_one_side_does_not_shorten_what_was_kept_of_the_other(asked):
    workspace, first = asked
    longer = ask(workspace, k=20, num_opposing=0)
    assert (len(longer.supports), longer.opposes) == (20, [])
    assert longer.positive_share > first.positive_share
    again = lf.open_workspace(workspace).reopen("1")
    assert (len(again.supports), lines(again.opposes)) == (20, lines(first.opposes))


def test_a_question_asked_for_longer_than_there_are_hits_is_still_answered_from_what_was_kept(asked):
    workspace, _ = asked
    everything = ask(workspace, k=1000, num_opposing=1000)
    assert len(everything.supports) < 1000
    with without_model():
        assert lines(ask(workspace, k=1000, num_opposing=1000).hits) == lines(everything.hits)


def test_forget_neither_keeps_nor_uses_what_was_kept(asked):
    workspace, _ = asked
    before = bytes_below(workspace)
    words = ("ask", workspace, "--prompt", PROMPT, "--completion", COMPLETION, "--forget", "--json")
    found = done(*words).json
    assert (found["query_id"], found["is_kept"]) == (None, False)
    assert bytes_below(workspace) == before
    with without_model():
        assert lorif(*words).code == 2


def test_kept_scores_are_those_that_score_writes(asked, tmp_path):
    workspace, _ = asked
    queries = write_rows(tmp_path / "queries.jsonl", [{"prompt": PROMPT, "completion": COMPLETION}])
    done("score", workspace, "--queries", queries, "--out", tmp_path / "scores.parquet", "--normalisation", "unit")
    written = pl.read_parquet(tmp_path / "scores.parquet")
    opened = lf.open_workspace(workspace)
    kept = read_scores(opened.files, opened.questions.records()[0])
    assert len(kept) == len(written)
    assert kept.tolist() == pytest.approx(written["score"].to_list(), rel=1e-5, abs=1e-7)
    assert read_scores(opened.files, opened.questions.records()[0], [7, 3]).tolist() == [kept[7], kept[3]]


def test_the_kept_lists_are_the_extremes_of_the_kept_scores(asked):
    workspace, first = asked
    opened = lf.open_workspace(workspace)
    kept = sorted(read_scores(opened.files, opened.questions.records()[0]).tolist())
    assert [hit.score for hit in first.supports] == pytest.approx(kept[::-1][:5])
    assert [hit.score for hit in first.opposes] == pytest.approx(kept[:3])
    assert first.positive_total == pytest.approx(sum(score for score in kept if score > 0), rel=1e-4)


def test_contrast_tokens_and_settings_make_other_questions_and_ids_count_up(asked, monkeypatch):
    workspace, _ = asked
    monkeypatch.setenv(ACTOR, "bob")
    opened = lf.open_workspace(workspace)
    kinds = [
        {},
        {"contrast": " tower."},
        {"tokens": [0]},
        {"settings": lf.ScoreConfig(normalisation="relatif")},
        {"settings": lf.ScoreConfig(objective="margin")},
        {"prompt": "The tower of Brook is"},
    ]
    asked_now = [opened.ask(**{"prompt": PROMPT, "completion": COMPLETION, **kind}, k=2) for kind in kinds]
    assert [answer.query_id for answer in asked_now] == ["1", "2", "3", "4", "5", "6"]
    with without_model():
        other = lf.open_workspace(workspace)
        found = [other.ask(**{"prompt": PROMPT, "completion": COMPLETION, **kind}, k=2) for kind in kinds]
    assert [lines(answer.hits) for answer in found] == [lines(answer.hits) for answer in asked_now]
    assert [answer.question for answer in found] == [answer.question for answer in asked_now]
    assert [query.asked_by for query in other.questions.records()[1:]] == ["bob"] * 5
    listed = done("queries", workspace, "--json").json["queries"]
    assert [query["query_id"] for query in listed] == ["1", "2", "3", "4", "5", "6"]


def test_an_index_with_refitted_curvature_is_not_answered_from_the_old_answer(asked):
    workspace, first = asked
    done("index", workspace, "--model", model_folder(), *SMALL, "--damping-ratio", 5)
    fresh = ask(workspace, k=5, num_opposing=3)
    assert (fresh.query_id, fresh.is_kept) == ("2", False)
    assert fresh.index_id == first.index_id
    assert [hit.score for hit in fresh.supports] != [hit.score for hit in first.supports]


def test_a_question_whose_scores_are_gone_is_asked_anew_under_its_id(asked):
    workspace, first = asked
    (file,) = (workspace / "scores").glob("*.parquet")
    file.unlink()
    opened = lf.open_workspace(workspace)
    with pytest.raises(ArtefactError, match=r"scores of query 1 are missing .* ask it again"):
        read_scores(opened.files, opened.questions.records()[0])
    assert opened.reopen("1").ids == first.ids
    with without_model(), pytest.raises(LorifError):
        ask(workspace, k=5)
    again = ask(workspace, k=5, num_opposing=3)
    assert (again.query_id, again.is_kept, file.is_file()) == ("1", False, True)


def test_an_unknown_question_cannot_be_opened(asked):
    with pytest.raises(CatalogError, match=r"no query '2'. Use one of '1'; `lorif ask` makes one"):
        lf.open_workspace(asked[0]).reopen("2")


def test_a_question_that_version_0_1_kept_with_an_empty_list_opens(asked, tmp_path):
    workspace = shutil.copytree(asked[0], tmp_path / "copy")
    catalog = open_files(workspace).catalog
    catalog.put_query(replace(catalog.query("1"), k=0), [])
    assert lf.open_workspace(workspace).reopen("1").supports == []
