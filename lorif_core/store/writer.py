"""Write what is fitted to an index's gradients: a subspace per module, self-influences per shard."""

from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import save
from torch import Tensor

from lorif_core.files import PARTIAL, checksum_of_file, replace_file
from lorif_core.linalg.subspace import Subspace
from lorif_core.store.blocks import subspace_tensors
from lorif_core.store.plan import FileEntry


def write_subspace(folder: Path, position: int, subspace: Subspace) -> FileEntry:
    """Write the subspace of the module at ``position``."""
    return _write_entry(folder, f"subspace/{position:05d}.safetensors", subspace_tensors(subspace))


def write_self_influence(folder: Path, position: int, self_influence: Tensor) -> FileEntry:
    """Write the self-influences (n,) of the examples of the shard at ``position``."""
    return _write_entry(folder, f"self_influence/{position:05d}.safetensors", {"self_influence": self_influence})


def sweep_partials(folder: Path) -> None:
    """Delete what a killed writer of these files left; safe for the only builder of an index."""
    for path in (*folder.glob(f".*{PARTIAL}"), *folder.glob(f"[!.]*/.*{PARTIAL}")):
        path.unlink(missing_ok=True)


def _write_entry(folder: Path, name: str, tensors: Mapping[str, Tensor]) -> FileEntry:
    checksum, size_bytes = write_tensors(folder / name, tensors)
    return FileEntry(name, size_bytes, checksum)


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> tuple[str, int]:
    """Write a safetensors file atomically; returns its checksum and size in bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replace_file(path) as partial:
        partial.write_bytes(save(dict(tensors)))
        checksum = checksum_of_file(partial)
    return checksum, path.stat().st_size
