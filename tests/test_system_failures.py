"""What the operating system refuses is called by its name, never by that of another refusal."""

import errno
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from polars.exceptions import PanicException
from tiny_workspace import copy_of, imported, lorif

from lorif_core import cli
from lorif_core.errors import ArtefactError, ResourceError
from lorif_core.system_failures import (
    NO_THREAD,
    failure_sentence,
    is_of_the_machine,
    raise_unless_failure,
    refuse_if_of_the_machine,
    what_failed,
)

ROOT = Path(__file__).parents[1]

SAID = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "the quota of this user",
    errno.EMFILE: "raise its limit with `ulimit -n",
    errno.ENFILE: "all programs of this machine",
    errno.EFBIG: "than `ulimit -f` allows",
    errno.EAGAIN: "no further process or thread .* `ulimit -u`",
    errno.ENOMEM: "the memory did not suffice",
    errno.EROFS: "mounted read-only",
    errno.ENAMETOOLONG: "choose a shorter one",
    errno.ELOOP: "symbolic links",
    errno.ESTALE: "the network disk has lost the file",
    errno.EIO: "the disk reports an error",
    errno.ETXTBSY: "a program that runs",
    errno.EACCES: "check the permissions",
    errno.EPERM: "permissions do not decide this",
}


def refused(number):
    return OSError(number, os.strerror(number), "/data/file")


@pytest.mark.parametrize("number", SAID)
def test_every_refusal_says_what_it_is_and_the_next_step(number):
    sentence = failure_sentence(refused(number))
    start = f"'/data/file' cannot be used ({os.strerror(number)}): "
    assert sentence.startswith(start)
    assert re.search(SAID[number], sentence.removeprefix(start))
    assert ("check the permissions" in sentence) == (number == errno.EACCES)


def test_a_missing_file_is_a_defect_at_the_outermost_frame_and_has_a_step_nearer_to_it():
    assert not is_of_the_machine(refused(errno.ENOENT))
    assert what_failed(refused(errno.ENOENT)) == "(No such file or directory): check the path"


@pytest.mark.parametrize(
    ("error", "step"),
    [
        (MemoryError(), "the memory did not suffice"),
        (ImportError("torch.so: failed to map segment from shared object"), "the memory did not suffice"),
        (RuntimeError(NO_THREAD), "no further process or thread"),
        (OSError("Too many open files (os error 24)"), "raise its limit with `ulimit -n"),
    ],
)
def test_what_python_and_rust_say_in_words_is_understood(error, step):
    assert step in what_failed(error)


def test_a_text_that_speaks_of_permissions_is_no_refusal():
    assert not is_of_the_machine(ValueError("Permission denied"))


def test_what_is_read_is_not_called_damaged_for_a_limit():
    path = Path("/data/file")
    with pytest.raises(ResourceError, match=r"'/data/file' cannot be read .*ulimit -n"):
        refuse_if_of_the_machine(refused(errno.EMFILE), path)
    with pytest.raises(ArtefactError, match=r"'/data/file' cannot be read .*check the permissions"):
        refuse_if_of_the_machine(refused(errno.EACCES), path)
    refuse_if_of_the_machine(ValueError("no footer"), path)


def panic() -> BaseException:
    """What polars raises where it may start no thread."""
    said = 'could not spawn threads: IOError(Os { code: 11, message: "Resource temporarily unavailable" })'
    return PanicException(said)


def test_what_is_no_failure_passes_the_outermost_frames():
    for error in (KeyboardInterrupt(), SystemExit(2), GeneratorExit()):
        with pytest.raises(type(error)):
            raise_unless_failure(error)
    raise_unless_failure(ValueError("a defect"))
    raise_unless_failure(panic())


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (refused(errno.EMFILE), "lorif: '/data/file' cannot be used (Too many open files): this process"),
        (MemoryError(), "lorif: the system refused something (Cannot allocate memory): the memory did not suffice"),
        (panic(), "lorif: the system refused something (Resource temporarily unavailable): no further process or"),
    ],
)
def test_a_command_ends_with_one_sentence_and_exit_code_2(error, said, monkeypatch):
    def refuse() -> None:
        raise error

    monkeypatch.setitem(cli.COMMANDS, "doctor", refuse)
    run = lorif("doctor")
    assert (run.code, run.out, run.err.count("\n")) == (2, "", 1)
    assert run.err.startswith(said)


LIMITED = """
import resource, sys
from lorif_core.cli import main
from lorif_core.workspace import workspace  # what is imported needs no file later
name, limit = getattr(resource, sys.argv[1]), int(sys.argv[2])
resource.setrlimit(name, (limit, limit))
sys.exit(main(sys.argv[3:]))
"""


def limited(name, limit, *arguments):
    command = [sys.executable, "-c", LIMITED, name, str(limit), *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_a_command_that_may_open_few_files_says_so(tmp_path):
    run = limited("RLIMIT_NOFILE", 6, "browse", copy_of(imported(), tmp_path / "ws"))
    assert run.returncode == 2
    assert "ulimit -n" in run.stderr
    assert run.stderr.count("\n") == 1


def test_a_command_that_may_write_small_files_says_so(tmp_path):
    workspace = copy_of(imported(), tmp_path / "ws")
    run = limited("RLIMIT_FSIZE", 4_096, "export", workspace, "--out", tmp_path / "kept.jsonl")
    assert run.returncode == 2
    assert "ulimit -f" in run.stderr
    assert run.stderr.count("\n") == 1
