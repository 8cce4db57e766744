"""What pages show is of the data set and the index in the header: nothing of another one stays. Without a browser."""

from dataclasses import replace

import pytest
from app_pages import button, open_page, run_until, texts
from streamlit.testing.v1 import AppTest
from tiny_workspace import SMALL, copy_of, done, indexed, model_folder, rows, write_rows

import lorif_core as lf
from app.background import tasks
from app.components import compare_choice, jobs_result
from lorif_core.workspace.asking.question import Question
from lorif_core.workspace.jobs.places import place_of_worker
from lorif_core.workspace.jobs.requests import MapRequest, verify_request
from lorif_core.workspace.jobs.submit import start_job

OTHERS = 24
HOSTILE = "![x](https://example.org/x.png) :red[y]"


@pytest.fixture(scope="module")
def pristine(tmp_path_factory):
    """Two data sets with the same ids and other texts: two indexes of `texts`, one of `others`; asked once."""
    folder = copy_of(indexed(), tmp_path_factory.mktemp("context"))
    others = [row | {"completion": f" OTHER{row['completion']}"} for row in rows()[:OTHERS]]
    done("import", folder, write_rows(folder.parent / "others.jsonl", others))
    ids = {one.name: one.dataset_id for one in lf.open_workspace(folder).data.records()}
    done("index", folder, "--model", model_folder(), *SMALL, "--dataset", ids["others"])
    small = ("--method", "kronecker", "--shard-examples", 64)
    done("index", folder, "--model", model_folder(), *small, "--dataset", ids["texts"])
    opened = lf.open_workspace(folder)
    for record in opened.indexes.records():
        opened.ask("The river of Arlen is", " castle Brook.", k=5, num_opposing=5, index_id=record.index_id)
    return folder


@pytest.fixture
def ws(pristine, tmp_path):
    return lf.open_workspace(copy_of(pristine, tmp_path))


def id_of(ws, name):
    return next(one.dataset_id for one in ws.data.records() if one.name == name)


def indexes_of(ws, name):
    return [one.index_id for one in ws.indexes.records() if one.dataset_id == id_of(ws, name)]


def header(app):
    return app.selectbox(key="dataset").value, app.selectbox(key="index").value


def switch(app, name):
    """Choose a data set as a browser does: the address names it beside the index of the one before."""
    app.query_params["dataset"] = name
    return app.selectbox(key="dataset").set_value(name).run()


def test_another_data_set_is_chosen_although_the_address_names_an_index_of_the_one_before(monkeypatch, ws):
    app = open_page(monkeypatch, ws.path, first="home", dataset=id_of(ws, "texts")).run()
    assert header(app) == (id_of(ws, "texts"), indexes_of(ws, "texts")[-1])
    assert "index" in app.query_params
    switch(app, "others v1")
    assert header(app) == (id_of(ws, "others"), indexes_of(ws, "others")[0])


def test_a_link_to_data_or_an_index_that_is_not_there_says_so(monkeypatch, ws):
    app = open_page(monkeypatch, ws.path, first="home", dataset="gone v1")
    assert ["names data that is not in this workspace" in one.value for one in app.toast] == [True]
    app = open_page(monkeypatch, ws.path, first="home", index="gone")
    assert ["names an index that is not in this workspace" in one.value for one in app.toast] == [True]


def test_a_link_to_an_earlier_version_shows_the_newest_of_that_data_set(monkeypatch, ws, tmp_path):
    earlier = id_of(ws, "others")
    others = [row | {"completion": f" OTHER{row['completion']}"} for row in rows()[: OTHERS + 3]]
    done("import", ws.path, write_rows(tmp_path / "others.jsonl", others))
    newest = ws.data.records()[-1].dataset_id
    app = open_page(monkeypatch, ws.path, first="home", dataset=id_of(ws, "texts")).run()
    for named in (earlier, "others v1"):
        app.query_params["dataset"] = id_of(ws, "texts")
        app.run()
        app.query_params["dataset"] = named
        app.run()
        assert header(app)[0] == newest
    assert not app.toast


def test_review_shows_no_question_to_another_data_set_that_has_the_same_id(monkeypatch, ws):
    catalog, texts_id = ws.files.catalog, id_of(ws, "texts")
    (of_others,) = [one for one in ws.questions.records() if one.dataset_id == id_of(ws, "others")]
    listed = next(
        one
        for one in ws.reopen(of_others.query_id).ids
        if {hit.query_id for hit in catalog.hits(train_id=one)} == {of_others.query_id}
    )
    ws.flag([listed], dataset=texts_id)
    app = open_page(monkeypatch, ws.path, first="review", dataset=texts_id)
    assert any(one.startswith(f"{listed} · flagged") for one in texts(app))
    assert not any(one.startswith("Rank ") for one in texts(app))


def test_a_dialog_of_another_index_begins_with_its_own_name(monkeypatch, ws):
    first, second = indexes_of(ws, "texts")
    ws.indexes.rename(second, "Second", actor="tester")
    app = open_page(monkeypatch, ws.path, first="indexes", tab="Indexes")
    button(app, f"index-rename-{first}").click().run()
    next(one for one in app.text_input if one.label == "Name").set_value("Mine")
    button(app, f"index-rename-{second}").click().run()
    assert next(one for one in app.text_input if one.label == "Name").value == "Second"


def test_names_of_indexes_are_no_markdown_on_buttons(monkeypatch, ws):
    first, second = indexes_of(ws, "texts")
    ws.indexes.rename(second, HOSTILE, actor="tester")
    query = next(one.query_id for one in ws.questions.records() if one.index_id == first)
    app = open_page(monkeypatch, ws.path, first="investigate", query=query)
    assert button(app, f"compare-with-{second}").label.startswith(r"\!\[x\]\(https\:")
    assert not any(HOSTILE in one.proto.help for one in app.selectbox)


def test_guidelines_that_are_written_for_one_data_set_are_not_in_the_box_of_another(monkeypatch, ws):
    ws.team.write_guidelines("for others", actor="tester", dataset=id_of(ws, "others"))
    app = open_page(monkeypatch, ws.path, first="team", dataset=id_of(ws, "texts"), tab="Guidelines").run()
    (box,) = [one for one in app.text_area if one.label == "Guidelines in Markdown"]
    box.set_value("for texts").run()
    switch(app, "others v1")
    (box,) = [one for one in app.text_area if one.label == "Guidelines in Markdown"]
    assert box.value == "for others"


def test_an_export_of_one_data_set_is_not_told_as_one_of_another(monkeypatch, ws):
    app = open_page(monkeypatch, ws.path, first="export", dataset=id_of(ws, "texts")).run()
    button(app, "export-write").click().run()
    run_until(app, lambda app: any(one.startswith("✓ ") for one in texts(app)))
    switch(app, "others v1")
    assert header(app)[0] == id_of(ws, "others")
    assert not any(one.startswith("✓ ") for one in texts(app))


def test_undo_in_a_workspace_without_data_is_one_sentence(monkeypatch, tmp_path):
    app = open_page(monkeypatch, lf.create_workspace(tmp_path / "new").path, first="home")
    for key in ("studio-undo", "studio-redo"):
        button(app, key).click().run()
        assert not app.exception
        assert any("holds no data yet" in one for one in texts(app))


def test_a_second_tab_that_waits_for_the_same_question_gets_its_answer_too(monkeypatch, ws):
    monkeypatch.setenv("LORIF_STUDIO_WORKSPACE", str(ws.path))
    answer = ws.reopen("1")
    task = tasks().start(["ask", "the same"], lambda: answer)
    for _ in range(2):
        app = open_page(monkeypatch, ws.path, first="investigate", asking=task.task_id)
        assert "1" in app.query_params["query"]
        assert "asking" not in app.query_params
    assert tasks().find(task.task_id) is None


def test_compare_begins_with_a_question_to_the_data_set_on_screen(monkeypatch, ws):
    for name in ("texts", "others"):
        app = open_page(monkeypatch, ws.path, first="compare", dataset=id_of(ws, name))
        (a,) = [one.value for one in app.selectbox if one.label == "A"]
        assert ws.files.catalog.query(a).dataset_id == id_of(ws, name)


def test_a_variation_keeps_the_chat_of_its_question_and_its_tokens_only_with_the_same_words(monkeypatch, ws):
    monkeypatch.setenv("LORIF_STUDIO_WORKSPACE", str(ws.path))
    turns = ({"role": "user", "content": "Where?"}, {"role": "assistant", "content": "Here."})
    asked = Question(
        prompt="And then?",
        completion=" castle.",
        form="raw",
        contrast=" garden.",
        tokens=(1,),
        index_id=indexes_of(ws, "texts")[0],
    )
    query_id = ws.questions.ask(asked).query_id
    record = ws.files.catalog.query(query_id)
    same = compare_choice.of_index(record, indexes_of(ws, "texts")[1])
    assert (same.form, same.contrast, same.tokens, same.index_id) == (
        "raw",
        " garden.",
        (1,),
        indexes_of(ws, "texts")[1],
    )
    assert compare_choice.said(same, record, record.prompt, record.completion) == same
    chat = replace(same, form="chat", system="Be short.", messages=turns)
    other = compare_choice.said(chat, record, record.prompt, " market.")
    assert (other.form, other.system, other.messages) == ("chat", "Be short.", turns)
    assert (other.completion, other.tokens, other.spoken) == (" market.", None, None)


FORM = """
import streamlit as st
from app.components import chat_form

st.text(chat_form.choose(st.session_state.get("ix", "plain")))
"""


def test_an_index_of_chats_is_asked_as_a_chat_also_after_another_index(monkeypatch, ws):
    monkeypatch.setenv("LORIF_STUDIO_WORKSPACE", str(ws.path))
    usual = {"chats": "chat", "plain": "raw"}
    monkeypatch.setattr("app.components.chat_form._usual_form", lambda path, index_id: usual[index_id])
    app = AppTest.from_string(FORM).run()
    assert texts(app) == ["raw"]
    app.session_state["ix"] = "chats"
    assert texts(app.run()) == ["chat"]
    app.button_group(key="ask-form").set_value("raw").run()
    assert texts(app.run()) == ["raw"]  # until the index is another one
    app.session_state["ask-form-opened"] = ("plain", "chat")
    app.session_state["ix"] = "plain"
    assert texts(app.run()) == ["chat"]  # as the question that was opened


def test_jobs_lead_to_what_they_did(monkeypatch, ws):
    monkeypatch.setenv("LORIF_STUDIO_WORKSPACE", str(ws.path))
    index_id = indexes_of(ws, "others")[0]
    with place_of_worker(ws.files, "cpu", 1):
        recipe = ws.path / "recipe.toml"
        recipe.write_text("epochs = 1\n")
        asked = [one.query_id for one in ws.questions.records() if one.index_id == index_id]
        verify = start_job(ws.files, verify_request(["t000"], asked, recipe), "tester")
        drawn = start_job(ws.files, MapRequest(index_id), "tester")
    result = {"run_id": "r1", "num_failures": 1, "file": "f.jsonl"}
    failures = replace(drawn, kind="failures", result=result)
    (said, page, _, url), name = jobs_result.result_of(failures), jobs_result.title_of(failures)
    assert (said, page, url, name) == (
        "1 failure of f.jsonl asked.",
        "failures",
        {"run": "r1", "index": index_id},
        "Failures",
    )
    assert jobs_result.result_of(drawn).query == {"tab": "Map", "index": index_id}
    url = {"job": verify.job_id, "dataset": id_of(ws, "others")}
    assert jobs_result.result_of(verify).query == url
    for name, is_there in (("others", True), ("texts", False)):
        app = open_page(monkeypatch, ws.path, first="what-if", dataset=id_of(ws, name))
        assert any(one.label == "Verification" for one in app.selectbox) == is_there


def test_what_was_chosen_of_the_texts_of_one_data_set_is_left_with_it(monkeypatch, ws):
    app = open_page(monkeypatch, ws.path, first="corpus", dataset=id_of(ws, "texts"), pick="source = atlas").run()
    app.query_params["page"] = "2"
    app.run()
    switch(app, "others v1")
    assert not {"pick", "page"} & {*app.query_params}
    assert any(one.startswith(f"{OTHERS} of {OTHERS}") for one in texts(app))


def test_an_index_of_an_earlier_version_shows_its_texts_that_the_newest_lacks(monkeypatch, ws, tmp_path):
    (index_id,) = indexes_of(ws, "others")
    kept = [row | {"completion": f" OTHER{row['completion']}"} for row in rows()[: OTHERS - 3]]
    done("import", ws.path, write_rows(tmp_path / "others.jsonl", kept))
    app = open_page(monkeypatch, ws.path, first="corpus", index=index_id, tab="Outliers")
    assert not any(one.startswith("Something went wrong") for one in texts(app))
    assert f"{OTHERS} texts" in texts(app)


def test_a_viewer_estimates_no_index(monkeypatch, ws):
    ws.journal.set_role("boss", "admin", by="boss")
    app = open_page(monkeypatch, ws.path, first="indexes", tab="Build", model="/etc")
    button(app, "build-estimate").click().run()
    assert any("only a curator may estimate" in one for one in texts(app))
    assert not app.exception


def test_a_link_to_texts_like_one_names_its_data_set(monkeypatch, ws):
    other = next(one.query_id for one in ws.questions.records() if one.dataset_id == id_of(ws, "others"))
    listed = ws.reopen(other).ids[0]
    app = open_page(monkeypatch, ws.path, first="investigate", dataset=id_of(ws, "texts"), query=other, open=listed)
    (link,) = [one for one in app.get("page_link") if one.proto.label == "Find like this"]
    assert f"dataset={id_of(ws, 'others')}" in link.proto.query_string
