"""A build by Ray's actors while actors and drivers are killed; `python -m ray_storm --kills 40` for the long one.

It runs the real command with workers that are slow, so that there is time to kill them.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import psutil
from tiny_workspace import copy_of, done, imported, index_folder, lasting_bytes_below, model_folder

from lorif_core.store.manifest import read_manifest
from lorif_core.store.parts import finished_parts
from lorif_core.workspace.indexes import hand_out_parts

SETTINGS = ("--method", "lorif", "--shard-examples", 1, "--subspace-rank", 8)
"""121 parts."""

SLOW = "RAY_STORM_SLOW_S"
"""How long a worker waits before a part, and after it."""

WORKERS = 3
DRIVER = "import ray_storm, sys; sys.exit(ray_storm.drive(sys.argv[1:]))"
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "HF_HUB_OFFLINE": "1", SLOW: "0.1"}
TOKEN = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": uuid.uuid4().hex}


class SlowWorker(hand_out_parts.PartWorker):
    """Half of the time before a part is made, half after it is there."""

    def make(self, number: int, leaves_out: bool) -> hand_out_parts.Made:
        time.sleep(float(os.environ[SLOW]))
        made = super().make(number, leaves_out)
        time.sleep(float(os.environ[SLOW]))
        return made


def drive(arguments: list[str]) -> int:
    """The command with slow workers."""
    from lorif_core.cli import main

    hand_out_parts.PartWorker = SlowWorker
    return main(arguments)


class Storm(NamedTuple):
    """What happened."""

    num_kills: int
    num_drivers: int
    seconds: float


def build(workspace: Path, token: dict[str, str], *more: object) -> subprocess.Popen[str]:
    """A driver in a process of its own."""
    command = ["index", workspace, "--model", model_folder(), *SETTINGS, "--workers", WORKERS, *more]
    return subprocess.Popen(
        [sys.executable, "-c", DRIVER, *map(str, command)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT | os.environ | token,
    )


def actors(below: list[int]) -> list[psutil.Process]:
    """Processes of actors that live and are started by one of some processes."""
    found = []
    for pid in below:
        try:
            children = psutil.Process(pid).children(recursive=True)
            found += [one for one in children if "".join(one.cmdline()).startswith("ray::_Holder")]
        except psutil.NoSuchProcess:
            continue
    return found


def storm(workspace: Path, *, seed: int, kills: int, driver_kills: int, joins_late: bool) -> Storm:
    """Build an index to its end while actors are killed at random moments, and the driver, too.

    Args:
        workspace: With the texts and no index.
        seed: Of the moments.
        kills: Of actors.
        driver_kills: Spread evenly among them.
        joins_late: In a cluster that has no room for the last actor until the first kills are over.
    """
    moments, began, num_kills, num_drivers = random.Random(seed), time.monotonic(), 0, 1
    with cluster(joins_late) as (token, more, nodes, join):
        process = build(workspace, token, *more)
        try:
            while num_kills < kills:
                if moments.random() < 0.5:  # otherwise few would get beyond loading their model
                    wait_for_parts(workspace, moments.randint(1, 2), process)
                time.sleep(moments.uniform(0.0, 1.0))
                assert process.poll() is None, process.communicate()
                living = actors([process.pid, *nodes])
                if not living:
                    continue
                victim = moments.choice(living)
                try:
                    victim.send_signal(signal.SIGKILL)
                except psutil.NoSuchProcess:
                    continue
                num_kills += 1
                if num_kills == kills // 3:
                    join()
                if num_drivers <= driver_kills and num_kills >= num_drivers * kills // (driver_kills + 1):
                    process.kill()
                    process.communicate()
                    process, num_drivers = build(workspace, token, *more), num_drivers + 1
            out, err = process.communicate()
            assert process.returncode == 0, (out, err)
        finally:
            process.kill()
    return Storm(num_kills, num_drivers, time.monotonic() - began)


def wait_for_parts(workspace: Path, count: int, process: subprocess.Popen[str]) -> None:
    """Wait until so many more parts are there than now, or the process ends."""
    before = len(list(workspace.glob("indexes/*/parts/*.json")))
    while len(list(workspace.glob("indexes/*/parts/*.json"))) < before + count and process.poll() is None:
        time.sleep(0.05)


@contextmanager
def cluster(joins_late: bool) -> Iterator[tuple[dict[str, str], tuple[object, ...], list[int], Callable[[], None]]]:
    """Environment and options of the command, ids of the cluster's processes, and what brings the last node.

    Without a cluster the command starts its own Ray.
    """
    if not joins_late:
        yield {}, (), [], lambda: None
        return
    port, started, token = 20_000 + os.getpid() % 10_000, [], TOKEN

    def node(*options: object) -> None:
        command = [Path(sys.executable).parent / "ray", "start", "--block", "--disable-usage-stats", *options]
        started.append(
            subprocess.Popen(
                list(map(str, command)),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=ENVIRONMENT | os.environ | token,
            )
        )
        nodes.append(started[-1].pid)

    nodes: list[int] = []
    small = ("--num-cpus", WORKERS - 1, "--object-store-memory", 80 << 20, "--node-ip-address", "127.0.0.1")
    node("--head", "--include-dashboard", "false", "--port", port, *small)
    try:
        time.sleep(10)
        yield (
            token,
            ("--on", f"ray:127.0.0.1:{port}"),
            nodes,
            lambda: node("--address", f"127.0.0.1:{port}", "--num-cpus", 1),
        )
    finally:
        for one in started[::-1]:
            one.terminate()
        for one in started:
            one.wait()


def check(workspace: Path, whole: Path) -> None:
    """The same bytes as one process's, every part once, nothing for the doctor."""
    folder = index_folder(workspace)
    assert lasting_bytes_below(folder) == lasting_bytes_below(index_folder(whole))
    files = [shard.file for shard in read_manifest(folder).shards]
    assert len(files) == len(set(files)) == read_manifest(folder).num_parts
    assert len(list(folder.glob("parts/*.safetensors"))) == len(finished_parts(folder)) == len(files)
    assert done("doctor", workspace, "--json").json["workspace"]["findings"] == []


def main() -> None:
    """A storm, and what it did."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--driver-kills", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--joins-late", action="store_true")
    parser.add_argument("--slow-s", type=float, default=1.0)
    given = parser.parse_args()
    os.environ[SLOW] = str(given.slow_s)
    folder = Path(tempfile.mkdtemp(prefix="lorif-ray-storm-"))
    whole, workspace = copy_of(imported(), folder / "whole"), copy_of(imported(), folder / "stormed")
    done("index", whole, "--model", model_folder(), *SETTINGS)
    print(
        storm(
            workspace,
            seed=given.seed,
            kills=given.kills,
            driver_kills=given.driver_kills,
            joins_late=given.joins_late,
        )
    )
    check(workspace, whole)
    workers = {entry.origin.worker for entry in finished_parts(index_folder(workspace)).values()}
    print(f"{len(finished_parts(index_folder(workspace)))} parts by {len(workers)} processes: equal to one process's")


if __name__ == "__main__":
    import torch

    torch.set_num_threads(1)
    main()
