"""The inventory as a table for people: what ``docs/reference/files.md`` holds."""

from lorif_core.workspace.health.findings import Repair
from lorif_core.workspace.health.inventory import KINDS


def reference_rows() -> list[str]:
    """The table of ``docs/reference/files.md``, a line each."""
    title = ["| Kind | Where | What | Made from | If it is damaged or gone | Repair |", "| --- " * 6 + "|"]
    return title + [
        f"| {kind.name} | `{kind.place}` | {kind.what} | {kind.source or 'nothing else holds it'} "
        f"| {kind.meaning or 'nothing'} | {_REPAIRS[kind.repair]} |"
        for kind in KINDS
    ]


_REPAIRS: dict[Repair | None, str] = {
    None: "none",
    "set aside": "set aside",
    "part": "set aside; `lorif index` makes it again",
    "entry": "made from the manifest, or set aside",
    "manifest": "made from the entries; curvature fitted again",
    "plan": "made from the manifest",
    "fit": "fitted again",
    "search": "built again",
    "changes": "compared again",
    "maps": "made from the statistics, if these are there",
}
