"""Seals: a file says that it is not what was written, whichever of its bytes changed."""

import json
import random
import sqlite3
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import xxhash
from safetensors import safe_open
from safetensors.torch import save_file

from lorif_core.errors import ArtefactError, DamagedArtefact
from lorif_core.files import BLANK_SEAL, SEAL, check_file, check_seal, put_json, read_json, replace_sealed, write_json

LOOKS_SEALED = f"a text that speaks of {BLANK_SEAL}"


def write_parquet(path):
    schema = pa.schema([("text", pa.string()), ("score", pa.float32())], metadata={SEAL: BLANK_SEAL})
    table = pa.table([[LOOKS_SEALED, "b"] * 20, [0.5, 1.5] * 20], schema=schema)
    with replace_sealed(path) as partial:
        pq.write_table(table, partial, compression="none")


def write_safetensors(path):
    with replace_sealed(path) as partial:
        save_file({"weight": torch.arange(12.0)}, partial, metadata={SEAL: BLANK_SEAL})


def write_npz(path):
    import zipfile

    with replace_sealed(path) as partial:
        with partial.open("wb") as handle:
            np.savez(handle, rows=np.arange(40))
        with zipfile.ZipFile(partial, "a") as archive:
            archive.comment = BLANK_SEAL.encode()


def write_sqlite(path):
    with replace_sealed(path) as partial:
        connection = sqlite3.connect(partial)
        connection.execute("CREATE TABLE seal (seal TEXT)")
        connection.execute("INSERT INTO seal VALUES (?)", [BLANK_SEAL])
        connection.execute("CREATE TABLE texts (text TEXT)")
        connection.executemany("INSERT INTO texts VALUES (?)", [[LOOKS_SEALED]] * 40)
        connection.commit()
        connection.close()


def write_object(path):
    write_json(path, {"name": "index", "text": LOOKS_SEALED, "parts": list(range(30))})


def put_object(path):
    put_json(path, {"name": "plan", "text": LOOKS_SEALED})


def read_parquet(path):
    return pq.read_table(path)["text"].to_pylist()[:2] == [LOOKS_SEALED, "b"]


def read_safetensors(path):
    with safe_open(path, framework="pt") as file:
        return file.get_tensor("weight").tolist() == list(range(12))


def read_npz(path):
    return np.load(path)["rows"].tolist() == list(range(40))


def read_sqlite(path):
    connection = sqlite3.connect(path)
    try:
        return connection.execute("SELECT text FROM texts").fetchall() == [(LOOKS_SEALED,)] * 40
    finally:
        connection.close()


def read_object(path):
    return SEAL not in read_json(path) and read_json(path)["text"] == LOOKS_SEALED


KINDS = {
    "parquet": (write_parquet, read_parquet),
    "safetensors": (write_safetensors, read_safetensors),
    "npz": (write_npz, read_npz),
    "sqlite": (write_sqlite, read_sqlite),
    "json": (write_object, read_object),
    "put": (put_object, read_object),
}


@pytest.fixture(params=KINDS)
def kind(request):
    return KINDS[request.param]


@pytest.fixture
def path(kind, tmp_path):
    path = tmp_path / "file"
    kind[0](path)
    return path


def test_other_programs_read_a_sealed_file(kind, path):
    assert check_seal(path)
    assert kind[1](path)


def test_a_seal_is_the_checksum_of_the_file_with_a_blank_one(path):
    content = path.read_bytes()
    (digits,) = {
        content[start + 11 : start + 43]
        for start in range(len(content))
        if content.startswith(b"lorif-seal:", start) and content[start + 11 : start + 43] != b"0" * 32
    }
    assert xxhash.xxh3_128(content.replace(digits, b"0" * 32)).hexdigest().encode() == digits


def test_every_bit_of_a_sealed_file_counts(path):
    content = path.read_bytes()
    positions = sorted(random.Random(0).sample(range(len(content)), min(400, len(content))))
    seals = [at for at in range(len(content) - 11) if content.startswith((b"lorif-seal:", b":lorif-seal"), at)]
    for position in {*positions, *(at + offset for at in seals for offset in range(11)), 0, len(content) - 1}:
        damaged = bytearray(content)
        damaged[position] ^= 1 << position % 8
        path.write_bytes(damaged)
        with pytest.raises(DamagedArtefact, match="is not what was written"):
            check_seal(path)


def test_a_json_object_that_lost_its_end_is_named(tmp_path):
    write_object(tmp_path / "file")
    content = (tmp_path / "file").read_bytes()
    assert len(content) > 100
    for length in range(len(content) - 1):
        (tmp_path / "file").write_bytes(content[:length])
        with pytest.raises(ArtefactError):
            read_json(tmp_path / "file")


def test_a_changed_number_in_a_json_object_is_damage(tmp_path):
    write_json(tmp_path / "file", {"rank": 8})
    (tmp_path / "file").write_text((tmp_path / "file").read_text().replace("8", "9"))
    with pytest.raises(DamagedArtefact, match=r"file' is not what was written: .* Restore it from a backup"):
        read_json(tmp_path / "file")


def test_a_file_without_a_seal_is_read_as_it_is(tmp_path):
    (tmp_path / "file").write_text(json.dumps({"rank": 8}))
    assert read_json(tmp_path / "file") == {"rank": 8}
    assert not check_seal(tmp_path / "file")
    check_file(tmp_path / "file")


def test_a_file_without_room_for_its_seal_is_a_defect_and_leaves_nothing(tmp_path):
    with pytest.raises(ValueError, match="no room"), replace_sealed(tmp_path / "file") as partial:
        Path(partial).write_text("no blank")
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_read_once_until_it_is_written_again(tmp_path, monkeypatch):
    write_object(tmp_path / "file")
    check_file(tmp_path / "file")
    monkeypatch.setattr("lorif_core.files.check_seal", lambda path: pytest.fail("read again"))
    check_file(tmp_path / "file")
    monkeypatch.undo()
    content = (tmp_path / "file").read_bytes()
    (tmp_path / "file").write_bytes(content.replace(b"index", b"other"))
    with pytest.raises(DamagedArtefact):
        check_file(tmp_path / "file")


def test_a_seal_stands_wherever_in_a_large_file_its_format_has_room(tmp_path):
    schema = pa.schema([("blob", pa.binary())], metadata={SEAL: BLANK_SEAL})
    table = pa.table([[random.Random(0).randbytes(9_000_000)]], schema=schema)
    with replace_sealed(tmp_path / "file") as partial:
        pq.write_table(table, partial)
    assert check_seal(tmp_path / "file")
    with (tmp_path / "file").open("rb+") as handle:
        handle.write(b"Q")
    with pytest.raises(DamagedArtefact):
        check_seal(tmp_path / "file")
