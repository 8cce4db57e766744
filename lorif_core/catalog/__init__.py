"""Facts about the artefacts of a workspace: data sets, models, indexes, preconditioners."""

from lorif_core.catalog.duckdb_catalog import DuckDBCatalog
from lorif_core.catalog.records import (
    DatasetRecord,
    EvaluationRecord,
    IndexMeasures,
    IndexRecord,
    IndexStatus,
    ModelRecord,
    PreconditionerRecord,
    utc_now,
)
from lorif_core.catalog.repository import Catalog, InMemoryCatalog

__all__ = [
    "Catalog",
    "DatasetRecord",
    "DuckDBCatalog",
    "EvaluationRecord",
    "InMemoryCatalog",
    "IndexMeasures",
    "IndexRecord",
    "IndexStatus",
    "ModelRecord",
    "PreconditionerRecord",
    "utc_now",
]
