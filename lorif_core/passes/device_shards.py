"""Passes over an index's shards on a device: shards stream to it, or lie there from one question to the next.

Streamed, a shard's bytes are copied by a thread from the mapped file to one of two buffers in pinned memory, and from
there to the device in a queue of its own, while the products with the shard before are computed. An index that fits
is joined on the device, tensor by tensor over all shards: a few large operations instead of many small ones, each of
which costs the host some microseconds. Codes stay codes; they become numbers module by module.

On the CPU everything here does the same without queues, which is for the tests: there a pass over the mapped files
(``StoreReader.map_shards``) is faster (docs/decisions/0042).
"""

import os
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import RLock
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor

from lorif_core.passes.products import ModuleQueries, shard_products
from lorif_core.shapes import Float, ModuleShape
from lorif_core.store.blocks import code_names
from lorif_core.store.manifest import Manifest
from lorif_core.store.reader import Shard, StoreReader
from lorif_core.store.tensor_files import TensorFile

SHARE_FOR_INDEXES = 0.5
"""Of the device's free memory, for indexes that stay; the rest is for a model's activations and other processes."""

WORKING_BYTES = 2 << 30
"""What one module's gradients and products may have as numbers at once, at most: a quarter of what is free."""

Done = TypeVar("Done")


@dataclass(frozen=True)
class JoinedShards:
    """Tensors of all shards of an index, one behind the other."""

    tensors: Mapping[str, Tensor]

    def rows(self, name: str, rows: range) -> Tensor:
        """Some consecutive rows of one tensor."""
        return self.tensors[name][rows.start : rows.stop]

    @property
    def size_bytes(self) -> int:
        """Of all tensors."""
        return sum(one.nbytes for one in self.tensors.values())


@dataclass(frozen=True)
class ClosedFile:
    """A shard's tensors on the host, whose file is opened when one is asked for."""

    reader: StoreReader
    number: int

    def rows(self, name: str, rows: range) -> Tensor:
        """Some consecutive rows of one tensor."""
        return self.reader.shard(self.number).file.rows(name, rows)


class ShardProducts(NamedTuple):
    """What a pass has for one shard."""

    shard: Shard
    """On the host."""

    products: Float[Tensor, "Q n"]
    """On the host."""


class ScoringDevice:
    """A device that passes run on, and the indexes that stay there. May be used by several threads."""

    def __init__(self, device: torch.device, share: float = SHARE_FOR_INDEXES) -> None:
        """Take nothing of the device yet.

        Args:
            device: Where.
            share: Of the free memory, for indexes that stay; 0: none does.
        """
        self.device, self.share = device, share
        self._joined: OrderedDict[tuple[str, ...], JoinedShards] = OrderedDict()
        self._lock = RLock()

    @property
    def resident_bytes(self) -> int:
        """Of the indexes that stay."""
        with self._lock:
            return sum(one.size_bytes for one in self._joined.values())

    def release(self) -> bool:
        """Let all indexes go, whoever is not asking one; whether there was any."""
        with self._lock:
            had_any = bool(self._joined)
            self._joined.clear()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        return had_any

    def with_room(self, work: Callable[[], Done]) -> Done:
        """Do something that needs memory of the device; where that runs out, once more without the indexes."""
        try:
            return work()
        except torch.OutOfMemoryError:
            if not self.release():
                raise
        return work()

    def iter_products(self, reader: StoreReader, queries: Mapping[str, ModuleQueries]) -> Iterator[ShardProducts]:
        """Each query's product with each stored gradient, summed over all modules: shard by shard, in store order.

        Args:
            reader: Of the index.
            queries: By the names of all its modules; on any device.

        Raises:
            DamagedArtefact: A shard's bytes differ from its checksum; names the file.
        """
        modules, entries = reader.modules, reader.manifest.shards
        placed = {name: _on_device(one, self.device) for name, one in queries.items()}
        at_once = rows_at_once(reader.manifest, placed, min(WORKING_BYTES, free_bytes(self.device) // 4))
        waiting: deque[tuple[range, _Returning]] = deque()

        def arrived() -> Iterator[ShardProducts]:
            numbers, returning = waiting.popleft()
            parts = returning.wait().split([entries[number].num_examples for number in numbers], 1)
            for number, products in zip(numbers, parts, strict=True):
                rows = range(entries[number].num_examples)
                yield ShardProducts(Shard(number, reader.manifest, ClosedFile(reader, number), rows), products)

        for numbers, shard in self._runs(reader, at_once):
            starts = range(0, shard.num_examples, at_once)
            parts = [shard_products(shard.part(slice(start, start + at_once)), modules, placed) for start in starts]
            waiting.append((numbers, _Returning(parts[0] if len(parts) == 1 else torch.cat(parts, 1))))
            if len(waiting) > 1:  # the device is at work on one run while the host has the one before
                yield from arrived()
        while waiting:
            yield from arrived()

    def _runs(self, reader: StoreReader, at_once: int) -> Iterator[tuple[range, Shard]]:
        """All shards on the device: the numbers of some consecutive ones, and their examples as one."""
        joined = self._resident(reader)
        if joined is None:
            for shard in stream_shards(reader, self.device):
                yield range(shard.number, shard.number + 1), shard
            return
        entries, first = reader.manifest.shards, 0
        while first < len(entries):
            start = entries[first].start
            behind = first + 1
            while behind < len(entries) and entries[behind].start + entries[behind].num_examples - start <= at_once:
                behind += 1
            stop = entries[behind - 1].start + entries[behind - 1].num_examples
            yield range(first, behind), Shard(0, reader.manifest, joined, range(start, stop))
            first = behind

    def _resident(self, reader: StoreReader) -> JoinedShards | None:
        """The index on the device, brought there unless it is there; None where it does not fit."""
        key = (reader.place.told(), *(entry.checksum for entry in reader.manifest.shards))
        with self._lock:
            if key in self._joined:
                self._joined.move_to_end(key)
                return self._joined[key]
            if not self._make_room(reader.manifest.shard_bytes):
                return None
            try:
                self._joined[key] = join_shards(reader, self.device)
                return self._joined[key]
            except torch.OutOfMemoryError:  # others took what was free
                pass
            self.release()
            return None

    def _make_room(self, needed: int) -> bool:
        """Let the indexes go that were asked longest ago, until so much fits; whether it does."""
        allowed = self.share * (free_bytes(self.device) + self.resident_bytes)
        if needed > allowed:
            return False
        while self.resident_bytes + needed > allowed:
            self._joined.popitem(last=False)
        if self.device.type == "cuda":
            torch.cuda.empty_cache()  # what was let go of is free for everyone
        return True


def free_bytes(device: torch.device) -> int:
    """Memory that is free on a device."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def rows_at_once(manifest: Manifest, queries: Mapping[str, ModuleQueries], working_bytes: int) -> int:
    """Examples whose gradients of any one module, and their products, have room as numbers; at least one."""
    ranks = manifest.ranks or {}

    def numbers(module: ModuleShape) -> int:
        own = queries[module.name]
        if isinstance(own, Tensor):
            return 2 * module.dim + len(own)
        rank = min(ranks.get(module.name, manifest.factor_rank), module.d_in, module.d_out)
        # Both sides, as codes are unpacked and as numbers; products of both sides, and what becomes of them.
        return rank * (2 * (module.d_in + module.d_out) + 4 * own.width) + own.num_queries

    most = max(map(numbers, manifest.modules), default=1)
    return max(1, working_bytes // (torch.float32.itemsize * most))


def join_shards(reader: StoreReader, device: torch.device) -> JoinedShards:
    """All that is scored of an index, on a device.

    Raises:
        DamagedArtefact: A shard's bytes differ from its checksum; names the file.
    """
    manifest = reader.manifest
    names = code_names(manifest)
    tensors: dict[str, Tensor] = {}
    for shard in stream_shards(reader, device):
        for name in names:
            rows = shard.tensor(name)
            if name not in tensors:
                tensors[name] = rows.new_empty(manifest.num_stored, *rows.shape[1:])
            tensors[name][shard.start : shard.start + shard.num_examples] = rows
    return JoinedShards(tensors)


def stream_shards(reader: StoreReader, device: torch.device) -> Iterator[Shard]:
    """Every shard on a device, in store order. One is good until the next is asked for, and what was queued for it
    by then on the device's current stream sees it.

    Raises:
        DamagedArtefact: A shard's bytes differ from its checksum; names the file.
    """
    entries = reader.manifest.shards
    largest = max((entry.size_bytes for entry in entries), default=0)
    slots = [_Slot(largest, device) for _ in entries[:2]]

    def fetch(number: int) -> tuple[Shard, TensorFile]:
        shard = reader.shard(number)
        assert isinstance(shard.file, TensorFile)
        slots[number % 2].fill(shard.file)
        return shard, shard.file

    before: Shard | None = None
    try:
        with ThreadPoolExecutor(1, thread_name_prefix="read-ahead") as ahead:
            fetched = ahead.submit(fetch, 0) if entries else None
            for number in range(len(entries)):
                assert fetched is not None
                shard, file = fetched.result()
                # Sent before what is queued for the shard before: it waits for what used the slot last, not for that.
                slots[number % 2].send(file.size_bytes)
                if number + 1 < len(entries):
                    fetched = ahead.submit(fetch, number + 1)
                if before is not None:
                    slots[before.number % 2].await_arrival()
                    yield before
                before = Shard(number, shard.manifest, file.lying_in(slots[number % 2].memory), shard.rows)
            if before is not None:
                slots[before.number % 2].await_arrival()
                yield before
    finally:
        for slot in slots:  # its memory must not go to others while bytes still arrive
            slot.wait_until_sent()


class _Slot:
    """A buffer on the host and one on the device, and the queue in which bytes go from one to the other."""

    def __init__(self, size_bytes: int, device: torch.device) -> None:
        is_gpu = device.type == "cuda"
        self.host = torch.empty(size_bytes, dtype=torch.uint8, pin_memory=is_gpu)
        self.memory = torch.empty(size_bytes, dtype=torch.uint8, device=device)
        self._stream = torch.cuda.Stream(device) if is_gpu else None
        self._sent: torch.cuda.Event | None = None

    def fill(self, file: TensorFile) -> None:
        """Read a file into the buffer on the host, once what is there is sent."""
        self.wait_until_sent()
        file.copy_to(self.host)

    def send(self, size_bytes: int) -> None:
        """Queue the copy to the device, behind all that the device's current stream was given so far."""
        theirs, ours = self.memory[:size_bytes], self.host[:size_bytes]
        if self._stream is None:
            theirs.copy_(ours)
            return
        self._stream.wait_stream(torch.cuda.current_stream(self.memory.device))
        with torch.cuda.stream(self._stream):
            theirs.copy_(ours, non_blocking=True)
            self._sent = torch.cuda.Event()
            self._sent.record()

    def await_arrival(self) -> None:
        """What the device's current stream is given from now on finds the bytes there. The host does not wait."""
        if self._sent is not None:
            torch.cuda.current_stream(self.memory.device).wait_event(self._sent)

    def wait_until_sent(self) -> None:
        """Until the buffer on the host may be filled again."""
        if self._sent is not None:
            self._sent.synchronize()


class _Returning:
    """A tensor on its way from a device to the host."""

    def __init__(self, tensor: Tensor) -> None:
        self._arrived: torch.cuda.Event | None = None
        if not tensor.is_cuda:
            self._host = tensor
            return
        self._host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
        self._host.copy_(tensor, non_blocking=True)
        self._arrived = torch.cuda.Event()
        self._arrived.record(torch.cuda.current_stream(tensor.device))

    def wait(self) -> Tensor:
        """The tensor on the host."""
        if self._arrived is not None:
            self._arrived.synchronize()
        return self._host


def _on_device(queries: ModuleQueries, device: torch.device) -> ModuleQueries:
    return queries.to(device, non_blocking=True) if isinstance(queries, Tensor) else queries.on_device(device)
