"""Named views: a page of the studio with its filters, kept in the workspace so that everybody finds it again."""

import re
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from urllib.parse import urlencode

from lorif_core.catalog import utc_now
from lorif_core.errors import ArtefactError, ConfigError
from lorif_core.files import fingerprint_of_value, read_json, write_json
from lorif_core.journal.entries import Role
from lorif_core.workspace.folder.workspace_files import WorkspaceFiles

MAX_NAME = 80
MAX_QUERY = 20_000
LEAST_ROLE: Role = "curator"
PAGE = re.compile(r"[a-z-]{1,40}")


@dataclass(frozen=True, kw_only=True)
class SavedView:
    """What a person wants to find again."""

    name: str
    page: str
    """Path of the page in the studio's address, such as corpus."""

    query: list[tuple[str, str]]
    """Parameters of the address, in order; a name may come more than once."""

    actor: str
    at: str
    """When, UTC, ISO 8601."""

    @property
    def address(self) -> str:
        """Behind the studio's host and port."""
        return f"/{self.page}?{urlencode(self.query)}" if self.query else f"/{self.page}"


def save_view(files: WorkspaceFiles, name: str, page: str, query: list[tuple[str, str]], actor: str) -> SavedView:
    """Keep a view under a name; one of that name is replaced.

    Raises:
        ConfigError: The name, the page or the query cannot be kept.
        RoleError: They may only look.
    """
    files.journal.require_role(actor, LEAST_ROLE, "keep views")
    name = name.strip()
    if not (0 < len(name) <= MAX_NAME and name.isprintable()):
        raise ConfigError(f"the name of a view has 1 to {MAX_NAME} printable characters, got {name[:40]!r}.")
    if not PAGE.fullmatch(page) or len(urlencode(query)) > MAX_QUERY:
        raise ConfigError(f"a view is a page of the studio with at most {MAX_QUERY:,} characters of filters.")
    view = SavedView(name=name, page=page, query=query, actor=actor, at=utc_now().isoformat(timespec="seconds"))
    _folder(files).mkdir(exist_ok=True)
    write_json(_place(files, name), asdict(view))
    return view


def saved_views(files: WorkspaceFiles) -> list[SavedView]:
    """Every kept view, by name.

    Raises:
        ArtefactError: A file is not what was written, or is another one.
    """
    found = [read_view(path) for path in sorted(_folder(files).glob("*.json"))]
    return sorted(found, key=lambda view: view.name)


def read_view(path: Path) -> SavedView:
    """The view in a file.

    Raises:
        ArtefactError: It is not what was written, or is another one.
    """
    kept = read_json(path, *(field.name for field in fields(SavedView)))
    view = SavedView(**{**kept, "query": [(name, value) for name, value in kept["query"]]})
    if path.stem != place_of_view(view.name):
        raise ArtefactError(f"{str(path)!r} holds the view {view.name!r}, which belongs elsewhere: restore it.")
    return view


def forget_view(files: WorkspaceFiles, name: str, actor: str) -> None:
    """Let go of a view; nothing else is touched.

    Raises:
        RoleError: They may only look: a view is everybody's.
    """
    files.journal.require_role(actor, LEAST_ROLE, "remove views")
    _place(files, name).unlink(missing_ok=True)


def _folder(files: WorkspaceFiles) -> Path:
    return files.root / "views"


def _place(files: WorkspaceFiles, name: str) -> Path:
    return _folder(files) / f"{place_of_view(name)}.json"


def place_of_view(name: str) -> str:
    """What the file of a view is called: a hash, as the name itself may hold what a file name may not."""
    return fingerprint_of_value(name)[:16]
