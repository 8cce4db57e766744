"""Second moments and whitened maps as safetensors files.

    input/<module>    in maps, (i, d_in)                      output/<module>   in maps, (o, d_out)
    input/<module>    Σ x xᵀ, its upper triangle by rows      output/<module>   Σ y yᵀ, likewise; (o,) its diagonal,
                                                                                of an output head
    num_tokens        int64 per module, in their order        num_examples      int64, of the sample so far
    num_inputs        int64 per module: tokens behind `input`; as num_tokens where it is not there
    sample_examples   int64, of the whole sample; not there before triangles were
    num_outputs       int64 per module: o

Moments lie in one file per module, or per layer's experts; before there were triangles, in one file with whole
matrices. The maps of an index are one file per module (in format 1 one for all).
Source: docs/explanation/design.md §4.1 (statistics), §4.2 (`maps/`).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from lorif_core.errors import DamagedArtefact
from lorif_core.files import (
    BLANK_SEAL,
    SEAL,
    check_file,
    check_seal,
    replace_sealed,
    start_hash,
)
from lorif_core.linalg.maps import ModuleMaps
from lorif_core.linalg.whitening import Moments
from lorif_core.store.json_files import Folder, place_at
from lorif_core.store.parts import MAP_FOLDER
from lorif_core.store.place import Place
from lorif_core.store.plan import FileEntry
from lorif_core.store.typed_safetensors import read_metadata, read_names, read_tensors
from lorif_core.system_failures import refuse_if_of_the_machine

REMEDY = "Delete it; the statistics are taken again."


class Progress(NamedTuple):
    """How far a pass over the sample has come."""

    num_examples: int
    sample_examples: int

    @property
    def is_complete(self) -> bool:
        """Whether the whole sample was seen."""
        return self.num_examples >= self.sample_examples


def write_moments(path: Path, moments: Mapping[str, Moments], progress: Progress) -> None:
    """Write the sums over the first examples of the sample, atomically."""
    found = moments.values()
    tensors: dict[str, Tensor] = {
        "num_examples": torch.tensor(progress.num_examples),
        "sample_examples": torch.tensor(progress.sample_examples),
        "num_tokens": torch.tensor([moment.num_tokens for moment in found]),
        "num_inputs": torch.tensor([moment.num_inputs for moment in found]),
        "num_outputs": torch.tensor([len(moment.output_grads) for moment in found]),
    }
    for name, moment in moments.items():
        tensors |= {f"input/{name}": _triangle(moment.inputs), f"output/{name}": _triangle(moment.output_grads)}
    path.parent.mkdir(parents=True, exist_ok=True)
    with replace_sealed(path) as partial:
        partial.write_bytes(save(tensors, {SEAL: BLANK_SEAL}))


def _triangle(matrix: Tensor) -> Tensor:
    """The upper triangle of a symmetric matrix by rows, on the CPU; a diagonal as it is."""
    matrix = matrix.cpu()
    if matrix.ndim == 1:
        return matrix
    return torch.cat([row[place:] for place, row in enumerate(matrix)])


def _symmetric(numbers: Tensor, width: int | None = None) -> Tensor:
    """The matrix of a triangle; a diagonal, or a whole matrix of an earlier version, as it is.

    Args:
        numbers: As stored.
        width: Of the side; None: of the triangle that these are.
    """
    width = int((2 * len(numbers) + 0.25) ** 0.5) if width is None else width
    if numbers.ndim == 2 or len(numbers) == width > 1:
        return numbers
    matrix = torch.empty(width, width, dtype=numbers.dtype)
    start = 0
    for place in range(width):
        row = numbers[start : start + width - place]
        matrix[place, place:] = row
        matrix[place:, place] = row
        start += len(row)
    return matrix


def _checksum(tensors: Mapping[str, Tensor]) -> str:
    """Of names and bytes; what earlier versions kept inside the file."""
    digest = start_hash()
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].contiguous().numpy().tobytes())
    return digest.hexdigest()


def read_moments(path: Path, names: Sequence[str] | None = None) -> tuple[dict[str, Moments], Progress]:
    """Moments of the modules of a file, and how much of the sample they hold.

    Args:
        path: A file of ``write_moments``.
        names: Its modules, in their order; None: those that it names, whose counts may then be another one's.

    Raises:
        DamagedArtefact: The file cannot be read.
    """
    try:
        is_sealed = check_seal(path, REMEDY)
        tensors = read_tensors(path)
        if not is_sealed and read_metadata(path).get("checksum") != _checksum(tensors):
            raise ValueError("its checksum differs from the recorded one")
        if names is None:
            names = [name.removeprefix("input/") for name in tensors if name.startswith("input/")]
        done = int(tensors["num_examples"])
        moments = {name: _moments_of(tensors, name, place) for place, name in enumerate(names)}
        if len(names) != len(tensors["num_tokens"]):
            raise ValueError("it is of other modules")
        return moments, Progress(done, int(tensors.get("sample_examples", done)))
    except (SafetensorError, KeyError, ValueError, IndexError, RuntimeError, OSError) as error:
        refuse_if_of_the_machine(error, path)
        raise DamagedArtefact(f"{str(path)!r} cannot be read ({error}). {REMEDY}") from error


def read_module_moments(path: Path, names: Sequence[str], module_name: str) -> Moments:
    """Moments of one module; of the rest of the file only the seal is compared, once.

    Args:
        path: A file of ``write_moments``.
        names: All its modules, in their order.
        module_name: One of them.

    Raises:
        DamagedArtefact: The file cannot be read.
    """
    try:
        check_file(path, remedy=REMEDY)
        counts = [name for name in read_names(path) if name.startswith("num_")]
        tensors = read_tensors(path, (*counts, f"input/{module_name}", f"output/{module_name}"))
        return _moments_of(tensors, module_name, list(names).index(module_name))
    except (SafetensorError, KeyError, ValueError, IndexError, RuntimeError, OSError) as error:
        refuse_if_of_the_machine(error, path)
        raise DamagedArtefact(f"{str(path)!r} cannot be read ({error}). {REMEDY}") from error


def read_num_tokens(path: Path) -> int:
    """Tokens behind the moments of a file: the most that any of its modules saw.

    Raises:
        DamagedArtefact: The file cannot be read.
    """
    try:
        return int(read_tensors(path, ("num_tokens",))["num_tokens"].max())
    except (SafetensorError, RuntimeError, OSError) as error:
        refuse_if_of_the_machine(error, path)
        raise DamagedArtefact(f"{str(path)!r} cannot be read ({error}). {REMEDY}") from error


def _moments_of(tensors: Mapping[str, Tensor], name: str, place: int) -> Moments:
    num_tokens = tensors["num_tokens"]
    num_outputs = None if "num_outputs" not in tensors else int(tensors["num_outputs"][place])
    return Moments(
        _symmetric(tensors[f"input/{name}"]),
        _symmetric(tensors[f"output/{name}"], num_outputs),
        int(num_tokens[place]),
        int(tensors.get("num_inputs", num_tokens)[place]),  # version 0.1 counted tokens once
    )


def write_maps(folder: Folder, maps: Mapping[str, ModuleMaps]) -> list[FileEntry]:
    """Write maps of an index, a file per module; returns the files that are there now.

    A module's file that is there already stays, also where it holds other maps: an earlier run or another worker made
    it, and its plan may name it.
    """
    return [_write_module_maps(place_at(folder), name, sides) for name, sides in maps.items()]


def _write_module_maps(place: Place, module_name: str, maps: ModuleMaps) -> FileEntry:
    sides = {"input": maps.input_map, "output": maps.output_map}
    tensors = {f"{kind}/{module_name}": side.contiguous() for kind, side in sides.items() if isinstance(side, Tensor)}
    name = _map_file(module_name)
    return _entry_of(name, place.create(name, save(tensors)))


def _entry_of(name: str, content: bytes) -> FileEntry:
    return FileEntry(name, len(content), start_hash(content).hexdigest())


def entries_of_maps(folder: Folder, names: Sequence[str]) -> list[FileEntry]:
    """The files of maps that are there, as a plan names them."""
    place = place_at(folder)
    return [_entry_of(name, place.read(name)) for name in map(_map_file, names)]


def _map_file(module_name: str) -> str:
    return f"{MAP_FOLDER}/{quote(module_name, safe='')}.safetensors"


def modules_with_maps(folder: Folder, names: Sequence[str]) -> set[str]:
    """Those of the named modules whose maps are there; none of them is read."""
    there = place_at(folder).listed(MAP_FOLDER)
    return {name for name in names if _map_file(name) in there}


def read_maps(folder: Folder, names: Sequence[str]) -> dict[str, ModuleMaps]:
    """Maps that a build wrote before it was interrupted: those of the named modules that are there."""
    place, there = place_at(folder), modules_with_maps(folder, names)
    found = {name: load(place.read(_map_file(name))) for name in names if name in there}
    return {name: maps_from_tensors(tensors, [name])[name] for name, tensors in found.items()}


def remove_maps(folder: Folder, names: Sequence[str]) -> None:
    """Remove the maps of the named modules from an index whose plan is not written."""
    for name in names:
        place_at(folder).delete(_map_file(name))


def maps_from_tensors(tensors: Mapping[str, Tensor], names: list[str]) -> dict[str, ModuleMaps]:
    """Maps of the named modules, float32."""

    def side(kind: str, name: str) -> Tensor | None:
        found = tensors.get(f"{kind}/{name}")
        return None if found is None else found.float()

    return {name: ModuleMaps(side("input", name), side("output", name)) for name in names}
