"""What a viewer may not add to a workspace, from wherever they ask; a job acts for who asked for it."""

import pytest
from tiny_workspace import SMALL, copy_of, done, imported, indexed, lorif, model_folder, write_rows

import lorif_core as lf
from lorif_core.config import ImportConfig
from lorif_core.errors import RoleError
from lorif_core.workspace.folder.journal_place import use_journal
from lorif_core.workspace.jobs.requests import ImportRequest
from lorif_core.workspace.jobs.submit import submit

ASKED = ("The river of Arlen is", " castle Brook.")


@pytest.fixture
def as_viewer(monkeypatch):
    """Gives the workspace members, the person who runs the test being a viewer."""

    def give(folder):
        opened = lf.open_workspace(folder)
        for name, role in (("ada", "admin"), ("cy", "curator"), ("vic", "viewer")):
            opened.journal.set_role(name, role, by="ada")
        monkeypatch.setenv("LORIF_ACTOR", "vic")
        return lf.open_workspace(folder)

    return give


def more(folder):
    return write_rows(folder / "more.jsonl", [{"prompt": f"q{n}", "completion": f"a{n}"} for n in range(3)])


def test_a_viewer_imports_nothing(tmp_path, as_viewer):
    opened = as_viewer(copy_of(imported(), tmp_path))
    before = opened.data.records()
    with pytest.raises(RoleError, match="only a curator may import data, and 'vic' is a viewer"):
        opened.data.import_files(more(tmp_path))
    run = lorif("import", opened.path, more(tmp_path))
    assert (run.code, "only a curator may import data" in run.err) == (2, True)
    assert opened.data.records() == before
    assert not list((opened.path / "datasets").glob(".incoming*"))


def test_a_viewer_builds_no_index(tmp_path, as_viewer):
    opened = as_viewer(copy_of(imported(), tmp_path))
    run = lorif("index", opened.path, "--model", model_folder(), *SMALL)
    assert (run.code, "only a curator may build indexes" in run.err) == (2, True)
    assert opened.indexes.records() == []


def test_a_viewer_asks_without_keeping_and_opens_what_others_kept(tmp_path, as_viewer):
    folder = copy_of(indexed(), tmp_path)
    kept = lf.open_workspace(folder).ask(*ASKED, k=5)
    opened = as_viewer(folder)
    assert opened.ask(*ASKED, k=5).ids == kept.ids
    assert opened.reopen(kept.query_id).ids == kept.ids
    with pytest.raises(RoleError, match="only a curator may ask questions that are kept"):
        opened.ask(ASKED[0], " tower Dunmar.", k=5)
    assert opened.ask(ASKED[0], " tower Dunmar.", k=5, keeps=False).query_id is None
    assert opened.ask(ASKED[0], " tower Dunmar.", k=5, actor="cy").query_id is not None


@pytest.mark.parametrize("person", ["vic", "cy"])
def test_only_an_admin_chooses_where_decisions_are_kept(tmp_path, as_viewer, monkeypatch, person):
    opened = as_viewer(copy_of(imported(), tmp_path))
    monkeypatch.setenv("LORIF_ACTOR", person)
    with pytest.raises(RoleError, match="only an admin may choose where decisions are kept"):
        use_journal(opened.files, f"sqlite:///{tmp_path / 'elsewhere.sqlite'}")


def test_a_job_acts_for_who_asked_for_it_and_not_for_who_runs_the_worker(tmp_path, as_viewer):
    opened = as_viewer(copy_of(imported(), tmp_path))
    request = ImportRequest((str(more(tmp_path)),), ImportConfig(name="more"))
    with pytest.raises(RoleError, match="only a curator may start jobs"):
        submit(opened.files, request, "vic")
    job = submit(opened.files, request, "cy")
    done("worker", opened.path, "--once")
    ended = next(one for one in opened.files.catalog.datasets() if one.name == "more")
    assert ended.num_examples == 3
    assert job.actor == "cy"


def test_asking_who_may_makes_no_journal(tmp_path):
    opened = lf.create_workspace(tmp_path / "ws")
    opened.data.import_files(more(tmp_path))
    assert not (opened.path / "journal.sqlite").exists()
