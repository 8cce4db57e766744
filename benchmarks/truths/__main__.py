"""``python -m benchmarks.truths NAME --out FOLDER``: make an attribution problem with ground truth by retraining."""

import argparse
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path

from benchmarks.truths.make_truth import Session, copy_problem, make_truth
from benchmarks.truths.truth_plans import TRUTHS
from lorif_core.cli.process import prepare_process
from lorif_core.errors import LorifError


def main(words: list[str] | None = None) -> int:
    """Make a truth, or go on with one."""
    given = _parser().parse_args(words)
    plan = TRUTHS[given.name]
    prepare_process()

    def say(text: str) -> None:
        print(f"{datetime.now():%H:%M:%S} {given.name}: {text}", flush=True)

    session = Session(given.out, plan, say, lambda: given.stop_at is not None and time.time() >= given.stop_at)
    try:
        if given.like is not None:
            copy_problem(given.like, session)
        truth = make_truth(session, data=given.data, num_subsets=given.subsets or plan.num_subsets)
    except LorifError as error:
        print(f"benchmarks.truths: {error}", file=sys.stderr)
        return 2
    say(f"{len(truth.masks)} subsets are in {given.out / 'truth.npz'}")
    return 0


def _parser() -> argparse.ArgumentParser:
    names = "\n".join(f"  {name:<18} {plan.summary}" for name, plan in TRUTHS.items())
    parser = argparse.ArgumentParser(
        prog="benchmarks.truths",
        description=f"{__doc__}\n\n{names}\n\nThe same command goes on where it was interrupted.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", choices=list(TRUTHS), metavar="NAME")
    parser.add_argument("--out", type=Path, required=True, help="folder of the truth")
    parser.add_argument("--data", type=Path, help="file or folder of the texts, where the truth names one")
    parser.add_argument("--like", type=Path, help="folder of a truth whose texts and models are taken over")
    parser.add_argument("--subsets", type=int, help="retrainings in all; a larger number later adds to them")
    parser.add_argument("--stop-at", type=_parse_time, metavar="HH:MM", help="end then, with what is finished")
    return parser


def _parse_time(text: str) -> float:
    """Seconds since the epoch of the next time that the clock shows this."""
    now = datetime.now()
    shown = datetime.strptime(text, "%H:%M")
    at = now.replace(hour=shown.hour, minute=shown.minute, second=0, microsecond=0)
    return (at if at > now else at + timedelta(days=1)).timestamp()


if __name__ == "__main__":
    sys.exit(main())
