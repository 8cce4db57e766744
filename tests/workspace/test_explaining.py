"""What lies behind one text: the parts of its score, and the texts most like it."""

import pytest
from tiny_workspace import HOSTILE_ID, copy_of, done, imported, indexed, model_folder

import lorif_core as lf
from lorif_core.errors import ConfigError, DataError
from lorif_core.workspace.folder.kept_scores import scores_frame

PROMPT, COMPLETION = "The river of Arlen is", " castle Brook."


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    folder = copy_of(indexed(), tmp_path_factory.mktemp("explained"))
    opened = lf.open_workspace(folder)
    opened.ask(PROMPT, COMPLETION, k=5)
    opened.ask(PROMPT, COMPLETION, k=5, settings=lf.ScoreConfig(normalisation="relatif"))
    opened.ask(PROMPT, COMPLETION, contrast=" tower.", tokens=[1], k=5)
    return folder


@pytest.mark.parametrize("query", ["1", "2", "3"])
def test_the_parts_add_up_to_the_listed_score(asked, query):
    opened = lf.open_workspace(asked)
    supports = opened.reopen(query).supports
    assert len(supports) == 5
    for hit in supports:
        found = opened.questions.breakdown(query, hit.train_id)
        assert found.score == pytest.approx(hit.score, rel=1e-4)
        assert sum(found.to_polars()["part"]) == pytest.approx(hit.score, rel=1e-4)


@pytest.mark.parametrize("normalisation", ["none", "relatif", "unit"])
@pytest.mark.parametrize("contrast", [None, " bridge."])
def test_the_tokens_of_the_question_add_up_to_the_score_that_the_list_shows(asked, normalisation, contrast):
    opened = lf.open_workspace(asked)
    objective = "loss" if contrast is None else "contrast"
    answer = opened.ask(
        PROMPT,
        COMPLETION,
        contrast=contrast,
        k=3,
        settings=lf.ScoreConfig(objective=objective, normalisation=normalisation),
    )
    assert len(answer.supports) == 3
    for hit in answer.supports:
        found = opened.questions.breakdown(answer.query_id, hit.train_id)
        tokens = [*found.tokens, *found.contrast_tokens]
        assert sum(token.part for token in tokens) == pytest.approx(hit.score, rel=2e-3)
        assert "".join(token.text for token in found.tokens) == PROMPT + COMPLETION
        assert bool(found.contrast_tokens) == (contrast is not None)


@pytest.mark.parametrize("settings", [{"query_rank": 1}, {"refine": 1}], ids=str)
def test_why_there_are_no_parts_of_tokens_is_said(settings, tmp_path):
    workspace = copy_of(imported(), tmp_path)
    done("index", workspace, "--model", model_folder())
    opened = lf.open_workspace(workspace)
    answer = opened.ask(PROMPT, COMPLETION, k=1, settings=lf.ScoreConfig(**settings))
    found = opened.questions.breakdown(answer.query_id, answer.ids[0])
    assert found.tokens == ()
    assert "is not a sum over its tokens. Ask it with" in found.no_tokens
    assert found.no_tokens in " ".join(done("breakdown", workspace, answer.query_id, answer.ids[0]).out.split())


def test_a_text_that_no_list_shows_has_its_parts_too(asked):
    opened = lf.open_workspace(asked)
    scores = dict(scores_frame(opened.files, opened.files.catalog.query("1")).iter_rows())
    assert opened.questions.breakdown("1", HOSTILE_ID).score == pytest.approx(scores[HOSTILE_ID], rel=1e-4)


def test_neighbours_need_no_model_and_never_name_the_text_itself(asked):
    away = model_folder().rename(model_folder().with_name("away"))
    try:
        found = lf.open_workspace(asked).indexes.neighbours("t003", 120).texts
    finally:
        away.rename(model_folder())
    assert "t003" not in found["train_id"]
    assert len(set(found["train_id"])) == 120
    assert found["cosine"].is_sorted(descending=True)


def test_being_neighbours_is_mutual(asked):
    opened = lf.open_workspace(asked)
    nearest = opened.indexes.neighbours("t003", 1).texts.row(0, named=True)
    back = opened.indexes.neighbours(nearest["train_id"], 120).texts
    assert dict(back.select("train_id", "cosine").iter_rows())["t003"] == pytest.approx(nearest["cosine"], abs=1e-6)


def test_the_commands_print_what_python_returns(asked):
    opened = lf.open_workspace(asked)
    (first, *_) = opened.reopen("1").ids
    parts = done("breakdown", asked, "1", first, "--json").json["parts"]
    assert parts == pytest.approx(opened.questions.breakdown("1", first).parts)
    shown = done("breakdown", asked, "1", first).out
    assert "of the score" in shown
    assert "The question's tokens" in shown
    printed = done("neighbours", asked, first, "-k", "3", "--json").json["neighbours"]
    assert printed == opened.indexes.neighbours(first, 3).texts.to_dicts()
    assert f"Nearest to {first}" in done("neighbours", asked, first, "-k", "3").out


def test_an_unknown_text_is_refused(asked):
    with pytest.raises(DataError, match="nothing"):
        lf.open_workspace(asked).indexes.neighbours("nothing")
    with pytest.raises(DataError, match="nothing"):
        lf.open_workspace(asked).questions.breakdown("1", "nothing")


def test_no_neighbours_are_not_asked_for(asked):
    with pytest.raises(ConfigError, match="at least 1"):
        lf.open_workspace(asked).indexes.neighbours("t003", 0)
