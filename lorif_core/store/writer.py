"""Write what is fitted to an index's gradients: a subspace per module, self-influences per shard."""

from collections.abc import Mapping

from safetensors.torch import save
from torch import Tensor

from lorif_core.files import start_hash
from lorif_core.linalg.subspace import Subspace
from lorif_core.store.blocks import subspace_tensors
from lorif_core.store.json_files import Folder, place_at
from lorif_core.store.plan import FileEntry


def write_subspace(folder: Folder, position: int, subspace: Subspace) -> FileEntry:
    """Write the subspace of the module at ``position``."""
    return _write_entry(folder, f"subspace/{position:05d}.safetensors", subspace_tensors(subspace))


def write_self_influence(folder: Folder, position: int, self_influence: Tensor) -> FileEntry:
    """Write the self-influences (n,) of the examples of the shard at ``position``."""
    return _write_entry(folder, f"self_influence/{position:05d}.safetensors", {"self_influence": self_influence})


def _write_entry(folder: Folder, name: str, tensors: Mapping[str, Tensor]) -> FileEntry:
    content = save(dict(tensors))
    place_at(folder).replace(name, content)
    return FileEntry(name, len(content), start_hash(content).hexdigest())
