"""One question for two indexes: what goes with it and what stays with the index that was asked first."""

from dataclasses import replace

import pytest
from tiny_workspace import copy_of, indexed, model_folder

import lorif_core as lf
from lorif_core.workspace.studio.ask_another_index import another_indexs_question


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    opened = lf.open_workspace(copy_of(indexed(), tmp_path_factory.mktemp("two")))
    graddot = lf.method_settings("graddot", f=2)
    opened.indexes.build(lf.IndexConfig(model=lf.ModelConfig(model=str(model_folder())), method=graddot))
    return opened


@pytest.fixture(scope="module")
def indexes(workspace):
    return [one.index_id for one in workspace.indexes.records()]


def test_the_same_words_are_asked_and_the_settings_of_an_index_stay_behind(workspace, indexes):
    first, second = indexes
    settings = lf.ScoreConfig(objective="margin", normalisation="relatif", query_rank=2)
    answer = workspace.ask("The river of Arlen is", " castle Brook.", k=7, index_id=first, settings=settings)
    asked = another_indexs_question(workspace, answer, second, "ann")
    assert (asked.prompt, asked.said, asked.k) == ("The river of Arlen is", " castle Brook.", 7)
    assert (asked.index_id, asked.search, asked.actor, asked.keeps) == (second, "exact", "ann", True)
    assert asked.scoring == lf.ScoreConfig(objective="margin", normalisation="relatif")


def test_what_the_model_said_are_the_same_tokens_for_one_tokenizer_only(workspace, indexes, monkeypatch):
    first, second = indexes
    answer = workspace.questions.ask(lf.Question(prompt="The river of Arlen is", index_id=first))
    answer = replace(answer, question=replace(answer.question, tokens=(1,)))
    asked = another_indexs_question(workspace, answer, second, None)
    assert asked.spoken == answer.question.spoken is not None
    assert asked.tokens == (1,)
    catalog = workspace.files.catalog
    record = catalog.index(second)
    other = replace(catalog.model(record.model_id), model_id="m-other", tokenizer_fingerprint="another")

    found = {"index": type(catalog).index, "model": type(catalog).model}
    monkeypatch.setattr(
        type(catalog),
        "index",
        lambda self, one: replace(found["index"](self, one), **({"model_id": "m-other"} if one == second else {})),
    )
    monkeypatch.setattr(
        type(catalog), "model", lambda self, one: other if one == "m-other" else found["model"](self, one)
    )
    asked = another_indexs_question(workspace, answer, second, None)
    assert asked.spoken is asked.tokens is None
    assert asked.said == answer.question.said


def test_an_index_that_is_fitted_anew_while_it_is_open_is_asked_as_it_is_now(tmp_path):
    opened = lf.open_workspace(copy_of(indexed(), tmp_path))
    plain = lf.method_settings("graddot", f=2)
    fitted = lf.method_settings("lorif", f=2, subspace_rank=4)
    model, found = lf.ModelConfig(model=str(model_folder())), []
    for method in (plain, fitted):
        index_id = opened.indexes.build(lf.IndexConfig(model=model, method=method)).index_id
        found.append(opened.ask("The river of Arlen is", " castle Brook.", index_id=index_id, keeps=False))
    first, second = found
    assert first.index_id == second.index_id
    assert [hit.score for hit in first.supports] != [hit.score for hit in second.supports]
