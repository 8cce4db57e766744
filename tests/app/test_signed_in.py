"""Whatever a signed-in person does is kept under that person's name, not under the name of who started the server.

The person at the door is the only one who may decide: an act that forgot who did it would be refused, too.
"""

import json
from urllib.parse import quote

import pytest
from app_pages import open_page, sure, texts
from tiny_workspace import copy_of, imported, indexed, model_folder, write_rows

import lorif_core as lf
from app.gate.gate import PERSON_HEADER
from app.session import table_key
from lorif_core.workspace.jobs.places import place_of_worker
from lorif_core.workspace.jobs.submit import jobs_of_kind, open_jobs
from lorif_core.workspace.studio.saved_views import saved_views

ANN = "Ann"


class Client:
    """A browser whose person the gate has told Streamlit."""

    def __init__(self, person):
        self.headers = [(PERSON_HEADER, quote(person))]
        self.cookies = {}
        self.remote_ip = None


@pytest.fixture
def workspace(tmp_path):
    """Texts without an index; Ann is the only member."""
    return with_member(copy_of(imported(), tmp_path))


@pytest.fixture
def asked(tmp_path):
    """Texts with an index and one question."""
    folder = copy_of(indexed(), tmp_path)
    lf.open_workspace(folder).ask("The river of Arlen is", " castle Brook.", k=10)
    return with_member(folder)


def with_member(folder):
    lf.open_workspace(folder).journal.set_role(ANN, "admin", by=ANN)
    return folder


@pytest.fixture
def no_worker(asked):
    """Jobs stay queued: the place of the worker is taken."""
    with place_of_worker(lf.open_workspace(asked).files, "cpu", 1) as is_free:
        assert is_free
        yield


def open_as_ann(monkeypatch, folder, page=None, **url):
    app = open_page(monkeypatch, folder, page, **url)
    app.session_state["signed_in_as"] = ANN
    return app.run()


def button(app, key):
    return next(one for one in app.button if one.key == key)


def press(app, *keys):
    for key in keys:
        button(app, key).click().run()
    assert not app.exception
    assert not [one for one in texts(app) if one.startswith("Something went wrong")]
    return app


def acts(folder):
    """Kind and person of every act, oldest first."""
    return [(entry.batch.kind, entry.batch.actor) for entry in lf.open_workspace(folder).decisions.history()][::-1]


def by_ann(*kinds):
    return [(kind, ANN) for kind in kinds]


def ids(folder, count=2):
    return lf.open_workspace(folder).data.browse(limit=count).frame["train_id"].to_list()


def select(app, key, shown, rows):
    app.session_state[table_key(key, shown)] = {"selection": {"rows": rows, "columns": [], "cells": []}}
    return app.run()


def test_the_name_given_at_the_door_is_that_of_every_act(monkeypatch, asked):
    first = lf.open_workspace(asked).reopen("1").ids[0]
    monkeypatch.setattr("streamlit.runtime.context._get_client_context", lambda: Client(ANN))
    app = open_page(monkeypatch, asked, query="1")
    monkeypatch.setenv("LORIF_STUDIO_AUTH", "password")
    app.run()
    assert f"You are {ANN}" in texts(app)
    press(app, f"hit-{first}-flag", "studio-undo", "studio-redo", f"hit-{first}-restore", f"hit-{first}-exclude")
    press(app, "decide-reason-spam")
    assert acts(asked) == by_ann("flag", "undo", "redo", "restore", "exclude")


def test_a_page_that_is_drawn_for_nobody_shows_nothing(monkeypatch, workspace):
    """The gate lets no such request through; were it to, there would be nothing to see or to press."""
    app = open_page(monkeypatch, workspace)
    monkeypatch.setenv("LORIF_STUDIO_AUTH", "password")
    app.run()
    assert texts(app) == []
    assert list(app.button) == []


def test_a_shared_password_says_that_names_are_not_verified(monkeypatch, workspace):
    monkeypatch.setattr("streamlit.runtime.context._get_client_context", lambda: Client(ANN))
    app = open_page(monkeypatch, workspace)
    monkeypatch.setenv("LORIF_STUDIO_AUTH", "shared")
    assert f"You are {ANN} (not verified)" in texts(app.run())


def test_a_review(monkeypatch, workspace):
    lf.open_workspace(workspace).flag(ids(workspace, 5), actor=ANN)
    app = open_as_ann(monkeypatch, workspace, "review")
    press(app, "review-keep", "review-flag", "review-reason-outdated", "review-exclude", "review-needs-review")
    press(app, "review-undo", "review-comment")
    box = next(one for one in app.text_area if str(one.key).startswith("review-comment-box-"))
    box.set_value("odd").run()
    press(app, "review-save")
    assert acts(workspace)[1:] == by_ann("restore", "flag", "exclude", "label", "undo", "note")


@pytest.mark.parametrize("action", ["flag", "exclude", "restore"])
def test_a_decision_about_many_texts(monkeypatch, workspace, action):
    app = open_as_ann(monkeypatch, workspace, "corpus")
    press(app, "corpus-many")
    app.button_group(key="corpus-action").set_value(action).run()
    app.selectbox(key="corpus-reason").select("spam").run()
    app.checkbox(key="corpus-sure").check().run()
    press(app, "corpus-decide")
    assert acts(workspace) == by_ann(action)


def test_reverting_and_bringing_back_what_another_did(monkeypatch, workspace):
    opened = lf.open_workspace(workspace)
    opened.journal.set_role("bob", "curator", by=ANN)
    flagged = opened.flag(ids(workspace), actor="bob")
    app = open_as_ann(monkeypatch, workspace, "history")
    for _ in range(2):  # the selected act is Bob's, then undone
        shown = [entry.batch.batch_id for entry in opened.decisions.history()]
        select(app, "history-acts", shown, [shown.index(flagged.batch_id)])
        press(app, f"history-revert-{flagged.batch_id}")
    assert acts(workspace)[1:] == by_ann("undo", "redo")


def test_settling_a_disagreement(monkeypatch, workspace):
    opened = lf.open_workspace(workspace)
    for person in ("bob", "eve"):
        opened.journal.set_role(person, "curator", by=ANN)
    (train_id,) = ids(workspace, 1)
    opened.flag([train_id], actor="bob")
    opened.exclude([train_id], reason="spam", actor="eve")
    app = open_as_ann(monkeypatch, workspace, "history", tab="Disagreements")
    rows = opened.decisions.conflicts().to_dicts()
    select(app, "history-conflicts", [f"{row['train_id']}\0{row['batch_id']}" for row in rows], [0])
    press(app, "history-settle-now")
    assert acts(workspace)[2:] == by_ann("restore")
    assert opened.decisions.history()[0].batch.settles


def test_applying_rules(monkeypatch, workspace):
    app = open_as_ann(monkeypatch, workspace, "export")
    rules = "exclude where source = atlas because spam\nlabel odd where source = almanac"
    app.text_area(key="export-rules").set_value(rules).run()
    press(app, "export-preview-rules")
    sure(app).check().run()
    press(app, "export-apply-rules")
    assert acts(workspace) == by_ann("exclude", "label")


def test_freezing_a_version(monkeypatch, workspace):
    app = open_as_ann(monkeypatch, workspace, "export")
    app.text_input(key="freeze-name").set_value("v1").run()
    press(app, "freeze-start")
    for _ in range(60):
        if found := lf.open_workspace(workspace).versions.records():
            break
        app.run()
    assert [(one.name, one.actor) for one in found] == [("v1", ANN)]


def test_keeping_a_view(monkeypatch, workspace):
    app = open_as_ann(monkeypatch, workspace)
    app.text_input(key="views-name").set_value("mine").run()
    press(app, "views-keep")
    assert [(one.name, one.actor) for one in saved_views(lf.open_workspace(workspace).files)] == [("mine", ANN)]


def start_import(monkeypatch, folder):
    file = write_rows(folder.parent / "more.jsonl", [{"prompt": f"q{n}", "completion": f"a{n}"} for n in range(3)])
    app = open_as_ann(monkeypatch, folder, "indexes", tab="Import", file=str(file))
    for _ in range(60):
        assert not [one for one in texts(app) if one.startswith("Something went wrong")]
        if any(one.key == "import-start" for one in app.button):
            break
        app.run()
    press(app, "import-start")


def start_build(monkeypatch, folder):
    press(open_as_ann(monkeypatch, folder, "indexes", tab="Build", model=str(model_folder())), "build-start")


def start_sweep(monkeypatch, folder):
    files = {name: str(folder.parent / name) for name in ("queries", "truth")}
    press(open_as_ann(monkeypatch, folder, "indexes", tab="Sweep", **files), "sweep-start")


def start_map(monkeypatch, folder):
    press(open_as_ann(monkeypatch, folder, "corpus", tab="Map"), "corpus-map-compute")


def start_verification(monkeypatch, folder):
    lf.open_workspace(folder).flag(ids(folder), actor=ANN)
    recipe = folder.parent / "recipe.toml"
    recipe.write_text(
        f"checkpoint = {json.dumps(str(model_folder()))}\nlearning_rate = 0.01\nepochs = 1\nbatch_size = 4\n"
        "max_length = 64\n",
        encoding="utf-8",
    )
    app = open_as_ann(monkeypatch, folder, "what_if")
    app.text_input(key="what-if-recipe").set_value(str(recipe)).run()
    press(app, "what-if-verify")


@pytest.mark.usefixtures("no_worker")
@pytest.mark.parametrize(
    ("kind", "start"),
    [
        ("import", start_import),
        ("index", start_build),
        ("evaluate", start_sweep),
        ("map", start_map),
        ("verify", start_verification),
    ],
)
def test_starting_a_job(monkeypatch, asked, kind, start):
    start(monkeypatch, asked)
    assert [job.actor for job in jobs_of_kind(lf.open_workspace(asked).files, kind)] == [ANN]


@pytest.mark.usefixtures("no_worker")
def test_stopping_a_job_and_having_it_go_on(monkeypatch, asked):
    jobs = open_jobs(lf.open_workspace(asked).files)
    job = jobs.submit("index", {"settings": 1}, actor=ANN)
    app = press(open_as_ann(monkeypatch, asked, "jobs"), f"cancel-{job.job_id}")
    assert jobs.job(job.job_id).message == f"cancelled by {ANN}"
    press(app, f"resume-{job.job_id}")  # it names nobody, but the server's user may not
    assert jobs.job(job.job_id).status == "queued"


def test_a_question_is_kept_under_the_name_of_who_asked_it(monkeypatch, asked):
    app = open_as_ann(monkeypatch, asked, query="1")
    app.text_area(key="ask-completion").set_value(" tower Dunmar.").run()
    press(app, "ask-run")
    for _ in range(60):
        if "asking" not in app.query_params:
            break
        app.run()
    assert lf.open_workspace(asked).questions.records()[-1].asked_by == ANN
