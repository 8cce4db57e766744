"""A process without pandas, which DuckDB and PyArrow load only to see that a value is none of its frames.

Both import it, where it is installed, as soon as they are given a list or a value to bind: 0.35 CPU-s and 40 MB in
every command that asks the catalog (docs/decisions/0072). Nothing here makes pandas frames, and both do without it.
"""

import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

WITHOUT_PANDAS = frozenset(
    (
        *("status", "queries", "reopen", "ask", "compare", "indexes", "browse", "facets", "history", "what-if"),
        *("flag", "exclude", "restore", "note", "label", "unlabel", "apply", "undo", "redo", "conflicts", "settle"),
        *(
            "members",
            "reasons",
            "journal",
            "catalog",
            "jobs",
            "cancel",
            "versions",
            "diff",
            "decisions",
            "verifications",
            "guidelines",
            "comments",
            "rounds",
            "agreement",
            "progress",
            "groups",
        ),
    )
)
"""Commands that show tables or decide."""


class _Refusing(MetaPathFinder, Loader):
    """Knows pandas, and does not load it."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return ModuleSpec(fullname, self) if fullname == "pandas" else None

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        raise ModuleNotFoundError("pandas is not loaded by this command of `lorif`", name="pandas")


def spare_pandas(command: str | None) -> None:
    """Load no pandas in this process, if the command is one that shows tables or decides."""
    if command in WITHOUT_PANDAS:
        sys.meta_path.insert(0, _Refusing())
