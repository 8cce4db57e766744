"""Second moments and whitened maps as safetensors files.

    input/<module>    (i, i) Σ x xᵀ; in maps, (i, d_in)       output/<module>   (o, o) Σ y yᵀ; in maps, (o, d_out)
    num_tokens        int64 per module, in their order        num_examples      int64, of the sample so far

Source: DESIGN §4, `maps.safetensors`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
import xxhash
from safetensors import SafetensorError
from torch import Tensor

from lorif_core.errors import DamagedArtefact
from lorif_core.linalg.maps import ModuleMaps
from lorif_core.linalg.whitening import Moments
from lorif_core.store.manifest import FileEntry
from lorif_core.store.typed_safetensors import read_metadata, read_tensors
from lorif_core.store.writer import write_tensors

MAPS = "maps.safetensors"


def write_moments(path: Path, moments: Mapping[str, Moments], num_examples: int) -> None:
    """Write the sums over the first ``num_examples`` of the sample, atomically."""
    tensors: dict[str, Tensor] = {"num_examples": torch.tensor(num_examples)}
    tensors["num_tokens"] = torch.tensor([moment.num_tokens for moment in moments.values()])
    for name, moment in moments.items():
        tensors |= {f"input/{name}": moment.inputs, f"output/{name}": moment.output_grads}
    write_tensors(path, tensors, {"checksum": _checksum(tensors)})


def _checksum(tensors: Mapping[str, Tensor]) -> str:
    """Of names and bytes; kept inside the file, which nothing else names."""
    digest = xxhash.xxh3_128()
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
        tensors = read_tensors(path)
        if read_metadata(path).get("checksum") != _checksum(tensors):
            raise ValueError("its checksum differs from the recorded one")
        moments = {
            name: Moments(tensors[f"input/{name}"], tensors[f"output/{name}"], int(count))
            for name, count in zip(names, tensors["num_tokens"], strict=True)
        }
        return moments, int(tensors["num_examples"])
    except (SafetensorError, KeyError, ValueError, OSError) as error:
        raise DamagedArtefact(
            f"{str(path)!r} cannot be read ({error}). Delete it; the statistics are taken again."
        ) from error


def read_module_moments(path: Path, names: Sequence[str], module_name: str) -> Moments:
    """Moments of one module; the rest of the file is not read, nor its checksum compared.

    Args:
        path: A file of ``write_moments``.
        names: All its modules, in their order.
        module_name: One of them.

    Raises:
        DamagedArtefact: The file cannot be read.
    """
    try:
        tensors = read_tensors(path, ("num_tokens", f"input/{module_name}", f"output/{module_name}"))
        count = int(tensors["num_tokens"][list(names).index(module_name)])
        return Moments(tensors[f"input/{module_name}"], tensors[f"output/{module_name}"], count)
    except (SafetensorError, IndexError, OSError) as error:
        raise DamagedArtefact(
            f"{str(path)!r} cannot be read ({error}). Delete it; the statistics are taken again."
        ) from error


def write_maps(folder: Path, maps: Mapping[str, ModuleMaps]) -> FileEntry:
    """Write the maps of an index."""
    tensors: dict[str, Tensor] = {}
    for name, sides in maps.items():
        for kind, side in (("input", sides.input_map), ("output", sides.output_map)):
            if side is not None:
                tensors[f"{kind}/{name}"] = side.contiguous()
    checksum, size_bytes = write_tensors(folder / MAPS, tensors)
    return FileEntry(MAPS, size_bytes, checksum)


def maps_from_tensors(tensors: Mapping[str, Tensor], names: list[str]) -> dict[str, ModuleMaps]:
    """Maps of the named modules, float32."""

    def side(kind: str, name: str) -> Tensor | None:
        found = tensors.get(f"{kind}/{name}")
        return None if found is None else found.float()

    return {name: ModuleMaps(side("input", name), side("output", name)) for name in names}
