"""`python -m storms.storm`: go over a workspace with kills, faults and crowds, and say what it withstood.

    make storm                                        20 minutes of everything
    PYTHONPATH=.:tests:tests/workspace python -m storms.storm --only damage_of_files --rounds 50 --seed 3

Ends with 1 if a promise was broken. Every scenario has its own dice, so one can be repeated alone with its seed.
"""

import argparse
import os
import random
import shutil
import sys
import tempfile
import time
import traceback
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TQDM_DISABLE", "1")

import huggingface_hub
import torch
import transformers  # noqa: F401 – imported here, so that no forked command has to
from hub_stand_in import WRITER, running_hub
from storms.crowd import crowd
from storms.storm_scenarios import SCENARIOS, Storm
from storms.storm_tally import Tally, dumped
from storms.storm_workspace import Base, make_base
from storms.workspace_readers import Said, read_all

import lorif_core.widgets  # noqa: F401 – as transformers

MANY = 1_000_000
ALL = {**SCENARIOS, crowd.__name__: crowd}


def parsed(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="storms.storm", description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=20.0, help="for all scenarios together")
    parser.add_argument("--rounds", type=int, default=None, help="instead: so many rounds of each scenario")
    parser.add_argument("--seed", type=int, default=None, help="of the dice; unset: a new one, which is said")
    parser.add_argument("--only", nargs="*", choices=list(ALL), default=list(ALL))
    parser.add_argument("--keep", action="store_true", help="keep the workspaces when a promise was broken")
    parser.add_argument("--json", type=Path, default=None, help="also write the figures to this file")
    return parser.parse_args(arguments)


def run(name: str, base: Base, expected: dict[str, Said], seed: int, seconds: float, rounds: int) -> Tally:
    """One scenario."""
    place = base.root / name
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    tally = Tally()
    storm = Storm(base, place, random.Random(f"{seed} {name}"), tally, time.monotonic() + seconds, rounds, expected)
    try:
        ALL[name](storm)
    except Exception:
        tally.violate(f"the scenario itself failed: {traceback.format_exc()}")
    if not tally.violations:
        shutil.rmtree(place, ignore_errors=True)
    return tally


def main(arguments: list[str] | None = None) -> int:
    options = parsed(arguments)
    torch.set_num_threads(1)
    seed = random.SystemRandom().randrange(10_000) if options.seed is None else options.seed
    root = Path(tempfile.mkdtemp(prefix="lorif-storm-"))
    with running_hub() as hub:
        use_hub(hub.url)
        return go_over(root, options, seed)


def use_hub(url: str) -> None:
    """Let forked commands take a local stand-in for the Hugging Face hub."""
    huggingface_hub.constants.ENDPOINT = url
    huggingface_hub.constants.HF_HUB_OFFLINE = False
    os.environ["HF_TOKEN"] = WRITER


def go_over(root: Path, options: argparse.Namespace, seed: int) -> int:
    """All scenarios, one after the other."""
    print(f"storm with seed {seed} in {root}", flush=True)
    begun = time.monotonic()
    base = make_base(root)
    expected = read_all(base.copy(root / "untouched"))
    refused = {name: said.err for name, said in expected.items() if said.code}
    if refused:
        raise RuntimeError(f"readers refuse an untouched workspace: {refused}")
    whole = Tally()
    for number, name in enumerate(options.only):
        left = 60 * options.minutes - (time.monotonic() - begun)
        seconds = max(0.0, left / (len(options.only) - number)) if options.rounds is None else 3600.0
        started = time.monotonic()
        tally = run(name, base, expected, seed, seconds, options.rounds or MANY)
        print(f"\n{name}, {time.monotonic() - started:.0f} s\n{tally}", flush=True)
        whole.merge(tally)
    print(f"\naltogether, {time.monotonic() - begun:.0f} s, seed {seed}\n{whole}", flush=True)
    if options.json:
        options.json.write_text(dumped(whole) + "\n", encoding="utf-8")
    if not (whole.violations and options.keep):
        shutil.rmtree(root, ignore_errors=True)
    return 1 if whole.violations else 0


if __name__ == "__main__":
    sys.exit(main())
