"""Review without a browser: one decision per click, the next text opens, undo opens the last one again."""

import pytest
from app_pages import open_page, texts
from tiny_workspace import copy_of, imported

import lorif_core as lf


@pytest.fixture
def flagged(tmp_path):
    """A workspace with three flagged texts, and their ids in the order of the queue."""
    folder = copy_of(imported(), tmp_path)
    opened = lf.open_workspace(folder)
    ids = opened.data.browse(limit=3).frame["train_id"].to_list()
    opened.flag(ids, actor="tester")
    return folder, ids


def press(app, key):
    return next(one for one in app.button if one.key == f"review-{key}").click().run()


def opened(app):
    """The text that the URL names."""
    value = app.query_params["open"]
    return value[0] if isinstance(value, list) else value


def status(folder, train_id):
    states = lf.open_workspace(folder).decisions.states()
    return states.filter(states["train_id"] == train_id)["status"].item()


def test_keeping_restores_the_text_and_opens_the_next(monkeypatch, flagged):
    folder, ids = flagged
    app = press(open_page(monkeypatch, folder, "review"), "keep")
    assert not app.exception
    assert status(folder, ids[0]) == "kept"
    assert opened(app) == ids[1]


def test_an_exclusion_waits_for_a_reason_and_records_it(monkeypatch, flagged):
    folder, ids = flagged
    app = press(open_page(monkeypatch, folder, "review"), "exclude")
    assert status(folder, ids[0]) == "flagged"  # the dialog asks first
    app.session_state["excluding"] = None
    del app.session_state["excluding"]
    press(app, "reason-outdated")
    press(app, "exclude")
    states = lf.open_workspace(folder).decisions.states()
    assert states.filter(states["train_id"] == ids[0])["reason"].item() == "outdated"
    assert status(folder, ids[0]) == "excluded"


def test_undo_takes_the_decision_back_and_opens_its_text_again(monkeypatch, flagged):
    folder, ids = flagged
    app = press(open_page(monkeypatch, folder, "review"), "keep")
    press(app, "undo")
    assert status(folder, ids[0]) == "flagged"
    assert opened(app) == ids[0]


def test_skipping_writes_nothing(monkeypatch, flagged):
    folder, ids = flagged
    before = lf.open_workspace(folder).journal.revision()
    app = press(open_page(monkeypatch, folder, "review"), "skip")
    assert opened(app) == ids[1]
    assert lf.open_workspace(folder).journal.revision() == before


def test_needs_review_is_a_label(monkeypatch, flagged):
    folder, ids = flagged
    press(open_page(monkeypatch, folder, "review"), "needs-review")
    states = lf.open_workspace(folder).decisions.states()
    assert states.filter(states["train_id"] == ids[0])["labels"].item().to_list() == ["needs-review"]


def test_a_queue_that_is_done_says_so(monkeypatch, flagged):
    folder, ids = flagged
    app = open_page(monkeypatch, folder, "review")
    for _ in ids:
        press(app, "keep")
    assert "All 3 texts of this queue are done." in texts(app)


def test_nothing_flagged_says_the_next_step(monkeypatch, tmp_path):
    app = open_page(monkeypatch, copy_of(imported(), tmp_path), "review")
    assert "No text is flagged." in texts(app)
    assert any("lorif flag" in one.value for one in app.code)


def test_a_comment_is_written_beside_the_text(monkeypatch, flagged):
    folder, ids = flagged
    app = press(open_page(monkeypatch, folder, "review"), "comment")
    app.text_area(key=f"review-comment-box-{ids[0]}").set_value("looks odd").run()
    press(app, "save")
    event = lf.open_workspace(folder).decisions.events_of(ids[0])[0]
    assert (event.batch.kind, event.batch.text) == ("note", "looks odd")


def test_a_link_opens_its_text_although_it_was_decided_since(monkeypatch, flagged):
    folder, ids = flagged
    lf.open_workspace(folder).restore([ids[2]], actor="tester")
    app = open_page(monkeypatch, folder, "review", open=ids[2])
    press(app, "skip")
    assert opened(app) == ids[0]


def test_a_link_to_no_text_says_so_and_shows_the_queue(monkeypatch, flagged):
    folder, ids = flagged
    app = open_page(monkeypatch, folder, "review", open="nothing")
    assert any(said.startswith("Something went wrong: ") for said in texts(app))
    press(app, "skip")
    assert opened(app) == ids[1]


def test_a_link_opens_its_text_also_after_another_queue_was_begun(monkeypatch, flagged):
    folder, ids = flagged
    app = open_page(monkeypatch, folder, "review")
    assert any(ids[0] in one for one in texts(app))
    other = lf.open_workspace(folder).data.browse(limit=9).frame["train_id"][8]
    app.query_params["open"] = other
    app.run()
    assert any(one.startswith(f"{other} · ") for one in texts(app))
    press(app, "keep")
    assert (status(folder, other), opened(app)) == ("kept", ids[0])


def test_a_link_to_a_text_that_is_not_there_says_so_and_opens_the_queue(monkeypatch, flagged):
    folder, ids = flagged
    app = open_page(monkeypatch, folder, "review")
    app.query_params["open"] = "nowhere"
    app.run()
    assert any("nowhere" in one for one in texts(app))
    assert any(one.startswith(f"{ids[0]} · ") for one in texts(app))
    assert not any("nowhere" in one for one in texts(app.run()))


def test_undo_takes_near_texts_back_into_the_queue(monkeypatch, flagged):
    folder, ids = flagged
    app = open_page(monkeypatch, folder, "review")
    app.session_state["review-near"] = {(ids[0], None): {ids[1]: True}}
    app.run()
    press(app, "keep")
    assert (status(folder, ids[0]), status(folder, ids[1]), opened(app)) == ("kept", "kept", ids[2])
    press(app, "undo")
    assert (status(folder, ids[0]), status(folder, ids[1]), opened(app)) == ("flagged", "flagged", ids[0])
    press(app, "skip")
    assert opened(app) == ids[1]


def test_texts_that_were_near_by_another_index_are_not_decided_about(monkeypatch, flagged):
    folder, ids = flagged
    app = open_page(monkeypatch, folder, "review")
    app.session_state["review-near"] = {(ids[0], "ix-another"): {ids[1]: True}}
    app.run()
    press(app, "keep")
    assert (status(folder, ids[0]), status(folder, ids[1])) == ("kept", "flagged")
