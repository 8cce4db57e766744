"""The settings that an index was built with, as the catalog keeps them; those of older versions are read, too."""

import json
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from lorif_core.methods.method_settings import IndexConfig, KroneckerConfig
from lorif_core.methods.registry import settings_of_name
from lorif_core.settings_json import settings_from_json, settings_to_json


def write_index_settings(settings: IndexConfig) -> str:
    """The settings as text."""
    return json.dumps(settings_to_json(settings))


def read_index_settings(text: str, model: str | None = None) -> IndexConfig:
    """The settings that ``write_index_settings`` wrote, for whatever device there is now.

    Args:
        text: As the catalog or a job has it.
        model: Where the model lies now, if it was moved.

    Raises:
        ConfigError: They are of no known method, or out of range.
    """
    settings = settings_from_json(IndexConfig, from_older_versions(json.loads(text)), settings_of_name)
    placed = replace(settings.model, device="auto", model=model or settings.model.model)
    return replace(settings, model=placed)


def from_older_versions(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of any version as they are now; newer ones as they are."""
    return _from_before_heads(_from_version_0_1(raw))


def _from_before_heads(raw: dict[str, Any]) -> dict[str, Any]:
    """Settings from when `kronecker` tracked attention and no head, as they say so now; newer ones as they are."""
    method, model = raw["method"], raw["model"]
    if method["name"] != KroneckerConfig.name or "head_columns" in method:
        return raw
    return {**raw, "method": {**method, "head_columns": 0}, "model": {**model, "include": model["include"] or ["*"]}}


def _from_version_0_1(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of version 0.1 as they are now; newer ones as they are.

    Every method read the same groups of settings then: factors, curvature and whitening, with the budget beside them.
    """
    if not isinstance(raw["method"], str):
        return dict(raw)
    name = raw["method"]
    given = {**raw["factors"], **raw["curvature"], **raw.get("whitening", {}), "budget": raw.get("budget")}
    known = {one.name: one for one in fields(settings_of_name(name))}  # pyright: ignore[reportArgumentType]
    if not given["subspace_rank"] and "subspace_rank" in known and known["subspace_rank"].default == 0:
        given |= {"damping_rule": "trace", "damping": None}  # a plain product was kept as absolute damping 1
    own = {key: value for key, value in given.items() if key in known}
    return {"model": raw["model"], "method": {"name": name, **own}, "batches": raw["batches"]}
