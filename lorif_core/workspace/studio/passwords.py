"""Passwords and invitations of the studio: what is kept of them opens nothing by itself."""

import hashlib
import hmac
import secrets
from datetime import timedelta
from typing import NamedTuple

from lorif_core.errors import ConfigError
from lorif_core.journal.credentials import Credentials
from lorif_core.journal.entries import utc_now
from lorif_core.workspace.folder.workspace_files import WorkspaceFiles

PASSWORD_FILE = "studio-password"
MIN_LENGTH = 12
MAX_LENGTH = 1_000
"""Characters of a password: nobody types more, and hashing megabytes would be work for nothing."""

INVITATION_HOURS = 48


class Cost(NamedTuple):
    """Parameters of scrypt."""

    n: int
    """Steps, a power of two; beside the other two it says how much memory a guess takes: 128 · n · r bytes."""

    r: int
    p: int


COST = Cost(2**17, 8, 1)
"""OWASP's: 128 MiB and a few tenths of a second a guess (Password Storage Cheat Sheet)."""

OLD_COST = Cost(2**14, 8, 1)
"""Of lines without parameters, which version 0.1 kept."""

MOST_MEMORY = 160 * 2**20
"""Bytes that a hash may take, whatever the parameters beside it ask for."""


def hash_password(password: str) -> str:
    """Salt and scrypt hash of a password with their parameters, as one line of text."""
    salt = secrets.token_bytes(16)
    return "$".join(["scrypt", *map(str, COST), salt.hex(), _scrypt(password, salt, COST)])


NOBODYS = "$".join(["scrypt", *map(str, COST), "00" * 16, "00" * 32])
"""A hash that no password has; checking one against it takes as long as against somebody's."""


def is_password(password: str, hashed: str) -> bool:
    """Whether it is the password that was hashed; False too for a line that is no hash."""
    try:
        kind, *numbers, salt, expected = hashed.strip().split("$")
        found = _scrypt(password, bytes.fromhex(salt), Cost(*map(int, numbers)) if numbers else OLD_COST)
    except (TypeError, ValueError, UnicodeEncodeError):
        return False
    return kind == "scrypt" and hmac.compare_digest(found, expected)


def has_old_cost(hashed: str) -> bool:
    """Whether a kept hash is cheaper to guess at than one that is made today."""
    return hashed.strip().split("$")[1:-2] != [str(part) for part in COST]


def check_password(password: str, name: str | None = None) -> str:
    """A password that somebody chose, if it may be one.

    Raises:
        ConfigError: It is too short or too long, or is little else than the name of who chose it.
    """
    if not MIN_LENGTH <= len(password.strip()) <= MAX_LENGTH:
        raise ConfigError(
            f"a password has {MIN_LENGTH} to {MAX_LENGTH:,} characters, this one has {len(password.strip())}: choose "
            "another one, such as four or five words."
        )
    rest = password.lower().replace(name.lower(), "") if name else password
    if len(set(rest)) < 5:
        raise ConfigError(
            "this password is guessed easily, as it is one thing repeated or a name: choose another one."
        )
    return password


def make_invitation(credentials: Credentials, actor: str, by: str) -> str:
    """The code with which a member may choose a password once, for two days; only its digest is kept.

    Raises:
        JournalError: They are no member.
        RoleError: ``by`` is no admin.
    """
    code = secrets.token_urlsafe(32)
    credentials.invite(actor, digest_of(code), utc_now() + timedelta(hours=INVITATION_HOURS), by)
    return code


def digest_of(code: str) -> str:
    """What is kept of a code that is too long to guess: its plain hash."""
    return hashlib.sha256(code.encode("utf-8", "surrogatepass")).hexdigest()


def keep_password(files: WorkspaceFiles, password: str) -> None:
    """Keep the hash of the password that all share in the workspace's folder, readable by its owner only."""
    path = files.root / PASSWORD_FILE
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_text(hash_password(password) + "\n", encoding="ascii")


def kept_hash(files: WorkspaceFiles) -> str | None:
    """The hash that ``keep_password`` kept; None if there is none."""
    path = files.root / PASSWORD_FILE
    return path.read_text(encoding="ascii").strip() if path.is_file() else None


def _scrypt(password: str, salt: bytes, cost: Cost) -> str:
    given = password[: MAX_LENGTH + 1].encode()
    return hashlib.scrypt(given, salt=salt, n=cost.n, r=cost.r, p=cost.p, dklen=32, maxmem=MOST_MEMORY).hex()
