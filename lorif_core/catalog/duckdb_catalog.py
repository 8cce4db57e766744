"""The catalog in one DuckDB file: everybody reads it at any time, and who writes takes turns.

A write copies the file, changes the copy and renames it over the file. So a reader opens what is there, needs no
lock and has a whole catalog for as long as it looks, also in a folder that it may not write. Writers take turns,
first come first served (``file_turns``). Nothing stays open between two calls. docs/decisions/0030 says why.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import fields
from pathlib import Path
from typing import NamedTuple

from duckdb_sqlalchemy import insert
from sqlalchemy import Connection, delete, select
from sqlalchemy.exc import DBAPIError

from lorif_core.catalog.catalog_file import (
    count_write,
    create_file,
    fold_log,
    format_of,
    is_locked_by_another,
    lock_of,
    log_of,
    migrate,
    opened,
    plain_errors,
    rewriting,
    seen_in,
)
from lorif_core.catalog.last_seen_catalog import LastSeenCatalog, SeenCatalog, check_seen, lost
from lorif_core.catalog.records import KINDS, Record
from lorif_core.catalog.repository import Catalog, R, Records
from lorif_core.catalog.schema import FORMAT_VERSION, TABLES
from lorif_core.errors import CatalogError
from lorif_core.file_turns import turn_at
from lorif_core.files import Stamp, stamp_of

LOCK_TIMEOUT_S = 30.0

Lookup = tuple[type[Record], tuple[tuple[str, str], ...]]
"""A kind of record, and the values that its columns should have."""


class _Memory(NamedTuple):
    """What was read of a file while it had this stamp."""

    stamp: Stamp | None
    found: dict[Lookup, Sequence[Record]]


class DuckDBCatalog(Catalog):
    """A catalog in a DuckDB file, safe to use from several threads and processes.

    No connection outlives a method call. The file and its tables are made by the first catalog that
    opens the path.
    """

    def __init__(
        self, path: Path, lock_timeout_s: float = LOCK_TIMEOUT_S, last_seen: LastSeenCatalog | None = None
    ) -> None:
        """Open the catalog at ``path``, making it if there is none.

        Args:
            path: The file.
            lock_timeout_s: How long a write waits for its turn.
            last_seen: What a workspace remembers of it; another or an older catalog is refused then, and one that is
                gone is not made anew.

        Raises:
            CatalogError: The file is not a catalog of this version, not the one that was seen, or cannot be read or
                made.
            TurnError: It must be made or brought to this version, and others do not stop writing.
        """
        # Resolved once: one file has one lock, also through a link or after a change of folder.
        self.path = path.resolve()
        self.lock_path = lock_of(self.path)
        self._lock_timeout_s = lock_timeout_s
        self._memory = _Memory(None, {})
        self._last_seen = last_seen
        _check_location(self.path)
        with plain_errors(self.path):
            if self._is_ready():
                return
            if self.path.exists() and not self._may_write():
                raise CatalogError(
                    f"the catalog {str(self.path)!r} has an earlier format and its folder cannot be written: "
                    "open the workspace once as somebody who may write it, with `lorif status`."
                )
            with self._turn():
                self._make_ready()

    def _is_ready(self) -> bool:
        """Whether the file can be used as it is."""
        if not self.path.exists():
            return False
        seen = self._seen()
        with self._reading() as connection:
            if format_of(connection, self.path) < FORMAT_VERSION:
                return False
            self._check(connection, seen)
        return self._last_seen is None or self._last_seen.exists() or not self._may_write()

    def _make_ready(self) -> None:
        """Make the file, bring it to the present format, or take it as the workspace's own; in the writers' turn."""
        if not self.path.exists():
            self._make()
        else:
            with opened(self.path) as connection:
                version = format_of(connection, self.path)
            if version < FORMAT_VERSION:
                if self._seen() is not None:
                    raise lost(self.path, "is an older copy: it is of an earlier version of LoRIF Studio")
                with rewriting(self.path) as connection:
                    migrate(connection, version)
        if self._last_seen is not None and not self._last_seen.exists():
            with opened(self.path) as connection:
                found = seen_in(connection)
            if found is not None:
                self._last_seen.write(found)

    def _make(self) -> None:
        if self._last_seen is not None and not self._last_seen.may_be_new():
            raise lost(self.path, "is missing")
        if (log := log_of(self.path)).exists():
            raise CatalogError(
                f"{str(self.path)!r} is missing, but {log.name!r} beside it holds changes made to it: bring the "
                "file back, or move the other one away too."
            )
        create_file(self.path)

    def _seen(self) -> SeenCatalog | None:
        """What is remembered now; looked up before a file is opened, so that it is not newer than that."""
        return None if self._last_seen is None else self._last_seen.read()

    def _check(self, connection: Connection, seen: SeenCatalog | None) -> SeenCatalog:
        found = seen_in(connection)
        if found is None:
            raise lost(self.path, "does not say which one it is")
        check_seen(found, seen, self.path)
        return found

    def _list(self, kind: type[R], values: Mapping[str, str]) -> list[R]:
        """Records from memory while the file is what it was when they were read."""
        lookup = (kind, tuple(sorted(values.items())))
        memory = self._memory
        known = memory.found.get(lookup)
        if known is not None and memory.stamp is not None and memory.stamp == self._stamp():
            return [record for record in known if isinstance(record, kind)]
        before = self._stamp()
        with self._reads() as records:
            found = records.matching(kind, values)
        self._keep(before, lookup, found)
        return found

    def _keep(self, before: Stamp | None, lookup: Lookup, found: Sequence[Record]) -> None:
        if before is None or before != self._stamp():
            return  # which of the two files was read cannot be told
        memory = self._memory
        if memory.stamp != before:
            self._memory = memory = _Memory(before, {})
        memory.found[lookup] = list(found)

    def _stamp(self) -> Stamp | None:
        """None while there is no file, or one with a log that was not folded in."""
        try:
            found = stamp_of(self.path)
        except OSError:
            return None
        return None if log_of(self.path).exists() else found

    @contextmanager
    def _reads(self) -> Iterator[Records]:
        self._require_file()
        seen = self._seen()
        with plain_errors(self.path), self._reading() as connection:
            self._check(connection, seen)
            yield _RecordsInDuckDB(connection)

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        """The file as it is now. Takes no turn, unless somebody has it open who writes into it in place."""
        with ExitStack() as stack:
            if log_of(self.path).exists() and self._may_write():
                stack.enter_context(self._turn())
                self._fold()
            try:
                connection = stack.enter_context(opened(self.path))
            except DBAPIError as error:
                if not is_locked_by_another(error) or not self._may_write():
                    raise
                stack.enter_context(self._turn())  # earlier versions write in place, in theirs
                connection = stack.enter_context(opened(self.path))
            yield connection

    @contextmanager
    def _transaction(self) -> Iterator[Records]:
        self._require_file()
        with plain_errors(self.path), self._turn():
            self._require_file()
            self._fold()
            before = self._stamp()
            with rewriting(self.path) as connection:
                found = self._check(connection, self._seen())
                count_write(connection)
                records = _RecordsInDuckDB(connection)
                yield records
            if self._last_seen is not None:
                self._last_seen.follow(found._replace(generation=found.generation + 1))
            if records.changed and before is not None and self._memory.stamp == before:
                self._memory = _Memory(self._stamp(), _without(self._memory.found, records.changed))

    def _fold(self) -> None:
        if log_of(self.path).exists():
            fold_log(self.path)

    def _require_file(self) -> None:
        _check_location(self.path)
        if not self.path.exists():
            raise lost(self.path, "has been removed or renamed")

    def _may_write(self) -> bool:
        return os.access(self.path.parent, os.W_OK)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        with ExitStack() as stack:
            try:
                stack.enter_context(turn_at(self.lock_path, self._lock_timeout_s))
            except OSError as error:
                raise CatalogError(
                    f"{str(self.lock_path)!r} cannot be locked ({error.strerror}): to write, a workspace needs a "
                    "folder on a local disk that you may write to."
                ) from error
            yield


class _RecordsInDuckDB:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.changed: set[type[Record]] = set()

    def put(self, record: Record) -> None:
        self.put_all([record])

    def put_all(self, records: Sequence[Record]) -> None:
        if not records:
            return
        kind = type(records[0])
        self.changed.add(kind)
        names = [field.name for field in fields(records[0])]
        statement = insert(TABLES[kind]).values(
            [{name: getattr(record, name) for name in names} for record in records]
        )
        id_field = KINDS[kind].id_field
        changed = {column.name: column for column in statement.excluded if column.name != id_field}
        self._connection.execute(statement.on_conflict_do_update(index_elements=[id_field], set_=changed))

    def remove(self, kind: type[Record], values: Mapping[str, str]) -> None:
        self.changed.add(kind)
        table = TABLES[kind]
        self._connection.execute(delete(table).where(*(table.c[name] == value for name, value in values.items())))

    def matching(self, kind: type[R], values: Mapping[str, str]) -> list[R]:
        table = TABLES[kind]
        statement = (
            select(table)
            .where(*(table.c[name] == value for name, value in values.items()))
            .order_by(table.c.created_at, table.c[KINDS[kind].id_field])
        )
        return [kind(**row) for row in self._connection.execute(statement).mappings()]


def _without(found: Mapping[Lookup, Sequence[Record]], changed: set[type[Record]]) -> dict[Lookup, Sequence[Record]]:
    return {lookup: records for lookup, records in found.items() if lookup[0] not in changed}


def _check_location(path: Path) -> None:
    if not path.parent.is_dir():
        raise CatalogError(f"{str(path.parent)!r} is not a folder, so it cannot hold a catalog: check the path.")
