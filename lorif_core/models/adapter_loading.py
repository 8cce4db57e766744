"""Put an adapter's weights on its base model with PEFT, and check that every one of them found its place.

PEFT wraps a model; what is returned is the model inside, in whose layers the adapter has been put, so that module
names do not depend on the wrapper. Every trained weight must come from the file and every weight of the file must be
used: PEFT itself leaves what is missing at its random start, and drops what it cannot place.
"""

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import fields
from importlib.util import find_spec
from typing import Any, NamedTuple

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from lorif_core.errors import ModelError
from lorif_core.models.adapters import Adapter
from lorif_core.models.factored_adapters import factor_layers
from lorif_core.models.model_folder import ADAPTER_WEIGHTS, first_line
from lorif_core.system_failures import refuse_if_of_the_machine

_NAME = "default"
"""PEFT's own name for the only adapter of a model."""

_PREFIX = "base_model.model."
"""Before every name in an adapter's file: the path through PEFT's two wrappers."""


class _Placed(NamedTuple):
    """A base with an adapter in it, and what the file and the adapter did not have in common."""

    model: nn.Module
    trained: set[str]
    missing: set[str]
    """Weights of the model, its base's included, that the file does not hold."""

    unexpected: list[str]


def put_on_base(base: Any, adapter: Adapter, name: str) -> nn.Module:
    """The base model with the adapter in its layers.

    Args:
        base: A causal language model of transformers; changed in place.
        adapter: Which was checked.
        name: As the person gave it.

    Raises:
        ModelError: PEFT is not installed, or the adapter was not trained on this base.
    """
    _require_peft(name)
    try:
        weights = _saved_once(load_file(adapter.folder / ADAPTER_WEIGHTS))
    except (OSError, SafetensorError) as error:
        refuse_if_of_the_machine(error, adapter.folder / ADAPTER_WEIGHTS)
        raise ModelError(f"{name!r} cannot be read: {first_line(error)} Save the adapter again.") from error
    rows = _resize_vocabulary(base, weights)
    placed = _place(base, adapter, weights, name)
    _check_all_is_used(placed, adapter, name)
    if rows is not None:
        _check_new_rows(placed, rows, adapter, name)
    factor_layers(placed.model)
    return placed.model


def _require_peft(name: str) -> None:
    if find_spec("peft") is None:
        raise ModelError(
            f"{name!r} is an adapter, which needs the package peft to be loaded: `pip install 'lorif-studio[peft]'`."
        )


def _saved_once(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights without PEFT's second copies of modules that were trained whole.

    Where a vocabulary was resized PEFT saves the embeddings a second time, with the untrained original, under the
    names of its wrapper, which it does not read again.
    """
    wrapped = {key for key in weights if ".modules_to_save." in key or ".original_module." in key}
    kept = {key: tensor for key, tensor in weights.items() if key not in wrapped}
    for key in wrapped:
        if ".modules_to_save." in key:
            kept.setdefault(key.replace(".modules_to_save.", "."), weights[key])
    return kept


def _place(base: Any, adapter: Adapter, weights: Mapping[str, Tensor], name: str) -> _Placed:
    from peft import PeftConfig, PeftModel, set_peft_model_state_dict

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what PEFT warns of is checked here, and refused
            config = PeftConfig.from_pretrained(str(adapter.folder))
            _check_known(config, adapter, name)
            config.inference_mode = False  # so that PEFT marks what the adapter trained
            wrapper = PeftModel(base, config, _NAME)
            trained = {part for part, parameter in wrapper.named_parameters() if parameter.requires_grad}
            result = set_peft_model_state_dict(wrapper, dict(weights), _NAME)
    except (ValueError, KeyError, TypeError, AttributeError, RuntimeError, ImportError) as error:
        raise ModelError(
            f"{name!r} does not fit its base model {adapter.base!r}: {_complaint(error)} Give the adapter and the "
            "base it was trained on."
        ) from error
    return _Placed(
        wrapper.get_base_model(),
        {part.removeprefix(_PREFIX) for part in trained},
        {part.removeprefix(_PREFIX) for part in result.missing_keys},
        sorted(part.removeprefix(_PREFIX) for part in result.unexpected_keys),
    )


def _check_known(config: Any, adapter: Adapter, name: str) -> None:
    """Refuse settings that the installed PEFT does not know: it would drop them and compute something else."""
    known = {one.name for one in fields(config)}
    unknown = sorted(key for key, value in adapter.settings.items() if value and key not in known)
    if unknown:
        from peft import __version__

        raise ModelError(
            f"{str(adapter.config_path)!r} sets {unknown[0]!r}, which peft {__version__} does not know, so {name!r} "
            "would be computed wrongly. Upgrade it: `pip install -U peft`."
        )


def _complaint(error: Exception) -> str:
    """The sentence of a PEFT exception that says what is wrong."""
    if isinstance(error, KeyError):
        return f"its file holds no weights for {str(error.args[0]).removeprefix(_PREFIX)!r}."
    lines = [line.strip() for line in str(error).splitlines() if "size mismatch" in line]
    return lines[0].replace(_PREFIX, "") if lines else first_line(error)


def _check_all_is_used(placed: _Placed, adapter: Adapter, name: str) -> None:
    if placed.unexpected:
        raise ModelError(
            f"{name!r} does not fit its base model {adapter.base!r}: its file holds {len(placed.unexpected)} weights "
            f"that have no place in it, such as {placed.unexpected[0]!r}. Give the adapter and the base it was "
            "trained on."
        )
    empty = sorted(placed.trained & placed.missing)
    if empty:
        raise ModelError(
            f"{name!r} is incomplete: its file holds no weights for {len(empty)} parameters, such as {empty[0]!r}. "
            "Download or save the adapter again."
        )


def _names_by_parameter(model: nn.Module) -> dict[int, set[str]]:
    """All names of every parameter; a tied one has several."""
    found: dict[int, set[str]] = {}
    for part, parameter in model.named_parameters(remove_duplicate=False):
        found.setdefault(id(parameter), set()).add(part)
    return found


def _resize_vocabulary(base: Any, weights: Mapping[str, Tensor]) -> tuple[int, int] | None:
    """Give the base as many tokens as the adapter was saved with; (before, after), or None if nothing changed."""
    before = base.get_input_embeddings().weight.shape[0]
    after = max((tensor.shape[axis] for tensor, axis in _rows_of_vocabulary(base, weights)), default=before)
    if after == before:
        return None
    base.resize_token_embeddings(after, mean_resizing=False)  # new rows come from the adapter's file
    return before, after


def _rows_of_vocabulary(base: Any, weights: Mapping[str, Tensor]) -> Iterator[tuple[Tensor, int]]:
    """Tensors of the adapter's file that have a row per token, with that axis."""
    ends = {
        "weight": 0,
        "base_layer.weight": 0,
        "token_adapter.base_layer.weight": 0,
        "lora_embedding_A": 1,
    }
    names = {module: part for part, module in base.named_modules()}
    for layer in (base.get_input_embeddings(), base.get_output_embeddings()):
        for end, axis in (ends | {"lora_B.weight": 0}).items():
            found = weights.get(f"{_PREFIX}{names.get(layer)}.{end}")
            if found is not None and found.ndim == 2:
                yield found, axis


def _check_new_rows(placed: _Placed, rows: tuple[int, int], adapter: Adapter, name: str) -> None:
    """Refuse a vocabulary whose further rows are in no file: they would be random."""
    before, after = rows
    model: Any = placed.model
    here = _names_by_parameter(model)
    for layer in (model.get_input_embeddings(), model.get_output_embeddings()):
        used = here.get(id(_weight_in_use(layer)), set())
        if after > before and used and used <= placed.missing:
            raise ModelError(
                f"{name!r} was trained with {after:,} tokens, its base model {adapter.base!r} has {before:,}, and "
                f"the adapter's file does not hold the others' weights in {min(used)!r}. Save the adapter again with "
                "`save_pretrained(..., save_embedding_layers=True)`."
            )


def _weight_in_use(layer: Any) -> Any:
    """The weight of an embedding or head under what PEFT wraps around it."""
    copies = getattr(layer, "modules_to_save", None)
    if copies is not None and _NAME in copies:
        return copies[_NAME].weight
    for inner in ("original_module", "base_layer"):
        if isinstance(getattr(layer, inner, None), nn.Module):
            return _weight_in_use(getattr(layer, inner))
    return getattr(layer, "weight", None)
