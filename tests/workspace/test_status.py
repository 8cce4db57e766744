"""One screen that says what a workspace holds, and never a password."""

import pytest
from sqlalchemy import create_engine
from tiny_workspace import NUM_TEXTS, copy_of, done, imported, indexed, lorif

import lorif_core as lf
from lorif_core.errors import JournalError
from lorif_core.workspace.curation.decisions import Decisions
from lorif_core.workspace.datasets.datasets import Datasets
from lorif_core.workspace.folder.journal_place import place_of, use_journal
from lorif_core.workspace.folder.workspace_files import create_files, open_files
from lorif_core.workspace.folder.workspace_status import describe_workspace

SECRET = "hunter2"


@pytest.fixture(autouse=True)
def ann(monkeypatch):
    monkeypatch.setenv("LORIF_ACTOR", "ann")


def test_an_empty_workspace_names_the_import_as_the_next_step(tmp_path):
    create_files(tmp_path / "ws")
    said = done("status", tmp_path / "ws").out
    assert f"Next: lorif import {tmp_path / 'ws'} FILE" in said
    assert "ann (admin)" in said
    found = done("status", tmp_path / "ws", "--json").json
    assert found["corpora"] == found["models"] == found["indexes"] == found["latest_queries"] == found["jobs"] == []


def test_data_without_an_index_is_counted_and_the_index_is_the_next_step(tmp_path):
    workspace = copy_of(imported(), tmp_path)
    said = done("status", workspace).out
    assert f"Next: lorif index {workspace} --model FOLDER" in said
    (corpus,) = describe_workspace(open_files(workspace)).corpora
    assert (corpus.name, corpus.num_flagged, corpus.num_excluded, corpus.last_decision) == ("texts", 0, 0, None)
    assert [version["num_examples"] for version in corpus.versions] == [NUM_TEXTS]


def test_an_index_without_questions_leads_to_a_question(tmp_path):
    workspace = copy_of(indexed(), tmp_path)
    found = describe_workspace(open_files(workspace))
    assert [index["status"] for index in found.indexes] == ["complete"]
    assert [one["index_id"] for one in found.preconditioners] == [found.indexes[0]["index_id"]]
    assert len(found.models) == 1
    assert "Next: lorif ask" in done("status", workspace).out


def test_decisions_and_questions_are_counted_with_the_latest_ones(tmp_path, monkeypatch):
    workspace = copy_of(indexed(), tmp_path)
    opened = lf.open_workspace(workspace)
    for number in range(6):
        opened.ask("The river of Arlen is", f" castle {number}.", k=1)
    curator = Decisions(Datasets(open_files(workspace), None))
    curator.exclude(["t001", "t002"], reason="spam", actor="ann")
    curator.flag(["t002", "t003"], actor="bob")
    found = describe_workspace(open_files(workspace))
    (corpus,) = found.corpora
    assert (corpus.num_flagged, corpus.num_excluded, corpus.num_conflicts) == (2, 1, 1)
    assert corpus.last_decision.endswith(" by bob")
    assert (found.num_queries, [query["query_id"] for query in found.latest_queries]) == (
        6,
        ["2", "3", "4", "5", "6"],
    )
    said = done("status", workspace).out
    assert "Questions (latest of 6)" in said
    assert "Next:" not in said
    assert done("status", workspace, "--json").json["num_queries"] == 6


def test_a_person_without_a_role_sees_that_they_may_only_read(tmp_path, monkeypatch):
    workspace = copy_of(imported(), tmp_path)
    done("members", workspace, "--set", "ann", "--role", "admin")
    monkeypatch.setenv("LORIF_ACTOR", "eve")
    assert "eve (viewer)" in done("status", workspace).out


@pytest.mark.parametrize(
    "address",
    [
        f"postgresql+psycopg://ann:{SECRET}@127.0.0.1:1/db",
        f"postgresql+psycopg://ann@127.0.0.1:1/db?password={SECRET}",
        f"postgresql+psycopg://ann:{SECRET}@127.0.0.1:port/db",
        f"mysql://ann:{SECRET}@127.0.0.1/db",
    ],
)
def test_a_journal_that_cannot_be_reached_is_named_without_its_password(tmp_path, monkeypatch, address):
    create_files(tmp_path / "ws")
    monkeypatch.setenv("LORIF_JOURNAL", address)
    refused = lorif("status", tmp_path / "ws")
    assert refused.code == 2
    assert refused.err.startswith("lorif: ")
    assert SECRET not in refused.out + refused.err


@pytest.mark.parametrize("query", ["", f"?password={SECRET}", f"?sslmode=require&sslpassword={SECRET}"])
def test_the_place_of_a_journal_is_shown_without_passwords(query):
    engine = create_engine(f"postgresql+psycopg://ann:{SECRET}@host:5432/db{query}")
    place = place_of(engine)
    assert SECRET not in place
    assert "@host:5432/db" in place
    assert ("sslmode=require" in place) == ("sslmode" in query)


@pytest.mark.parametrize(
    "address",
    [
        f"postgresql+psycopg://ann:{SECRET}@host/db",
        f"postgresql+psycopg://ann@host/db?password={SECRET}",
        f"postgresql+psycopg://ann:{SECRET}@host:port/db",
        SECRET,
    ],
)
def test_a_workspace_keeps_no_password_and_does_not_repeat_it(tmp_path, address):
    files = create_files(tmp_path / "ws")
    with pytest.raises(JournalError) as refusal:
        use_journal(files, address)
    assert SECRET not in str(refusal.value)
    assert SECRET not in (tmp_path / "ws/workspace.json").read_text(encoding="utf-8")


def test_a_workspace_can_keep_its_decisions_elsewhere_until_the_first_one(tmp_path):
    workspace = copy_of(imported(), tmp_path)
    other = tmp_path / "elsewhere.sqlite"
    place = done("journal", workspace, "--journal", f"sqlite:///{other}", "--json").json["journal"]
    assert place.endswith("elsewhere.sqlite")
    done("flag", workspace, "t001")
    refused = lorif("journal", workspace, "--here")
    assert refused.code == 2
    assert "decisions were made already" in refused.err
    assert "elsewhere.sqlite" in done("status", workspace, "--json").json["journal"]
