"""What the operating system refused, in words: which limit, disk or right it was, and what a person does next.

A message that blames permissions for a full table of open files sends people the wrong way, so every place where a
failure of the system becomes a sentence takes its words from here (docs/decisions/0032).
"""

import errno
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lorif_core.errors import ArtefactError, ResourceError

NO_THREAD = "can't start new thread"
"""How Python, which gives no number of the error, says that a thread was refused."""

_RUST = re.compile(r"\(os error (\d+)\)")
_SPEAKING = ("duckdb", "_duckdb", "polars", "pyarrow", "safetensors_rust", "safetensors", "pyo3_runtime")
"""Libraries whose errors hold the system's words, and mostly not its number."""

_LIMITS = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EMFILE,
    errno.ENFILE,
    errno.EFBIG,
    errno.EAGAIN,
    errno.ENOMEM,
)


def _limit(name: str) -> str:
    """The limit of this process in words, empty where it has none or the platform knows none."""
    try:
        import resource  # not on Windows
    except ImportError:
        return ""
    soft, _ = resource.getrlimit(getattr(resource, name))
    return "" if soft == resource.RLIM_INFINITY else f", now {soft:,}"


def _blocks_of_files() -> str:
    # `ulimit -f` counts blocks of 1,024 bytes in bash; the number here is bytes.
    limit = _limit("RLIMIT_FSIZE")
    return f"{limit} bytes" if limit else ""


_STEPS: dict[int, Callable[[], str]] = {
    errno.ENOSPC: lambda: "free some space on that disk",
    errno.EDQUOT: lambda: "the quota of this user on that disk is used up: free some space, or ask for more",
    errno.EMFILE: lambda: (
        f"this process may not open more files: raise its limit with `ulimit -n 4096`{_limit('RLIMIT_NOFILE')}"
    ),
    errno.ENFILE: lambda: "all programs of this machine together have too many files open: close some of them",
    errno.EFBIG: lambda: (
        f"the file would be larger than `ulimit -f` allows{_blocks_of_files()}, or than its disk can hold: raise the "
        "limit, or use another disk"
    ),
    errno.EAGAIN: lambda: (
        f"no further process or thread may be started: raise `ulimit -u`{_limit('RLIMIT_NPROC')} or the limit of "
        "the container, or stop other programs"
    ),
    errno.ENOMEM: lambda: (
        "the memory did not suffice: stop other programs, use smaller batches, or raise `ulimit -v` where it is set"
    ),
    errno.EROFS: lambda: "that disk is mounted read-only: use another folder, or mount it for writing",
    errno.ENAMETOOLONG: lambda: "the name is longer than the file system allows: choose a shorter one",
    errno.ELOOP: lambda: "symbolic links lead in a circle, or where none may be: name the file itself",
    errno.ESTALE: lambda: "the network disk has lost the file: mount it again, or wait until its server is back",
    errno.EIO: lambda: "the disk reports an error: save what is on it, and check it and its cable or server",
    errno.ETXTBSY: lambda: "the file is a program that runs: stop it first",
    errno.EACCES: lambda: "you may not do this: check the permissions of it and of the folders above it (`ls -ld`)",
    errno.EPERM: lambda: (
        "permissions do not decide this: it belongs to somebody else, is marked unchangeable (`lsattr`), or its disk "
        "or container forbids it"
    ),
}
"""The next step by the number of the error: what a person can do, or ask the owner of the machine for."""

_NAME_STEPS = {
    errno.ENOENT: "check the path",
    errno.ENOTDIR: "a file stands where a folder is needed: check the path",
    errno.EISDIR: "it is a folder: name a file",
    errno.EEXIST: "something is there already: choose another name",
    errno.ENOTEMPTY: "the folder is not empty: choose another one",
    errno.EBUSY: "another program or a mount uses it: wait, or choose another place",
    errno.ENXIO: "it is no file: name a file",
    errno.ENODEV: "it is no file: name a file",
    errno.EINVAL: "its file system does not do this: use a local disk",
    errno.ENOTSUP: "its file system does not do this: use a local disk",
    errno.ENOLCK: "its file system gives no locks: use a local disk",
}
"""The same for a wrong name. At the outermost frame these are defects: the place that knew the name should speak."""


def raise_unless_failure(error: BaseException) -> None:
    """Let through what only looks like an error: Ctrl-C, exits, Streamlit's control flow. For the outermost frames.

    A panic of a library in Rust (polars without a thread to start) is a failure, and no ``Exception`` either.
    """
    if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
        raise error


def is_of_the_machine(error: BaseException) -> bool:
    """Whether a limit, a disk or a right of the machine stopped the work, whatever the work was."""
    return _number(error) in _STEPS


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, on whatever device."""
    # By name and by word: this module does not import torch, whose CPU allocator has no exception of its own, and a
    # library that finds no room for its code is an ImportError.
    no_room = isinstance(error, ImportError) and "failed to map segment" in str(error)
    is_named = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    return is_named or no_room or "alloc_cpu" in str(error)


def next_step(error: BaseException) -> str:
    """What to do about a failure of the system; for an unknown one to look at what was named."""
    number = _number(error)
    if number in _STEPS:
        return _STEPS[number]()
    return _NAME_STEPS.get(number or 0, "check it")


def what_failed(error: BaseException) -> str:
    """The system's own words and what to do, such as ``(Too many open files): raise …``, to stand behind a rule."""
    number = _number(error)
    words = (error.strerror if isinstance(error, OSError) else None) or (os.strerror(number) if number else None)
    return f"({words or error}): {next_step(error)}"


def failure_sentence(error: BaseException, otherwise: str = "the system refused something") -> str:
    """A failure that nobody nearer to it has described, as one sentence without its full stop.

    Args:
        error: One of which ``is_of_the_machine`` is true.
        otherwise: What the sentence begins with where the error names no file.
    """
    named = getattr(error, "filename", None)
    place = f"{_shown(named)} cannot be used" if named is not None else otherwise
    return f"{place} {what_failed(error)}"


def refuse_if_of_the_machine(error: BaseException, path: Path) -> None:
    """Say what the machine refused about a file that is read, before it is taken for damaged.

    Raises:
        ResourceError: A limit, the memory or the disk did not suffice.
        ArtefactError: The file may not be read, or its disk fails.
    """
    number = _number(error)
    if number in _STEPS:
        kind = ResourceError if number in _LIMITS else ArtefactError
        raise kind(f"{str(path)!r} cannot be read {what_failed(error)}.") from error


def _shown(name: Any) -> str:
    return repr(name) if isinstance(name, int) else repr(os.fsdecode(name))


def _number(error: BaseException) -> int | None:
    """The system's number of an error, also where another library tells it by words alone."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    if is_out_of_memory(error):
        return errno.ENOMEM
    if isinstance(error, RuntimeError) and NO_THREAD in str(error):
        return errno.EAGAIN
    if isinstance(error, OSError | ImportError) or type(error).__module__.partition(".")[0] in _SPEAKING:
        text = str(error)
        if found := _RUST.search(text):
            return int(found[1])
        return next((number for number in _STEPS if os.strerror(number) in text), None)
    return None
