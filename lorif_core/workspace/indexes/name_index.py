"""Call an index by a name, and keep who did it."""

from dataclasses import asdict

from lorif_core.catalog import utc_now
from lorif_core.errors import ConfigError
from lorif_core.files import write_json
from lorif_core.workspace.folder.index_names import NAME_FILE, GivenName, given_names
from lorif_core.workspace.folder.roles import require_curator
from lorif_core.workspace.folder.workspace_files import WorkspaceFiles

MAX_NAME = 80
MAX_DESCRIPTION = 400


def name_index(
    files: WorkspaceFiles, index_id: str, *, name: str, description: str | None = None, actor: str
) -> GivenName:
    """Call an index by a name from now on; an empty one takes the name back.

    Args:
        files: The workspace.
        index_id: Of the index.
        name: At most 80 printable characters, not another index's.
        description: What a person wants to remember of it; None keeps what is there.
        actor: Who says so.

    Raises:
        RoleError: The person is a viewer.
        CatalogError: There is no such index.
        ConfigError: The name or the description cannot be one, or another index has the name.
    """
    require_curator(files, "name indexes", actor)
    files.catalog.index(index_id)
    name = name.strip()
    known = given_names(files.root)
    before = known.get(index_id)
    text = (before.description if before else "") if description is None else description.strip()
    _check(name, text)
    owner = next((other for other, one in known.items() if name and one.name == name and other != index_id), None)
    if owner is not None:
        raise ConfigError(f"index {owner} is called {name!r} already. Choose another name.")
    if name != index_id and any(one.index_id == name for one in files.catalog.indexes()):
        raise ConfigError(f"{name!r} is the id of another index. Choose another name.")
    given = GivenName(name=name, description=text, actor=actor, at=utc_now().isoformat(timespec="seconds"))
    folder = files.index_folder(index_id)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / NAME_FILE, asdict(given))
    return given


def _check(name: str, description: str) -> None:
    if len(name) > MAX_NAME or not name.isprintable():
        raise ConfigError(f"the name of an index has at most {MAX_NAME} printable characters, got {name[:40]!r}.")
    if len(description) > MAX_DESCRIPTION or not description.replace("\n", " ").isprintable():
        raise ConfigError(
            f"the description of an index has at most {MAX_DESCRIPTION} printable characters, got {len(description)}."
        )
