"""Files that are no files, and files that would fill memory or disk, end in a sentence or in bad rows."""

import gzip
import json
import os
import socket
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lorif_core.config import ImportConfig
from lorif_core.data.decision_rows import iter_decision_rows
from lorif_core.data.importing import write_examples
from lorif_core.data.source_files import find_files
from lorif_core.data.sources import iter_records
from lorif_core.errors import ConfigError, DataError
from lorif_core.evaluation.recipe import read_recipe
from lorif_core.plain_files import ALWAYS_BYTES, MAX_LINE_BYTES, refuse_large_archive
from lorif_core.workspace.asking.value_file import read_groups
from lorif_core.workspace.curation.decisions import read_rules

MB = 1 << 20


def rows_of(path, **how):
    (part,) = find_files([path], ImportConfig(**how)).parts
    return list(iter_records(part.path, part.how))


def write_bomb(path: Path, num_bytes: int, unit: bytes = b'{"text": "a"}\n') -> Path:
    """A gzip file of many equal members, made in no time, of the same text over and over."""
    block = unit * (MB // len(unit))
    member = gzip.compress(block * 16)
    path.write_bytes(member * -(-num_bytes // (16 * len(block))))
    return path


def pipe(folder):
    path = folder / "rows.jsonl"
    os.mkfifo(path)
    return path


def socket_file(folder):
    path = folder / "s.jsonl"
    with socket.socket(socket.AF_UNIX) as listening:
        here = Path.cwd()
        os.chdir(folder)  # such names may have 107 bytes
        try:
            listening.bind(path.name)
        finally:
            os.chdir(here)
    return path


def device(folder):
    path = folder / "zeros.jsonl"
    path.symlink_to("/dev/zero")
    return path


KINDS = [(pipe, "a pipe"), (socket_file, "a socket"), (device, "a device")]


@pytest.mark.parametrize(("make", "said"), KINDS)
@pytest.mark.parametrize(
    "read",
    [
        rows_of,
        lambda path: write_examples([path], ImportConfig(), path.parent / "out"),
        lambda path: list(iter_decision_rows(path, ["text"], None)),
        read_groups,
        read_rules,
        read_recipe,
        refuse_large_archive,
    ],
)
def test_what_is_no_file_is_refused_without_waiting(tmp_path, make, said, read):
    path = make(tmp_path)
    with pytest.raises(DataError, match=f"{path.name}' is {said}: write what comes out of it to a file"):
        read(path)


def test_a_pipe_in_a_folder_of_data_is_skipped_and_said(tmp_path):
    (tmp_path / "data.jsonl").write_text('{"text": "a"}\n')
    path = pipe(tmp_path)
    found = find_files([tmp_path], ImportConfig())
    assert (found.paths, found.skipped) == ([tmp_path / "data.jsonl"], [path])


def test_a_compressed_file_that_grows_beyond_measure_is_refused(tmp_path):
    path = write_bomb(tmp_path / "rows.jsonl.gz", ALWAYS_BYTES + 64 * MB, b" " * 8_191 + b"\n")
    with pytest.raises(DataError, match=r"may hold 1.1 GB .*rows.jsonl.gz' holds more.*`--max-decompressed-gb`"):
        rows_of(path)


def test_a_person_may_allow_less_or_more(tmp_path):
    path = write_bomb(tmp_path / "rows.csv.gz", MB, b"a," + b"b" * 8_189 + b"\n")
    with pytest.raises(DataError, match=r"may hold 0.0 GB"):
        rows_of(path, max_decompressed_gb=0.001)
    assert len(rows_of(path, max_decompressed_gb=1)) == 16 * (MB // 8_192) - 1


@pytest.mark.parametrize("said", [0.0, -1.0, float("nan"), float("inf")])
def test_an_allowance_is_a_number(said):
    with pytest.raises(ConfigError, match="must be a number > 0"):
        ImportConfig(max_decompressed_gb=said)


@pytest.mark.parametrize(
    ("name", "last"),
    [("rows.jsonl.gz", b'{"text": "after"}\n'), ("rows.csv.gz", b"after\n"), ("rows.txt.gz", b"after\n")],
)
def test_a_line_without_end_is_a_bad_row_and_those_after_it_are_read(tmp_path, name, last):
    header = b"text\n" if ".csv" in name else b""
    path = tmp_path / name
    block = gzip.compress(b"a" * (16 * MB))
    path.write_bytes(gzip.compress(header) + block * (MAX_LINE_BYTES // (16 * MB) + 1) + gzip.compress(b"\n" + last))
    long, after = rows_of(path, txt="line" if ".txt" in name else None)
    assert "longer than 256 MiB" in (long.problem + long.detail)
    assert after.values == {"text": "after"}


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.json"])
def test_deep_nesting_and_numbers_of_a_million_digits_are_bad_rows_or_a_sentence(tmp_path, name):
    path = tmp_path / name
    for hostile in ('{"text": ' + "[" * 100_000 + "]" * 100_000 + "}", '{"text": "a", "n": ' + "9" * 1_000_000 + "}"):
        path.write_text(f"[{hostile}]" if name == "rows.json" else hostile + '\n{"text": "b"}\n')
        if name == "rows.json":
            with pytest.raises(DataError, match="is not a JSON value"):
                rows_of(path)
        else:
            bad, good = rows_of(path)
            assert bad.problem in ("nested too deeply", "not JSON")
            assert good.values == {"text": "b"}


def test_a_float_of_a_million_digits_is_a_number(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"text": "a", "n": 1.' + "3" * 1_000_000 + "}\n")
    assert rows_of(path)[0].values == {"text": "a", "n": 1.3333333333333333}


@pytest.mark.parametrize("names", [[f"c{n}" for n in range(100_000)], ["text"] * 100_000])
def test_a_csv_file_with_100_000_columns_is_refused(tmp_path, names):
    path = tmp_path / "wide.csv"
    path.write_text(",".join(names) + "\n" + ",".join("x" for _ in names) + "\n")
    with pytest.raises(DataError, match=r"at most 4,096 columns|column names must differ") as refused:
        write_examples([path], ImportConfig(), tmp_path / "out")
    assert len(str(refused.value)) < 600


@pytest.fixture
def flat_parquet(tmp_path):
    """40 million bytes in a file of a few kilobytes."""
    path = tmp_path / "flat.parquet"
    column = pa.DictionaryArray.from_arrays(pa.array([0] * 2_000, pa.int32()), pa.array(["x" * 20_000]))
    pq.write_table(pa.table({"text": column.cast(pa.string())}), path, use_dictionary=False, compression="zstd")
    return path


def test_a_parquet_file_that_says_it_holds_too_much_is_refused(flat_parquet):
    assert len(rows_of(flat_parquet)) == 2_000
    for read in (
        lambda: rows_of(flat_parquet, max_decompressed_gb=0.01),
        lambda: write_examples([flat_parquet], ImportConfig(max_decompressed_gb=0.01), flat_parquet.parent / "out"),
    ):
        with pytest.raises(DataError, match=r"flat.parquet' holds more"):
            read()


@pytest.mark.parametrize("seed", range(40))
def test_a_parquet_file_with_a_wrong_byte_in_its_footer_is_a_sentence_or_rows(flat_parquet, seed):
    content = bytearray(flat_parquet.read_bytes())
    length = int.from_bytes(content[-8:-4], "little")
    place = len(content) - 8 - length + (seed * 7_919) % length
    content[place] ^= 0xFF
    flat_parquet.write_bytes(content)
    try:
        assert len(rows_of(flat_parquet)) == 2_000
    except DataError as error:
        assert str(flat_parquet) in str(error)  # noqa: PT017 - either is right


def test_an_archive_that_says_it_holds_too_much_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("lorif_core.plain_files.ALWAYS_BYTES", MB)
    path = tmp_path / "scores.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", bytes(2 * MB))
    with pytest.raises(DataError, match=r"scores\.npz' holds more"):
        refuse_large_archive(path)


def test_a_decision_whose_line_has_no_end_is_a_sentence(tmp_path, monkeypatch):
    path = tmp_path / "excluded.jsonl"
    path.write_text(json.dumps({"id": "a", "status": "flagged", "comment": "x" * 2_000}) + "\n")
    monkeypatch.setattr("lorif_core.data.decision_rows.MAX_LINE_BYTES", 1_000)
    with pytest.raises(DataError, match=r"line 1 of .* is longer than"):
        list(iter_decision_rows(path, ["text"], None))
