"""The doctor reads every file of a workspace, knows every one that should be there, and changes none of them."""

import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tiny_workspace import bytes_below, done, lorif
from whole_workspace import index_of, whole

import lorif_core as lf
from lorif_core.files import write_json
from lorif_core.workspace.health.check_workspace import check_workspace, files_to_check
from lorif_core.workspace.health.inventory import KINDS, kind_of
from lorif_core.workspace.health.inventory_page import reference_rows

LONG_AGO = 1_000_000_000


@pytest.fixture
def workspace(tmp_path):
    return shutil.copytree(whole(), tmp_path / "ws")


def look(workspace):
    return check_workspace(files_to_check(workspace))


def paths_of(findings):
    return sorted(finding.path or finding.artefact for finding in findings)


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) * 2 // 3] ^= 1
    path.write_bytes(content)


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path):
    path.write_bytes(b"")


DAMAGES = {"flipped": flip, "cut": cut, "emptied": empty, "deleted": Path.unlink}

ALONE = {
    "workspace.json",
    "catalog.duckdb",
    "journal.sqlite",
    "datasets/*/examples.parquet",
    "indexes/*/plan.json",
    "indexes/*/manifest.json",
    "indexes/*/parts/*.json",
    "indexes/*/parts/*.safetensors",
    "indexes/*/maps/*.safetensors",
    "indexes/*/subspace/*",
    "indexes/*/self_influence/*",
    "exports/*/manifest.json",
    "exports/*/recipe.json",
    "exports/*/kept.jsonl",
    "exports/*/data.*",
}
"""Kinds of which one damaged file may hide others."""

TOGETHER = {
    "studio-password",
    "datasets/*/search.sqlite",
    "datasets/*/changes.parquet",
    "rejects/texts.jsonl",
    "uploads/*/*",
    "indexes/*/coverage.json",
    "statistics/*",
    "maps/*",
    "scores/*",
    "states/*",
    "evaluations/brittleness/*",
    "evaluations/scores/*",
    "views/*",
    "exports/versions/*",
}

MAY_PASS = {"studio-password"}
"""Another digit of a password's hash is a hash, too."""

ON_A_FREE_PAGE = {("catalog.duckdb", "flipped"), ("journal.sqlite", "flipped")}
"""Where the byte may be one that holds nothing."""

UNSEEN = {
    "flipped": {"rejects/texts.jsonl"},
    "emptied": {"rejects/texts.jsonl"},
    "deleted": {
        "studio-password",
        "datasets/*/search.sqlite",
        "rejects/texts.jsonl",
        "indexes/*/coverage.json",
        "statistics/*",
        "maps/*",
        "states/*",
        "evaluations/brittleness/*",
        "evaluations/scores/*",
        "views/*",
    },
}
"""What nothing tells: words of a list in place of others, and a file that nothing names.

Search indexes and model shares that are gone are notes.
"""


def damaged(workspace, pattern, damage):
    """Damage the first file that fits; its path below the workspace."""
    path = sorted(workspace.glob(pattern))[0]
    path.chmod(0o644)
    DAMAGES[damage](path)
    return path.relative_to(workspace).as_posix()


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("pattern", sorted(ALONE))
def test_a_damaged_file_is_named_and_no_other(pattern, damage, workspace):
    path = damaged(workspace, pattern, damage)
    report = look(workspace)
    if (pattern, damage) in ON_A_FREE_PAGE and not report.findings:
        return
    expected = [path]
    assert paths_of(report.findings) == expected
    assert not report.is_whole
    assert [one.severity for one in report.findings] == [
        "missing" if damage == "deleted" else "broken" for _ in expected
    ]


@pytest.mark.parametrize("damage", DAMAGES)
def test_every_one_of_many_damaged_files_is_named_and_no_other(damage, workspace):
    paths = {pattern: damaged(workspace, pattern, damage) for pattern in TOGETHER}
    report = look(workspace)
    may_pass = MAY_PASS if damage == "flipped" else set()
    unseen = UNSEEN.get(damage, set()) | may_pass
    found = set(paths_of(report.findings)) - {paths[one] for one in may_pass}
    assert found == {path for pattern, path in paths.items() if pattern not in unseen}
    assert all(finding.meaning and finding.remedy and finding.problem for finding in report.findings)


@pytest.mark.parametrize(
    ("pattern", "number"),
    [
        ("datasets/*/examples.parquet", 1),
        ("datasets/*/search.sqlite", 1),
        ("indexes/*/plan.json", 1),
        ("indexes/*/manifest.json", 1),
        ("indexes/*/parts/*.json", -1),
        ("indexes/*/parts/*.safetensors", -1),
        ("indexes/*/maps/*.safetensors", -1),
        ("indexes/*/subspace/*", -1),
        ("indexes/*/self_influence/*", -1),
        ("scores/*", 1),
        ("views/*", 1),
        ("exports/*/manifest.json", 1),
    ],
)
def test_a_whole_file_in_the_place_of_another_is_named(pattern, number, workspace):
    found = sorted(workspace.glob(pattern))
    found[0].chmod(0o644)
    shutil.copyfile(found[number], found[0])
    assert paths_of(look(workspace).findings) == [found[0].relative_to(workspace).as_posix()]


def everything(folder):
    """Content, times and identity of every file and folder."""
    found = {".": folder.stat()} | {str(path): path.stat() for path in folder.rglob("*")}
    return {name: (one.st_ino, one.st_mtime_ns, one.st_ctime_ns) for name, one in found.items()}, bytes_below(folder)


def test_a_whole_workspace_has_no_finding_and_is_left_as_it_was(workspace):
    before = everything(workspace)
    report = done("doctor", workspace, "--json").json["workspace"]
    assert (report["findings"], report["is_whole"]) == ([], True)
    assert report["num_files"] == len(bytes_below(workspace))
    assert everything(workspace) == before


def test_every_file_of_the_workspace_is_of_a_known_kind_and_most_kinds_are_there(workspace):
    paths = [path.relative_to(workspace).as_posix() for path in workspace.rglob("*") if path.is_file()]
    kinds = {path: kind_of(path) for path in paths}
    assert [path for path, kind in kinds.items() if kind is None] == []
    absent = {kind.name for kind in KINDS} - {kind.name for kind in kinds.values() if kind is not None}
    # test_index_members.py, test_losses.py, test_logged_runs.py, test_index_names.py and test_asking_failures.py
    # have workspaces with them
    runs = {"training run", "rows of a training run", "model of a training run"}
    elsewhere = {"members", "losses", "losses under a model", "name of an index", "deletion"} | runs
    elsewhere |= {"failures", "scores of failures"}
    assert absent - elsewhere == {
        "leftover",
        "starting worker",
        "journal that was given up",
        "catalog that was given up",
    }


def test_a_journal_that_somebody_has_open_is_read_with_its_log_which_stays(workspace):
    opened = lf.open_workspace(workspace)
    opened.flag(["t005"], dataset=opened.data.records()[-1].dataset_id)
    log = workspace / "journal.sqlite-wal"
    before = (log.stat().st_size, log.stat().st_mtime_ns, (workspace / "journal.sqlite").stat().st_mtime_ns)
    assert before[0] > 0
    assert look(workspace).findings == []
    assert (log.stat().st_size, log.stat().st_mtime_ns, (workspace / "journal.sqlite").stat().st_mtime_ns) == before
    opened.journal.engine.dispose()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("DELETE FROM event WHERE event_id = (SELECT max(event_id) FROM event)", "holds 0"),
        ("UPDATE batch SET actor = 'eve' WHERE revision = 1", "revision 1 of the journal (exclude by 'eve') is not"),
        ("UPDATE job SET status = NULL; DROP TABLE batch", "cannot be"),
    ],
)
def test_a_journal_that_says_something_else_is_named(change, said, workspace):
    connection = sqlite3.connect(workspace / "journal.sqlite")
    connection.execute("PRAGMA foreign_keys = OFF")
    connection.executescript(change)
    connection.close()
    (finding,) = [one for one in look(workspace).findings if one.path == "journal.sqlite"]
    assert said in finding.problem
    assert "lorif-doctor" not in finding.problem  # the folder of the copy


def test_a_journal_that_was_set_back_is_named(workspace):
    journal = workspace / "journal.sqlite"
    before = journal.read_bytes()
    opened = lf.open_workspace(workspace)
    opened.flag(["t005"], dataset=opened.data.records()[-1].dataset_id)
    opened.journal.engine.dispose()
    assert look(workspace).findings == []
    journal.write_bytes(before)
    (finding,) = look(workspace).findings
    assert "is older than it was" in finding.problem


@pytest.mark.parametrize("gone", ["workspace.json", "catalog.duckdb", "journal.sqlite"])
def test_without_the_files_that_open_a_workspace_the_others_are_still_read(gone, workspace):
    (workspace / gone).write_bytes(b"no such thing")
    part = sorted(workspace.glob("indexes/*/parts/*.safetensors"))[0]
    flip(part)
    report = lorif("doctor", workspace, "--json")
    assert report.code == 2
    named = {finding["path"] for finding in report.json["workspace"]["findings"]}
    assert named == {gone, part.relative_to(workspace).as_posix()}


LEFT = [
    ".workspace.json.0123456789abcdef0123456789abcdef.partial",
    "scores/.a.parquet.0123456789abcdef0123456789abcdef.partial",
    "exports/versions/.v2.json.0123456789abcdef0123456789abcdef",
    "uploads/.0123456789abcdef0123456789abcdef",
    ".catalog.duckdb.lock.00000000000000000001.1.0123456789abcdef0123456789abcdef.turn",
]
LEFT_FOLDERS = [
    "datasets/.incoming-0123456789abcdef0123456789abcdef",
    "exports/.export.01234567.exporting",
]


def leave(workspace, at):
    """What killed writers leave, last written at that time."""
    paths = [workspace / name for name in (*LEFT, *(f"{folder}/new/some.parquet" for folder in LEFT_FOLDERS))]
    paths.append(workspace / "indexes" / index_of(workspace, "lorif") / "parts/.00001.json.0123.unfinished")
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"half")
    for path in paths:
        for place in (path, *(one for one in path.parents if any(one == workspace / name for name in LEFT_FOLDERS))):
            os.utime(place, (at, at))
        os.utime(path.parent, (at, at))
    return [*LEFT, *LEFT_FOLDERS, paths[-1].relative_to(workspace).as_posix()]


def test_what_killed_writers_left_is_named_and_does_not_count_as_damage(workspace):
    left = leave(workspace, LONG_AGO)
    report = look(workspace)
    assert paths_of(report.findings) == sorted(left)
    assert {one.severity for one in report.findings} == {"leftover"}
    assert report.is_whole
    assert lorif("doctor", workspace).code == 0


def test_what_writers_are_writing_just_now_is_no_finding(workspace):
    leave(workspace, time.time())
    assert look(workspace).findings == []


def test_a_file_that_a_process_still_has_open_is_no_leftover_however_old(workspace):
    left = leave(workspace, LONG_AGO)
    with (workspace / left[0]).open("rb"):
        assert paths_of(look(workspace).findings) == sorted(left[1:])


HOLD = """
import sys
from filelock import FileLock
with FileLock(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.readline()
"""


def test_an_index_that_is_being_built_has_no_finding_and_a_killed_build_has_one(workspace):
    index_id = index_of(workspace, "lorif")
    folder = workspace / "indexes" / index_id
    (folder / "manifest.json").unlink()
    sorted(folder.glob("parts/*.json"))[0].unlink()
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, folder / ".lock"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as builder:
        assert builder.stdin is not None
        assert builder.stdout is not None
        assert builder.stdout.readline() == "held\n"
        report = look(workspace)
        builder.stdin.write("\n")
        builder.stdin.close()
    assert report.findings == []
    assert "being built" in next(one.problem for one in report.notes if one.artefact == index_id)
    (finding,) = look(workspace).findings
    assert (finding.artefact, finding.severity) == (index_id, "missing")
    assert "was interrupted after 105 of 121 texts" in finding.problem


def test_files_of_others_are_a_note_and_never_touched(workspace):
    (workspace / "notes.txt").write_text("mine", encoding="utf-8")
    report = look(workspace)
    assert report.findings == []
    assert [one.problem for one in report.notes if one.path == "notes.txt"] == [
        "'notes.txt' is not a file of LoRIF Studio."
    ]
    done("doctor", workspace, "--repair", "--yes")
    assert (workspace / "notes.txt").read_text(encoding="utf-8") == "mine"


def test_a_version_that_lost_its_file_is_told_by_its_export(workspace):
    path = workspace / "exports/versions/v1.json"
    export_id = json.loads(path.read_bytes())["export_id"]
    path.unlink()
    (workspace / "exports" / export_id / "frozen" / "v1.json").unlink()  # as versions before there were copies
    manifest = workspace / "exports" / export_id / "manifest.json"
    os.utime(manifest, (LONG_AGO, LONG_AGO))
    (finding,) = look(workspace).findings
    assert (finding.artefact, finding.severity) == (export_id, "missing")
    assert "are read-only, as freezing makes them, and no version names them" in finding.problem


def test_a_job_whose_worker_is_gone_is_a_note(workspace):
    opened = lf.open_workspace(workspace)
    with opened.journal.engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO job (job_id, kind, request_json, request_hash, status, wants_cancel, actor, device, worker, "
            "attempts, created_at) VALUES ('j1', 'index', '{}', 'h', 'running', 0, 'ann', 'cpu', ?, 1, '2026-01-01')",
            (f"{socket.gethostname()}:999999999:1",),
        )
    opened.journal.engine.dispose()
    report = look(workspace)
    assert report.findings == []
    assert "its worker" in next(one.problem for one in report.notes if one.artefact == "j1")


def test_a_worker_that_never_took_its_place_is_left_over(workspace):
    path = workspace / "worker-cpu.starting"
    write_json(path, {"worker": "somewhere:999999999:1"})
    assert look(workspace).findings == []
    os.utime(path, (LONG_AGO, LONG_AGO))
    assert paths_of(look(workspace).findings) == ["worker-cpu.starting"]


def test_findings_are_shown_by_how_bad_they_are_with_what_they_mean(workspace):
    damaged(workspace, "maps/*", "cut")
    damaged(workspace, "uploads/*/*", "deleted")
    leave(workspace, LONG_AGO)
    run = lorif("doctor", workspace)
    assert run.code == 2
    assert (
        run.out.index("Broken:") < run.out.index("Missing:") < run.out.index("Left over:") < run.out.index("Notes:")
    )
    assert "means: The map is not drawn; no score depends on it." in run.out
    assert ": 1 broken, 1 missing, 8 leftover." in run.out


def test_the_page_about_the_files_is_the_table_that_the_doctor_uses():
    page = (Path(__file__).parents[2] / "docs/reference/files.md").read_text(encoding="utf-8")
    assert page.endswith("\n".join(reference_rows()) + "\n")
