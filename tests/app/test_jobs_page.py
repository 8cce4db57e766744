"""The page Jobs shows how far an unfinished index is, whoever builds it."""

import pytest
from app_pages import open_page
from tiny_workspace import SMALL, copy_of, done, imported, index_folder, model_folder


@pytest.fixture
def begun(tmp_path):
    workspace = copy_of(imported(), tmp_path)
    index_id = done("index", workspace, "--model", model_folder(), *SMALL, "--plan-only", "--json").json["index_id"]
    done("index-part", workspace, index_id, "--slice", "1/2")
    return workspace


def workers_shown(app):
    return [frame.value for frame in app.dataframe if "tokens/s" in frame.value.columns]


def test_an_unfinished_index_has_a_bar_and_a_row_for_each_worker(monkeypatch, begun):
    app = open_page(monkeypatch, begun, "jobs")
    (shown,) = workers_shown(app)
    assert shown["parts"].to_list() == [4]
    assert shown["tokens/s"].to_list()[0] > 0
    (bar,) = app.get("progress")
    assert bar.proto.value == 50
    assert bar.proto.text.startswith("lorif: 4 of 8 parts; 1 worker with")
    assert bar.proto.text.endswith("left for the parts")


def test_a_complete_index_has_neither(monkeypatch, begun):
    done("index-part", begun, index_folder(begun).name, "--slice", "2/2")
    app = open_page(monkeypatch, begun, "jobs")
    assert workers_shown(app) == []
    assert len(app.get("progress")) == 0
