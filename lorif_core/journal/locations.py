"""Where a journal lies: a file on a local disk, or a PostgreSQL database.

SQLite's write-ahead log is shared memory between the processes that use it, and shared memory does not
reach across a network: on a network file system two machines would each see their own, and decisions
would be lost without an error. So such a file is refused before it is opened.
"""

import re
from pathlib import Path

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from lorif_core.errors import JournalError

MOUNT_TABLE = Path("/proc/self/mountinfo")

NETWORK_FILE_SYSTEMS = frozenset(
    "9p acfs afs autofs beegfs ceph cifs coda davfs glusterfs gfs2 gpfs lustre ncpfs nfs nfs4 ocfs2 orangefs "
    "panfs pvfs2 smb smb2 smb3 smbfs".split()
)
"""Types of file systems that several machines can have mounted at once."""

LOCAL_FUSE = frozenset({"fuse.fuse-overlayfs", "fuse.mergerfs", "fuse.encfs", "fuse.gocryptfs", "fuse.bindfs"})
"""File systems in user space that lie on a local disk; any other may lie anywhere."""

DRIVERS = {"sqlite": "sqlite", "sqlite+pysqlite": "sqlite"} | dict.fromkeys(
    ("postgresql", "postgres", "postgresql+psycopg"), "postgresql+psycopg"
)


def parse_location(location: Path | str) -> Path | URL:
    """The SQLite file or the PostgreSQL address that a person meant.

    Raises:
        JournalError: An address of something else, or one that cannot be read. The message shows no password.
    """
    if isinstance(location, Path) or "://" not in location:
        return Path(location)
    try:
        url = make_url(location)
    except (ArgumentError, ValueError):
        # The cause would show the address, with its password.
        raise JournalError(
            "the address of the journal cannot be read: it looks like "
            "`postgresql+psycopg://user:password@host:5432/database`; in a password write `@` as `%40`, `/` as `%2F`."
        ) from None
    driver = DRIVERS.get(url.drivername)
    if driver is None:
        raise JournalError(
            f"a journal is an SQLite file or a PostgreSQL database, got an address of {url.drivername!r}: "
            "give a path or `postgresql+psycopg://user@host/database`."
        )
    if driver != "sqlite":
        return url.set(drivername=driver)
    if not url.database or url.database == ":memory:":
        raise JournalError("a journal outlives the program, so SQLite needs a file: give its path.")
    return Path(url.database)


def plain_place(location: Path | str) -> str:
    """A journal's place without the passwords that its address may carry."""
    place = parse_location(location)
    if isinstance(place, Path):
        return str(place.expanduser().resolve())
    return plain_address(place)


def plain_address(url: URL) -> str:
    """An address without the passwords that it may carry."""
    secrets = [name for name in url.query if "password" in name]
    return url.difference_update_query(secrets).render_as_string(hide_password=True)


def check_file_location(path: Path) -> None:
    """Refuse a place that cannot hold an SQLite journal.

    Raises:
        JournalError: The folder is missing, the path is one, or the disk is reached over a network.
    """
    if not path.parent.is_dir():
        raise JournalError(f"{str(path.parent)!r} is not a folder, so it cannot hold a journal: check the path.")
    if path.is_dir():
        raise JournalError(f"a journal is a file, and {str(path)!r} is a folder: give a path inside it.")
    if not MOUNT_TABLE.exists():
        return
    file_system = file_system_of(path, MOUNT_TABLE.read_text(encoding="utf-8", errors="surrogateescape"))
    if is_network_file_system(file_system):
        raise JournalError(
            f"{str(path)!r} lies on a network file system ({file_system}), where SQLite loses decisions when two "
            "machines write: move the workspace to a local disk, or use `--journal postgresql+psycopg://…`."
        )


def file_system_of(path: Path, mount_table: str) -> str:
    """Type of the file system that holds an absolute path, as Linux lists it in ``/proc/self/mountinfo``.

    Empty if no mount point holds it.
    """
    found, depth = "", -1
    for line in mount_table.splitlines():
        mount, _, source = line.partition(" - ")
        mount_point = Path(_unescaped(mount.split(" ")[4]))
        # A later line with the same mount point lies on top of an earlier one.
        if path.is_relative_to(mount_point) and len(mount_point.parts) >= depth:
            found, depth = source.split(" ")[0], len(mount_point.parts)
    return found


def is_network_file_system(file_system: str) -> bool:
    """Whether several machines may write to a file system of this type at once."""
    return file_system in NETWORK_FILE_SYSTEMS or (file_system.startswith("fuse.") and file_system not in LOCAL_FUSE)


def _unescaped(mount_point: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), mount_point)
