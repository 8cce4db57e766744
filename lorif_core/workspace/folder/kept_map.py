"""The map of an index as it is kept: every text's place in the picture and its cluster. Reading it loads no torch.

``maps/ID.parquet`` names the index's fingerprint: the map of an index that was built anew since is refused.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from lorif_core.catalog import IndexRecord
from lorif_core.errors import ArtefactError, CatalogError, DamagedArtefact, FingerprintMismatch
from lorif_core.files import check_file
from lorif_core.system_failures import refuse_if_of_the_machine
from lorif_core.workspace.folder.workspace_files import WorkspaceFiles

POINTS = pa.schema([("x", pa.float32()), ("y", pa.float32()), ("cluster", pa.int32())])
FINGERPRINT, SEED, CLUSTERS = b"lorif.index", b"lorif.seed", b"lorif.clusters"


@dataclass(frozen=True)
class Cluster:
    """Texts that the model takes for alike."""

    number: int
    """From 1, the largest first."""

    name: str
    """Its frequent distinctive words; text of the data, so it is shown literally."""

    num_texts: int

    @property
    def label(self) -> str:
        """Number and name."""
        return f"{self.number} · {self.name}"


@dataclass(frozen=True)
class Atlas:
    """The map of an index."""

    index_id: str
    seed: int
    """Of the sample, the first centres of the clusters and the picture's first points."""

    clusters: tuple[Cluster, ...]
    points: pl.DataFrame
    """train_id, x, y, cluster; in store order. No x and y: the text is not in the sample that the picture shows. No
    cluster: the model read no token of it."""

    @property
    def num_placed(self) -> int:
        """Texts in the picture."""
        return len(self.points) - self.points["x"].null_count()

    def to_polars(self) -> pl.DataFrame:
        """The points."""
        return self.points

    def to_dict(self) -> dict[str, Any]:
        """What the map is, as JSON-serialisable values; without its points."""
        return {
            "index_id": self.index_id,
            "seed": self.seed,
            "num_points": len(self.points),
            "num_placed": self.num_placed,
            "clusters": [vars(one) for one in self.clusters],
        }


@dataclass(frozen=True)
class Clusters:
    """The clusters of an index's texts."""

    index_id: str
    clusters: tuple[Cluster, ...]
    of_rows: pl.Series
    """Number of the cluster of every text in store order; null where it has none."""

    def rows_in(self, numbers: Sequence[int]) -> pl.DataFrame:
        """Column ``row``: the texts of some clusters, ascending.

        Raises:
            CatalogError: There is no such cluster.
        """
        known = {one.number for one in self.clusters}
        if unknown := set(numbers) - known:
            raise CatalogError(
                f"the map of index {self.index_id!r} has clusters 1 to {len(known)}, got {min(unknown)}. `lorif map` "
                "lists them."
            )
        rows = self.of_rows.is_in(list(numbers)).fill_null(value=False).arg_true()
        return pl.DataFrame({"row": rows.cast(pl.Int64)})

    def counted(self, rows: Sequence[int] | None) -> dict[int, int]:
        """Texts of every cluster among some rows; None: among all. Clusters without any are left out."""
        of_rows = self.of_rows if rows is None else self.of_rows.gather(list(rows))
        return dict(of_rows.drop_nulls().value_counts().iter_rows())


def has_atlas(files: WorkspaceFiles, index_id: str) -> bool:
    """Whether the map of an index was computed, of the index as it is now."""
    try:
        return facts_of(files, files.catalog.index(index_id)) is not None
    except ArtefactError:
        return False


def mapped_index(files: WorkspaceFiles, dataset_id: str) -> str | None:
    """The newest index of a data set that has a map; None: none has."""
    records = [one for one in files.catalog.indexes() if one.dataset_id == dataset_id and one.status == "complete"]
    newest = sorted(records, key=lambda one: (one.updated_at, one.index_id), reverse=True)
    return next((one.index_id for one in newest if has_atlas(files, one.index_id)), None)


def read_atlas(files: WorkspaceFiles, index_id: str | None) -> Atlas:
    """The kept map of an index.

    Raises:
        ArtefactError: It was not computed yet, or by an earlier version.
        DamagedArtefact: It cannot be read.
        FingerprintMismatch: It is that of an earlier index of this name.
    """
    record = files.choose_index(index_id)
    facts = facts_of(files, record)
    path = files.map_file(record.index_id)
    ids = files.examples(record.dataset_id).column("train_id")
    try:
        points = pl.from_arrow(pq.read_table(path))
        assert isinstance(points, pl.DataFrame)  # a table with columns becomes no series
        return Atlas(
            index_id=record.index_id,
            seed=int(facts[SEED]),
            clusters=_clusters_of(facts),
            points=pl.DataFrame({"train_id": ids, **{name: points[name] for name in POINTS.names}}),
        )
    except (pa.ArrowException, OSError, KeyError, ValueError, TypeError, pl.exceptions.PolarsError) as error:
        raise damaged_map(path, error) from error


def read_clusters(files: WorkspaceFiles, index_id: str) -> Clusters:
    """The clusters of the kept map of an index, without the picture.

    Raises:
        ArtefactError: As ``read_atlas``.
    """
    facts, path = facts_of(files, files.catalog.index(index_id)), files.map_file(index_id)
    try:
        of_rows = pl.from_arrow(pq.read_table(path, columns=["cluster"])["cluster"])
        assert isinstance(of_rows, pl.Series)  # a column becomes no frame
        return Clusters(index_id, _clusters_of(facts), of_rows)
    except (pa.ArrowException, OSError, KeyError, ValueError, TypeError, pl.exceptions.PolarsError) as error:
        raise damaged_map(path, error) from error


def _clusters_of(facts: dict[bytes, bytes]) -> tuple[Cluster, ...]:
    return tuple(Cluster(**one) for one in json.loads(facts[CLUSTERS]))


def damaged_map(path: Path, error: Exception) -> DamagedArtefact:
    """What is said of a map that cannot be read."""
    refuse_if_of_the_machine(error, path)
    return DamagedArtefact(f"the map {str(path)!r} is damaged: delete it and compute it again with `lorif map`.")


def facts_of(files: WorkspaceFiles, record: IndexRecord) -> dict[bytes, bytes]:
    """What the file says of itself.

    Raises:
        ArtefactError: As ``read_atlas``.
    """
    path, command = files.map_file(record.index_id), f"`lorif map {files.root} --index {record.index_id}`"
    if not path.is_file():
        raise ArtefactError(f"index {record.index_id!r} has no map yet: compute it with {command}.")
    try:
        check_file(path, remedy=f"Delete it and compute it again with `lorif map {files.root}`.")
        schema = pq.read_schema(path)
        facts = schema.metadata or {}
        found = facts[FINGERPRINT].decode()
    except (pa.ArrowException, OSError, KeyError, ValueError) as error:
        raise damaged_map(path, error) from error
    if schema.names == ["x", "y"]:
        raise ArtefactError(
            f"the map {str(path)!r} is from an earlier version, a plane of gradients: compute it again by {command}."
        )
    if found != (record.fingerprint or ""):
        raise FingerprintMismatch(
            f"the map {str(path)!r} was computed from index {found[:8]}…, which is {(record.fingerprint or '')[:8]}… "
            f"now: compute it again with {command}."
        )
    return facts
