"""A workspace comes back from a backup as it was, also when the backup was made while others worked in it."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_workspace import copy_of, done, imported, indexed, lorif

from lorif_core.errors import ResourceError
from lorif_core.journal import Decision, Scope
from lorif_core.workspace.folder import backup as backup_module
from lorif_core.workspace.folder.backup import back_up
from lorif_core.workspace.folder.backup_manifest import backups_in, read_backup_manifest
from lorif_core.workspace.folder.restore_backup import restore_backup
from lorif_core.workspace.folder.workspace_files import open_files

BUSY = """
import json, sys
from pathlib import Path
from lorif_core.config import ImportConfig
from lorif_core.journal import Decision, Scope
from lorif_core.workspace.datasets.datasets import Datasets
from lorif_core.workspace.folder.workspace_files import open_files

workspace, scratch = Path(sys.argv[1]), Path(sys.argv[2])
files = open_files(workspace)
record = files.choose_dataset("texts")
scope = Scope(actor="eve", corpus_id=record.corpus_id, dataset_id=record.dataset_id)
for number in range(10_000):
    files.journal.decide(scope, Decision(kind="flag", train_ids=[f"busy-{number}"]))
    if number % 20 == 0:
        data = scratch / f"more-{number}.jsonl"
        data.write_text("".join(json.dumps({"text": f"text {number} {row}"}) + "\\n" for row in range(50)))
        Datasets(files, None).import_files(data)
    print(number, flush=True)
"""


def scope_of(files):
    record = files.choose_dataset("texts")
    return Scope(actor="ada", corpus_id=record.corpus_id, dataset_id=record.dataset_id)


def exclude(files, *train_ids):
    return files.journal.decide(scope_of(files), Decision(kind="exclude", train_ids=train_ids, reason="spam"))


@pytest.fixture
def files(tmp_path):
    """A workspace with texts and an exclusion."""
    files = open_files(copy_of(imported(), tmp_path))
    exclude(files, "a", "b")
    return files


@pytest.fixture
def target(tmp_path):
    return tmp_path / "backups"


def contents(folder):
    """What lasts in a workspace, by path."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and not path.name.startswith(("journal.sqlite", ".", "last-seen"))
        and path.suffix != ".lock"
    }


def test_a_workspace_with_an_index_comes_back_whole(tmp_path, target):
    place = copy_of(indexed(), tmp_path)
    done("exclude", place, "t000", "--reason", "spam")
    before = contents(place)
    made = done("backup", place, target, "--json").json
    assert made["revision"] == 1
    assert made["copied_bytes"] == made["size_bytes"]
    shutil.rmtree(place)
    back = done("restore-backup", target, place, "--json").json
    assert (back["num_files"], back["revision"], back["replaced"]) == (made["num_files"], 1, None)
    assert contents(place) == before
    files = open_files(place)
    assert files.journal.check() == []
    assert done("doctor", place, "--json").json["workspace"]["findings"] == []
    done("exclude", place, "t001", "--reason", "spam")


def test_a_backup_beside_writers_is_of_one_moment_and_has_every_act_from_before(files, target, tmp_path):
    busy = subprocess.Popen(
        [sys.executable, "-c", BUSY, str(files.root), str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert busy.stdout is not None
        for _ in range(25):
            busy.stdout.readline()
        for number in range(4):
            acknowledged = exclude(files, f"mine-{number}").revision
            made = back_up(files, target)
            assert made.revision >= acknowledged
    finally:
        busy.kill()
        busy.communicate()
    assert len(backups_in(target)) == 4
    for folder in backups_in(target):
        back = restore_backup(target, tmp_path / f"back-{folder.name}", name=folder.name)
        restored = open_files(back.path)
        assert restored.journal.revision() == back.revision
        assert restored.journal.check() == []
        for record in restored.catalog.datasets():
            restored.examples(record.dataset_id).check_content(record.fingerprint)
        assert done("doctor", back.path, "--json").json["workspace"]["findings"] == []
    newest = open_files(tmp_path / f"back-{backups_in(target)[0].name}")
    excluded = newest.journal.states(scope_of(newest).corpus_id).filter(status="excluded")["train_id"].to_list()
    assert excluded == ["a", "b", "mine-0", "mine-1", "mine-2", "mine-3"]


def test_what_did_not_change_takes_no_room(files, target):
    first = back_up(files, target)
    assert first.copied_bytes == first.size_bytes > 0
    second = back_up(files, target)
    assert second.copied_bytes == 0
    exclude(files, "c")
    third = back_up(files, target)
    journal = next(file for file in read_backup_manifest(third.path).files if file.path == "journal.sqlite")
    assert third.copied_bytes == journal.size_bytes
    examples = [next(made.path.rglob("examples.parquet")) for made in (first, second, third)]
    assert {path.stat().st_ino for path in examples} == {examples[0].stat().st_ino}
    assert examples[0].stat().st_nlink == 3


def test_a_file_with_a_new_time_and_old_content_is_linked_and_a_changed_one_is_not(files, target):
    record = files.choose_dataset(None)
    (files.root / "rejects").mkdir(exist_ok=True)
    note = files.root / "rejects" / "note.txt"
    note.write_text("one")
    back_up(files, target)
    os.utime(files.examples_file(record.dataset_id))
    note.write_text("two")
    made = back_up(files, target)
    assert made.copied_bytes == 3
    assert (made.path / "files" / "rejects" / "note.txt").read_text() == "two"
    assert [folder.name for folder in target.glob(".*.unfinished")] == []


def test_a_disk_without_links_gets_copies(files, target, monkeypatch):
    def no_links(self, other):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    back_up(files, target)
    monkeypatch.setattr(Path, "hardlink_to", no_links)
    made = back_up(files, target)
    assert made.copied_bytes == made.size_bytes
    restore_backup(target, target.parent / "back")


def test_only_so_many_are_kept_and_those_of_others_are_left(files, target, tmp_path):
    other = open_files(shutil.copytree(imported(), tmp_path / "other"))
    (other.root / "workspace-id.json").unlink(missing_ok=True)
    (other.root / "last-seen.json").unlink(missing_ok=True)
    theirs = back_up(other, target)
    made = [back_up(files, target).path.name for _ in range(3)]
    last = back_up(files, target, keep=2)
    assert sorted(last.removed) == made[:2]
    assert {folder.name for folder in backups_in(target)} == {theirs.path.name, made[2], last.path.name}
    restore_backup(target, tmp_path / "back", name=made[2])
    run = lorif("backup", files.root, target, "--keep", 0)
    assert run.code == 2
    assert "at least 1 backup is kept" in run.err


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (
            lambda path: path.write_bytes(b"x" + path.read_bytes()[1:]),
            "is not what was backed up: its checksum differs",
        ),
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), "is not what was backed up"),
        (lambda path: path.unlink(), "is missing"),
    ],
)
@pytest.mark.parametrize("name", ["examples.parquet", "journal.sqlite", "catalog.duckdb", "workspace.json"])
def test_a_damaged_backup_is_refused_and_nothing_appears(files, target, tmp_path, name, damage, sentence):
    first = back_up(files, target)
    second = target / "2999-01-01T00-00-00Z"  # no link: what is damaged in one would be in both
    shutil.copytree(first.path, second)
    damage(next((second / "files").rglob(name)))
    run = lorif("restore-backup", target, tmp_path / "back")
    assert run.code == 2
    assert sentence in run.err
    assert f"restore another one with `--backup`: {first.path.name}" in run.err
    assert not any(path.name.startswith((".back", "back.")) or path.name == "back" for path in tmp_path.iterdir())
    done("restore-backup", target, tmp_path / "back", "--backup", first.path.name)


def test_a_damaged_or_missing_manifest_is_named(files, target, tmp_path):
    made = back_up(files, target)
    manifest = made.path / "manifest.json"
    said = json.loads(manifest.read_text())
    manifest.write_text(json.dumps(said | {"revision": 0}))
    assert "is damaged (it is not what was written)" in lorif("restore-backup", target, tmp_path / "back").err
    manifest.unlink()
    assert "is damaged (it is missing)" in lorif("restore-backup", target, tmp_path / "back").err
    assert "holds no backup" in lorif("restore-backup", tmp_path / "nowhere", tmp_path / "back").err
    assert "is called 'x'; there are" in lorif("restore-backup", target, tmp_path / "back", "--backup", "x").err
    assert not (tmp_path / "back").exists()


def test_what_is_in_the_place_is_refused_or_moved_aside(files, target, tmp_path):
    back_up(files, target)
    exclude(files, "later")
    run = lorif("restore-backup", target, files.root)
    assert run.code == 2
    assert "is there already" in run.err
    back = done("restore-backup", target, files.root, "--replace", "--json").json
    assert open_files(Path(back["replaced"])).journal.revision() == 2
    assert open_files(files.root).journal.revision() == 1
    exclude(files, "open all the while")  # goes on in the restored one
    assert open_files(files.root).journal.revision() == 2
    assert open_files(Path(back["replaced"])).journal.revision() == 2


def test_a_killed_backup_looks_like_none_and_the_next_one_clears_it(files, target, tmp_path):
    stuck = (
        "import sys, time; from pathlib import Path; from lorif_core.workspace.folder import backup as b\n"
        "from lorif_core.workspace.folder.workspace_files import open_files\n"
        "def wait(*_): print('copying', flush=True); time.sleep(60)\n"
        "b._copy_files = wait\n"
        "b.back_up(open_files(Path(sys.argv[1])), Path(sys.argv[2]))"
    )
    killed = subprocess.Popen(
        [sys.executable, "-c", stuck, str(files.root), str(target)], stdout=subprocess.PIPE, text=True
    )
    assert killed.stdout is not None
    assert killed.stdout.readline() == "copying\n"
    run = lorif("backup", files.root, target)
    assert run.code == 2
    assert "another backup is being written" in run.err
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert [path.suffix for path in target.iterdir() if path.is_dir()] == [".unfinished"]
    assert "holds no backup" in lorif("restore-backup", target, tmp_path / "back").err
    made = back_up(files, target)
    assert [path for path in target.iterdir() if path.is_dir()] == [made.path]


@pytest.mark.parametrize("full_at", ["journal", "files"])
def test_a_full_disk_is_named_and_nothing_half_is_left(files, target, full_at):
    """The system refuses files that are longer than a limit, as it refuses them on a full disk."""
    exclude(files, *(f"id-{number}" for number in range(20_000)))
    limit = files.own_file.stat().st_size // 2
    if full_at == "files":
        limit = 8 << 20
        (files.root / "rejects").mkdir(exist_ok=True)
        (files.root / "rejects" / "long.txt").write_bytes(bytes(limit + 1))
    limited = (
        "import resource, signal, sys; from lorif_core.cli import main\n"
        "from lorif_core.workspace.folder import backup\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "copies = backup._copy_stores\n"
        "def copy_stores(*args):\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))\n"
        "    return copies(*args)\n"
        "backup._copy_stores = copy_stores\n"
        "sys.exit(main(sys.argv[2:]))"
    )
    command = [sys.executable, "-c", limited, str(limit), "backup", str(files.root), str(target)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 2, run.stderr
    assert f"the disk of {str(target)!r} is full" in run.stderr
    assert [path for path in target.iterdir() if path.is_dir()] == []


def test_too_little_room_is_said_before_anything_is_copied(files, target, monkeypatch, tmp_path):
    made = back_up(files, target)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=10))
    with pytest.raises(ResourceError, match=r"the workspace needs .* bytes and the disk of .* has 10 free"):
        restore_backup(target, tmp_path / "back")
    shutil.rmtree(made.path)
    with pytest.raises(ResourceError, match=r"the backup needs .* bytes and the disk of .* has 10 free"):
        back_up(files, target)
    assert backups_in(target) == []


def test_a_backup_lies_outside_the_workspace(files):
    run = lorif("backup", files.root, files.root / "backups")
    assert run.code == 2
    assert "a backup must be outside the workspace" in run.err


def test_files_that_come_while_others_are_copied_are_there_if_something_names_them(files, target, monkeypatch):
    """A manifest that is read late names files that came after the first list."""
    folder = files.root / "indexes" / "i"
    folder.mkdir()
    (folder / "a.json").write_text("[]")
    add = backup_module._Copier.add

    def come(self, source, path):
        if path == "indexes/i/a.json":
            (folder / "1.bin").write_bytes(b"1")
            (folder / "a.json").write_text('["1.bin"]')
        elif path == "indexes/i/1.bin":
            (folder / "2.bin").write_bytes(b"2")
            (folder / "b.json").write_text('["2.bin"]')
        add(self, source, path)

    monkeypatch.setattr(backup_module._Copier, "add", come)
    made = back_up(files, target)
    held = {path.name for path in (made.path / "files" / "indexes" / "i").iterdir()}
    assert held == {"a.json", "1.bin"}
    assert (made.path / "files" / "indexes" / "i" / "a.json").read_text() == '["1.bin"]'


def test_what_belongs_to_running_processes_and_what_is_unfinished_stays(files, target):
    for name in ("worker-cpu.lock", "worker-cpu.starting", ".half.partial", "states/x.states"):
        (files.root / name).parent.mkdir(exist_ok=True)
        (files.root / name).touch()
    (files.root / "datasets" / ".incoming-1").mkdir()
    (files.root / "datasets" / ".incoming-1" / "x").touch()
    made = back_up(files, target)
    paths = {file.path for file in read_backup_manifest(made.path).files}
    dataset = files.choose_dataset(None).dataset_id
    assert {path for path in paths if not path.startswith("datasets/")} == {
        "catalog.duckdb", "catalog.duckdb.last-seen.json", "journal.sqlite", "workspace.json", "workspace-id.json",
    }  # fmt: skip
    assert {path.split("/")[1] for path in paths if path.startswith("datasets/")} == {dataset}
