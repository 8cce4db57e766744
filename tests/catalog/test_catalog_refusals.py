"""What the DuckDB catalog refuses, and what it tells a person to do."""

import multiprocessing
from pathlib import Path

import duckdb
import pytest
from filelock import FileLock
from sqlalchemy.exc import ProgrammingError

from lorif_core.catalog import DuckDBCatalog, EvaluationRecord
from lorif_core.errors import CatalogError, TurnError

EVALUATION = EvaluationRecord(evaluation_id="e1", kind="lds", dataset_id="d1", settings_json="{}", result_json="[]")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "catalog.duckdb"


def hold_open(path: Path, is_open, may_close) -> None:
    connection = duckdb.connect(str(path))
    is_open.set()
    may_close.wait()
    connection.close()


def run_sql(path: Path, *statements: str) -> None:
    with duckdb.connect(str(path)) as connection:
        for statement in statements:
            connection.execute(statement)


@pytest.mark.parametrize("content", [b"", b"no database" * 1000], ids=["empty", "text"])
def test_a_file_that_is_no_database_is_refused(path, content):
    path.write_bytes(content)
    with pytest.raises(
        CatalogError, match=r"^the catalog .* is not a DuckDB file; bring the right one back, restore a backup"
    ):
        DuckDBCatalog(path)
    assert path.read_bytes() == content


def test_a_damaged_file_is_refused(path):
    DuckDBCatalog(path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 4])
    with pytest.raises(CatalogError, match=r"it is damaged; bring the right one back, restore a backup"):
        DuckDBCatalog(path).datasets()


def test_a_database_that_is_no_catalog_is_refused(path):
    run_sql(path, "CREATE TABLE recipe(a INT)")
    with pytest.raises(CatalogError, match=r"is a DuckDB file, but not a catalog: bring the right one back"):
        DuckDBCatalog(path)


def test_a_catalog_of_a_newer_version_is_refused(path):
    DuckDBCatalog(path)
    run_sql(path, "UPDATE catalog_version SET format_version = 99")
    with pytest.raises(CatalogError, match=r"has format 99 and this program reads up to 4.*Upgrade with"):
        DuckDBCatalog(path)


def test_a_folder_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(CatalogError, match=r"file' is not a folder, so it cannot hold a catalog"):
        DuckDBCatalog(tmp_path / "file" / "catalog.duckdb")


def test_a_folder_that_is_missing_is_not_made(tmp_path):
    with pytest.raises(CatalogError, match=r"is not a folder"):
        DuckDBCatalog(tmp_path / "typo" / "catalog.duckdb")
    assert list(tmp_path.iterdir()) == []


def test_a_lock_file_that_cannot_be_opened_is_refused(path):
    path.with_name("catalog.duckdb.lock").mkdir()
    with pytest.raises(CatalogError, match=r"cannot be locked \(.+\).* that you may write to"):
        DuckDBCatalog(path)


def test_changes_whose_file_is_missing_is_refused(path):
    path.with_name("catalog.duckdb.wal").write_bytes(b"changes")
    with pytest.raises(CatalogError, match=r"is missing, but 'catalog.duckdb.wal' beside it holds changes"):
        DuckDBCatalog(path)
    assert not path.exists()


def test_a_catalog_that_another_process_holds_open_is_refused(path):
    catalog = DuckDBCatalog(path)
    context = multiprocessing.get_context("spawn")
    is_open, may_close = context.Event(), context.Event()
    child = context.Process(target=hold_open, args=(path, is_open, may_close))
    child.start()
    try:
        is_open.wait()
        with pytest.raises(CatalogError, match=r"another program has it open for writing; close it there.*PID \d+"):
            catalog.datasets()
    finally:
        may_close.set()
        child.join()
    assert catalog.datasets() == []


def test_who_waits_for_a_lock_that_is_never_given_back_is_told_so(path):
    catalog = DuckDBCatalog(path, lock_timeout_s=0.05)
    with FileLock(catalog.lock_path):
        assert catalog.datasets() == []
        with pytest.raises(
            TurnError, match=r"take turns at '.*catalog\.duckdb\.lock'.* another program has locked it"
        ):
            catalog.put_evaluation(EVALUATION)
    catalog.put_evaluation(EVALUATION)
    assert catalog.evaluations() == [EVALUATION]


def test_a_write_while_another_program_may_write_is_refused_and_loses_nothing_of_it(path):
    catalog = DuckDBCatalog(path)
    context = multiprocessing.get_context("spawn")
    is_open, may_close = context.Event(), context.Event()
    child = context.Process(target=hold_open, args=(path, is_open, may_close))
    child.start()
    try:
        is_open.wait()
        with pytest.raises(CatalogError, match=r"cannot be written: another program has it open for writing"):
            catalog.put_evaluation(EVALUATION)
    finally:
        may_close.set()
        child.join()
    catalog.put_evaluation(EVALUATION)


def test_a_catalog_removed_while_in_use_is_not_made_again(path):
    catalog = DuckDBCatalog(path)
    path.unlink()
    with pytest.raises(CatalogError, match=r"has been removed or renamed: bring the right one back"):
        catalog.datasets()
    assert not path.exists()


def test_a_defect_in_our_sql_keeps_its_traceback(path):
    catalog = DuckDBCatalog(path)
    run_sql(path, "DROP TABLE model")
    with pytest.raises(ProgrammingError):
        catalog.models()
