"""Facts about the artefacts of a workspace: data sets, models, indexes, preconditioners, questions asked."""

from lorif_core.catalog.duckdb_catalog import DuckDBCatalog
from lorif_core.catalog.records import (
    DatasetRecord,
    EvaluationRecord,
    HitRecord,
    IndexMeasures,
    IndexRecord,
    IndexStatus,
    ModelRecord,
    PreconditionerRecord,
    QueryRecord,
    utc_now,
)
from lorif_core.catalog.repository import Catalog, InMemoryCatalog

__all__ = [
    "Catalog",
    "DatasetRecord",
    "DuckDBCatalog",
    "EvaluationRecord",
    "HitRecord",
    "InMemoryCatalog",
    "IndexMeasures",
    "IndexRecord",
    "IndexStatus",
    "ModelRecord",
    "PreconditionerRecord",
    "QueryRecord",
    "utc_now",
]
