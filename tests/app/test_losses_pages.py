"""Pages of a workspace whose newest index has losses and no model."""

import numpy as np
import pytest
from app_pages import button, open_page, run_until, texts
from tiny_workspace import copy_of, indexed, rows, write_rows

import lorif_core as lf

MODELS = [f"run-{place}" for place in range(5)]
PAGES = ["investigate", "corpus", "compare", "indexes", "what_if", "jobs", "export", "review", "history"]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    folder = copy_of(indexed(), tmp_path_factory.mktemp("losses"))
    losses = np.random.default_rng(2).normal(30, 4, (len(rows()) + 2, len(MODELS))).tolist()
    questions = [{"id": "q1", "prompt": "The river of Arlen is", "completion": " castle Brook."}, {"id": "q2"}]
    said = [*({"id": row["id"]} for row in rows()), *questions]
    table = [one | dict(zip(MODELS, row, strict=True)) for one, row in zip(said, losses, strict=True)]
    opened = lf.open_workspace(folder)
    opened.indexes.import_losses(write_rows(folder.parent / "losses.jsonl", table), "api")
    opened.ask("The river of Arlen is", " castle Brook.", k=10, num_opposing=10, index_id=gradients_of(opened))
    opened.ask("", question_id="q1", index_id="api", k=10, num_opposing=10)
    return folder


def gradients_of(opened):
    return next(one.index_id for one in opened.indexes.records() if one.method == "lorif")


def test_the_questions_of_its_table_are_asked(monkeypatch, workspace):
    app = open_page(monkeypatch, workspace)
    app.selectbox(key="index").set_value("api").run()
    assert not app.exception
    (asked,) = [one for one in app.selectbox if one.key == "ask-table"]
    assert asked.options == ["q1: The river of Arlen is ▸ castle Brook.", "q2"]
    asked.set_value("q2").run()
    button(app, "ask-run").click().run()
    run_until(app, lambda now: "asking" not in now.query_params and "query" in now.query_params)
    newest = lf.open_workspace(workspace).questions.records()[-1]
    assert (newest.index_id, newest.prompt) == ("api", "q2")
    assert app.query_params["query"] == newest.query_id
    assert not app.exception


def test_a_kept_answer_opens_and_fills_the_form(monkeypatch, workspace):
    app = open_page(monkeypatch, workspace, query="2")
    assert not app.exception
    assert app.selectbox(key="ask-table").value == "q1"
    assert not any(one.startswith("Something went wrong") for one in texts(app))


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("query", ["1", "2"])
def test_no_page_fails_for_it(monkeypatch, workspace, name, query):
    app = open_page(monkeypatch, workspace, name, query=query, index="api", a="1", b="2")
    assert not app.exception
    assert not any(one.startswith("Something went wrong") for one in texts(app)), texts(app)


def test_the_same_question_goes_from_gradients_to_losses_and_back(monkeypatch, workspace):
    opened = lf.open_workspace(workspace)
    app = open_page(monkeypatch, workspace, query="1")
    button(app, "compare-with-api").click().run()
    run_until(app, lambda now: "asking" not in now.query_params)
    assert not any(one.startswith("Something went wrong") for one in texts(app)), texts(app)
    assert opened.questions.records()[-1].index_id in ("api", gradients_of(opened))
    app = open_page(monkeypatch, workspace, query="2")
    button(app, f"compare-with-{gradients_of(opened)}").click().run()
    run_until(app, lambda now: "asking" not in now.query_params)
    assert not any(one.startswith("Something went wrong") for one in texts(app)), texts(app)
