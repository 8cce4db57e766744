"""What lies behind one text: the parts of its score, and the texts most like it."""

import pytest
from tiny_workspace import HOSTILE_ID, copy_of, done, indexed, model_folder

import lorif_core as lf
from lorif_core.errors import ConfigError, DataError
from lorif_core.workspace.folder.kept_scores import scores_frame


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    folder = copy_of(indexed(), tmp_path_factory.mktemp("explained"))
    opened = lf.open_workspace(folder)
    opened.ask("The river of Arlen is", " castle Brook.", k=5)
    opened.ask("The river of Arlen is", " castle Brook.", k=5, settings=lf.ScoreConfig(normalisation="relatif"))
    opened.ask("The river of Arlen is", " castle Brook.", contrast=" tower.", tokens=[1], k=5)
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


def test_a_text_that_no_list_shows_has_its_parts_too(asked):
    opened = lf.open_workspace(asked)
    scores = dict(scores_frame(opened.files, opened.files.catalog.query("1")).iter_rows())
    assert opened.questions.breakdown("1", HOSTILE_ID).score == pytest.approx(scores[HOSTILE_ID], rel=1e-4)


def test_neighbours_need_no_model_and_never_name_the_text_itself(asked):
    away = model_folder().rename(model_folder().with_name("away"))
    try:
        found = lf.open_workspace(asked).indexes.neighbours("t003", 120)
    finally:
        away.rename(model_folder())
    assert "t003" not in found["train_id"]
    assert len(set(found["train_id"])) == 120
    assert found["cosine"].is_sorted(descending=True)


def test_being_neighbours_is_mutual(asked):
    opened = lf.open_workspace(asked)
    nearest = opened.indexes.neighbours("t003", 1).row(0, named=True)
    back = opened.indexes.neighbours(nearest["train_id"], 120)
    assert dict(back.select("train_id", "cosine").iter_rows())["t003"] == pytest.approx(nearest["cosine"], abs=1e-6)


def test_the_commands_print_what_python_returns(asked):
    opened = lf.open_workspace(asked)
    (first, *_) = opened.reopen("1").ids
    parts = done("breakdown", asked, "1", first, "--json").json["parts"]
    assert parts == pytest.approx(opened.questions.breakdown("1", first).parts)
    assert "of the score" in done("breakdown", asked, "1", first).out
    printed = done("neighbours", asked, first, "-k", "3", "--json").json["neighbours"]
    assert printed == opened.indexes.neighbours(first, 3).to_dicts()
    assert f"Nearest to {first}" in done("neighbours", asked, first, "-k", "3").out


def test_an_unknown_text_is_refused(asked):
    with pytest.raises(DataError, match="nothing"):
        lf.open_workspace(asked).indexes.neighbours("nothing")
    with pytest.raises(DataError, match="nothing"):
        lf.open_workspace(asked).questions.breakdown("1", "nothing")


def test_no_neighbours_are_not_asked_for(asked):
    with pytest.raises(ConfigError, match="at least 1"):
        lf.open_workspace(asked).indexes.neighbours("t003", 0)
