"""Reports of defects: their owner's alone, never written through a link, bounded in size and number."""

import os
import stat

import pytest
from tiny_workspace import lorif

from lorif_core import cli
from lorif_core.private_logs import (
    LARGEST_LOG_BYTES,
    MAX_LOG_BYTES,
    MAX_REPORTS,
    open_log,
    state_folder,
    write_report,
)
from lorif_core.workspace.health.inventory import kind_of


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "lorif"


def test_a_report_and_its_folder_are_for_their_owner_alone(state):
    before = os.umask(0)
    try:
        path = write_report("Traceback")
    finally:
        os.umask(before)
    assert (path.parent, path.read_text()) == (state, "Traceback")
    assert (mode(path), mode(state)) == (0o600, 0o700)


def test_a_folder_that_others_could_read_is_closed(state):
    state.mkdir(parents=True, mode=0o755)
    write_report("Traceback")
    assert mode(state) == 0o700


def test_nothing_is_written_through_a_link(state, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    state.parent.mkdir()
    state.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(NotADirectoryError, match="is no folder of this user"):
        write_report("Traceback")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_reports_are_bounded_in_size_and_number(state):
    paths = [write_report("begin" + "x" * 10 * MAX_LOG_BYTES + "end") for _ in range(MAX_REPORTS + 3)]
    kept = list(state.iterdir())
    assert len(kept) == MAX_REPORTS
    assert max(path.stat().st_size for path in kept) <= MAX_LOG_BYTES
    text = next(path for path in paths if path.exists()).read_text()
    assert (text[:5], text[-3:]) == ("begin", "end")


@pytest.mark.parametrize("said", ["", "relative/folder"])
def test_a_state_folder_that_is_not_absolute_is_ignored(monkeypatch, said):
    monkeypatch.setenv("XDG_STATE_HOME", said)
    assert state_folder().is_absolute()
    assert "relative" not in state_folder().parts


@pytest.fixture
def defect(monkeypatch):
    def broken() -> None:
        raise KeyError("a defect \x1b[31m")

    monkeypatch.setitem(cli.COMMANDS, "doctor", broken)


def test_a_defect_names_the_file_of_its_report(state, defect):
    run = lorif("doctor")
    (report,) = state.iterdir()
    assert run.code == 1
    assert f"The traceback above is also in {report}." in run.err
    assert "KeyError" in report.read_text()


def test_the_traceback_on_the_terminal_obeys_nothing_of_its_message(state, monkeypatch):
    def broken() -> None:
        raise KeyError(type("Odd", (str,), {"__repr__": lambda self: "\x1b]0;title\x07"})())

    monkeypatch.setitem(cli.COMMANDS, "doctor", broken)
    assert "\x1b" not in lorif("doctor").err


def test_a_defect_whose_report_cannot_be_kept_says_why(state, defect):
    state.parent.mkdir()
    state.write_text("a file in the way")
    run = lorif("doctor")
    assert run.code == 1
    assert "The traceback above could not be kept (" in run.err


def test_the_doctor_knows_a_log_and_the_one_before_it():
    assert [kind_of(f"logs/sign-ins.log{ending}").name for ending in ("", ".old")] == ["log", "log"]


def test_a_log_that_grows_begins_anew_and_follows_no_link(tmp_path):
    path = tmp_path / "worker.log"
    for text in (b"one", b"two"):
        with os.fdopen(open_log(path), "ab") as log:
            log.write(text)
    assert (path.read_bytes(), mode(path)) == (b"onetwo", 0o600)
    os.truncate(path, LARGEST_LOG_BYTES + 1)
    os.close(open_log(path))
    assert path.stat().st_size == 0
    assert path.with_name("worker.log.old").stat().st_size == LARGEST_LOG_BYTES + 1
    path.unlink()
    path.symlink_to(tmp_path / "victim")
    with pytest.raises(OSError, match="symbolic links"):
        open_log(path)
    assert not (tmp_path / "victim").exists()
