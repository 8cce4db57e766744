"""What a new version of a data set brought: the ids that came, went, and changed their content."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from lorif_core.files import BLANK_SEAL, SEAL, replace_sealed

OWN_COLUMNS = ("train_id", "source_line", "lorif_text")

COMPARE = """
    SELECT coalesce(new.{new_id}, old.{old_id}) AS train_id,
           CASE WHEN old.{old_id} IS NULL THEN 'came'
                WHEN new.{new_id} IS NULL THEN 'went'
                ELSE 'changed' END AS change
    FROM read_parquet($old) AS old ({old_names}) FULL JOIN read_parquet($new) AS new ({new_names})
        ON old.{old_id} = new.{new_id}
    WHERE old.{old_id} IS NULL OR new.{new_id} IS NULL OR {differs}
    ORDER BY change, train_id
"""


class _Column(NamedTuple):
    sql: str
    is_text: bool


@dataclass(frozen=True)
class VersionChanges:
    """How one version of a data set differs from the version that it replaces."""

    num_came: int
    num_went: int

    num_changed: int
    """Examples that kept their id and differ in a column that both versions have. Where the column was of
    another type before, text instead of numbers say, its values are compared as they are written."""

    columns_came: list[str]
    columns_went: list[str]


def compare_versions(old: Path, new: Path, out: Path) -> VersionChanges:
    """Write the ids that came, went and changed to a Parquet file (train_id, change); their numbers.

    Args:
        old: ``examples.parquet`` of the version that is replaced.
        new: That of the new one.
        out: File to write.
    """
    config: dict[str, Any] = {"autoinstall_known_extensions": False, "autoload_known_extensions": False}
    before, after = _columns(old), _columns(new)
    shared = [name for name in after if name in before and name not in OWN_COLUMNS]
    statement = COMPARE.format(
        old_id=before["train_id"].sql,
        new_id=after["train_id"].sql,
        old_names=", ".join(column.sql for column in before.values()),
        new_names=", ".join(column.sql for column in after.values()),
        differs=" OR ".join(_differs(before[name], after[name]) for name in shared) or "false",
    )
    with duckdb.connect(":memory:", config=config) as connection, replace_sealed(out) as partial:
        relation = connection.sql(statement, params={"old": str(old), "new": str(new)})
        _write_sealed(partial, relation.to_arrow_reader())
        counts = dict(
            connection.sql(
                "SELECT change, count(*) FROM read_parquet($out) GROUP BY change", params={"out": str(partial)}
            ).fetchall()
        )
    return VersionChanges(
        num_came=counts.get("came", 0),
        num_went=counts.get("went", 0),
        num_changed=counts.get("changed", 0),
        columns_came=[name for name in after if name not in (*before, *OWN_COLUMNS)],
        columns_went=[name for name in before if name not in (*after, *OWN_COLUMNS)],
    )


def _write_sealed(path: Path, rows: pa.RecordBatchReader) -> None:
    schema = rows.schema.with_metadata({SEAL: BLANK_SEAL})
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for batch in rows:
            writer.write_table(pa.Table.from_batches([batch]).cast(schema))


def _columns(path: Path) -> dict[str, _Column]:
    # Numbered, so that no name of the data becomes SQL, and two names that differ in case only stay two columns.
    return {
        field.name: _Column(f"c{place}", _is_text(field.type)) for place, field in enumerate(pq.read_schema(path))
    }


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _differs(old: _Column, new: _Column) -> str:
    sides = [f"old.{old.sql}", f"new.{new.sql}"]
    if old.is_text != new.is_text:
        sides = [f"CAST({side} AS VARCHAR)" for side in sides]
    return " IS DISTINCT FROM ".join(sides)
