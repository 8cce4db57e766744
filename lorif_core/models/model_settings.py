"""What the small files of a model folder say, checked before any library acts on it.

A folder may come from anybody. Numbers that the weights contradict would make a library build layers for hours; an
index of weights could name files outside the folder.
"""

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import SafetensorError, safe_open

from lorif_core.errors import ModelError
from lorif_core.plain_files import refuse_special

MAX_SETTINGS_BYTES = 256 << 20
"""Of one JSON file. The largest vocabularies take 35 MB."""

VALUES_PER_BYTE = 8
"""A byte of packed weights stands for no more of them."""

_INDEX = "*.safetensors.index.json"
_OBJECTS = ("config.json", "adapter_config.json", "tokenizer_config.json")
_VALUES = (_INDEX, "generation_config.json", "tokenizer.json", "special_tokens_map.json", "added_tokens.json")
_LAYERS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers", "num_decoder_layers")
_SIZES = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "n_embd",
    "n_inner",
    "d_model",
    "d_ff",
    "ffn_dim",
    "num_attention_heads",
    "n_head",
    "num_local_experts",
    "num_experts",
)
"""Settings that say how large a weight is, by their names in config.json: one number of it each at least."""

_PARTS = ("num_attention_heads", "n_head", "num_local_experts", "num_experts")
"""Those of them that count heads or experts of a layer."""


MOST_LAYERS = 1000
MOST_PARTS = 4096
"""Heads or experts of a layer, where no weights say how many there are."""

MOST_WIDTH = 1 << 24
"""Likewise of anything else."""


class _Held(NamedTuple):
    """What a folder's weights are."""

    num_bytes: int
    num_tensors: int


def check_settings(folder: Path, name: str) -> None:
    """Refuse a folder whose JSON files cannot be what a model's are.

    Args:
        folder: Of the model.
        name: As the person gave it.

    Raises:
        ModelError: Names the file and what is wrong with it.
    """
    for path in sorted({path for pattern in (*_OBJECTS, *_VALUES) for path in folder.glob(pattern)}):
        value = _read(path, name)
        if path.name in _OBJECTS and not isinstance(value, dict):
            raise ModelError(f"{str(path)!r} must hold a JSON object, got {str(value)[:40]!r}: save {name!r} again.")
        if path.match(_INDEX):
            _check_index(path, value, name)
        elif path.name == "config.json" and not (folder / "adapter_config.json").exists():
            held = _held(folder)
            for setting, number in _numbers(value):
                _check_number(path, setting, number, held)


def check_sizes(folder: Path, name: str) -> None:
    """Refuse a configuration without weights whose numbers would make a library build layers for hours.

    Args:
        folder: Of the configuration.
        name: As the person gave it.

    Raises:
        ModelError: Names the number.
    """
    path = folder / "config.json"
    value = _read(path, name)
    if not isinstance(value, dict):
        raise ModelError(f"{str(path)!r} must hold a JSON object, got {str(value)[:40]!r}: save {name!r} again.")
    for setting, found in _numbers(value):
        for number in found if isinstance(found, list) else [found]:
            most = MOST_LAYERS if setting in _LAYERS else MOST_PARTS if setting in _PARTS else MOST_WIDTH
            if type(number) is not int or not 0 <= number <= most:
                shown = _digits(number) if type(number) is int else str(number)[:40]
                raise ModelError(
                    f"`{setting}` is a whole number up to {most:,}, {str(path)!r} says {shown}: save the model again."
                )


def _held(folder: Path) -> _Held:
    """What can be read of the weights; loading says what is wrong with the rest."""
    num_bytes = num_tensors = 0
    for path in folder.glob("*.safetensors"):
        with (
            suppress(OSError, SafetensorError),
            safe_open(path, framework="np") as file,
        ):
            num_bytes += path.stat().st_size
            num_tensors += len(file.keys())
    return _Held(num_bytes, num_tensors)


def _read(path: Path, name: str) -> Any:
    """The value of a JSON file."""
    refuse_special(path)
    if path.stat().st_size > MAX_SETTINGS_BYTES:
        raise ModelError(
            f"the JSON files of a model may have {MAX_SETTINGS_BYTES >> 20} MiB, {str(path)!r} has "
            f"{path.stat().st_size >> 20:,}: download or save {name!r} again."
        )
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{str(path)!r} is not JSON ({_short(error)}): download or save {name!r} again.") from error


def _check_index(path: Path, value: Any, name: str) -> None:
    """Weights lie in the folder itself: only those are part of the fingerprint."""
    places = value.get("weight_map") if isinstance(value, dict) else None
    if not isinstance(places, dict):
        raise ModelError(f"{str(path)!r} must hold a `weight_map`: download or save {name!r} again.")
    for weight, place in places.items():
        is_plain = isinstance(place, str) and place == Path(place).name and place.endswith(".safetensors")
        if not is_plain:
            raise ModelError(
                f"an index of weights names .safetensors files beside it, {str(path)!r} names {str(place)[:80]!r} "
                f"for {weight[:80]!r}: download or save {name!r} again."
            )


def _numbers(config: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """The settings of sizes, also those of a model's text part."""
    for one in (config, config.get("text_config")):
        if isinstance(one, dict):
            yield from ((key, one[key]) for key in (*_LAYERS, *_SIZES) if one.get(key) is not None)


def _check_number(path: Path, setting: str, number: Any, held: _Held) -> None:
    if isinstance(number, list):  # a size for each layer
        for one in number:
            _check_number(path, setting, one, held)
        return
    if type(number) is not int or number < 0:
        raise ModelError(
            f"`{setting}` is a whole number, {str(path)!r} says {str(number)[:40]!r}: save the model again."
        )
    most = held.num_tensors if setting in _LAYERS else held.num_bytes * VALUES_PER_BYTE
    if held.num_tensors and number > most:
        raise ModelError(
            f"`{setting}` in {str(path)!r} is {_digits(number)}, and the weights beside it are {held.num_tensors:,} "
            f"tensors of {held.num_bytes:,} bytes: these files do not match; save the model again."
        )


def _digits(number: int) -> str:
    return f"{number:,}" if number < 10**18 else "a number of more than 18 digits"


def _short(error: Exception) -> str:
    return "it is nested too deeply" if isinstance(error, RecursionError) else str(error)[:120]
