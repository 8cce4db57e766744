"""Streamlit behind the gate, served until it is stopped."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import streamlit
from starlette.middleware import Middleware

from app.gate.gate import Gate
from app.gate.origins import Origins

SCRIPT = Path(__file__).parents[1] / "script" / "main.py"


def serve(settings: Mapping[str, Any], origins: Origins) -> None:
    """Serve the studio.

    Args:
        settings: Streamlit's.
        origins: The names of the studio.
    """
    # Whom the server believes who a request comes from; by its own choice it would be every program of this machine.
    os.environ["FORWARDED_ALLOW_IPS"] = ""
    gate = Middleware(Gate, origins=origins)
    streamlit.App(SCRIPT, middleware=[gate]).run(config=settings)
