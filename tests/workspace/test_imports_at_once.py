"""Imports under one name at the same time, and imports that were killed; every one a process of its own."""

import os
import signal

import pytest
from tiny_workspace import done, lorif, start, write_rows

from lorif_core.config import ImportConfig, NextVersion
from lorif_core.errors import DataError
from lorif_core.workspace.datasets import import_data as importing
from lorif_core.workspace.folder.workspace_files import open_files

FIRST = [{"id": name, "text": f"text {name}"} for name in "abcd"]
SEARCH_IS_WRITTEN = ".search.sqlite.*.partial"
"""An import comes here after its comparison with the version before, and before its turn."""


def with_other_id(new):
    """The first texts, of which b has another id."""
    return [row | {"id": new} if row["id"] == "b" else row for row in FIRST]


@pytest.fixture
def workspace(tmp_path):
    done("import", tmp_path / "ws", write_rows(tmp_path / "facts.jsonl", FIRST))
    done("exclude", tmp_path / "ws", "b", "--reason", "outdated")
    return tmp_path / "ws"


def working_folders(workspace):
    return [path for path in (workspace / "datasets").iterdir() if path.name.startswith(".incoming-")]


def versions(workspace):
    records = sorted(open_files(workspace).catalog.datasets(), key=lambda record: record.version)
    assert [record.parent_id for record in records[1:]] == [record.dataset_id for record in records[:-1]]
    return [record.version for record in records]


def excluded(workspace):
    files = open_files(workspace)
    states = files.journal.states(files.choose_dataset(None).corpus_id)
    return set(states.filter(status="excluded")["train_id"])


def test_an_import_follows_the_version_that_another_one_added_meanwhile(workspace, tmp_path):
    slow_file = write_rows(tmp_path / "slow.jsonl", with_other_id("b3"))
    slow = start("import", workspace, slow_file, "--name", "facts", at=SEARCH_IS_WRITTEN, gets=signal.SIGSTOP)
    os.waitpid(slow.pid, os.WUNTRACED)
    folders = working_folders(workspace)
    assert len(folders) == 1
    done("import", workspace, write_rows(tmp_path / "quick.jsonl", with_other_id("b2")), "--name", "facts")
    assert working_folders(workspace) == folders  # its owner lives
    slow.send_signal(signal.SIGCONT)
    _, complaint = slow.communicate()
    assert slow.returncode == 0, complaint
    assert versions(workspace) == [1, 2, 3]
    assert {"b2", "b3"} <= excluded(workspace)
    assert working_folders(workspace) == []


def test_what_a_killed_import_left_is_gone_after_the_next_one(workspace, tmp_path):
    file = write_rows(tmp_path / "next.jsonl", with_other_id("b2"))
    killed = start("import", workspace, file, "--name", "facts", at=SEARCH_IS_WRITTEN, gets=signal.SIGKILL)
    killed.communicate()
    assert len(working_folders(workspace)) == 1
    assert versions(workspace) == [1]
    done("import", workspace, file, "--name", "facts")
    assert working_folders(workspace) == []
    assert versions(workspace) == [1, 2]
    assert "b2" in excluded(workspace)


def test_a_decision_made_while_an_import_compares_follows_its_text(workspace, tmp_path, monkeypatch):
    compare, num_compared = importing.compare_next, []

    def compare_and_decide(*arguments):
        found = compare(*arguments)
        if not num_compared:
            done("exclude", workspace, "c", "--reason", "outdated")
        num_compared.append(1)
        return found

    monkeypatch.setattr(importing, "compare_next", compare_and_decide)
    rows = [row | {"id": f"{row['id']}2"} for row in FIRST]
    done("import", workspace, write_rows(tmp_path / "next.jsonl", rows), "--name", "facts")
    assert excluded(workspace) >= {"b2", "c2"}
    assert len(num_compared) == 2


def test_decided_texts_may_only_be_dropped_from_the_version_that_is_really_before(workspace, tmp_path, monkeypatch):
    """A version comes meanwhile that has another decided text; the first comparison found nothing missing."""
    compare, num_compared = importing.compare_next, []
    more = write_rows(tmp_path / "more.jsonl", [*FIRST, {"id": "e", "text": "text e"}])

    def compare_and_import(*arguments):
        found = compare(*arguments)
        if not num_compared:
            num_compared.append(1)
            done("import", workspace, more, "--name", "facts")
            done("exclude", workspace, "e", "--reason", "outdated")
        return found

    monkeypatch.setattr(importing, "compare_next", compare_and_import)
    next_file = write_rows(tmp_path / "next.jsonl", with_other_id("b2"))
    with pytest.raises(DataError, match="'e'"):
        importing.import_data(open_files(workspace), [next_file], ImportConfig(name="facts"), said=NextVersion())
    assert versions(workspace) == [1, 2]
    assert working_folders(workspace) == []
    assert lorif("import", workspace, next_file, "--name", "facts", "--drop-decided").code == 0
    assert versions(workspace) == [1, 2, 3]
