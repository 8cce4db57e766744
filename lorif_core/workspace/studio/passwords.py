"""The studio's shared password, kept as a salted hash only."""

import hashlib
import hmac
import secrets

from lorif_core.workspace.folder.workspace_files import WorkspaceFiles

PASSWORD_FILE = "studio-password"
_COST = {"n": 2**14, "r": 8, "p": 1, "dklen": 32}


def hash_password(password: str) -> str:
    """Salt and scrypt hash of a password, as one line of text."""
    salt = secrets.token_bytes(16)
    return f"scrypt${salt.hex()}${hashlib.scrypt(password.encode(), salt=salt, **_COST).hex()}"


def is_password(password: str, hashed: str) -> bool:
    """Whether it is the password that was hashed; False too for a line that is no hash."""
    try:
        kind, salt, expected = hashed.strip().split("$")
        found = hashlib.scrypt(password.encode(), salt=bytes.fromhex(salt), **_COST).hex()
    except (ValueError, UnicodeEncodeError):
        return False
    return kind == "scrypt" and hmac.compare_digest(found, expected)


def keep_password(files: WorkspaceFiles, password: str) -> None:
    """Keep the hash of the studio's password in the workspace's folder, readable by its owner only."""
    path = files.root / PASSWORD_FILE
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_text(hash_password(password) + "\n", encoding="ascii")


def kept_hash(files: WorkspaceFiles) -> str | None:
    """The hash that ``keep_password`` kept; None if there is none."""
    path = files.root / PASSWORD_FILE
    return path.read_text(encoding="ascii").strip() if path.is_file() else None
