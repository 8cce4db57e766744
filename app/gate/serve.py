"""Streamlit behind the gate, served until it is stopped."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import streamlit
from starlette.middleware import Middleware

from app.gate.door import Door
from app.gate.gate import Gate
from app.gate.keys import AuthKind, Keys
from app.gate.origins import Origins
from app.gate.sign_in_log import SignInLog
from lorif_core.workspace.folder.workspace_files import WorkspaceFiles

SCRIPT = Path(__file__).parents[1] / "script" / "main.py"


class Entrance(NamedTuple):
    """Who comes to the studio, and how."""

    origins: Origins
    """The names of the studio."""

    port: int
    auth: AuthKind | None = None
    """None: everybody who reaches it."""

    shared_hash: str | None = None
    """Of the password that all share."""

    base_path: str = ""
    """Where it lies below its host: empty, or as in ``/studio``."""

    proxy: str = ""
    """Address of the proxy that says for whom it asks, if there is one."""


def serve(files: WorkspaceFiles, settings: Mapping[str, Any], entrance: Entrance) -> None:
    """Serve the studio.

    Args:
        files: The workspace.
        settings: Streamlit's.
        entrance: Who comes in.
    """
    # Whom the server believes who a request comes from; by its own choice it would be every program of this machine.
    os.environ["FORWARDED_ALLOW_IPS"] = entrance.proxy
    door = None
    if entrance.auth is not None:
        door = Door(
            kind=entrance.auth,
            keys=Keys(files.journal, entrance.shared_hash),
            log=SignInLog(files.root),
            origins=entrance.origins,
            port=entrance.port,
            base=entrance.base_path,
        )
    gate = Middleware(Gate, origins=entrance.origins, door=door, base_path=entrance.base_path)
    streamlit.App(SCRIPT, middleware=[gate]).run(config=settings)
