"""From the ids that a training loop says to places in the data set: 12 bytes a text, whatever its id is."""

from collections.abc import Iterable, Sequence
from typing import Any

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
        wanted = np.fromiter((_hash(str(one)) for one in ids), np.uint64, len(ids))
        at = np.searchsorted(self._hashes, wanted).clip(max=self.num_examples - 1)
        unknown = np.flatnonzero(self._hashes[at] != wanted)
        if len(unknown):
            raise DataError(
                f"ids must be those of the imported data, {len(unknown)} of the batch's {len(ids)} are not, such as "
                f"{str(ids[unknown[0]])!r}: import the data that is trained on, with `--id` for its column of ids."
            )
        return torch.from_numpy(self._order[at].astype(np.int64))


def _hashes(examples: ExampleTable) -> Iterable[int]:
    return (_hash(train_id) for some in examples.iter_ids() for train_id in some)


def _hash(train_id: str) -> int:
    return xxhash.xxh3_64_intdigest(train_id.encode())


def plain_ids(ids: Any) -> list[Any]:
    """The ids of a batch as a list, from a tensor, an array or any sequence."""
    return ids.tolist() if hasattr(ids, "tolist") else list(ids)
