"""Compare without a browser: which questions are compared, and what is said about them."""

import json
import shutil
from pathlib import Path

import pytest
from app_pages import open_page, texts
from tiny_workspace import copy_of, done, imported, indexed

import lorif_core as lf
from app.session import table_key

SAMPLES = Path(__file__).parents[1] / "samples"


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    folder = copy_of(indexed(), tmp_path_factory.mktemp("compare"))
    opened = lf.open_workspace(folder)
    opened.ask("The tower of Brook is", " garden.", k=5)
    opened.ask("The river of Arlen is", " castle Brook.", k=5)
    opened.ask("The river of Arlen is", " castle Farrow.", k=5)
    return folder


def metric(app, label):
    return next(one.value for one in app.metric if one.label == label)


def test_without_a_question_the_page_says_the_next_step(monkeypatch, tmp_path):
    app = open_page(monkeypatch, copy_of(imported(), tmp_path), "compare")
    assert "No question was asked yet." in texts(app)


def test_the_newest_question_meets_one_with_the_same_prompt(monkeypatch, workspace):
    app = open_page(monkeypatch, workspace, "compare")
    assert not app.exception
    assert "They differ in: completion" in texts(app)


def test_the_address_names_both_questions_and_the_figures_are_those_of_python(monkeypatch, workspace):
    app = open_page(monkeypatch, workspace, "compare", a="1", b="3", k="10")
    found = lf.open_workspace(workspace).compare("1", "3", k=10)
    assert "They differ in: prompt, completion" in texts(app)
    assert metric(app, "Only in A") == str(len(found.only_a))
    assert metric(app, "Rank correlation") == f"{found.rank_correlation:+.3f}"


def test_swapping_exchanges_both_in_the_address(monkeypatch, workspace):
    app = open_page(monkeypatch, workspace, "compare", a="1", b="3")
    next(one for one in app.button if one.key == "compare-swap").click().run()
    assert (app.query_params["a"], app.query_params["b"]) == ("3", "1")
    assert any(one.startswith("A · question 3") for one in texts(app))


def test_a_flag_names_the_selected_text_and_its_question(monkeypatch, workspace):
    opened = lf.open_workspace(workspace)
    found = opened.compare("1", "3", k=10)
    app = open_page(monkeypatch, workspace, "compare", a="1", b="3", k="10")
    app.button_group(key="compare-listed").set_value("b").run()
    app.session_state[table_key("compare-rows", found.only_b)] = {
        "selection": {"rows": [1], "columns": [], "cells": []}
    }
    app.run()
    next(one for one in app.button if one.key == "compare-flag").click().run()
    event = opened.decisions.events_of(found.only_b[1])[0]
    assert (event.batch.kind, event.batch.query_id) == ("flag", "3")


def test_a_variation_of_a_becomes_b(monkeypatch, workspace):
    app = open_page(monkeypatch, workspace, "compare", a="2", b="1")
    app.selectbox(key="compare-2-scores").set_value("relatif").run()
    next(one for one in app.button if one.key == "compare-ask").click().run()
    for _ in range(60):
        if "asking" not in app.query_params:
            break
        app.run()
    newest = lf.open_workspace(workspace).questions.records()[-1]
    assert newest.normalisation == "relatif"
    assert app.query_params["b"] == newest.query_id
    assert "They differ in: scores" in texts(app)


def test_margins_and_contrasts_that_version_0_1_kept_are_shown_as_they_are_defined(monkeypatch, tmp_path):
    folder = shutil.copytree(SAMPLES / "workspace-0.1", tmp_path / "ws")
    kept = json.loads((SAMPLES / "workspace-0.1.expected.json").read_text(encoding="utf-8"))["kept"]
    app = open_page(monkeypatch, folder, "compare", a="2", b="3")
    assert not app.exception
    for name, query_id, objective in (("A", "2", "contrast"), ("B", "3", "margin")):
        value = -kept[query_id]["objective_value"]  # kept as what is differentiated, less for more of the completion
        (told,) = [one for one in texts(app) if one.startswith(f"{name} · question {query_id} · ")]
        assert told.endswith(f" · {objective} {value:.3f} nats")
    listed = {
        query["query_id"]: query["objective_value"] for query in done("queries", folder, "--json").json["queries"]
    }
    assert listed == {one: lf.open_workspace(folder).reopen(one).objective_value for one in kept}
