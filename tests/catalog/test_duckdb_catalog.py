"""The DuckDB file: sharing it between processes, losing nothing, staying offline."""

import errno
import multiprocessing
import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest
from filelock import FileLock
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from lorif_core.catalog import DatasetRecord, DuckDBCatalog, EvaluationRecord
from lorif_core.catalog.catalog_file import opened
from lorif_core.catalog.records import KINDS
from lorif_core.catalog.schema import TABLES
from lorif_core.errors import CatalogError
from lorif_core.file_turns import turn_at

INT64 = st.integers(-(2**63), 2**63 - 1)

DATASET = DatasetRecord(
    dataset_id="d1",
    name="tales",
    fingerprint="3f9c",
    kind="text",
    num_examples=5,
    size_bytes=7,
    created_at=datetime(2026, 3, 29, tzinfo=UTC),
)
EVALUATION = EvaluationRecord(
    evaluation_id="e1",
    kind="lds",
    dataset_id="d1",
    settings_json="{}",
    result_json="[]",
    created_at=datetime(2026, 11, 22, tzinfo=UTC),
)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "catalog.duckdb"


def put_many(path: Path, worker: str, count: int) -> list[str]:
    warnings.simplefilter("error")
    catalog = DuckDBCatalog(path)
    written = []
    for number in range(count):
        catalog.put_dataset(replace(DATASET, dataset_id=f"{worker}-{number}"))
        written.append(f"{worker}-{number}")
    return written


def commit_and_die(path: Path) -> None:
    """As a process of an earlier version, which writes in place."""
    catalog = DuckDBCatalog(path)
    with FileLock(catalog.lock_path):
        connection = duckdb.connect(str(path))
        connection.execute("INSERT INTO model VALUES ('m', 'n', 'f', 't', 'a', 1, '2026-01-01 00:00:00')")
        os._exit(9)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_the_columns_of_a_table_are_the_fields_of_its_record(kind):
    table = TABLES[kind]
    assert {column.name for column in table.columns} == {field.name for field in fields(kind)}
    assert [column.name for column in table.primary_key] == [KINDS[kind].id_field]


@pytest.fixture(scope="module")
def shared_catalog(tmp_path_factory):
    return DuckDBCatalog(tmp_path_factory.mktemp("shared") / "catalog.duckdb")


@settings(max_examples=30, deadline=None)
@given(
    names=st.tuples(st.text(), st.text(), st.text()),
    counts=st.tuples(INT64, INT64),
    files=st.lists(st.text()).map(tuple),
    created_at=st.datetimes(timezones=st.timezones()),
)
def test_any_text_count_and_time_comes_back(shared_catalog, names, counts, files, created_at):
    record = DatasetRecord(
        dataset_id=names[0],
        name=names[1],
        fingerprint=names[2],
        kind="text",
        num_examples=counts[0],
        size_bytes=counts[1],
        source_files=files,
        created_at=created_at,
    )
    shared_catalog.put_dataset(record)
    assert shared_catalog.dataset(names[0]) == record


def test_two_catalogs_on_one_file_see_each_others_writes(path):
    first, second = DuckDBCatalog(path), DuckDBCatalog(path)
    first.put_dataset(DATASET)
    assert second.datasets() == [DATASET]


def test_a_change_of_folder_does_not_change_the_catalog(path, monkeypatch):
    monkeypatch.chdir(path.parent)
    catalog = DuckDBCatalog(Path("catalog.duckdb"))
    monkeypatch.chdir("/")
    catalog.put_dataset(DATASET)
    assert DuckDBCatalog(path).datasets() == [DATASET]


def test_a_folder_may_have_an_odd_name(tmp_path):
    folder = tmp_path / 'ünï \'%20#;&= "x"'
    folder.mkdir()
    DuckDBCatalog(folder / "catalog.duckdb").put_dataset(DATASET)
    assert DuckDBCatalog(folder / "catalog.duckdb").datasets() == [DATASET]


def test_four_processes_writing_at_once_lose_nothing(path):
    context = multiprocessing.get_context("spawn")
    with context.Pool(4) as pool:
        written = pool.starmap(put_many, [(path, worker, 25) for worker in "abcd"])
        pool.close()
        pool.join()
    expected = {dataset_id for ids in written for dataset_id in ids}
    assert len(expected) == 100
    assert {record.dataset_id for record in DuckDBCatalog(path).datasets()} == expected


def test_eight_threads_sharing_a_catalog_lose_nothing(path):
    catalog = DuckDBCatalog(path)
    records = [replace(DATASET, dataset_id=f"d{number:02}") for number in range(24)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(catalog.put_dataset, records))
    assert catalog.datasets() == records


def test_a_committed_write_survives_a_killed_process_and_so_does_the_lock(path):
    child = multiprocessing.get_context("spawn").Process(target=commit_and_die, args=(path,))
    child.start()
    child.join()
    assert child.exitcode == 9
    assert path.with_name("catalog.duckdb.wal").exists()
    assert [record.model_id for record in DuckDBCatalog(path, lock_timeout_s=0).models()] == ["m"]


def test_no_connection_stays_open_after_a_call_even_one_that_failed(path):
    catalog = DuckDBCatalog(path)
    catalog.put_dataset(DATASET)
    with pytest.raises(CatalogError, match="no data set"):
        catalog.dataset("x")
    # Refused by DuckDB if any connection of this process, which would have other settings, were open.
    with duckdb.connect(str(path), config={"threads": 2}) as connection:
        assert connection.execute("SELECT dataset_id FROM dataset").fetchall() == [("d1",)]


def test_a_transaction_that_raises_leaves_no_trace_and_no_lock(path):
    catalog = DuckDBCatalog(path, lock_timeout_s=0)

    def put_and_fail():
        with catalog._transaction() as records:
            records.put(DATASET)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        put_and_fail()
    assert catalog.datasets() == []


def test_only_the_catalog_and_its_lock_are_left_in_the_folder(path):
    DuckDBCatalog(path).put_dataset(DATASET)
    assert sorted(file.name for file in path.parent.iterdir()) == ["catalog.duckdb", "catalog.duckdb.lock"]


def test_a_creation_that_was_killed_does_not_stop_the_next_one(path):
    path.with_name(".catalog.duckdb.partial").write_bytes(b"half a file")
    path.with_name(".catalog.duckdb.partial.wal").write_bytes(b"half a log")
    assert DuckDBCatalog(path).datasets() == []
    assert sorted(file.name for file in path.parent.iterdir()) == ["catalog.duckdb", "catalog.duckdb.lock"]


def test_duckdb_neither_fetches_extensions_nor_opens_other_files(path, tmp_path):
    other = tmp_path / "other.csv"
    other.write_text("a\n1\n")
    catalog = DuckDBCatalog(path)
    with opened(catalog.path) as connection:
        rows = connection.execute(text("SELECT name, value FROM duckdb_settings()")).all()
        found = {name: value for name, value in rows}
        with pytest.raises(Exception, match="disabled by configuration"):
            connection.execute(text(f"SELECT * FROM read_csv('{other}')")).all()
    for name in ("autoinstall_known_extensions", "autoload_known_extensions", "allow_community_extensions"):
        assert found[name] == "false"


def test_a_catalog_of_format_1_gains_the_table_of_evaluations_and_loses_nothing(path):
    DuckDBCatalog(path).put_dataset(DATASET)
    connection = duckdb.connect(str(path))
    for table in ("evaluation", "query", "hit", "catalog_identity"):
        connection.execute(f"DROP TABLE {table}")
    for column in ("source_checksums", "settings_json", "corpus_id", "parent_id", "version"):
        connection.execute(f"ALTER TABLE dataset DROP COLUMN {column}")
    connection.execute("UPDATE catalog_version SET format_version = 1")
    connection.close()
    upgraded = DuckDBCatalog(path)
    upgraded.put_evaluation(EVALUATION)
    assert upgraded.datasets() == [DATASET]
    assert DuckDBCatalog(path).evaluations() == [EVALUATION]


def test_a_write_of_one_kind_leaves_what_was_read_of_others_in_memory(path, monkeypatch):
    catalog = DuckDBCatalog(path)
    catalog.put_dataset(DATASET)
    assert catalog.dataset("d1") == DATASET
    assert catalog.evaluations() == []
    catalog.put_evaluation(EVALUATION)
    monkeypatch.setattr(catalog, "_reading", lambda: pytest.fail("the file was read again"))
    assert catalog.dataset("d1") == DATASET
    monkeypatch.undo()
    assert catalog.evaluations() == [EVALUATION]


def test_a_write_through_another_catalog_is_seen_at_once(path):
    reader, writer = DuckDBCatalog(path), DuckDBCatalog(path)
    writer.put_dataset(DATASET)
    assert reader.dataset("d1") == DATASET
    assert reader.datasets() == [DATASET]
    changed = replace(DATASET, name="fables")
    writer.put_dataset(changed)
    reader.put_evaluation(EVALUATION)  # its own write must not vouch for what the other one changed
    assert reader.datasets() == [changed]
    assert reader.dataset("d1") == changed


def test_reading_takes_no_turn(path):
    DuckDBCatalog(path).put_dataset(DATASET)
    with turn_at(path.with_name("catalog.duckdb.lock"), 0):
        catalog = DuckDBCatalog(path, lock_timeout_s=0)
        assert catalog.datasets() == [DATASET]
        with pytest.raises(CatalogError, match="no data set 'x'"):
            catalog.dataset("x")


def test_a_reader_sees_its_catalog_to_the_end_while_others_write(path):
    catalog = DuckDBCatalog(path)
    catalog.put_dataset(DATASET)
    with catalog._reads() as before:
        assert before.matching(DatasetRecord, {}) == [DATASET]
        catalog.put_dataset(replace(DATASET, dataset_id="d2"))
        with catalog._reads() as after:  # not DuckDB's own copy of what lay there before
            assert len(after.matching(DatasetRecord, {})) == 2
        assert before.matching(DatasetRecord, {}) == [DATASET]
    assert len(catalog.datasets()) == 2


def test_what_was_read_beside_a_write_is_not_taken_for_what_was_written(path):
    catalog, other = DuckDBCatalog(path), DuckDBCatalog(path)
    catalog.put_dataset(DATASET)
    before = catalog._stamp()
    other.put_dataset(replace(DATASET, dataset_id="d2"))
    catalog._keep(before, (DatasetRecord, ()), [DATASET])
    assert len(catalog.datasets()) == 2


def test_a_folder_that_may_not_be_written_can_be_read(path, monkeypatch):
    DuckDBCatalog(path).put_dataset(DATASET)
    path.with_name("catalog.duckdb.lock").unlink()
    refuse_to_write(monkeypatch)
    catalog = DuckDBCatalog(path)
    assert catalog.datasets() == [DATASET]
    with pytest.raises(CatalogError, match=r"cannot be locked \(Permission denied\): to write, a workspace needs"):
        catalog.put_evaluation(EVALUATION)


def test_an_earlier_format_in_a_folder_that_may_not_be_written_is_refused(path, monkeypatch):
    DuckDBCatalog(path)
    with duckdb.connect(str(path)) as connection:
        connection.execute("UPDATE catalog_version SET format_version = 2")
    refuse_to_write(monkeypatch)
    with pytest.raises(CatalogError, match=r"has an earlier format.* open the workspace once .* may write"):
        DuckDBCatalog(path)


def refuse_to_write(monkeypatch):
    """As a file system that is mounted for reading: these tests may run as root, whom no permission keeps out."""
    real = os.open

    def refusing(name, flags, *more, **named):
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            raise PermissionError(errno.EACCES, "Permission denied", str(name))
        return real(name, flags, *more, **named)

    monkeypatch.setattr(os, "open", refusing)
    monkeypatch.setattr(os, "access", lambda place, mode: not mode & os.W_OK)
