"""Who is using the workspace."""

import getpass
import os

from lorif_core.journal.entries import check_name

ACTOR_VARIABLE = "LORIF_ACTOR"


def current_actor() -> str:
    """The name that decisions and questions are kept under: LORIF_ACTOR, else the system's user.

    Raises:
        JournalError: LORIF_ACTOR is too long, or holds control characters.
    """
    if name := os.environ.get(ACTOR_VARIABLE, "").strip():
        check_name(ACTOR_VARIABLE, name)
        return name
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container whose user has no name
        return f"user-{os.getuid()}"
