"""Investigate without a browser: what its widgets do."""

import json

import pytest
from app_pages import button, open_page, run_until, texts
from tiny_workspace import copy_of, imported, indexed

import lorif_core as lf
from app.session import table_key


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    folder = copy_of(indexed(), tmp_path_factory.mktemp("investigate"))
    lf.open_workspace(folder).ask("The river of Arlen is", " castle Brook.", k=10, num_opposing=10)
    return folder


def test_a_workspace_without_an_index_says_the_next_command(monkeypatch, tmp_path):
    app = open_page(monkeypatch, copy_of(imported(), tmp_path))
    assert any("lorif index" in one.value for one in app.code)


def test_the_url_opens_a_kept_answer_and_fills_the_form(monkeypatch, workspace):
    app = open_page(monkeypatch, workspace, query="1")
    assert not app.exception
    assert app.text_area(key="ask-prompt").value == "The river of Arlen is"
    assert app.text_area(key="ask-completion").value == " castle Brook."
    assert "10 of 10" in texts(app)


def test_an_unknown_query_is_one_sentence(monkeypatch, workspace):
    app = open_page(monkeypatch, workspace, query="999")
    assert not app.exception
    assert any("999" in one and one.startswith("Something went wrong:") for one in texts(app))


def test_asking_puts_the_new_query_into_the_url(monkeypatch, workspace):
    app = open_page(monkeypatch, workspace, query="1")
    app.text_area(key="ask-completion").set_value(" tower Dunmar.").run()
    button(app, "ask-run").click().run()
    run_until(app, lambda now: "asking" not in now.query_params)
    assert app.query_params["query"] != "1"
    newest = lf.open_workspace(workspace).questions.records()[-1]
    assert newest.completion == " tower Dunmar."
    assert app.query_params["query"] == newest.query_id


def test_a_flag_names_the_text_of_its_card_and_the_question(monkeypatch, workspace):
    opened = lf.open_workspace(workspace)
    second = opened.reopen("1").ids[1]
    app = open_page(monkeypatch, workspace, query="1")
    button(app, f"hit-{second}-flag").click().run()
    event = opened.decisions.events_of(second)[0]
    assert (event.batch.kind, event.batch.actor, event.batch.query_id) == ("flag", "tester", "1")
    assert button(app, f"hit-{second}-flag").disabled
    button(app, "studio-undo").click().run()
    assert opened.decisions.events_of(second)[0].batch.kind == "undo"
    assert not button(app, f"hit-{second}-flag").disabled


def test_what_cannot_be_undone_is_said_in_one_sentence(monkeypatch, tmp_path):
    app = open_page(monkeypatch, copy_of(indexed(), tmp_path))
    button(app, "studio-undo").click().run()
    assert not app.exception
    assert any(one.startswith("Something went wrong:") for one in texts(app))


def test_filters_hide_and_reset_shows_all_again(monkeypatch, workspace):
    app = open_page(monkeypatch, workspace, query="1")
    app.text_input(key="find").set_value("no text says this").run()
    assert "0 of 10" in texts(app)
    button(app, "reset-filters").click().run()
    assert "10 of 10" in texts(app)


def test_a_bad_regular_expression_is_one_sentence(monkeypatch, workspace):
    app = open_page(monkeypatch, workspace, query="1", find="/(/")
    assert not app.exception
    assert any("regular expression" in one for one in texts(app))


def test_the_reader_splits_the_score_over_the_modules_only_when_asked(monkeypatch, workspace):
    opened = lf.open_workspace(workspace)
    first = opened.reopen("1").ids[0]
    app = open_page(monkeypatch, workspace, query="1", open=first)
    assert not any("add up to the score" in one for one in texts(app))
    app.button_group(key="closer").set_value("Modules").run()
    run_until(app, lambda now: any("add up to the score" in one for one in texts(now)))
    assert any("add up to the score" in one for one in texts(app))


def test_the_reader_splits_the_score_over_the_tokens_of_the_question(monkeypatch, workspace):
    opened = lf.open_workspace(workspace)
    first = opened.reopen("1").ids[0]
    app = open_page(monkeypatch, workspace, query="1", open=first, closer="Question")
    run_until(app, lambda now: any("Most comes from reading" in one for one in texts(now)))
    strongest = max(opened.questions.breakdown("1", first).tokens, key=lambda token: abs(token.part))
    assert any(f"reading {strongest.text!r} to predict" in one for one in texts(app))


def test_a_flag_in_the_reader_names_the_selected_neighbour(monkeypatch, workspace):
    opened = lf.open_workspace(workspace)
    first = opened.reopen("1").ids[0]
    near = opened.indexes.neighbours(first).texts["train_id"].to_list()
    app = open_page(monkeypatch, workspace, "investigate", query="1", open=first, closer="Neighbours")
    run_until(app, lambda now: any(one.value.startswith("Cosine of stored") for one in now.caption))
    app.session_state[table_key("reader-neighbours", near)] = {"selection": {"rows": [2], "columns": [], "cells": []}}
    app.run()
    button(app, "neighbours-flag").click().run()
    assert opened.decisions.events_of(near[2])[0].batch.kind == "flag"
    opened.undo(actor="tester")


def test_the_badge_says_not_checked_until_something_was_measured(monkeypatch, tmp_path):
    folder = copy_of(indexed(), tmp_path)
    opened = lf.open_workspace(folder)
    opened.ask("The river of Arlen is", " castle Brook.", k=10)
    app = open_page(monkeypatch, folder, query="1")
    assert any("scores not checked" in one.value for one in app.markdown)
    key = tmp_path / "key.json"
    key.write_text(json.dumps({"planted": [{"prompt": "The river", "wrong": " x", "planted_ids": ["t001"]}]}))
    lf.evaluate(opened).planted(key, k=1)
    assert any("scores doubtful" in one.value for one in app.run().markdown)


def test_a_filter_on_a_metadata_column_lies_in_the_address(monkeypatch, workspace):
    hits = lf.open_workspace(workspace).reopen("1").supports
    year = str(hits[3].metadata["year"])
    wanted = sum(str(hit.metadata["year"]) == year for hit in hits)
    app = open_page(monkeypatch, workspace, query="1", **{"column-year": year})
    assert f"{wanted} of 10" in texts(app)
    button(app, "reset-filters").click().run()
    assert "10 of 10" in texts(app)


def test_the_form_offers_refinements_and_their_refusal_is_a_sentence(monkeypatch, tmp_path):
    workspace = copy_of(indexed(), tmp_path)  # whose index holds its curvature elsewhere
    app = open_page(monkeypatch, workspace)
    app.text_area(key="ask-prompt").set_value("The river of Arlen is").run()
    app.text_area(key="ask-completion").set_value(" tower Arlen.").run()
    app.selectbox(key="ask-refine").set_value("model").run()
    assert any("passes of the model over these training texts" in one.value for one in app.caption)
    app.number_input(key="ask-refine-steps-model").set_value(3).run()
    app.number_input(key="ask-refine-batch").set_value(5).run()
    button(app, "ask-run").click().run()
    run_until(app, lambda now: "asking" not in now.query_params)
    assert any("refine is for half-whitened indexes without a subspace, got 3" in one for one in texts(app))
    app.selectbox(key="ask-refine").set_value("no").run()
    button(app, "ask-run").click().run()
    run_until(app, lambda now: "query" in now.query_params)
    assert lf.open_workspace(workspace).questions.records()[-1].completion == " tower Arlen."
