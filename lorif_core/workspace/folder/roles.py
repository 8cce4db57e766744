"""Who may add to a workspace: asked where it is written, whatever front end the request came through."""

from pathlib import Path

from lorif_core.workspace.folder.actor import current_actor
from lorif_core.workspace.folder.workspace_files import WorkspaceFiles


def require_curator(files: WorkspaceFiles, task: str, actor: str | None = None) -> None:
    """Refuse a viewer.

    Args:
        files: The workspace.
        task: What they may not do, as in ``import data``.
        actor: Who does it; None is who uses this process.

    Raises:
        RoleError: They may not.
        JournalError: The journal, which says who may, cannot be read.
    """
    location = files.journal_location
    if isinstance(location, Path) and not location.exists() and files.last_seen.read() is None:
        return  # there never was a journal, so nobody has a role; asking would make one
    files.journal.require_role(actor or current_actor(), "curator", task)
