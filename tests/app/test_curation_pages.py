"""What-if, Export, History and Jobs without a browser."""

import json

import pytest
from app_pages import open_page, sure, texts
from tiny_workspace import copy_of, imported, indexed

import lorif_core as lf
from app.session import table_key
from lorif_core.journal.jobs import worker_name
from lorif_core.workspace.jobs.submit import open_jobs


def button(app, key):
    return next(one for one in app.button if one.key == key)


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """A workspace with two questions and one flagged text, and the text's id."""
    folder = copy_of(indexed(), tmp_path_factory.mktemp("asked"))
    opened = lf.open_workspace(folder)
    answer = opened.ask("The river of Arlen is", " castle Brook.", k=10)
    opened.ask("The tower of Corve is", " garden Ivern.", k=10)
    opened.flag([answer.supports[0].train_id], actor="tester")
    return folder, answer.supports[0].train_id


@pytest.fixture
def plain(tmp_path):
    return copy_of(imported(), tmp_path)


def test_a_what_if_shows_the_numbers_of_the_workspace(monkeypatch, asked):
    folder, train_id = asked
    app = open_page(monkeypatch, folder, "what_if")
    assert not app.exception
    expected = lf.open_workspace(folder).what_if([train_id], ["2"])
    shown = next(frame.value for frame in app.dataframe if "outcome" in frame.value.columns)
    assert shown["change"].to_list() == [change.change for change in expected.queries]
    assert {metric.label: metric.value for metric in app.metric}["Harmed"] == str(len(expected.harmed))


def test_an_empty_removal_is_refused_with_the_next_step(monkeypatch, asked):
    app = open_page(monkeypatch, asked[0], "what_if")
    app.button_group(key="remove").set_value("Excluded").run()
    assert any(one.startswith("No text is excluded") for one in texts(app))
    assert not app.metric


def test_the_dry_run_counts_what_the_file_holds(monkeypatch, plain):
    opened = lf.open_workspace(plain)
    ids = opened.data.browse(limit=4).frame["train_id"].to_list()
    opened.exclude(ids, reason="spam", actor="tester")
    app = open_page(monkeypatch, plain, "export")
    counts = {metric.label: metric.value for metric in app.metric}
    button(app, "export-write").click().run()
    for _ in range(60):
        if app.get("download_button"):
            break
        app.run()
    (data,) = (path for path in plain.glob("exports/*/*.jsonl") if path.name not in ("kept.jsonl", "excluded.jsonl"))
    lines = [json.loads(line) for line in data.read_text(encoding="utf-8").splitlines()]
    assert counts["In the export"] == str(len(lines))
    assert counts["Left out"] == "4"


def test_a_rule_is_applied_only_after_its_preview_was_confirmed(monkeypatch, plain):
    app = open_page(monkeypatch, plain, "export")
    app.text_area(key="export-rules").set_value("exclude where source = atlas because spam").run()
    assert not any(one.key == "export-apply-rules" for one in app.button)
    button(app, "export-preview-rules").click().run()
    assert button(app, "export-apply-rules").disabled
    sure(app).check().run()
    button(app, "export-apply-rules").click().run()
    opened = lf.open_workspace(plain)
    (entry,) = opened.decisions.history()
    assert entry.batch.rule == "exclude where source = atlas because spam"
    assert entry.batch.num_events == len(opened.decisions.states())


def test_a_yes_to_one_rule_is_none_to_another(monkeypatch, plain):
    app = open_page(monkeypatch, plain, "export")
    for source in ("atlas", "almanac"):
        app.text_area(key="export-rules").set_value(f"exclude where source = {source} because spam").run()
        button(app, "export-preview-rules").click().run()
        assert not sure(app).value
        sure(app).check().run()
        assert not button(app, "export-apply-rules").disabled


def test_a_rule_that_cannot_be_read_is_one_sentence(monkeypatch, plain):
    app = open_page(monkeypatch, plain, "export")
    app.text_area(key="export-rules").set_value("destroy where source = atlas").run()
    button(app, "export-preview-rules").click().run()
    assert not app.exception
    assert any(one.startswith("Something went wrong:") and "defect" not in one for one in texts(app))


def test_reverting_an_act_writes_a_new_one_and_marks_it_undone(monkeypatch, plain):
    opened = lf.open_workspace(plain)
    ids = opened.data.browse(limit=2).frame["train_id"].to_list()
    first = opened.flag(ids[:1], actor="tester")
    second = opened.flag(ids[1:], actor="tester")
    app = open_page(monkeypatch, plain, "history")
    key = table_key("history-acts", [second.batch_id, first.batch_id])
    app.session_state[key] = {"selection": {"rows": [1], "columns": [], "cells": []}}
    app.run()
    button(app, f"history-revert-{first.batch_id}").click().run()
    undone = {entry.batch.batch_id: entry.is_undone for entry in lf.open_workspace(plain).decisions.history()}
    assert len(undone) == 3
    assert undone[first.batch_id]
    assert not undone[second.batch_id]


def test_the_history_filters_by_person(monkeypatch, plain):
    opened = lf.open_workspace(plain)
    ids = opened.data.browse(limit=2).frame["train_id"].to_list()
    opened.flag(ids[:1], actor="anna")
    opened.flag(ids[1:], actor="bert")
    app = open_page(monkeypatch, plain, "history")
    app.text_input(key="who").set_value("anna").run()
    shown = next(frame.value for frame in app.dataframe if "act" in frame.value.columns)
    assert shown["who"].to_list() == ["anna"]


def test_settling_ends_a_disagreement(monkeypatch, plain):
    opened = lf.open_workspace(plain)
    train_id = opened.data.browse(limit=1).frame["train_id"].item()
    opened.flag([train_id], actor="anna")
    opened.exclude([train_id], reason="spam", actor="bert")
    app = open_page(monkeypatch, plain, "history")
    app.button_group(key="tab").set_value("Disagreements").run()
    rows = opened.decisions.conflicts().to_dicts()
    key = table_key("history-conflicts", [f"{row['train_id']}\0{row['batch_id']}" for row in rows])
    app.session_state[key] = {"selection": {"rows": [0], "columns": [], "cells": []}}
    app.run()
    button(app, "history-settle-now").click().run()
    assert lf.open_workspace(plain).decisions.conflicts().is_empty()


def test_a_waiting_job_is_cancelled_by_its_button(monkeypatch, plain):
    jobs = open_jobs(lf.open_workspace(plain).files)
    job = jobs.submit("index", {"settings": 1}, actor="tester")
    app = open_page(monkeypatch, plain, "jobs")
    button(app, f"cancel-{job.job_id}").click().run()
    assert jobs.job(job.job_id).status == "cancelled"
    assert any(one.key == f"resume-{job.job_id}" for one in app.button)


def test_a_failed_job_says_why(monkeypatch, plain):
    jobs = open_jobs(lf.open_workspace(plain).files)
    job = jobs.submit("index", {"settings": 1}, actor="tester")
    jobs.fail(jobs.claim(worker_name(), "cpu"), "the disk is full: make room.")
    app = open_page(monkeypatch, plain, "jobs")
    assert "the disk is full: make room." in texts(app)
    assert any(one.key == f"resume-{job.job_id}" for one in app.button)


def frozen(app, name):
    app.text_input(key="freeze-name").set_value(name).run()
    button(app, "freeze-start").click().run()
    for _ in range(60):
        if any(one.startswith(f"✓ Version {name}") for one in texts(app)):
            app.run()
            return
        app.run()
    raise AssertionError(texts(app))


def test_a_draft_is_frozen_and_the_next_one_names_it_as_its_parent(monkeypatch, plain):
    app = open_page(monkeypatch, plain, "export")
    assert any("It will be the first version." in one for one in texts(app))
    frozen(app, "v1")
    assert app.selectbox(key="parent").value == "v1"
    opened = lf.open_workspace(plain)
    opened.exclude(opened.data.browse(limit=2).frame["train_id"].to_list(), reason="spam", actor="tester")
    app.run()
    said = "Compared with version v1: 121 texts before, 119 after; 0 added, 2 removed"
    assert any(one.startswith(said) for one in texts(app))
    frozen(app, "v2")
    assert [(one.name, one.parent) for one in opened.versions.records()] == [("v1", None), ("v2", "v1")]


def test_a_frozen_version_offers_downloads_and_a_draft_and_nothing_that_edits(monkeypatch, plain):
    lf.open_workspace(plain).versions.freeze("v1", actor="tester")
    app = open_page(monkeypatch, plain, "export", tab="Versions")
    assert not app.exception
    assert [one.label for one in app.get("download_button")] == [
        "Download the data",
        "Download the manifest",
        "Download the recipe",
    ]
    assert [one.key for one in app.button] == ["version-draft"]
    button(app, "version-draft").click().run()
    assert app.selectbox(key="parent").value == "v1"


def test_an_act_shows_the_status_of_its_texts_before_and_after(monkeypatch, plain):
    opened = lf.open_workspace(plain)
    ids = opened.data.browse(limit=3).frame["train_id"].to_list()
    opened.flag(ids[:1], actor="anna")
    batch = opened.exclude(ids, reason="spam", actor="tester")
    app = open_page(monkeypatch, plain, "history", kind="exclude")
    key = table_key("history-acts", [batch.batch_id])
    app.session_state[key] = {"selection": {"rows": [0], "columns": [], "cells": []}}
    app.run()
    shown = next(frame.value for frame in app.dataframe if list(frame.value.columns)[:2] == ["before", "after"])
    assert shown[["id", "before", "after"]].values.tolist() == [
        [ids[0], "flagged", "excluded"],
        [ids[1], "kept", "excluded"],
        [ids[2], "kept", "excluded"],
    ]
    assert "2 × kept → excluded, 1 × flagged → excluded" in texts(app)
    key = table_key("history-changes", ids)
    app.session_state[key] = {"selection": {"rows": [0], "columns": [], "cells": []}}
    app.run()
    time_line = next(
        frame.value for frame in app.dataframe if "undone" in frame.value.columns and "before" in frame.value
    )
    assert time_line["who"].to_list() == ["tester", "anna"]


def test_a_group_is_removed_by_its_column_and_value(monkeypatch, asked):
    folder, _ = asked
    app = open_page(monkeypatch, folder, "what_if", remove="A group", column="source", value="atlas")
    assert not app.exception
    assert any(one.startswith("60 texts are meant") for one in texts(app))
    assert app.metric
