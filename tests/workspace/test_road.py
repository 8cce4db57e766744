"""The road from data to export, and the workspace at its beginning."""

import pytest
from tiny_workspace import copy_of, indexed, lorif

import lorif_core as lf
from lorif_core.errors import ArtefactError
from lorif_core.workspace.folder.workspace_files import open_or_begin
from lorif_core.workspace.studio.road import next_step, road
from lorif_core.workspace.studio.suggestions import suggested_model


def steps(workspace):
    opened = lf.open_workspace(workspace.path)
    data = opened.data.records()
    return road(opened.files, data[-1] if data else None)


def done_of(found):
    return [step.name for step in found if step.is_done]


def test_a_new_or_empty_folder_becomes_a_workspace_and_nothing_else_does(tmp_path):
    (tmp_path / "empty").mkdir()
    for name in ("new", "empty"):
        files, is_new = open_or_begin(tmp_path / name)
        assert is_new
        assert open_or_begin(files.root)[1] is False
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("dear", encoding="utf-8")
    with pytest.raises(ArtefactError, match="new or empty folder"):
        open_or_begin(tmp_path / "full")
    with pytest.raises(ArtefactError, match="there is no folder"):
        open_or_begin(tmp_path / "missing" / "ws")
    assert not (tmp_path / "missing").exists()
    run = lorif("app", tmp_path / "full")
    assert run.code == 2
    assert len(run.err.strip().splitlines()) == 1


def test_the_road_says_what_is_done_and_what_comes_next(tmp_path):
    found = steps(lf.create_workspace(tmp_path / "empty"))
    assert [step.name for step in found] == ["Data", "Index", "Ask", "Decide", "Check", "Export"]
    assert done_of(found) == []
    assert next_step(found) is found[0]
    workspace = lf.open_workspace(copy_of(indexed(), tmp_path))
    assert done_of(steps(workspace)) == ["Data", "Index"]
    assert steps(workspace)[0].said == "texts v1: 121 texts"
    assert steps(workspace)[1].said == "1 index"
    asked = workspace.ask("The river of Arlen is", " castle Brook.", k=3, num_opposing=3)
    assert steps(workspace)[2].said == "1 question asked"
    workspace.exclude(asked.ids[:2], reason="spam", actor="ann")
    workspace.flag(asked.ids[2:3], actor="ann")
    assert steps(workspace)[3].said == "2 excluded, 1 flagged"
    following = next_step(steps(workspace))
    assert following is not None
    assert following.name == "Check"
    workspace.export()
    assert done_of(steps(workspace)) == ["Data", "Index", "Ask", "Decide", "Export"]
    assert steps(workspace)[5].said == "1 export written"


def test_a_build_begins_with_the_model_of_its_own_data_only(tmp_path):
    workspace = lf.open_workspace(copy_of(indexed(), tmp_path))
    (record,) = workspace.data.records()
    assert suggested_model(workspace, record.dataset_id)
    assert suggested_model(workspace, "ds-another") == ""
