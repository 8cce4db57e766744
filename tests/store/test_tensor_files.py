"""Rows read from the mapped file, beside the safetensors library's own reader."""

from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from lorif_core.errors import ArtefactError, DamagedArtefact
from lorif_core.files import checksum_of_file
from lorif_core.store.local_place import LocalPlace
from lorif_core.store.tensor_files import TensorFile, header_of

GENERATOR = torch.Generator().manual_seed(0)
TENSORS = {
    "bf16": torch.randn(7, 2, 3, generator=GENERATOR).bfloat16(),
    "float32": torch.randn(7, generator=GENERATOR),
    "float64": torch.randn(7, 5, generator=GENERATOR, dtype=torch.float64),
    "int8": torch.arange(-7, 7, dtype=torch.int8).view(7, 2),
    "int32": torch.arange(7, dtype=torch.int32),
    "uint8": torch.arange(49, dtype=torch.uint8).view(7, 7),
    "empty": torch.zeros(7, 0),
}


@pytest.fixture
def path(tmp_path):
    save_file(TENSORS, tmp_path / "some.safetensors", metadata={"a": "b"})
    return tmp_path / "some.safetensors"


def header(path):
    return header_of(partial(LocalPlace(path.parent).read_range, path.name), path.stat().st_size, str(path))


def opened(path):
    return TensorFile(str(path), LocalPlace(path.parent).content(path.name, checksum_of_file(path)))


@pytest.mark.parametrize("rows", [range(7), range(2, 5), range(6, 7), range(3, 3)])
@pytest.mark.parametrize("name", TENSORS)
def test_rows_are_those_that_the_library_reads(path, name, rows):
    found = opened(path).rows(name, rows)
    assert torch.equal(found, load_file(path)[name][rows.start : rows.stop])
    assert found.dtype == TENSORS[name].dtype


def test_writing_to_what_was_read_changes_no_file(path):
    before = path.read_bytes()
    opened(path).rows("float32", range(7)).zero_()
    assert path.read_bytes() == before
    assert torch.equal(load_file(path)["float32"], TENSORS["float32"])


def test_a_tensor_outlives_the_file_that_it_was_read_from(path):
    found = opened(path).rows("int32", range(7))
    path.unlink()
    assert found.tolist() == list(range(7))


def test_the_header_says_how_large_every_tensor_is(path):
    assert {name: place.size_bytes for name, place in header(path).items()} == {
        name: tensor.numel() * tensor.element_size() for name, tensor in TENSORS.items()
    }


def test_open_tensors_keep_no_file_open(path):
    before = len(list(Path("/dev/fd").iterdir()))
    kept = [opened(path).rows("float32", range(7)) for _ in range(50)]
    assert len(list(Path("/dev/fd").iterdir())) - before < 5 < len(kept)


def written(path, header, content=bytes(4)):
    path.write_bytes(len(header).to_bytes(8, "little") + header + content)
    return path


@pytest.mark.parametrize(
    "header",
    [
        b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]} }',  # four bytes from an odd place on
        b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}  }',
        b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}  }',
        b'{"a":{"dtype":"F16","shape":[2],"data_offsets":[0,4]}  }',
    ],
    ids=["not aligned", "fewer bytes than numbers", "longer than the file", "unknown type"],
)
def test_a_header_that_does_not_go_with_the_file_is_refused(tmp_path, header):
    with pytest.raises(
        DamagedArtefact, match=r"odd' has (a wrong header for 'a'|no readable .*outside.*): build the index"
    ):
        opened(written(tmp_path / "odd", header))


@pytest.mark.parametrize(("name", "found"), [("float32", "7 rows"), ("other", "no such tensor")])
def test_rows_that_are_not_there_are_refused(path, name, found):
    with pytest.raises(DamagedArtefact, match=f"has {found} where '{name}'"):
        opened(path).rows(name, range(6, 8))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ArtefactError, match=r"none.safetensors' is missing"):
        LocalPlace(tmp_path).content("none.safetensors", "0" * 32)


def test_every_tensor_is_that_which_the_library_reads(tmp_path):
    tensors = TENSORS | {"a number": torch.tensor(2.5, dtype=torch.float64)}
    save_file(tensors, tmp_path / "some.safetensors")
    found = opened(tmp_path / "some.safetensors").whole()
    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[name], tensors[name]) for name in tensors)


@pytest.mark.parametrize("content", [b"", b"\x05", b"\x02\x00\x00\x00\x00\x00\x00\x00[]", b"x" * 100])
def test_what_is_no_safetensors_file_is_refused(tmp_path, content):
    (tmp_path / "bad").write_bytes(content)
    with pytest.raises(DamagedArtefact, match="has no readable header"):
        opened(tmp_path / "bad")


def entry(dtype="F32", shape="[1]", offsets="[0,4]"):
    return f'{{"dtype":"{dtype}","shape":{shape},"data_offsets":{offsets}}}'


HOSTILE = {
    "negative offset": f'{{"a":{entry(offsets="[-4,0]")}}}',
    "backwards": f'{{"a":{entry(offsets="[4,0]")}}}',
    "over one another": f'{{"a":{entry()},"b":{entry()}}}',
    "negative shape": f'{{"a":{entry(shape="[-1,-1]")}}}',
    "no shape of numbers": f'{{"a":{entry(shape="[1.0]")}}}',
    "true for a number": f'{{"a":{entry(shape="[true]")}}}',
    "a million digits": f'{{"a":{entry(shape="[" + "9" * 1_000_000 + "]")}}}',
    "twice": f'{{"a":{entry()},"a":{entry()}}}',
    "deep": '{"a":' + "[" * 100_000 + "]" * 100_000 + "}",
    "a list": "[]",
    "no type": '{"a":{"shape":[1],"data_offsets":[0,4]}}',
    "a type that is no text": '{"a":{"dtype":[],"shape":[1],"data_offsets":[0,4]}}',
}


@pytest.mark.parametrize("header", HOSTILE.values(), ids=list(HOSTILE))
def test_a_hostile_header_is_one_sentence(tmp_path, header):
    with pytest.raises(DamagedArtefact, match=r"build the index again") as refused:
        opened(written(tmp_path / "bad", header.encode() + b" " * (-len(header) % 8), bytes(8)))
    assert len(str(refused.value)) < 400 + len(str(tmp_path))


def test_a_header_that_is_not_utf_8_is_refused(tmp_path):
    with pytest.raises(DamagedArtefact, match="has no readable header"):
        opened(written(tmp_path / "bad", b'{"\xff":{}}'))


@pytest.mark.parametrize("length", [101 << 20, 1 << 40, (1 << 64) - 1])
def test_a_header_that_says_it_is_huge_is_not_read(tmp_path, length):
    path = tmp_path / "bad"
    with path.open("wb") as handle:
        handle.write(length.to_bytes(8, "little"))
        handle.truncate(200 << 20)  # takes no space
    with pytest.raises(DamagedArtefact, match=rf"a header of {length:,} bytes in a file of 209,715,200"):
        header(path)
