"""Data sets, and what is made from their texts: search index, changes, kept scores, maps, exports' sources."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq

from lorif_core.catalog import DatasetRecord, HitRecord, IndexRecord, QueryRecord
from lorif_core.corpus.fulltext import FullText
from lorif_core.errors import DamagedArtefact, FingerprintMismatch
from lorif_core.files import check_seal
from lorif_core.workspace.datasets.view import examples_file
from lorif_core.workspace.folder.kept_map import FINGERPRINT, POINTS
from lorif_core.workspace.folder.kept_scores import SCORES, is_of_a_fast_search
from lorif_core.workspace.health.examination import Examination
from lorif_core.workspace.health.file_checks import check_parquet, check_sqlite, reading_sqlite
from lorif_core.workspace.indexes.text_states import PART_TEXTS, STATE, told_of

EXAMPLES, SEARCH, CHANGES = "examples.parquet", "search.sqlite", "changes.parquet"
UPLOAD = re.compile(r"/(uploads/[0-9a-f]{12}/[^/]+)$")


def check_datasets(look: Examination) -> None:
    """Every data set that the catalog knows, and folders of others."""
    known = {record.dataset_id: record for record in look.datasets()}
    for record in known.values():
        _check_dataset(look, record, known.get(record.parent_id or ""))
    folders = {path.split("/")[1] for path in look.below("datasets") if path.count("/") == 2}
    for dataset_id in sorted(one for one in folders - set(known) if not one.startswith(".")):
        _check_unknown(look, dataset_id)


def _check_dataset(look: Examination, record: DatasetRecord, parent: DatasetRecord | None) -> None:
    place = f"datasets/{record.dataset_id}"
    path = f"{place}/{EXAMPLES}"

    def check(_: Path) -> None:
        table = look.files.examples(record.dataset_id)
        table.check_content(record.fingerprint)
        if table.num_examples != record.num_examples:
            raise DamagedArtefact(
                f"{path!r} holds {table.num_examples:,} texts, the catalog expects {record.num_examples:,}."
            )

    if not look.has(path):
        problem = f"{str(look.root / path)!r} is missing: import the data with `lorif import`."
        look.report(path, problem, "missing", artefact=record.dataset_id)
    elif look.check(path, check, artefact=record.dataset_id):
        _check_search(look, record)
    else:
        return
    _check_changes(look, record, parent)
    _check_sources(look, record)


def _check_sources(look: Examination, record: DatasetRecord) -> None:
    """Uploads that the data came from; the workspace may have been moved since."""
    for source in record.source_files:
        upload = UPLOAD.search(source)
        if upload is not None and not look.has(upload[1]):
            look.report(upload[1], f"{upload[1]!r} is missing, from which {record.name!r} was imported.", "missing")


def _check_search(look: Examination, record: DatasetRecord) -> None:
    path = f"datasets/{record.dataset_id}/{SEARCH}"
    if not look.has(path):
        look.report(path, f"{path!r} is not there; it is built when somebody searches.", "note")
        return

    def check(place: Path) -> None:
        check_sqlite(place)
        check_seal(place)
        examples = examples_file(look.files, record.dataset_id)
        try:
            FullText(place, examples)
        except FingerprintMismatch:
            if _told_fingerprint(place) != examples.fingerprint:
                raise
            look.report(path, f"{path!r} is of an earlier version; the next search builds it again.", "note")

    look.check(path, check, artefact=record.dataset_id)


def _told_fingerprint(path: Path) -> str | None:
    """Of the examples that a search index says it was built from."""
    with reading_sqlite(path) as connection:
        row = connection.execute("SELECT fingerprint FROM about").fetchone()
    return None if row is None else row[0]


def _check_changes(look: Examination, record: DatasetRecord, parent: DatasetRecord | None) -> None:
    path = f"datasets/{record.dataset_id}/{CHANGES}"
    if look.has(path):
        if look.check(path, lambda place: check_parquet(place, ["train_id", "change"]), artefact=record.dataset_id):
            _compare_changes(look, path, record, parent)
    elif parent is not None:
        look.report(path, f"{path!r} is missing: what came and went is not listed.", "missing")


def _compare_changes(look: Examination, path: str, record: DatasetRecord, parent: DatasetRecord | None) -> None:
    """Whether the ids that came and went are those of the two versions."""
    sides = [f"datasets/{one.dataset_id}/{EXAMPLES}" for one in (parent, record) if one is not None]
    if parent is None or not all(side in look.whole for side in sides):
        return
    before, after = (pl.read_parquet(look.root / side, columns=["train_id"]) for side in sides)
    changes = pl.read_parquet(look.root / path)
    told = {kind: set(changes.filter(pl.col("change") == kind)["train_id"]) for kind in ("came", "went")}
    old, new = set(before["train_id"]), set(after["train_id"])
    if told != {"came": new - old, "went": old - new}:
        look.whole.discard(path)
        look.report(path, f"{path!r} is not what {record.dataset_id} brought.", artefact=record.dataset_id)


def _check_unknown(look: Examination, dataset_id: str) -> None:
    path = f"datasets/{dataset_id}/{EXAMPLES}"
    for found in look.below(f"datasets/{dataset_id}"):
        look.on_file(found)
    if look.catalog is None or look.living.is_worked_on(look.root / "datasets" / dataset_id):
        return
    problem = (
        f"the catalog knows no data set {dataset_id}: an import of it was killed, or the catalog is older than it. "
        "Import the same files again; it is taken up."
    )
    look.report(path if look.has(path) else look.below(f"datasets/{dataset_id}")[0], problem, "note")


def check_scores(look: Examination) -> None:
    """The kept scores of every question, and those of none."""
    asked: dict[str, list[QueryRecord]] = {}
    for query in look.queries():
        if is_of_a_fast_search(query):
            continue  # has none
        asked.setdefault(f"scores/{query.fingerprint}.parquet", []).append(query)
    hits: dict[str, list[HitRecord]] = {}
    for hit in [] if look.catalog is None else look.catalog.hits():
        hits.setdefault(hit.query_id, []).append(hit)
    for path, queries in asked.items():
        ids = ", ".join(query.query_id for query in queries)
        if not look.has(path):
            problem = f"the scores of query {ids} are missing: ask it again."
            look.report(path, problem, "missing", artefact=queries[0].query_id)
            continue
        look.check(
            path,
            lambda place, queries=queries: _check_scores(look, place, queries, hits),
            artefact=queries[0].query_id,
        )
    for path in look.below("scores"):
        if path not in asked and path.endswith(".parquet"):
            _check_orphan(look, path, "a question")


def _check_scores(
    look: Examination, place: Path, queries: Sequence[QueryRecord], hits: dict[str, list[HitRecord]]
) -> None:
    num_rows = check_parquet(place)
    names = pq.read_schema(place).names
    if names not in (SCORES.names, SCORES.names[:1]):
        raise DamagedArtefact(f"{str(place)!r} holds no scores, but {', '.join(names)}.")
    for query in queries:
        if num_rows != query.num_scored:
            raise DamagedArtefact(
                f"{str(place)!r} must hold {query.num_scored:,} scores of query {query.query_id}, it holds "
                f"{num_rows:,}."
            )
        _compare_hits(look, place, query, hits.get(query.query_id, []))


def _compare_hits(look: Examination, place: Path, query: QueryRecord, hits: Sequence[HitRecord]) -> None:
    """Whether the lists that the catalog keeps have the scores that the file has."""
    if not hits or f"datasets/{query.dataset_id}/{EXAMPLES}" not in look.whole:
        return
    rows = look.files.examples(query.dataset_id).rows_of([hit.train_id for hit in hits])
    scores = pq.read_table(place, columns=["score"])["score"].to_numpy()
    told = np.array([hit.score for hit in hits], dtype=np.float32)
    if not np.isfinite(scores).all() or not np.allclose(scores[rows], told, rtol=1e-5, atol=0):
        raise FingerprintMismatch(
            f"{str(place)!r} holds other scores than the lists of query {query.query_id}: it is of another question."
        )


def check_maps(look: Examination) -> None:
    """The map of every index that has one, and those of none."""
    known = {f"maps/{record.index_id}.parquet": record for record in look.indexes()}
    for path in [path for path in look.below("maps") if path.endswith(".parquet")]:
        record = known.get(path)
        if record is None:
            _check_orphan(look, path, "an index")
            continue

        def check(place: Path, num_examples: int = record.num_examples, of: str = record.fingerprint or "") -> None:
            num_rows = check_parquet(place)
            names = pq.read_schema(place).names
            if names not in (POINTS.names, ["x", "y"]):  # the latter is a plane of gradients of an earlier version
                raise DamagedArtefact(f"{str(place)!r} has the columns {', '.join(names)}, which no map has.")
            if num_rows != num_examples:
                raise DamagedArtefact(f"{str(place)!r} must hold {num_examples:,} points, it holds {num_rows:,}.")
            told = (pq.read_schema(place).metadata or {}).get(FINGERPRINT, b"").decode(errors="replace")
            if told != of:
                raise FingerprintMismatch(f"{str(place)!r} is the map of index {told[:8]}…, which is {of[:8]}… now.")

        look.check(path, check, artefact=record.index_id)


def check_states_of_texts(look: Examination) -> None:
    """The states of every index's texts, and those of none."""
    known = {record.index_id: record for record in look.indexes()}
    for path in look.below("states-of-texts"):
        _, index_id, name = path.split("/")
        record = known.get(index_id)
        if record is None:
            _check_orphan(look, path, "an index")
            continue

        def check(place: Path, record: IndexRecord = record, first: int = int(name[:5]) * PART_TEXTS) -> None:
            num_rows, wanted = check_parquet(place, [STATE]), min(PART_TEXTS, record.num_examples - first)
            if num_rows != wanted:
                raise DamagedArtefact(f"{str(place)!r} must hold {wanted:,} states, it holds {num_rows:,}.")
            told, row = told_of(place)
            if told != (record.fingerprint or ""):
                raise FingerprintMismatch(
                    f"{str(place)!r} is of index {told[:8]}…, which is {(record.fingerprint or '')[:8]}… now."
                )
            if row != first:
                raise DamagedArtefact(f"{str(place)!r} says that it begins with text {row:,}, its name {first:,}.")

        look.check(path, check, artefact=record.index_id)


def _check_orphan(look: Examination, path: str, noun: str) -> None:
    if (
        look.check(path, check_parquet)
        and look.catalog is not None
        and not look.living.is_worked_on(look.root / path)
    ):
        look.report(path, f"{path!r} is of {noun} that the catalog does not know.", "leftover")
