"""The tab Word for word, without a browser: its list, what it says, a decision, a text of no list by influence."""

import pytest
from app_pages import open_page, texts
from tiny_workspace import copy_of, indexed

import lorif_core as lf


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    folder = copy_of(indexed(), tmp_path_factory.mktemp("verbatim-tab"))
    opened = lf.open_workspace(folder)
    opened.ask("The harbour of Glenby is", " river Corve.", k=1)
    opened.ask("The harbour of Glenby is", " zebra xylophone.", k=1)
    return folder


def open_tab(monkeypatch, workspace, query, **more):
    app = open_page(monkeypatch, workspace, query=query, tab="Word for word", **more)
    for _ in range(60):
        if any("texts looked at" in one for one in texts(app)):
            return app
        app.run()
    raise AssertionError(texts(app))


def test_the_tab_lists_the_texts_with_the_answer_and_decides_about_them(monkeypatch, workspace):
    opened = lf.open_workspace(workspace)
    wanted = [one.train_id for one in opened.reopen("1").verbatim().texts]
    app = open_tab(monkeypatch, workspace, "1")
    assert not app.exception
    keys = [
        one.key for one in app.button if one.key and one.key.startswith("verbatim-") and one.key.endswith("-open")
    ]
    assert keys == [f"verbatim-{train_id}-open" for train_id in wanted]
    assert wanted
    next(one for one in app.button if one.key == f"verbatim-{wanted[-1]}-flag").click().run()
    event = opened.decisions.events_of(wanted[-1])[0]
    assert (event.batch.kind, event.batch.query_id) == ("flag", "1")


def test_a_text_that_no_list_by_influence_has_is_read_in_full(monkeypatch, workspace):
    answer = lf.open_workspace(workspace).reopen("1")
    other = next(
        one.train_id for one in answer.verbatim().texts if one.train_id not in {hit.train_id for hit in answer.hits}
    )
    app = open_tab(monkeypatch, workspace, "1", open=other)
    assert not app.exception
    assert any(one.key == "verbatim-reader-exclude" for one in app.button)


def test_nothing_found_is_said_plainly(monkeypatch, workspace):
    app = open_tab(monkeypatch, workspace, "2")
    assert any("no text holds a span of it that counts" in one for one in texts(app))
