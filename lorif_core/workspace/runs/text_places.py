"""From the ids that a training loop says to places in the data set: 12 bytes a text, whatever its id is."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
import xxhash

from lorif_core.data.examples import ExampleTable
from lorif_core.errors import DataError


class TextPlaces:
    """Finds texts of a data set by their ids, which are kept as hashes of 64 bits."""

    def __init__(self, examples: ExampleTable) -> None:
        hashes = np.fromiter(_hashes(examples), np.uint64, examples.num_examples)
        self._order = hashes.argsort(kind="stable").astype(np.int32)
        self._hashes = hashes[self._order]

    @property
    def num_examples(self) -> int:
        """N."""
        return len(self._hashes)

    def find(self, ids: Sequence[Any]) -> torch.Tensor:
        """Places of the texts, (n,).

        Raises:
            DataError: An id is none of the data set's.
        """
        return self.find_hashed(HashedIds.of(ids), lambda place: repr(str(ids[place])))

    def find_hashed(self, ids: "HashedIds", told: Callable[[int], str]) -> torch.Tensor:
        """The same of ids that are hashes already; ``told`` names one that is unknown.

        Raises:
            DataError: An id is none of the data set's.
        """
        wanted = ids.hashes.cpu().numpy().view(np.uint64)
        at = np.searchsorted(self._hashes, wanted).clip(max=self.num_examples - 1)
        unknown = np.flatnonzero(self._hashes[at] != wanted)
        if len(unknown):
            raise DataError(
                f"ids must be those of the imported data, {len(unknown)} of the batch's {len(wanted)} are not, such "
                f"as {told(int(unknown[0]))}: import the data that is trained on, with `--id` for its column of ids."
            )
        return torch.from_numpy(self._order[at].astype(np.int64))


class HashedIds(NamedTuple):
    """Ids as a tensor, which collators and devices take as they take any."""

    hashes: torch.Tensor
    """(n,) int64: the bits of the hashes."""

    @classmethod
    def of(cls, ids: Sequence[Any]) -> "HashedIds":
        """The hashes of ids."""
        found = np.fromiter((_hash(str(one)) for one in ids), np.uint64, len(ids))
        return cls(torch.from_numpy(found.view(np.int64)))


def _hashes(examples: ExampleTable) -> Iterable[int]:
    return (_hash(train_id) for some in examples.iter_ids() for train_id in some)


def _hash(train_id: str) -> int:
    return xxhash.xxh3_64_intdigest(train_id.encode())


def plain_ids(ids: Any) -> list[Any]:
    """The ids of a batch as a list, from a tensor, an array or any sequence."""
    return ids.tolist() if hasattr(ids, "tolist") else list(ids)
