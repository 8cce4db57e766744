"""What the browser's keys ask for, as the studio hears it; without a browser."""

import pytest
from app_pages import TIMEOUT_S, button, open_page
from streamlit.testing.v1 import AppTest
from tiny_workspace import copy_of, indexed

import lorif_core as lf

HEARING = """
import streamlit as st
from app.components import decision_keys

st.session_state[decision_keys.KEY] = {"acts": st.session_state["sent"]}
decision_keys._hear()
"""


@pytest.fixture
def ws(tmp_path):
    """A workspace to be written to."""
    return lf.open_workspace(copy_of(indexed(), tmp_path))


@pytest.fixture
def heard(monkeypatch, ws):
    """Lets a session named ``here`` hear acts; gives train id → status of what was decided."""
    monkeypatch.setenv("LORIF_STUDIO_WORKSPACE", str(ws.path))

    def hear(*acts):
        app = AppTest.from_string(HEARING, default_timeout=TIMEOUT_S)
        app.session_state["tab_id"], app.session_state["sent"] = "here", list(acts)
        assert not app.run().exception
        return dict(ws.decisions.states().select("train_id", "status").iter_rows())

    return hear


def act(ws, number, train_id, *, tab="here"):
    """One key as the browser sends it."""
    (record,) = ws.data.records()
    more = {"dataset": record.dataset_id, "query": None}
    return {"n": number, "tab": tab, "act": "flag", "ids": [train_id], **more}


def test_two_keys_that_come_at_once_are_two_decisions(ws, heard):
    assert heard(act(ws, 1, "t000"), act(ws, 2, "t001")) == {"t000": "flagged", "t001": "flagged"}


def test_what_an_earlier_session_was_told_is_not_done_again_after_a_restart_of_the_server(ws, heard):
    assert heard(act(ws, 1, "t000", tab="before"), act(ws, 2, "t001")) == {"t001": "flagged"}


def test_undo_in_a_workspace_without_data_is_one_sentence(monkeypatch, tmp_path):
    lf.create_workspace(tmp_path / "empty")
    app = open_page(monkeypatch, tmp_path / "empty", first="home")
    button(app, "studio-undo").click().run()
    assert not app.exception
    assert any("the workspace holds no data yet" in one.value for one in app.text)
