"""What indexes are called: a name that people give, else one made of method and model; and a line of what each is."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from lorif_core.catalog import IndexRecord, ModelRecord, utc_now
from lorif_core.errors import ConfigError, LorifError
from lorif_core.files import read_json, write_json
from lorif_core.views.tables import human_bytes
from lorif_core.workspace.folder.roles import require_curator
from lorif_core.workspace.folder.workspace_files import WorkspaceFiles

NAME_FILE = "name.json"
MAX_NAME = 80
MAX_DESCRIPTION = 400
UNTELLING = ("model", "final", "best", "last", "out", "output", "adapter", "weights", "hf")
"""Names of folders that say nothing about the model in them; the folder above them is named, too."""


@dataclass(frozen=True, kw_only=True)
class GivenName:
    """What a person called an index."""

    name: str
    """Empty: the name that it has by itself."""

    description: str = ""
    actor: str = ""
    at: str = ""
    """When, UTC, ISO 8601."""


@dataclass(frozen=True, kw_only=True)
class NamedIndex:
    """An index as people see it."""

    index_id: str
    name: str
    """Given by a person, else made of method and model; unique in the workspace if it was not given."""

    is_given: bool
    description: str
    """What a person wrote about it; may be empty."""

    data: str
    """Name and version of its data set."""

    model: str
    """Short name of its model."""

    line: str
    """What it is: data, model, method, texts, size, day."""


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
    known = given_names(files)
    before = known.get(index_id)
    text = (before.description if before else "") if description is None else description.strip()
    _check(name, text)
    owner = next((other for other, one in known.items() if name and one.name == name and other != index_id), None)
    if owner is not None:
        raise ConfigError(f"index {owner} is called {name!r} already. Choose another name.")
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


def given_names(files: WorkspaceFiles) -> dict[str, GivenName]:
    """What people called indexes, by their ids; a damaged file counts as no name, `lorif doctor` says so."""
    found = {}
    for path in (files.root / "indexes").glob(f"*/{NAME_FILE}"):
        try:
            found[path.parent.name] = read_given_name(path)
        except (LorifError, OSError):
            continue
    return found


def read_given_name(path: Path) -> GivenName:
    """The name in a file.

    Raises:
        ArtefactError: It is not what was written.
    """
    kept = read_json(path, "name", "description", "actor", "at")
    return GivenName(**{field: str(kept[field]) for field in ("name", "description", "actor", "at")})


def named_indexes(files: WorkspaceFiles, records: Sequence[IndexRecord] | None = None) -> dict[str, NamedIndex]:
    """Every index as people see it, by its id; ``records``: all that there are, if one has them."""
    records = files.catalog.indexes() if records is None else records
    data = {one.dataset_id: f"{one.name} v{one.version}" for one in files.catalog.datasets()}
    models = {one.model_id: one for one in files.catalog.models()}
    given = given_names(files)
    short = {one.index_id: _model_of(one, models) for one in records}
    usual = _usual_names(records, short, data, {one.name for one in given.values()})
    found = {}
    for one in records:
        said = given.get(one.index_id)
        found[one.index_id] = NamedIndex(
            index_id=one.index_id,
            name=said.name if said is not None and said.name else usual[one.index_id],
            is_given=said is not None and bool(said.name),
            description=said.description if said is not None else "",
            data=data.get(one.dataset_id, one.dataset_id),
            model=short[one.index_id],
            line=_line(one, data.get(one.dataset_id, one.dataset_id), short[one.index_id]),
        )
    return found


def _usual_names(
    records: Sequence[IndexRecord], models: dict[str, str], data: dict[str, str], taken: set[str]
) -> dict[str, str]:
    """By index id the first of method, with model, with data, with both, with the id, that no other index has."""
    forms = {
        one.index_id: (
            one.method,
            f"{one.method} · {models[one.index_id]}",
            f"{one.method} · {data.get(one.dataset_id, '')}",
            f"{one.method} · {models[one.index_id]} · {data.get(one.dataset_id, '')}",
            f"{one.method} · {models[one.index_id]} · {one.index_id.removeprefix('ix-')[:6]}",
        )
        for one in records
    }
    times = Counter([*(name for names in forms.values() for name in set(names)), *taken])
    return {
        index_id: next((name for name in names if times[name] == 1), index_id) for index_id, names in forms.items()
    }


def _model_of(record: IndexRecord, models: dict[str, ModelRecord]) -> str:
    """Short name of an index's model: its own settings go first, the same weights may lie in several folders."""
    place = json.loads(record.settings_json).get("model", {}).get("model")
    known = models.get(record.model_id)
    return short_model_name(place or (known.name if known is not None else record.model_id))


def short_model_name(place: str) -> str:
    """The end of a model's folder or hub name: as much of it as tells something."""
    parts = [part for part in place.replace("\\", "/").split("/") if part]
    if not parts:
        return place
    is_plain = parts[-1].lower() not in UNTELLING and not parts[-1].lower().startswith("checkpoint")
    return parts[-1] if is_plain or len(parts) == 1 else "/".join(parts[-2:])


def _line(record: IndexRecord, data: str, model: str) -> str:
    parts = [data, model, record.method, f"{record.num_examples:,} text{'' if record.num_examples == 1 else 's'}"]
    if record.total_bytes:
        parts.append(human_bytes(record.total_bytes))
    parts.append(f"{record.created_at:%d %b %Y}".lstrip("0"))
    return " · ".join(parts)
