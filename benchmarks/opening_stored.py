"""Open an index of many parts in an object store, each request of which takes a while: requests and seconds.

    python -m benchmarks.opening_stored --parts 5000 --modules 64 --latency 0.05

The store is obstore's own in memory; what a network adds beyond the wait before an answer is not in the figure.
"""

import argparse
import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from lorif_core.shapes import ModuleShape
from lorif_core.store.manifest import manifest_of_plan, read_manifest, write_manifest
from lorif_core.store.object_place import Got, ObjectPlace
from lorif_core.store.obstore_objects import ObstoreObjects
from lorif_core.store.parts import Origin, ShardEntry, ShardFacts, finished_parts, write_entry, write_part
from lorif_core.store.place import Listed
from lorif_core.store.plan import Parents, Plan, write_plan
from lorif_core.store.reader import StoreReader

SCANNED = 200
"""Parts of a scan; they hold next to nothing, so what is seen is how much of the waiting is hidden."""


class SlowObjects:
    """Objects each request of which takes a while, and is counted."""

    def __init__(self, objects: ObstoreObjects) -> None:
        self._objects = objects
        self.latency_s = 0.0
        self.asked: Counter[str] = Counter()

    def _wait(self, name: str, *arguments: Any) -> Any:
        self.asked[name] += 1
        time.sleep(self.latency_s)
        return getattr(self._objects, name)(*arguments)

    def get(self, path: str) -> Got:
        return self._wait("get", path)

    def get_range(self, path: str, start: int, stop: int) -> bytes:
        return self._wait("get_range", path, start, stop)

    def put_new(self, path: str, content: bytes) -> bool:
        return self._wait("put_new", path, content)

    def put(self, path: str, content: bytes) -> None:
        self._wait("put", path, content)

    def listed(self, prefix: str) -> dict[str, Listed]:
        return self._wait("listed", prefix)

    def has(self, path: str) -> bool:
        return self._wait("has", path)

    def delete(self, path: str) -> None:
        self._wait("delete", path)


def make_index(place: ObjectPlace, num_parts: int, num_modules: int) -> None:
    """Plan, entries and manifest of an index whose tensors nobody reads."""
    plan = Plan(
        layout="factors", codec="sign", factor_rank=1, f=1, seed=0, max_length=512,
        parents=Parents("data", "model", "tokenizer"),
        modules=[ModuleShape(f"model.layers.{number}.mlp", 64, 64, 64, 64) for number in range(num_modules)],
        maps_digest="none", num_examples=num_parts, shard_examples=1,
    )  # fmt: skip
    write_plan(place, plan)
    energies = torch.rand(num_modules).tolist()
    facts = ShardFacts(
        num_truncated=0, num_without_targets=0, kept_energy=energies, total_energy=energies, stored_energy=energies,
        num_tokens=512, num_tokens_read=512, num_positions=512,
    )  # fmt: skip
    first = write_part(place, plan, 0, {"norms": torch.ones(1)}, facts, Origin("cpu", "2", "benchmark", 1.0))
    shards: list[ShardEntry] = []
    for number in range(num_parts):
        shard = ShardEntry(**{**vars(first.shard), "start": number})
        if number:
            write_entry(place, number, type(first)(first.plan, shard, first.origin))
        shards.append(shard)
    write_manifest(place, manifest_of_plan(plan, shards, "gradients").as_complete(0))


def scan(place: ObjectPlace) -> int:
    """Read some parts one after the other, as a question does; how many texts they hold."""
    manifest = read_manifest(place)
    reader = StoreReader(place, replace(manifest, shards=manifest.shards[:SCANNED]))
    return sum(len(shard.norms()) for shard in reader.iter_shards())


def measured(objects: SlowObjects, work: Callable[[], Any]) -> dict[str, Any]:
    """Requests and seconds of some work."""
    objects.asked.clear()
    began = time.perf_counter()
    work()
    return {"seconds": round(time.perf_counter() - began, 3), "requests": dict(objects.asked)}


def main() -> None:
    """Make the index and open it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", type=int, default=5000)
    parser.add_argument("--modules", type=int, default=64)
    parser.add_argument("--latency", type=float, default=0.05)
    arguments = parser.parse_args()
    objects = SlowObjects(ObstoreObjects("memory://benchmark"))
    place = ObjectPlace(objects, "memory://benchmark", "ix-benchmark")
    make_index(place, arguments.parts, arguments.modules)
    objects.latency_s = arguments.latency
    print(
        json.dumps(
            {
                "parts": arguments.parts,
                "modules": arguments.modules,
                "latency_s": arguments.latency,
                "manifest_bytes": place.listed()["manifest.json"].size_bytes,
                "open": measured(objects, lambda: StoreReader(place)),
                "every_entry": measured(objects, lambda: finished_parts(place)),
                f"scan_of_{SCANNED}_parts": measured(objects, lambda: scan(place)),
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
