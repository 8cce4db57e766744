"""The map of an index: every text as a point in a plane, computed once and kept in ``maps/<index>.parquet``.

The file names the index's fingerprint: points of an index that was built anew since are refused.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from lorif_core.catalog import IndexRecord
from lorif_core.errors import ArtefactError, DamagedArtefact, FingerprintMismatch
from lorif_core.files import BLANK_SEAL, SEAL, check_file, replace_sealed
from lorif_core.system_failures import refuse_if_of_the_machine
from lorif_core.workspace.folder.progress import ProgressSink, no_progress
from lorif_core.workspace.folder.workspace_files import WorkspaceFiles

STAGE = "map"
POINTS = pa.schema([("x", pa.float32()), ("y", pa.float32())])
FINGERPRINT, EXPLAINED, SEED = b"lorif.index", b"lorif.explained", b"lorif.seed"


@dataclass(frozen=True)
class Atlas:
    """The map of an index."""

    index_id: str
    seed: int
    """Of the random sketches."""

    explained: tuple[float, float]
    """Share of the variance of the sketches along each axis."""

    points: pl.DataFrame
    """train_id, x, y; in store order."""

    def to_polars(self) -> pl.DataFrame:
        """The points."""
        return self.points

    def to_dict(self) -> dict[str, Any]:
        """What the map is, as JSON-serialisable values; without its points."""
        return {
            "index_id": self.index_id,
            "seed": self.seed,
            "explained": list(self.explained),
            "num_points": len(self.points),
        }


def build_atlas(
    files: WorkspaceFiles, index_id: str | None, *, seed: int = 0, on_progress: ProgressSink = no_progress
) -> Atlas:
    """Compute the map of a complete index and keep it, unless it is there already.

    Args:
        files: The workspace.
        index_id: None: the newest complete one.
        seed: Of the random sketches; another one turns or bends the picture a little.
        on_progress: Receives ("map", shards done in two passes, all).

    Raises:
        ArtefactError: The index is not complete, or damaged.
    """
    from lorif_core.passes.plane import draw_sketches, fit_plane, iter_coordinates

    record = files.choose_index(index_id)
    reader = files.open_index(record.index_id)
    reader.require_complete()
    try:
        known = read_atlas(files, record.index_id)
    except ArtefactError:
        known = None
    if known is not None and known.seed == seed:
        return known
    sketches = draw_sketches(reader, seed=seed)

    def on_shard(done: int, total: int) -> None:
        on_progress(STAGE, done, total)

    plane = fit_plane(reader, sketches, on_shard)
    path = files.map_file(record.index_id)
    path.parent.mkdir(exist_ok=True)
    facts = {
        FINGERPRINT: (record.fingerprint or "").encode(),
        EXPLAINED: " ".join(map(repr, plane.explained)).encode(),
        SEED: str(seed).encode(),
        SEAL.encode(): BLANK_SEAL.encode(),
    }
    schema = POINTS.with_metadata(facts)
    with replace_sealed(path) as partial, pq.ParquetWriter(partial, schema, compression="zstd") as writer:
        for points in iter_coordinates(reader, sketches, plane, on_shard):
            columns = [pa.array(points[:, axis].float().numpy()) for axis in (0, 1)]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))
    return read_atlas(files, record.index_id)


def has_atlas(files: WorkspaceFiles, index_id: str) -> bool:
    """Whether the map of an index was computed, of the index as it is now."""
    try:
        return _facts(files, files.catalog.index(index_id)) is not None
    except ArtefactError:
        return False


def read_atlas(files: WorkspaceFiles, index_id: str | None) -> Atlas:
    """The kept map of an index.

    Raises:
        ArtefactError: It was not computed yet.
        DamagedArtefact: It cannot be read.
        FingerprintMismatch: It is that of an earlier index of this name.
    """
    record = files.choose_index(index_id)
    facts = _facts(files, record)
    path = files.map_file(record.index_id)
    ids = files.examples(record.dataset_id).column("train_id")
    try:
        table = pq.read_table(path)
        first, second = (float(one) for one in facts[EXPLAINED].decode().split())
        return Atlas(
            index_id=record.index_id,
            seed=int(facts[SEED]),
            explained=(first, second),
            points=pl.DataFrame({"train_id": ids, "x": table["x"].to_numpy(), "y": table["y"].to_numpy()}),
        )
    except (pa.ArrowException, OSError, KeyError, ValueError, pl.exceptions.PolarsError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> DamagedArtefact:
    refuse_if_of_the_machine(error, path)
    return DamagedArtefact(f"the map {str(path)!r} is damaged: delete it and compute it again with `lorif map`.")


def _facts(files: WorkspaceFiles, record: IndexRecord) -> dict[bytes, bytes]:
    path = files.map_file(record.index_id)
    if not path.is_file():
        raise ArtefactError(
            f"index {record.index_id!r} has no map yet: compute it with `lorif map {files.root} --index "
            f"{record.index_id}`."
        )
    try:
        check_file(path, remedy=f"Delete it and compute it again with `lorif map {files.root}`.")
        facts = pq.read_schema(path).metadata or {}
        found = facts[FINGERPRINT].decode()
    except (pa.ArrowException, OSError, KeyError, ValueError) as error:
        raise _damaged(path, error) from error
    if found != (record.fingerprint or ""):
        raise FingerprintMismatch(
            f"the map {str(path)!r} was computed from index {found[:8]}…, which is {(record.fingerprint or '')[:8]}… "
            f"now: compute it again with `lorif map {files.root} --index {record.index_id}`."
        )
    return facts
