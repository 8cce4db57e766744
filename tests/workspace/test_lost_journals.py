"""A journal that is gone, replaced or set back is no new one: whoever uses it is told, and what can be done."""

import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from tiny_workspace import copy_of, done, imported, lorif

from lorif_core.errors import JournalError
from lorif_core.journal import Decision, Journal, Scope
from lorif_core.workspace.folder.workspace_files import create_files, open_files

SCOPE = Scope(actor="ada", corpus_id="c", dataset_id="d")
KILLED = """
import os, sys
from pathlib import Path
from lorif_core.journal import Decision, Scope
from lorif_core.workspace.folder.workspace_files import open_files
journal = open_files(Path(sys.argv[1])).journal
scope = Scope(actor="ada", corpus_id="c", dataset_id="d")
journal.decide(scope, Decision(kind="exclude", train_ids=["killed"], reason="spam"))
os._exit(9)
"""


def exclude(files, *train_ids):
    return files.journal.decide(SCOPE, Decision(kind="exclude", train_ids=train_ids, reason="spam"))


def excluded(files):
    return files.journal.counts("c")["excluded"]


@pytest.fixture
def files(tmp_path):
    """A workspace with five exclusions, which somebody has open; a copy from before the last three lies beside."""
    files = create_files(tmp_path / "w")
    exclude(files, "a", "b")
    files.journal.close()
    shutil.copy(files.own_file, tmp_path / "older.sqlite")
    exclude(files, "c", "d")
    exclude(files, "e")
    other = create_files(tmp_path / "other")
    exclude(other, "z")
    other.journal.close()
    return files


def remove(path):
    path.unlink()


def remove_by_pattern(path):
    for found in path.parent.glob("journal*"):
        found.unlink()


def empty(path):
    path.unlink()
    path.touch()


def cut(path):
    os.truncate(path, 0)


def make_folder(path):
    path.unlink()
    path.mkdir()


def put_foreign(path):
    path.unlink()
    shutil.copy(path.parents[1] / "other" / "journal.sqlite", path)


def put_older(path):
    remove_by_pattern(path)
    shutil.copy(path.parents[1] / "older.sqlite", path)


def put_database_without_tables(path):
    path.unlink()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE t (x)")
        connection.execute("DROP TABLE t")


def cut_log(path):
    log = path.with_name("journal.sqlite-wal")
    os.truncate(log, 0)


MISSING = "is missing|has been removed or renamed"
REPLACED = [
    (remove, MISSING),
    (remove_by_pattern, MISSING),
    (empty, "is empty"),
    (cut, "is empty|is not an SQLite database"),
    (make_folder, "is a folder now"),
    (put_foreign, "is another one"),
    (put_older, r"is older than it was: it ends at revision 1"),
    (put_database_without_tables, "is empty"),
]
REMEDIES = r"bring the right one back, restore a backup with `lorif restore-backup`, .*or .* --start-anew`"


def refused(files, match):
    """What every use of the journal says, one after the other; nothing of them may mend it."""
    for use in (lambda: excluded(files), lambda: exclude(files, "x"), lambda: excluded(open_files(files.root))):
        with pytest.raises(JournalError, match=match) as refusal:
            use()
    return str(refusal.value)


@pytest.mark.parametrize(("replace", "match"), [*REPLACED, (cut_log, "is older than it was")])
def test_a_journal_that_is_replaced_while_it_is_open_is_refused(files, replace, match):
    replace(files.own_file)
    sentence = refused(files, match)
    if "not an SQLite" not in sentence:
        assert "the workspace last saw it at revision 3" in sentence


@pytest.mark.parametrize(("replace", "match"), REPLACED)
def test_a_journal_that_is_replaced_while_nobody_has_it_open_is_refused(files, replace, match):
    files.journal.close()
    replace(files.own_file)
    with pytest.raises(JournalError, match=f"({match}).*{REMEDIES}"):
        excluded(open_files(files.root))


@pytest.mark.parametrize("endings", [["-wal"], ["-wal", "-shm"]])
def test_a_log_that_a_killed_process_left_and_somebody_deleted_is_missed(files, endings):
    files.journal.close()
    subprocess.run([sys.executable, "-c", KILLED, str(files.root)], check=False)
    for ending in endings:
        files.own_file.with_name(f"journal.sqlite{ending}").unlink()
    with pytest.raises(JournalError, match=r"is older than it was: it ends at revision 3, .* at revision 4"):
        excluded(open_files(files.root))


@pytest.mark.parametrize(("before", "between"), [(3, 300), (20_000, 5_000)])
def test_an_older_file_under_the_log_of_a_newer_one_is_no_journal(tmp_path, before, between):
    """SQLite lays the log's pages over the older file, and what was decided in between is gone without an error."""
    files = create_files(tmp_path / "w")
    exclude(files, *(f"before-{number}" for number in range(before)))
    files.journal.close()
    older = files.own_file.read_bytes()
    exclude(files, *(f"between-{number}" for number in range(between)))
    with closing(sqlite3.connect(files.own_file)) as connection:
        connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()
    subprocess.run([sys.executable, "-c", KILLED, str(files.root)], check=False)
    log = files.own_file.with_name("journal.sqlite-wal").read_bytes()
    newer = files.own_file.read_bytes()
    files.journal.close()
    for ending, content in (("", older), ("-wal", log)):
        files.own_file.with_name(f"journal.sqlite{ending}").write_bytes(content)
    with pytest.raises(JournalError, match=r"'journal.sqlite-wal' beside it are damaged or of other times"):
        excluded(open_files(files.root))
    files.own_file.write_bytes(newer)
    assert excluded(open_files(files.root)) == before + between + 1, "the log was written into the older file"


def test_decisions_in_a_log_that_is_deleted_while_open_are_not_lost(files):
    for ending in ("-wal", "-shm"):
        files.own_file.with_name(f"journal.sqlite{ending}").unlink()
    exclude(files, "x")
    files.journal.close()
    assert excluded(open_files(files.root)) == 6


def test_a_second_journal_object_does_not_give_up_the_locks_of_the_first(files):
    """Closing a file gives up a process's locks on it: another process would take itself for the last to leave."""
    with Journal(files.own_file):
        subprocess.run([sys.executable, "-c", KILLED.replace("os._exit(9)", ""), str(files.root)], check=True)
        assert files.own_file.with_name("journal.sqlite-wal").exists()


def test_an_export_that_would_bring_excluded_texts_back_is_refused(tmp_path):
    place = copy_of(imported(), tmp_path)
    done("exclude", place, "t000", "--reason", "spam")
    open_files(place).own_file.unlink()
    for command in (("export", place, "--out", tmp_path / "out.jsonl"), ("status", place), ("browse", place)):
        run = lorif(*command)
        assert run.code == 2
        assert "is missing" in run.err
    assert not (tmp_path / "out.jsonl").exists()


def test_the_right_file_back_in_its_place_is_accepted(files):
    files.journal.close()
    files.own_file.rename(files.root / "away")
    refused(files, MISSING)
    (files.root / "away").rename(files.own_file)
    assert excluded(files) == excluded(open_files(files.root)) == 5


def test_a_copied_or_moved_workspace_keeps_its_journal(files, tmp_path):
    files.journal.close()
    shutil.copytree(files.root, tmp_path / "copy")
    files.root.rename(tmp_path / "moved")
    assert excluded(open_files(tmp_path / "copy")) == excluded(open_files(tmp_path / "moved")) == 5


def test_a_workspace_that_knows_no_journal_yet_adopts_what_it_finds(files):
    files.journal.close()
    for name in ("last-seen.json", "workspace-id.json"):
        (files.root / name).unlink()
    with closing(sqlite3.connect(files.own_file)) as connection:
        connection.execute("DELETE FROM journal_workspace")
        connection.commit()
    assert excluded(open_files(files.root)) == 5
    files.own_file.unlink()
    with pytest.raises(JournalError, match=MISSING):
        excluded(open_files(files.root))


def test_the_journal_of_another_workspace_is_not_adopted(files, tmp_path):
    files.journal.close()
    new = create_files(tmp_path / "new")
    shutil.copy(files.own_file, new.own_file)
    with pytest.raises(JournalError, match="belongs to another workspace"):
        excluded(new)


def test_a_memory_that_cannot_be_read_is_no_licence(files):
    (files.root / "last-seen.json").write_text("")
    files.journal.close()
    assert excluded(open_files(files.root)) == 5
    assert files.last_seen.read().revision == 3
    (files.root / "last-seen.json").write_text("{")
    files.own_file.unlink()
    with pytest.raises(JournalError, match="is missing"):
        excluded(open_files(files.root))


def test_the_memory_is_never_ahead_of_the_journal_and_follows_every_writer(files):
    seen = files.last_seen.read()
    assert seen.revision == files.journal.revision() == 3
    other = open_files(files.root)
    exclude(other, "x")
    exclude(files, "y")
    with pytest.raises(JournalError):
        files.journal.decide(SCOPE, Decision(kind="flag", train_ids=["x"], reason="no such reason"))
    assert files.last_seen.read().revision == files.journal.revision() == 5


def test_another_place_is_refused_once_there_are_decisions(files, tmp_path, monkeypatch):
    files.journal.close()
    monkeypatch.setenv("LORIF_JOURNAL", str(tmp_path / "elsewhere.sqlite"))
    with pytest.raises(JournalError, match=r"elsewhere.sqlite' is missing, .* revision 3 in its own file"):
        excluded(open_files(files.root))
    assert not (tmp_path / "elsewhere.sqlite").exists()
    fresh = create_files(tmp_path / "fresh")
    exclude(fresh, "a")
    monkeypatch.delenv("LORIF_JOURNAL")
    with pytest.raises(JournalError, match="is missing"):
        excluded(open_files(fresh.root))


def test_another_place_may_be_chosen_before_the_first_decision(tmp_path, monkeypatch):
    files = create_files(tmp_path / "w")
    assert files.journal.revision() == 0
    monkeypatch.setenv("LORIF_JOURNAL", str(tmp_path / "elsewhere.sqlite"))
    exclude(open_files(files.root), "a")
    assert excluded(open_files(files.root)) == 1


def test_starting_anew_asks_says_what_is_lost_and_keeps_the_old_file(files):
    files.journal.close()
    files.own_file.write_bytes(b"damaged")
    run = lorif("journal", files.root, "--start-anew")
    assert run.code == 2
    assert "which was last seen at revision 3" in run.err
    assert "add `--yes`" in run.err
    assert files.own_file.read_bytes() == b"damaged"
    out = done("journal", files.root, "--start-anew", "--yes", "--json").json
    assert out["lost"]["revision"] == 3
    (moved,) = out["moved"]
    assert Path(moved).read_bytes() == b"damaged"
    with open_files(files.root).journal as journal:
        assert journal.counts("c")["excluded"] == 0
        (start,) = journal.changes()
        assert (start["kind"], start["lost"]["revision"]) == ("start-anew", 3)
        assert journal.check() == []
    shown = done("journal", files.root).out
    assert "It was started again by" in shown
    assert "the one before was last seen at revision 3" in shown


@pytest.mark.parametrize(("replace", "revision"), [(put_older, 1), (put_foreign, 1)])
def test_a_journal_that_is_older_or_another_one_can_be_accepted(files, replace, revision):
    files.journal.close()
    run = lorif("journal", files.root, "--accept", "--yes")
    assert run.code == 2
    assert "there is nothing to accept" in run.err
    replace(files.own_file)
    with pytest.raises(JournalError, match=r"go on with this one by `lorif journal .* --accept`"):
        excluded(open_files(files.root))
    assert "add `--yes`" in lorif("journal", files.root, "--accept").err
    done("journal", files.root, "--accept", "--yes")
    with open_files(files.root).journal as journal:
        assert journal.revision() == revision + 1
        (change,) = journal.changes()
        assert (change["kind"], change["lost"]["revision"]) == ("accept", 3)
        assert journal.check() == []
    assert "It was accepted in place of another by" in done("journal", files.root).out


def test_nothing_is_no_journal_that_could_be_accepted(files):
    files.journal.close()
    empty(files.own_file)
    run = lorif("journal", files.root, "--accept", "--yes")
    assert run.code == 2
    assert "is empty" in run.err
    assert "--accept" not in run.err


def test_starting_anew_leaves_what_lies_at_a_chosen_place(files, tmp_path, monkeypatch):
    files.journal.close()
    monkeypatch.setenv("LORIF_JOURNAL", str(tmp_path / "other" / "journal.sqlite"))
    run = lorif("journal", files.root, "--start-anew", "--yes")
    assert run.code == 2
    assert "holds something, which may be others' work" in run.err


def test_only_an_admin_starts_a_journal_anew_that_can_still_be_read(files, monkeypatch):
    files.journal.set_role("ada", "admin", "ada")
    files.journal.close()
    monkeypatch.setenv("LORIF_ACTOR", "eve")
    run = lorif("journal", files.root, "--start-anew", "--yes")
    assert run.code == 2
    assert "only an admin may start the journal again" in run.err
    assert excluded(open_files(files.root)) == 5


@pytest.mark.parametrize(
    ("replace", "sentence"),
    [
        (remove, "is missing; 'last-seen.json' shows"),
        (put_foreign, "is another one"),
        (put_older, "is older than it"),
    ],
)
def test_the_doctor_tells_of_a_lost_journal_and_changes_nothing(files, replace, sentence):
    files.journal.close()
    replace(files.own_file)
    before = sorted(path.name for path in files.root.iterdir())
    run = lorif("doctor", files.root, "--json")
    assert run.code == 2
    (finding,) = run.json["workspace"]["findings"]
    assert sentence in finding["problem"]
    assert "lorif restore-backup" in finding["problem"] + finding["remedy"]
    assert sorted(path.name for path in files.root.iterdir()) == before


def test_the_doctor_tells_of_an_act_that_was_changed_afterwards(files):
    files.journal.close()
    with closing(sqlite3.connect(files.own_file)) as connection:
        connection.execute("UPDATE batch SET actor = 'eve' WHERE revision = 1")
        connection.commit()
    (finding,) = lorif("doctor", files.root, "--json").json["workspace"]["findings"]
    assert "revision 1 of the journal (exclude by 'eve') is not what was written" in finding["problem"]
    assert [note["artefact"] for note in lorif("doctor", files.root, "--json").json["workspace"]["notes"]] == []
