import errno
import os
import re
from pathlib import Path

import pytest
from disk_log import record_disk

from lorif_core.errors import ArtefactError, ResourceError
from lorif_core.files import (
    checksum_of_file,
    fingerprint_of_files,
    fingerprint_of_value,
    give_up,
    put_if_absent,
    put_json,
    read_json,
    replace_file,
    write_json,
)


def write_half(path, error):
    with replace_file(path) as partial:
        partial.write_text("half", encoding="utf-8")
        raise error


def test_a_file_appears_under_its_name_only_when_the_block_ends(tmp_path):
    path = tmp_path / "file"
    with replace_file(path) as partial:
        partial.write_text("new", encoding="utf-8")
        assert not path.exists()
    assert path.read_text(encoding="utf-8") == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt(), OSError(errno.EIO, "broken")], ids=repr)
def test_an_error_leaves_the_old_file_and_nothing_else(error, tmp_path):
    path = tmp_path / "file"
    path.write_text("old", encoding="utf-8")
    with pytest.raises(type(error)):
        write_half(path, error)
    assert path.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [path]


def replaced(path):
    with replace_file(path) as partial:
        partial.write_text("new", encoding="utf-8")


def written(path):
    write_json(path, {"a": 1})


@pytest.mark.parametrize("write", [replaced, written])
@pytest.mark.parametrize("is_there", [True, False])
def test_a_file_is_on_the_disk_before_it_has_its_name_and_the_name_before_the_writer_goes_on(
    write, is_there, tmp_path, monkeypatch
):
    path = tmp_path / "file"
    if is_there:
        path.write_text("old", encoding="utf-8")
    steps = record_disk(monkeypatch)
    write(path)
    assert [what for what, _ in steps] == ["fsync", "replace", "fsync"]
    temporary, named, folder = (where for _, where in steps)
    assert re.fullmatch(r"\.file\.[0-9a-f]{32}\.partial", temporary.name)
    assert (temporary.parent, named, folder) == (tmp_path, path, tmp_path)


def test_an_error_before_anything_was_written_leaves_nothing(tmp_path):
    with pytest.raises(ValueError, match="no"), replace_file(tmp_path / "file"):
        raise ValueError("no")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_says_which_file_and_that_the_command_resumes(code, tmp_path):
    with pytest.raises(ResourceError, match=r"is full while writing 'file': what was finished is kept.* it resumes"):
        write_half(tmp_path / "file", OSError(code, os.strerror(code)))
    assert list(tmp_path.iterdir()) == []


def test_text_of_any_script_comes_back_and_nothing_is_left_beside(tmp_path):
    write_json(tmp_path / "file", {"a": "é\u2028"})
    assert read_json(tmp_path / "file") == {"a": "é\u2028"}
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_of_writers_at_once_each_publishes_a_whole_file(tmp_path):
    path = tmp_path / "file"
    with replace_file(path) as first:
        first.write_text("first, longer than the second", encoding="utf-8")
        with replace_file(path) as second:
            second.write_text("second", encoding="utf-8")
        assert path.read_text(encoding="utf-8") == "second"
    assert path.read_text(encoding="utf-8") == "first, longer than the second"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("letter", ["n", "é", "字"])
def test_a_name_as_long_as_the_file_system_takes_can_be_written(letter, tmp_path):
    name = letter * (255 // len(letter.encode()))
    write_json(tmp_path / name, {"a": 1})
    put_if_absent(tmp_path / name[1:], b"content")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, name[1:]])


def test_a_missing_json_file_is_named(tmp_path):
    with pytest.raises(ArtefactError, match=r"x.json' is missing: is this the right workspace\?"):
        read_json(tmp_path / "x.json")


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[1, 2]", b"null", b'"text"'])
def test_a_file_that_holds_no_json_object_is_refused(content, tmp_path):
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(
        ArtefactError, match=r"x.json' (is not readable JSON|must hold a JSON object).* restore or rebuild"
    ):
        read_json(tmp_path / "x.json")


def test_a_checksum_is_that_of_the_bytes_and_not_of_the_name(tmp_path):
    for name, content in (("a", b"1" * 9_000_000), ("b", b"1" * 9_000_000), ("c", b"1" * 8_999_999 + b"2")):
        (tmp_path / name).write_bytes(content)
    a, b, c = (checksum_of_file(tmp_path / name) for name in "abc")
    assert a == b != c


def test_a_checksum_is_the_published_xxh3_128(tmp_path):
    # XXH3_128bits of the empty input, from the reference implementation's documentation.
    (tmp_path / "empty").write_bytes(b"")
    assert checksum_of_file(tmp_path / "empty") == "99aa06d3014798d86001c324468d497f"


def test_a_fingerprint_of_files_depends_on_names_and_contents_but_not_on_folder_or_order(tmp_path):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        for name in "ab":
            (tmp_path / folder / name).write_text(name, encoding="utf-8")
    one = [tmp_path / "one" / name for name in "ab"]
    assert fingerprint_of_files(one) == fingerprint_of_files([tmp_path / "two" / name for name in "ba"])
    assert fingerprint_of_files(one) != fingerprint_of_files(one[:1])
    (tmp_path / "one" / "a").write_text("b", encoding="utf-8")
    assert fingerprint_of_files(one) != fingerprint_of_files([tmp_path / "two" / name for name in "ab"])


def test_a_fingerprint_of_a_value_depends_on_it_but_not_on_the_order_of_its_keys():
    assert fingerprint_of_value({"a": 1, "b": [2, 3]}) == fingerprint_of_value({"b": [2, 3], "a": 1})
    assert fingerprint_of_value({"a": 1, "b": [2, 3]}) != fingerprint_of_value({"a": 1, "b": [3, 2]})


def test_a_file_is_put_where_there_is_none_and_its_folder_is_made(tmp_path):
    assert put_if_absent(tmp_path / "folder/file", b"first") == b"first"
    assert (tmp_path / "folder/file").read_bytes() == b"first"
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["file"]


def test_a_file_that_is_there_stays_and_is_returned(tmp_path):
    put_if_absent(tmp_path / "file", b"first")
    assert put_if_absent(tmp_path / "file", b"second") == b"first"
    assert put_json(tmp_path / "json", {"a": 1}) == {"a": 1}
    assert put_json(tmp_path / "json", {"a": 2}) == {"a": 1}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "json"]


@pytest.mark.parametrize(
    ("code", "kind", "message"),
    [
        (errno.ENOSPC, ResourceError, "is full while writing 'file'"),
        (errno.EPERM, ArtefactError, "needs a disk with hard links, .* Put the workspace on another disk"),
        (errno.EOPNOTSUPP, ArtefactError, "needs a disk with hard links"),
        (errno.EIO, OSError, "broken"),
    ],
)
def test_a_link_that_fails_says_why_and_leaves_nothing(code, kind, message, tmp_path, monkeypatch):
    def fail(source, target, **options):
        raise OSError(code, "broken")

    monkeypatch.setattr(os, "link", fail)
    with pytest.raises(kind, match=message):
        put_if_absent(tmp_path / "file", b"content")
    assert list(tmp_path.iterdir()) == []


def test_a_writer_whose_file_vanishes_again_and_again_gives_up(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "link", lambda source, target, **options: Path(source).unlink())
    with pytest.raises(FileNotFoundError):
        put_if_absent(tmp_path / "file", b"content")


def test_what_is_given_up_keeps_its_log_under_the_same_name(tmp_path):
    for name in ("a.sqlite", "a.sqlite-wal", "b.sqlite-wal"):
        (tmp_path / name).write_text(name)
    database, log = give_up(tmp_path / "a.sqlite", ["-wal", "-shm"])
    assert re.fullmatch(r"a\.given-up-\d{8}T\d{12}\.sqlite", database.name)
    assert log.name == f"{database.name}-wal"
    assert (database.read_text(), log.read_text()) == ("a.sqlite", "a.sqlite-wal")
    assert {path.name for path in tmp_path.iterdir()} == {database.name, log.name, "b.sqlite-wal"}
