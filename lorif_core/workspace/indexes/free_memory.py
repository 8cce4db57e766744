"""How much memory is free for a process: on the machine, and in the control groups that the process is in."""

from collections.abc import Iterator
from pathlib import Path

import psutil
import torch

CONTROL_GROUPS = Path("/sys/fs/cgroup")
OWN_GROUPS = Path("/proc/self/cgroup")


def free_bytes(device: torch.device) -> int:
    """Free memory where a device keeps its tensors."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else free_host_bytes()


def total_device_bytes(device: torch.device) -> int:
    """All memory of a GPU, whoever holds it."""
    return torch.cuda.get_device_properties(device).total_memory


def free_host_bytes() -> int:
    """What the process can still take before the machine, or a limit of a container, stops it."""
    return min([psutil.virtual_memory().available, *group_rooms(CONTROL_GROUPS, OWN_GROUPS)])


def group_rooms(root: Path, own: Path) -> Iterator[int]:
    """Room in each control group of the process that has a limit, with the pages that the system gives back.

    Args:
        root: Where control groups are mounted.
        own: File that names those of the process.
    """
    for folder in _group_folders(root, own):
        for limit, used in (("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes")):
            most, taken = _number(folder / limit), _number(folder / used)
            if most is not None and taken is not None:
                yield max(0, most - taken + _given_back(folder / "memory.stat"))


def _group_folders(root: Path, own: Path) -> list[Path]:
    """The groups and all that they are in; a container sees its own as the root."""
    found = [root, root / "memory"]
    for line in _text(own).splitlines():
        number, kinds, name = line.split(":", 2)
        place = Path(name.strip("/"))
        if number == "0" or kinds == "memory":
            top = root if number == "0" else root / "memory"
            found += [top / one for one in (place, *place.parents) if one != Path()]
    return found


def _given_back(stat: Path) -> int:
    """Pages of files that nobody has used for a while."""
    named = dict(line.split() for line in _text(stat).splitlines() if len(line.split()) == 2)
    return int(named.get("total_inactive_file", named.get("inactive_file", "0")))


def _number(path: Path) -> int | None:
    text = _text(path).strip()
    return int(text) if text.isdigit() else None


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
