"""A catalog that is gone, empty, another one or set back is refused, and a healthy one never is."""

import shutil

import duckdb
import pytest
from tiny_workspace import copy_of, done, imported, lorif, write_rows

from lorif_core.catalog.last_seen_catalog import LastSeenCatalog, SeenCatalog
from lorif_core.workspace.folder.workspace_files import open_files

REMEDIES = "restore a backup with `lorif restore-backup`, or begin an empty one with `lorif catalog {} --start-anew`"


@pytest.fixture
def workspace(tmp_path):
    found = copy_of(imported(), tmp_path)
    done("status", found)
    return found


def memory_of(workspace):
    return open_files(workspace).last_seen_catalog


def seen_by(workspace):
    found = memory_of(workspace).read()
    assert found is not None
    return found


def add_version(workspace, tmp_path):
    rows = [{"id": "a", "text": "text a"}]
    done("import", workspace, write_rows(tmp_path / "more.jsonl", rows), "--name", "more")


def refusal(workspace, *command):
    run = lorif(*(command or ("status", workspace)))
    assert run.code == 2, run.out
    assert REMEDIES.format(workspace) in run.err.replace("\n", " ")
    return run.err


def delete(workspace, tmp_path):
    (workspace / "catalog.duckdb").unlink()


def empty(workspace, tmp_path):
    (workspace / "catalog.duckdb").write_bytes(b"")


def take_anothers(workspace, tmp_path):
    done("import", tmp_path / "other", write_rows(tmp_path / "other.jsonl", [{"text": "x"}]))
    shutil.copy(tmp_path / "other" / "catalog.duckdb", workspace / "catalog.duckdb")


def set_back(workspace, tmp_path):
    shutil.copy(workspace / "catalog.duckdb", tmp_path / "older.duckdb")
    add_version(workspace, tmp_path)
    shutil.copy(tmp_path / "older.duckdb", workspace / "catalog.duckdb")


def set_back_to_format_3(workspace, tmp_path):
    with duckdb.connect(str(workspace / "catalog.duckdb")) as connection:
        connection.execute("DROP TABLE catalog_identity; UPDATE catalog_version SET format_version = 3")


LOSSES = {
    "has been removed|is missing": delete,
    "is not a DuckDB file": empty,
    "is not the one that this workspace works with": take_anothers,
    "is an older copy: it was written 1 times, and the workspace has seen it written 2 times": set_back,
    "is an older copy: it is of an earlier version": set_back_to_format_3,
}


@pytest.mark.parametrize("problem", LOSSES, ids=[loss.__name__ for loss in LOSSES.values()])
def test_a_lost_catalog_is_refused_by_who_reads_and_who_writes_until_it_is_begun_anew(problem, workspace, tmp_path):
    LOSSES[problem](workspace, tmp_path)
    file = workspace / "catalog.duckdb"
    content = file.read_bytes() if file.exists() else None
    found = refusal(workspace)
    assert any(part in found for part in problem.split("|"))
    again = write_rows(tmp_path / "again.jsonl", [{"text": "y"}])
    assert refusal(workspace, "import", workspace, again) == found
    assert (file.read_bytes() if file.exists() else None) == content
    run = done("catalog", workspace, "--start-anew", "--yes", "--json").json
    assert len(run["moved"]) == (content is not None)
    assert done("catalog", workspace, "--json").json["datasets"] == 0
    done("import", workspace, again)
    assert done("catalog", workspace, "--json").json["datasets"] == 1


def test_a_catalog_replaced_under_an_open_workspace_is_refused(workspace, tmp_path):
    files = open_files(workspace)
    assert len(files.catalog.datasets()) == 1
    take_anothers(workspace, tmp_path)
    with pytest.raises(Exception, match="is not the one that this workspace works with"):
        files.catalog.datasets()
    with pytest.raises(Exception, match="is not the one that this workspace works with"):
        files.catalog.put_dataset(open_files(tmp_path / "other").catalog.datasets()[0])


def test_data_without_a_catalog_are_no_new_workspace(workspace):
    """As after a restore that forgot it, or of a workspace of before the memory."""
    memory_of(workspace).path.unlink()
    (workspace / "catalog.duckdb").unlink()
    assert "is missing" in refusal(workspace)


def test_a_crash_between_a_write_and_its_memory_harms_nothing(workspace, tmp_path):
    memory = memory_of(workspace)
    before = memory.path.read_bytes()
    add_version(workspace, tmp_path)
    memory.path.write_bytes(before)
    assert done("catalog", workspace, "--json").json["datasets"] == 2
    done("import", workspace, write_rows(tmp_path / "third.jsonl", [{"text": "z"}]))
    assert seen_by(workspace).generation == 3


@pytest.mark.parametrize("content", [None, b"", b"{"], ids=["gone", "empty", "cut"])
def test_a_memory_that_is_lost_is_made_again_from_what_is_there(content, workspace, tmp_path):
    memory = memory_of(workspace)
    seen = seen_by(workspace)
    memory.path.unlink()
    if content is not None:
        memory.path.write_bytes(content)
    done("status", workspace)
    add_version(workspace, tmp_path)
    assert seen_by(workspace) == seen._replace(generation=seen.generation + 1)


def test_a_workspace_of_before_adopts_its_catalog_and_keeps_its_versions(workspace, tmp_path):
    add_version(workspace, tmp_path)
    rows = [{"id": "a", "text": "text a"}, {"id": "b", "text": "text b"}]
    done("import", workspace, write_rows(tmp_path / "more.jsonl", rows), "--name", "more")
    before = open_files(workspace).catalog.datasets()
    set_back_to_format_3(workspace, tmp_path)
    memory_of(workspace).path.unlink()
    after = open_files(workspace).catalog.datasets()
    assert after == before
    assert [record.version for record in after] == [1, 1, 2]
    assert seen_by(workspace).generation == 0
    delete(workspace, tmp_path)
    assert "is missing" in refusal(workspace)


def test_beginning_anew_asks(workspace, tmp_path):
    run = lorif("catalog", workspace, "--start-anew")
    assert run.code == 2
    assert "questions that were asked" in run.err
    assert "nothing was changed: this needs a yes" in run.err
    assert done("catalog", workspace, "--json").json["datasets"] == 1


def test_the_memory_is_written_in_place_in_one_block(tmp_path):
    memory = LastSeenCatalog(tmp_path / "seen.json")
    memory.write(SeenCatalog("x" * 32, 9))
    inode = memory.path.stat().st_ino
    memory.follow(SeenCatalog("x" * 32, 10))
    assert memory.read() == SeenCatalog("x" * 32, 10)
    assert (memory.path.stat().st_ino, memory.path.stat().st_size) == (inode, 512)
