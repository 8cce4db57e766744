"""A journal on a server is looked at where it is, and not changed by that."""

import pytest
from conftest import connect

from lorif_core.journal import Decision, Scope
from lorif_core.workspace.folder.journal_place import use_journal
from lorif_core.workspace.folder.workspace_files import create_files, open_files
from lorif_core.workspace.health.check_workspace import check_workspace


@pytest.fixture
def files(tmp_path, new_database):
    files = create_files(tmp_path / "ws")
    assert files.catalog.datasets() == []
    use_journal(files, new_database())
    files = open_files(tmp_path / "ws")
    scope = Scope(actor="ada", corpus_id="c", dataset_id="d")
    files.journal.decide(scope, Decision(kind="exclude", train_ids=["t1"], reason="spam"))
    files.journal.close()
    return open_files(tmp_path / "ws")


def test_a_whole_journal_on_a_server_is_no_finding(files):
    report = check_workspace(files)
    assert report.findings == []
    assert "decisions about data set d" in " ".join(note.problem for note in report.notes)


def test_a_journal_on_a_server_that_says_something_else_is_named(files):
    with connect(str(files.journal_location)) as connection:
        connection.execute("UPDATE batch SET actor = 'eve'")
    (finding,) = check_workspace(files).findings
    assert "(exclude by 'eve') is not what was written" in finding.problem


def test_a_journal_that_cannot_be_reached_is_named(files):
    files.choose_journal("postgresql+psycopg://nobody@/nothing?host=/nowhere")
    (finding,) = check_workspace(files).findings
    assert finding.artefact == "journal.sqlite"
    assert "cannot be" in finding.problem
