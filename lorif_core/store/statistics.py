"""Second moments and whitened maps as safetensors files.

    input/<module>    (i, i) Σ x xᵀ; in maps, (i, d_in)       output/<module>   (o, o) Σ y yᵀ; in maps, (o, d_out)
                      (o,) its diagonal, of an output head
    num_tokens        int64 per module, in their order        num_examples      int64, of the sample so far
    num_inputs        int64 per module: tokens behind `input`; as num_tokens where it is not there

The moments are one file, the maps of an index one file per module (in format 1 one for all).
Source: docs/explanation/design.md §4.1 (statistics), §4.2 (`maps/`).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

import torch
from safetensors import SafetensorError
from safetensors.torch import save
from torch import Tensor

from lorif_core.errors import DamagedArtefact
from lorif_core.files import BLANK_SEAL, SEAL, check_file, check_seal, put_if_absent, replace_sealed, start_hash
from lorif_core.linalg.maps import ModuleMaps
from lorif_core.linalg.whitening import Moments
from lorif_core.store.parts import MAP_FOLDER
from lorif_core.store.plan import FileEntry
from lorif_core.store.typed_safetensors import read_metadata, read_names, read_tensors
from lorif_core.system_failures import refuse_if_of_the_machine

REMEDY = "Delete it; the statistics are taken again."


def write_moments(path: Path, moments: Mapping[str, Moments], num_examples: int) -> None:
    """Write the sums over the first ``num_examples`` of the sample, atomically."""
    tensors: dict[str, Tensor] = {"num_examples": torch.tensor(num_examples)}
    tensors["num_tokens"] = torch.tensor([moment.num_tokens for moment in moments.values()])
    tensors["num_inputs"] = torch.tensor([moment.num_inputs for moment in moments.values()])
    for name, moment in moments.items():
        tensors |= {f"input/{name}": moment.inputs, f"output/{name}": moment.output_grads}
    path.parent.mkdir(parents=True, exist_ok=True)
    with replace_sealed(path) as partial:
        partial.write_bytes(save(tensors, {SEAL: BLANK_SEAL}))


def _checksum(tensors: Mapping[str, Tensor]) -> str:
    """Of names and bytes; what earlier versions kept inside the file."""
    digest = start_hash()
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].contiguous().numpy().tobytes())
    return digest.hexdigest()


def read_moments(path: Path, names: list[str]) -> tuple[dict[str, Moments], int]:
    """Moments of the named modules, and how many examples of the sample they hold.

    Raises:
        DamagedArtefact: The file cannot be read.
    """
    try:
        is_sealed = check_seal(path, REMEDY)
        tensors = read_tensors(path)
        if not is_sealed and read_metadata(path).get("checksum") != _checksum(tensors):
            raise ValueError("its checksum differs from the recorded one")
        counts = zip(names, tensors["num_tokens"], _num_inputs(tensors), strict=True)
        moments = {
            name: Moments(tensors[f"input/{name}"], tensors[f"output/{name}"], int(all_tokens), int(inputs))
            for name, all_tokens, inputs in counts
        }
        return moments, int(tensors["num_examples"])
    except (SafetensorError, KeyError, ValueError, OSError) as error:
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
        sides = (f"input/{module_name}", f"output/{module_name}")
        counted = [name for name in read_names(path) if name in ("num_tokens", "num_inputs")]
        tensors = read_tensors(path, (*counted, *sides))
        place = list(names).index(module_name)
        counts = (int(tensors["num_tokens"][place]), int(_num_inputs(tensors)[place]))
        return Moments(tensors[sides[0]], tensors[sides[1]], *counts)
    except (SafetensorError, IndexError, OSError) as error:
        refuse_if_of_the_machine(error, path)
        raise DamagedArtefact(f"{str(path)!r} cannot be read ({error}). {REMEDY}") from error


def _num_inputs(tensors: Mapping[str, Tensor]) -> Tensor:
    """Version 0.1 counted tokens once."""
    return tensors.get("num_inputs", tensors["num_tokens"])


def write_maps(folder: Path, maps: Mapping[str, ModuleMaps]) -> list[FileEntry]:
    """Write the maps of an index, a file per module; returns the files that are there now.

    A module's file that is there already stays, also where it holds other maps: an earlier run or another worker made
    it, and its plan may name it.
    """
    return [_write_module_maps(folder, name, sides) for name, sides in maps.items()]


def _write_module_maps(folder: Path, module_name: str, maps: ModuleMaps) -> FileEntry:
    sides = {"input": maps.input_map, "output": maps.output_map}
    tensors = {f"{kind}/{module_name}": side.contiguous() for kind, side in sides.items() if side is not None}
    name = f"{MAP_FOLDER}/{quote(module_name, safe='')}.safetensors"
    found = put_if_absent(folder / name, save(tensors))
    digest = start_hash()
    digest.update(found)
    return FileEntry(name, len(found), digest.hexdigest())


def maps_from_tensors(tensors: Mapping[str, Tensor], names: list[str]) -> dict[str, ModuleMaps]:
    """Maps of the named modules, float32."""

    def side(kind: str, name: str) -> Tensor | None:
        found = tensors.get(f"{kind}/{name}")
        return None if found is None else found.float()

    return {name: ModuleMaps(side("input", name), side("output", name)) for name in names}
