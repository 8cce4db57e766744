"""What indexes are called: a name that people give, else one made of method and model; and a line of what each is."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lorif_core.catalog import Catalog, IndexRecord, ModelRecord
from lorif_core.errors import CatalogError, LorifError
from lorif_core.files import read_json
from lorif_core.views.tables import human_bytes

NAME_FILE = "name.json"
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


def given_names(root: Path) -> dict[str, GivenName]:
    """What people called indexes, by their ids; a damaged file counts as no name, `lorif doctor` says so."""
    found = {}
    for path in (root / "indexes").glob(f"*/{NAME_FILE}"):
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


def index_called(root: Path, catalog: Catalog, name: str) -> IndexRecord:
    """The index with that id or name, whether a person gave it or it is its own.

    Args:
        root: Folder of the workspace.
        catalog: Its catalog.
        name: An id or a name; an id goes first.

    Raises:
        CatalogError: There is none, or several have the name.
    """
    records = catalog.indexes()
    if (by_id := next((one for one in records if one.index_id == name), None)) is not None:
        return by_id
    named = named_indexes(root, catalog, records)
    found = [one for one in records if named[one.index_id].name == name]
    if len(found) == 1:
        return found[0]
    if found:
        ids = ", ".join(one.index_id for one in found)
        raise CatalogError(f"{len(found)} indexes are called {name!r}: {ids}. Name one by its id.")
    if not records:
        return catalog.index(name)  # says how one is built
    known = ", ".join(f"{one.index_id} ({one.name})" for one in named.values())
    raise CatalogError(f"there is no index {name!r}, only {known}. `lorif indexes {root}` lists them.")


def named_indexes(
    root: Path, catalog: Catalog, records: Sequence[IndexRecord] | None = None
) -> dict[str, NamedIndex]:
    """Every index as people see it, by its id; ``records``: all that there are, if one has them."""
    records = catalog.indexes() if records is None else records
    data = {one.dataset_id: f"{one.name} v{one.version}" for one in catalog.datasets()}
    models = {one.model_id: one for one in catalog.models()}
    given = given_names(root)
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
