"""The folder that an import works in: locked while it lives, so that a dead one's is known and cleared away."""

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lorif_core.file_turns import is_locked, lock_while_open, turn_at
from lorif_core.workspace.folder.workspace_files import WorkspaceFiles

INCOMING = ".incoming-"
"""What the name of a working folder begins with."""

TURN_TIMEOUT_S = 600.0
"""The turn of an import is short, unless it has to compare again what others changed meanwhile."""


@contextmanager
def import_turn(files: WorkspaceFiles) -> Iterator[None]:
    """Be the only import of a workspace that settles which version it is.

    Raises:
        TurnError: Others did not finish.
    """
    with turn_at(files.root / "import.lock", TURN_TIMEOUT_S):
        yield


@contextmanager
def working_folder(files: WorkspaceFiles) -> Iterator[Path]:
    """An empty folder that is gone after the block; those of imports that were killed are cleared away before."""
    folder = files.root / "datasets" / f"{INCOMING}{uuid.uuid4().hex}"
    with import_turn(files):  # between making a folder and locking it nobody may look for dead ones
        for dead in dead_imports(files):
            shutil.rmtree(dead, ignore_errors=True)
        folder.mkdir(parents=True)
        handle = lock_while_open(folder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(handle)


def dead_imports(files: WorkspaceFiles) -> list[Path]:
    """Working folders that killed imports left behind."""
    found = sorted((files.root / "datasets").glob(f"{INCOMING}*"))
    return [folder for folder in found if folder.is_dir() and not is_locked(folder)]
