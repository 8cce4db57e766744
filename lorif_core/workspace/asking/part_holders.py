"""Which worker scans which part: the same one for every question, so that it finds the part in its memory.

By rendezvous: each worker draws a number for a part, and the highest one has it. Who the others are changes nothing
of a draw, so a worker that leaves hands on its own parts and no others, and one that joins takes some from each.
Source: Thaler and Ravishankar (1998), highest random weight.
"""

from collections.abc import Collection
from hashlib import blake2b


def holder_of(index_id: str, number: int, workers: Collection[int]) -> int:
    """The worker that holds a part.

    Args:
        index_id: Of the index.
        number: Of the part.
        workers: Of whom to choose; at least one.
    """
    return max(workers, key=lambda worker: _draw(index_id, number, worker))


def _draw(index_id: str, number: int, worker: int) -> bytes:
    return blake2b(f"{worker}/{number}/{index_id}".encode(), digest_size=8).digest()
