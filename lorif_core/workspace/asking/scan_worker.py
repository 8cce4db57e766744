"""A process that scans parts of indexes for questions that another process asks.

It knows the workspace's folder and nothing of models: queries come to it preconditioned. What it has read of an index
stays open, so the next question finds checked files in memory.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from lorif_core.errors import ArtefactError, LorifError, NumericalError
from lorif_core.files import fingerprint_of_value
from lorif_core.passes.ranking import Lengths, RankedPart, rank_part
from lorif_core.passes.scoring import ScoringPlan, iter_influences
from lorif_core.passes.sent_queries import SentQueries, plan_of_sent
from lorif_core.ray_pool import Refusal
from lorif_core.store.reader import StoreReader
from lorif_core.system_failures import failure_sentence
from lorif_core.workspace.folder.workspace_files import open_files


class Scan(NamedTuple):
    """What is looked for in every part."""

    members: tuple[SentQueries, ...]
    """The queries, per member of the index's scores."""

    lengths: Lengths | None
    """Of the lists of a ranking; None: scores alone are wanted."""

    keeps_scores: bool
    """Whether scores themselves are wanted."""

    keeps_influences: bool
    """Whether what they are without normalisation is wanted beside them."""


class ScannedPart(NamedTuple):
    """What a part has for a question."""

    number: int
    start: int
    """Store position of its first text."""

    ranked: RankedPart | None
    scores: Tensor | None
    """(Q, n)."""

    influences: Tensor | None
    """None where they are not wanted, or the same as the scores."""


class UnreadPart(NamedTuple):
    """A part that this process cannot read."""

    number: int
    why: str


Scanned = ScannedPart | UnreadPart | Refusal
"""A refusal is of an error that no other process could do without."""


class ScanWorker:
    """Scans parts of a workspace's indexes."""

    def __init__(self, workspace: Path, num_threads: int) -> None:
        torch.set_num_threads(num_threads)
        self._workspace = workspace
        self._readers: dict[str, tuple[str, StoreReader]] = {}
        self._scan: tuple[str, Scan] | None = None

    def ready(self) -> int:
        """The number of threads that compute. Parts are handed to processes that have answered only."""
        return torch.get_num_threads()

    def begin(self, scan_id: str, scan: Scan) -> None:
        """Take over what is looked for from now on."""
        self._scan = scan_id, scan

    def scan(self, scan_id: str, numbers: Sequence[int]) -> list[Scanned] | None:
        """What some parts have, in their order; None where this process was not told what is looked for."""
        if self._scan is None or self._scan[0] != scan_id:
            return None
        try:
            return list(self._scanned(self._scan[1], numbers))
        except NumericalError as error:
            return [Refusal.of(error)]
        except (LorifError, OSError) as error:  # a damaged file, a disk that is away, a store that does not answer
            if len(numbers) == 1:
                why = str(error) if isinstance(error, LorifError) else f"{failure_sentence(error)}."
                return [UnreadPart(numbers[0], why)]
        return [one for number in numbers for one in self.scan(scan_id, [number]) or ()]

    def _scanned(self, scan: Scan, numbers: Sequence[int]) -> Sequence[ScannedPart]:
        plans = [self._plan(sent) for sent in scan.members]
        manifest, found = plans[0].reader.manifest, list[ScannedPart]()
        stretches = iter_influences(*plans, numbers=numbers)
        for number in numbers:
            start, scores, influences = _of_part(stretches, manifest.shards[number].num_examples)
            ranked = None if scan.lengths is None else rank_part(start, scores, scan.lengths, manifest.num_examples)
            kept = scores if scan.keeps_scores else None
            beside = influences if scan.keeps_influences and influences is not scores else None
            found.append(ScannedPart(number, start, ranked, kept, beside))
        return found

    def _plan(self, sent: SentQueries) -> ScoringPlan:
        digest, reader = self._readers.get(sent.index_id, ("", None))
        if reader is None or digest != sent.digest:
            reader = open_files(self._workspace).open_index(sent.index_id)
            if digest_of(reader) != sent.digest:
                raise ArtefactError(
                    f"index {sent.index_id!r} is another one in the folder {str(self._workspace)!r} of a worker: "
                    "the workspace must lie at the same path, on a disk that all machines share."
                )
            self._readers[sent.index_id] = sent.digest, reader
        return plan_of_sent(sent, reader)


def _of_part(stretches: Iterator[tuple[int, Tensor, Tensor]], num_examples: int) -> tuple[int, Tensor, Tensor]:
    """The stretches of one part as one."""
    start, scores, influences = next(stretches)
    while scores.shape[1] < num_examples:
        _, further, beside = next(stretches)
        is_same = influences is scores
        scores = torch.cat((scores, further), 1)
        influences = scores if is_same else torch.cat((influences, beside), 1)
    return start, scores, influences


def digest_of(reader: StoreReader) -> str:
    """Of everything that a scan reads of an index."""
    manifest = reader.manifest
    return fingerprint_of_value([one.checksum for one in (*manifest.shards, *manifest.self_influences)])
