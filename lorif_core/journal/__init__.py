"""People's decisions about examples, and the long jobs they ask for, in SQLite or PostgreSQL."""

from lorif_core.journal.entries import (
    Batch,
    BatchKind,
    Decision,
    DecisionKind,
    ExampleEvent,
    HistoryEntry,
    Member,
    Reason,
    Role,
    Scope,
    Status,
)
from lorif_core.journal.journal import Journal

__all__ = [
    "Batch",
    "BatchKind",
    "Decision",
    "DecisionKind",
    "ExampleEvent",
    "HistoryEntry",
    "Journal",
    "Member",
    "Reason",
    "Role",
    "Scope",
    "Status",
]
