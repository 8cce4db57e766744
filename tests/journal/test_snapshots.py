"""Two readings of one moment: whatever is written between them is in both or in neither."""

import json
from contextlib import contextmanager

import pytest
from acting import CORPUS, by, exclude, flag
from sqlalchemy import event
from tiny_workspace import copy_of, imported

import lorif_core as lf
from lorif_core.journal import Journal


@contextmanager
def writing_between(engine, write):
    """Have somebody else write, once, after the first statement that reads decisions and before the next one."""
    seen = []

    def after(connection, cursor, statement, *_):
        if "FROM event" in statement and not seen:
            seen.append(statement)
            write()

    event.listen(engine, "after_cursor_execute", after)
    yield
    event.remove(engine, "after_cursor_execute", after)
    assert seen, "nothing read the decisions"


@pytest.mark.parametrize("location", ["sqlite", "postgresql"], indirect=True)
def test_a_decision_made_meanwhile_is_neither_among_the_states_nor_among_the_acts(journal, location):
    first = journal.decide(by("ada"), flag("a"))
    with (
        Journal(location) as other,
        writing_between(journal.engine, lambda: other.decide(by("bo"), exclude("a", "b"))),
    ):
        found = journal.snapshot(CORPUS)
    assert found.states.select("train_id", "status").rows() == [("a", "flagged")]
    assert found.batches == [first]
    later = journal.snapshot(CORPUS)
    assert later.states.select("train_id", "status").rows() == [("a", "excluded"), ("b", "excluded")]
    assert [batch.actor for batch in later.batches] == ["bo", "ada"]


@pytest.mark.parametrize("location", ["sqlite", "postgresql"], indirect=True)
def test_a_snapshot_has_the_states_and_all_acts_of_its_corpus_newest_first(journal):
    journal.decide(by("ada"), flag("a"))
    journal.undo(by("ada"))
    journal.decide(by("ada", "other"), exclude("a"))
    journal.decide(by("bo"), exclude("b"))
    found = journal.snapshot(CORPUS)
    assert found.states.equals(journal.states(CORPUS))
    assert found.batches == [entry.batch for entry in journal.history(CORPUS)]
    assert [batch.kind for batch in found.batches] == ["exclude", "undo", "flag"]


@pytest.fixture
def workspace(tmp_path):
    opened = lf.open_workspace(copy_of(imported(), tmp_path))
    opened.exclude(["t000"], reason="spam", actor="ada")
    return opened


def exported(workspace):
    return workspace.export().about


def frozen(workspace):
    workspace.versions.freeze("v1", actor="ada")
    return workspace.versions.files_of("v1").about


@pytest.mark.parametrize("write", [exported, frozen])
def test_the_manifest_names_the_acts_behind_what_was_left_out(workspace, write):
    other = lf.open_workspace(workspace.path)

    def meanwhile():
        other.exclude(["t001"], reason="toxic", actor="bo")

    with writing_between(workspace.journal.engine, meanwhile):
        about = write(workspace)
    excluded = [json.loads(line) for line in (about / "excluded.jsonl").read_text(encoding="utf-8").splitlines()]
    manifest = json.loads((about / "manifest.json").read_text(encoding="utf-8"))
    acts = {batch["batch_id"]: batch["num_events"] for batch in manifest["batches"]}
    assert {line["batch_id"] for line in excluded} == acts.keys()
    assert len(excluded) == sum(acts.values()) == 1


def test_a_rule_is_previewed_on_the_decisions_that_its_condition_saw(workspace):
    other = lf.open_workspace(workspace.path)
    with writing_between(workspace.journal.engine, lambda: other.restore(["t000"], actor="bo")):
        found = workspace.decisions.preview("restore where status = excluded")
    assert found.train_ids == ["t000"]
    assert found.by_status == {"excluded": 1}
