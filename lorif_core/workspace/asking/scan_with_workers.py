"""Have workers scan an index: the driver of a question by many processes, kept from one question to the next.

Who holds a part is drawn (``part_holders``), so a worker finds it checked and in memory. A worker that has nothing
left takes parts from the one with the most; one that dies loses what it had in hand to the others, and joins again
when it is back. What parts bring back is put together in store order, so that sums and ties are those of one process.
"""

import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from threading import RLock
from typing import Any

from lorif_core.errors import ArtefactError, ResourceError
from lorif_core.passes.ranking import Lengths, OnScores, Ranking
from lorif_core.passes.scoring import ScoringPlan, texts_at_once
from lorif_core.passes.sent_queries import queries_to_send
from lorif_core.ray_pool import Ended, RayPool, Refusal, ray_pool
from lorif_core.store.cores import num_cores
from lorif_core.store.parts import ShardEntry
from lorif_core.store.reader import StoreReader
from lorif_core.views.search_report import MissingParts
from lorif_core.workers_config import ScanConfig
from lorif_core.workspace.asking.part_holders import holder_of
from lorif_core.workspace.asking.scan_worker import Scan, ScannedPart, ScanWorker, UnreadPart, digest_of
from lorif_core.workspace.asking.scanner import OWN, Ranked, Scanner, TakeScores
from lorif_core.workspace.folder.workspace_files import WorkspaceFiles

WAIT_S = 0.5
"""How long the driver waits for news before it looks who can be asked again."""

MOST_DEATHS = 3
"""How often a part may take its worker with it before it counts as one that cannot be read."""

CALLS_PER_WORKER = 4
"""Into how many calls a worker's share is divided at least, where its threads allow; a death loses one of them."""

SCORE_BYTES = 4

PART_BYTES = 32 << 20
"""Of scores that a part brings back."""

RESULT_BYTES = 16 << 20
"""Of scores that a call brings back, at most, if more than one part does."""

WAITING_BYTES = 256 << 20
"""Of scores that wait for those of earlier parts."""

TakePart = Callable[[ScannedPart], None]


@contextmanager
def scanner_for(files: WorkspaceFiles, config: ScanConfig) -> Iterator[Scanner]:
    """Who scans while the block runs: this process, or workers that end with the block.

    Raises:
        ConfigError: Ray is not installed, or the cluster is not there.
    """
    if not config.has_workers:
        yield OWN
        return
    make = partial(ScanWorker, files.root.resolve())
    with ray_pool(config, make, num_cores=num_cores(), uses_gpus=False, retries=0) as pool:
        yield WorkersScanner(pool, allows_partial=config.partial)


@dataclass
class _Hand:
    """What a worker is asked for."""

    scan_id: str
    numbers: list[int]


@dataclass
class _Team:
    """The workers, whatever the question."""

    pool: RayPool
    threads: dict[int, int] = field(default_factory=dict[int, int])
    """Of the workers that have answered."""

    told: dict[int, str] = field(default_factory=dict[int, str])
    """Which scan each worker knows."""

    at_work: dict[int, _Hand] = field(default_factory=dict[int, _Hand])
    asked_to_join: set[int] = field(default_factory=set[int])
    num_lost: int = 0
    """Of the calls since a worker has last answered."""

    def invite(self) -> None:
        """Ask those that are not there whether they are back."""
        for worker in range(self.pool.num_workers):
            if worker not in self.threads and worker not in self.asked_to_join:
                self.asked_to_join.add(worker)
                self.pool.call(worker, "ready")

    def lose(self, worker: int, why: str) -> None:
        """Count on a worker no longer."""
        self.threads.pop(worker, None)
        self.told.pop(worker, None)
        self.num_lost += 1
        if not self.threads and self.num_lost > 2 * MOST_DEATHS * self.pool.num_workers:
            raise ResourceError(
                f"no worker stays alive ({why}): most likely their memory does not suffice. Use fewer `--workers`."
            )


class WorkersScanner:
    """Workers scan. Threads take turns."""

    has_workers = True

    def __init__(self, pool: RayPool, *, allows_partial: bool) -> None:
        self._team, self._allows_partial, self._turn = _Team(pool), allows_partial, RLock()

    def rank(
        self,
        plans: Sequence[ScoringPlan],
        lengths: Lengths,
        *,
        on_texts: Callable[[int], None],
        on_scores: OnScores | None = None,
    ) -> Ranked:
        """See ``Scanner``."""
        ranking = Ranking.empty(plans[0].num_queries, lengths)

        def take(part: ScannedPart) -> None:
            assert part.ranked is not None
            ranking.merge(part.ranked)
            if on_scores is not None:
                assert part.scores is not None
                on_scores(part.scores, part.scores if part.influences is None else part.influences)
            on_texts(part.ranked.num_texts)

        keeps = on_scores is not None
        return Ranked(ranking, self._scan(plans, take, lengths, keeps_scores=keeps, keeps_influences=keeps))

    def most_queries(self, reader: StoreReader) -> int | None:
        """So many that the scores of a part are brought back at once."""
        largest = max((entry.num_examples for entry in reader.manifest.shards), default=1)
        return max(1, PART_BYTES // (SCORE_BYTES * largest))

    def each(self, plans: Sequence[ScoringPlan], take: TakeScores) -> MissingParts | None:
        """See ``Scanner``."""

        def take_part(part: ScannedPart) -> None:
            assert part.scores is not None
            step = texts_at_once(plans[0].num_queries)  # as one process hands them over
            for start in range(0, part.scores.shape[1], step):
                take(part.start + start, part.scores[:, start : start + step])

        return self._scan(plans, take_part, None, keeps_scores=True)

    def _scan(
        self,
        plans: Sequence[ScoringPlan],
        take: TakePart,
        lengths: Lengths | None,
        *,
        keeps_scores: bool,
        keeps_influences: bool = False,
    ) -> MissingParts | None:
        members = tuple(queries_to_send(plan, digest_of(plan.reader)) for plan in plans)
        scan = Scan(members, lengths, keeps_scores, keeps_influences)
        reader = plans[0].reader
        numbers_back = plans[0].num_queries * (keeps_scores + keeps_influences)
        with self._turn:
            run = _Run(
                self._team,
                scan_id=uuid.uuid4().hex,
                scan=self._team.pool.share(scan),
                index_id=reader.place.name,
                entries=reader.manifest.shards,
                bytes_per_text=SCORE_BYTES * numbers_back,
                allows_partial=self._allows_partial,
            )
            return run.run(take)


@dataclass
class _Run:
    """One pass over the parts of one index."""

    team: _Team
    scan_id: str
    scan: Any
    """Stands for what is looked for."""

    index_id: str
    entries: Sequence[ShardEntry]
    bytes_per_text: int
    allows_partial: bool
    queues: dict[int, list[int]] = field(default_factory=dict[int, list[int]])
    """Per worker that is there, the parts that it holds and nobody has in hand, the last one first."""

    queued_for: frozenset[int] = frozenset()
    left: set[int] = field(default_factory=set[int])
    """Parts that are neither there nor given up."""

    found: dict[int, ScannedPart | None] = field(default_factory=dict[int, ScannedPart | None])
    """Parts that wait for earlier ones; None: given up."""

    next_one: int = 0
    unread_by: dict[int, dict[int, str]] = field(default_factory=dict[int, dict[int, str]])
    """By part, who could not read it, and why."""

    deaths: Counter[int] = field(default_factory=Counter[int])
    missing: dict[int, str] = field(default_factory=dict[int, str])

    def run(self, take: TakePart) -> MissingParts | None:
        """Hand out until every part is there or given up."""
        self.left.update(range(len(self.entries)))
        while self.next_one < len(self.entries):
            self.team.invite()
            self._hand_out()
            for ended in self.team.pool.wait(WAIT_S):
                self._take(ended)
            self._deliver(take)
        return self._missing()

    def _take(self, ended: Ended) -> None:
        worker, team = ended.worker, self.team
        hand = team.at_work.pop(worker, None)
        team.asked_to_join.discard(worker)
        is_ours = hand is not None and hand.scan_id == self.scan_id
        if ended.lost is not None:
            self._take_death(hand if is_ours else None, ended.lost)
            team.lose(worker, ended.lost)
            return
        team.num_lost = 0
        if ended.method == "ready":
            team.threads[worker] = ended.result
        elif ended.method == "begin":
            team.told[worker] = ended.arguments[0]
        elif hand is not None and is_ours:
            self._take_parts(worker, hand, ended.result)

    def _take_death(self, hand: _Hand | None, why: str) -> None:
        for number in hand.numbers if hand is not None else ():
            self.deaths[number] += 1
            if self.deaths[number] >= MOST_DEATHS:
                self._give_up(number, f"workers die when they scan it ({why}).")
        self.queued_for = frozenset()

    def _take_parts(self, worker: int, hand: _Hand, parts: list[Any] | None) -> None:
        if parts is None:  # a fresh process in the place of the one that was told
            self.team.told.pop(worker, None)
            self.queued_for = frozenset()
            return
        for part in parts:
            if isinstance(part, Refusal):
                part.raise_here()
            if isinstance(part, UnreadPart):
                self.unread_by.setdefault(part.number, {})[worker] = part.why
                self.queued_for = frozenset()
            elif part.number in self.left:
                self.left.discard(part.number)
                self.found[part.number] = part

    def _give_up(self, number: int, why: str) -> None:
        if number not in self.left:
            return
        if not self.allows_partial:
            raise ArtefactError(
                f"part {number} of index {self.index_id!r} could not be read by any worker: {why.rstrip('.')}. Pass "
                "`--partial` for an answer without it, which says how many texts are missing."
            )
        self.left.discard(number)
        self.missing[number], self.found[number] = why, None

    def _hand_out(self) -> None:
        there = frozenset(self.team.threads)
        if there != self.queued_for:
            self._queue(there)
        for worker in sorted(there - self.team.at_work.keys()):
            if not any(self.queues.values()):
                return
            if self.team.told.get(worker) != self.scan_id:
                self.team.at_work[worker] = _Hand(self.scan_id, [])
                self.team.pool.call(worker, "begin", self.scan_id, self.scan)
            elif numbers := self._next_for(worker):
                self.team.at_work[worker] = _Hand(self.scan_id, numbers)
                self.team.pool.call(worker, "scan", self.scan_id, tuple(numbers))

    def _queue(self, there: frozenset[int]) -> None:
        """Divide what nobody has in hand among those that are there, and give up what none of them can read."""
        hands = [hand for hand in self.team.at_work.values() if hand.scan_id == self.scan_id]
        in_hand = {number for hand in hands for number in hand.numbers}
        self.queues = {worker: [] for worker in there}
        for number in sorted(self.left - in_hand):
            able = there - self.unread_by.get(number, {}).keys()
            if able:
                self.queues[holder_of(self.index_id, number, able)].append(number)
            elif there:
                self._give_up(number, next(iter(self.unread_by[number].values())))
        self.queued_for = there

    def _next_for(self, worker: int) -> list[int]:
        """The first of a worker's own parts, else some of the later half of the worker's that has the most left."""
        source = self.queues[worker]
        offered = source
        if not source:
            source = max(self.queues.values(), key=len)
            offered = [one for one in source[len(source) // 2 :] if worker not in self.unread_by.get(one, ())]
        limit = self.next_one + self._window
        chosen = [one for one in offered[: self._most_for(worker)] if one < limit]
        if any(self.deaths[one] for one in chosen):  # alone, so that it is known which one kills
            chosen = chosen[:1]
        source[:] = [one for one in source if one not in chosen]
        return chosen

    def _most_for(self, worker: int) -> int:
        """Parts of one call: enough for the worker's threads, and few enough that not much is lost with it."""
        share = -(-len(self.entries) // (len(self.team.threads) * CALLS_PER_WORKER))
        most = max(share, self.team.threads[worker])
        return most if not self._part_bytes else min(most, max(1, RESULT_BYTES // self._part_bytes))

    @property
    def _part_bytes(self) -> int:
        """Of the scores that a part brings back."""
        return self.bytes_per_text * max(entry.num_examples for entry in self.entries)

    @property
    def _window(self) -> int:
        """How many parts from the first that is not delivered may be in work or wait."""
        if not self._part_bytes:
            return len(self.entries)
        return max(2 * self.team.pool.num_workers, WAITING_BYTES // self._part_bytes)

    def _deliver(self, take: TakePart) -> None:
        """Hand over what follows on what was handed over."""
        while self.next_one in self.found:
            part = self.found.pop(self.next_one)
            self.next_one += 1
            if part is not None:
                take(part)

    def _missing(self) -> MissingParts | None:
        if not self.missing:
            return None
        numbers = sorted(self.missing)
        return MissingParts(
            parts={number: self.entries[number].num_examples for number in numbers},
            num_parts=len(self.entries),
            num_texts=sum(entry.num_examples for entry in self.entries),
            why=self.missing[numbers[0]],
        )
