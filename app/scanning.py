"""Who scans indexes for the questions of this process; Streamlit is not imported here, so `lorif app` may say it."""

from lorif_core.workspace.asking.scanner import OWN, Scanner

_chosen: list[Scanner] = [OWN]


def scan_with(scanner: Scanner) -> None:
    """Let somebody else scan, from before the first page on."""
    _chosen[:] = [scanner]


def scanner() -> Scanner:
    """Who scans: this process unless somebody else was chosen."""
    return _chosen[0]
