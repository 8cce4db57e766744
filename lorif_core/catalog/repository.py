"""The catalog as its users see it, and a copy of it that lives in memory.

Every public method is written once, on top of ``_transaction``, or ``_reads`` if it changes nothing: the two catalogs
differ only in where the records of a transaction lie.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Protocol, TypeVar, Unpack, runtime_checkable

from lorif_core.catalog.records import (
    KINDS,
    DatasetRecord,
    EvaluationRecord,
    HitRecord,
    IndexMeasures,
    IndexRecord,
    IndexStatus,
    ModelRecord,
    PreconditionerRecord,
    QueryRecord,
    Record,
    check_status,
    id_of,
    utc_now,
)
from lorif_core.errors import CatalogError

MAX_IDS_SHOWN = 5

R = TypeVar("R", bound=Record)


@runtime_checkable
class Records(Protocol):
    """The records of all kinds, inside one transaction."""

    def put(self, record: Record) -> None:
        """Insert the record, or replace the one with its id."""
        ...

    def put_all(self, records: Sequence[Record]) -> None:
        """Insert or replace several records of one kind."""
        ...

    def remove(self, kind: type[Record], values: Mapping[str, str]) -> None:
        """Remove the records of a kind whose columns equal the given values."""
        ...

    def matching(self, kind: type[R], values: Mapping[str, str]) -> list[R]:
        """Records of a kind whose columns equal the given values, by creation time, then id."""
        ...


@runtime_checkable
class Catalog(Protocol):
    """Facts about the artefacts of a workspace.

    Every method is one transaction: it happens wholly or not at all, and what it returned is on disk.
    A record names its parents by id, but the parents need not be there.
    """

    def _transaction(self) -> AbstractContextManager[Records]: ...

    def _reads(self) -> AbstractContextManager[Records]: ...

    def put_dataset(self, record: DatasetRecord) -> None:
        """Insert a data set, or replace the one with its id."""
        self._put(record)

    def put_model(self, record: ModelRecord) -> None:
        """Insert a model, or replace the one with its id."""
        self._put(record)

    def put_index(self, record: IndexRecord) -> None:
        """Insert an index, or replace the one with its id."""
        self._put(record)

    def put_evaluation(self, record: EvaluationRecord) -> None:
        """Keep the figures of an evaluation."""
        self._put(record)

    def evaluations(self) -> list[EvaluationRecord]:
        """Every evaluation, oldest first."""
        return self._list(EvaluationRecord, {})

    def put_query(self, record: QueryRecord, hits: Sequence[HitRecord]) -> QueryRecord:
        """Keep a question and its top lists; one that was asked before keeps its id, time and asker.

        Args:
            record: Its id is chosen here: the next number.
            hits: Of both sides; their query and hit ids are filled in here.

        Returns:
            The record as it was kept.
        """
        with self._transaction() as records:
            known = records.matching(QueryRecord, {"fingerprint": record.fingerprint})
            if known:
                first = known[0]
                kept = replace(record, query_id=first.query_id, created_at=first.created_at, asked_by=first.asked_by)
                records.remove(HitRecord, {"query_id": first.query_id})
            else:
                kept = replace(record, query_id=str(1 + len(records.matching(QueryRecord, {}))))
            records.put_all([_hit_of(kept.query_id, hit) for hit in hits])
            records.put(kept)
        return kept

    def query(self, query_id: str) -> QueryRecord:
        """The question with this id.

        Raises:
            CatalogError: There is none; the message names the known ids.
        """
        found = self._find(QueryRecord, query_id)
        if found.is_gone:
            raise CatalogError(
                f"question {query_id} went with its index, {found.index_id}, which was deleted. Ask again."
            )
        return found

    def queries(self, **values: str) -> list[QueryRecord]:
        """Every question asked, oldest first; with values, those whose columns equal them.

        Those that went with their index are not among them.
        """
        return [one for one in self._list(QueryRecord, values) if not one.is_gone]

    def hits(self, **values: str) -> list[HitRecord]:
        """Lines of top lists whose columns equal the values (``query_id``, ``train_id``), strongest first."""
        return sorted(self._list(HitRecord, values), key=lambda hit: hit.hit_id)

    def put_preconditioner(self, record: PreconditionerRecord) -> None:
        """Insert a preconditioner, or replace the one with its id."""
        self._put(record)

    def set_index_status(self, index_id: str, status: IndexStatus, **measures: Unpack[IndexMeasures]) -> IndexRecord:
        """Change the status of an index, and with it what its build measured.

        Returns:
            The record as it is now; ``updated_at`` is the time of this call.

        Raises:
            CatalogError: The index or the status is unknown.
        """
        check_status(status)
        with self._transaction() as records:
            found = _one(records, IndexRecord, index_id)
            changed = replace(found, status=status, updated_at=utc_now(), **measures)
            records.put(changed)
        return changed

    def remove_index(self, index_id: str, evaluations: Sequence[str] = ()) -> None:
        """Forget an index, its preconditioners, its questions with their lists, and its model if no other needs it.

        The numbers of its questions are never given to others.

        Args:
            index_id: Of the index.
            evaluations: Ids of evaluations that go with it.

        Raises:
            CatalogError: There is no such index.
        """
        with self._transaction() as records:
            record = _one(records, IndexRecord, index_id)
            for query in records.matching(QueryRecord, {"index_id": index_id}):
                records.remove(HitRecord, {"query_id": query.query_id})
                records.put(query.without_words())
            for evaluation_id in evaluations:
                records.remove(EvaluationRecord, {"evaluation_id": evaluation_id})
            records.remove(PreconditionerRecord, {"index_id": index_id})
            records.remove(IndexRecord, {"index_id": index_id})
            if not records.matching(IndexRecord, {"model_id": record.model_id}):
                records.remove(ModelRecord, {"model_id": record.model_id})

    def dataset(self, dataset_id: str) -> DatasetRecord:
        """The data set with this id.

        Raises:
            CatalogError: There is none; the message names the known ids.
        """
        return self._find(DatasetRecord, dataset_id)

    def model(self, model_id: str) -> ModelRecord:
        """The model with this id.

        Raises:
            CatalogError: There is none; the message names the known ids.
        """
        return self._find(ModelRecord, model_id)

    def index(self, index_id: str) -> IndexRecord:
        """The index with this id.

        Raises:
            CatalogError: There is none; the message names the known ids.
        """
        return self._find(IndexRecord, index_id)

    def datasets(self) -> list[DatasetRecord]:
        """All data sets, oldest first; ties by id."""
        return self._list(DatasetRecord, {})

    def models(self) -> list[ModelRecord]:
        """All models, oldest first; ties by id."""
        return self._list(ModelRecord, {})

    def indexes(self, dataset_id: str | None = None) -> list[IndexRecord]:
        """All indexes, or those of one data set (none if it is unknown), oldest first; ties by id."""
        return self._list(IndexRecord, {} if dataset_id is None else {"dataset_id": dataset_id})

    def preconditioners(self, index_id: str) -> list[PreconditionerRecord]:
        """Preconditioners of one index (none if it is unknown), oldest first; ties by id."""
        return self._list(PreconditionerRecord, {"index_id": index_id})

    def _put(self, record: Record) -> None:
        with self._transaction() as records:
            records.put(record)

    def _find(self, kind: type[R], record_id: str) -> R:
        if _is_text(record_id) and (found := self._list(kind, {KINDS[kind].id_field: record_id})):
            return found[0]
        with self._reads() as records:
            return _one(records, kind, record_id)

    def _list(self, kind: type[R], values: Mapping[str, str]) -> list[R]:
        with self._reads() as records:
            return records.matching(kind, values)


def _hit_of(query_id: str, hit: HitRecord) -> HitRecord:
    return replace(hit, query_id=query_id, hit_id=f"{query_id}/{hit.side}/{hit.rank:09d}")


def _one(records: Records, kind: type[R], record_id: str) -> R:
    noun, id_field, remedy = KINDS[kind]
    if _is_text(record_id) and (found := records.matching(kind, {id_field: record_id})):
        return found[0]
    known = [repr(id_of(record)) for record in records.matching(kind, {})]
    if not known:
        raise CatalogError(f"there is no {noun} {record_id!r}: the catalog has none yet, {remedy}.")
    hidden = len(known) - MAX_IDS_SHOWN
    more = f" and {hidden} more" if hidden > 0 else ""
    raise CatalogError(
        f"there is no {noun} {record_id!r}. Use one of {', '.join(known[:MAX_IDS_SHOWN])}{more}; {remedy}."
    )


def _is_text(value: str) -> bool:
    """Whether a database can hold it: a file name that is not Unicode has characters that none can."""
    return not any("\ud800" <= character <= "\udfff" for character in value)


class InMemoryCatalog(Catalog):
    """A catalog that is gone with the process: for tests and for trying things out. Not for threads."""

    def __init__(self) -> None:
        self._records = _RecordsInMemory()

    @contextmanager
    def _transaction(self) -> Iterator[Records]:
        # No method raises after its first change, so there is never anything to roll back.
        yield self._records

    _reads = _transaction


class _RecordsInMemory:
    def __init__(self) -> None:
        self._by_kind: dict[type[Record], dict[str, Record]] = {kind: {} for kind in KINDS}

    def put(self, record: Record) -> None:
        self._by_kind[type(record)][id_of(record)] = record

    def put_all(self, records: Sequence[Record]) -> None:
        for record in records:
            self.put(record)

    def remove(self, kind: type[Record], values: Mapping[str, str]) -> None:
        kept = self._by_kind[kind]
        for record_id in [key for key, record in kept.items() if _agrees(record, values)]:
            del kept[record_id]

    def matching(self, kind: type[R], values: Mapping[str, str]) -> list[R]:
        found = [
            record for record in self._by_kind[kind].values() if isinstance(record, kind) and _agrees(record, values)
        ]
        return sorted(found, key=lambda record: (record.created_at, id_of(record)))


def _agrees(record: Record, values: Mapping[str, str]) -> bool:
    return all(getattr(record, name) == values[name] for name in values)
