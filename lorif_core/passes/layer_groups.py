"""Which modules' second moments are summed in one pass over the sample: as many as there is memory for.

The moments of a module are as wide as its two sides squared, those of a large model more than a machine holds. The sums
do not depend on how the modules are divided; only the number of passes does.
"""

from collections.abc import Sequence

from lorif_core.shapes import ModuleShape
from lorif_core.weights import family_of

BYTES_PER_NUMBER = 4


def moments_bytes(modules: Sequence[ModuleShape]) -> int:
    """Bytes of the second moments of some modules, float32: i² + o² numbers each, of a head i² + o."""
    return BYTES_PER_NUMBER * sum(
        one.in_features**2 + (one.out_features if one.form == "columns" else one.out_features**2) for one in modules
    )


def families(modules: Sequence[ModuleShape]) -> list[list[ModuleShape]]:
    """Modules by what their moments are kept with: the experts of one layer and matrix together, others alone."""
    found: dict[str, list[ModuleShape]] = {}
    for module in modules:
        found.setdefault(family_of(module.name), []).append(module)
    return list(found.values())


def layer_groups(modules: Sequence[ModuleShape], room_bytes: int) -> list[list[ModuleShape]]:
    """Consecutive families whose moments fit into some memory together; a family that does not fit stands alone.

    Args:
        modules: In the model's order.
        room_bytes: For the moments of one group.
    """
    groups: list[list[ModuleShape]] = []
    taken = 0
    for family in families(modules):
        size = moments_bytes(family)
        if not groups or taken + size > room_bytes:
            groups.append([])
            taken = 0
        groups[-1] += family
        taken += size
    return groups
