"""Kill an export before its n-th change of a file, for every n; print what was found after each.

Run as a program: modules are loaded once, and each run is a fork that kills itself.
"""

import gc
import json
import os
import shutil
import signal
import sys
from itertools import count
from pathlib import Path

import datasets
from curated_data import SOME, import_into, state, states, write_source

from lorif_core.data.export_places import recover
from lorif_core.export_config import ExportConfig
from lorif_core.workspace.curation.export import export_data, replay_recipe, verify_export

CHANGES = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate"}
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
NAMES = {"jsonl": "kept.jsonl", "parquet": "kept.parquet", "hf": "kept"}
DECISIONS = {"old": SOME, "new": (*SOME, state("r7", "excluded", "spam"))}


def in_fork(act) -> bool:
    """Run something in a fork; whether it came to its end."""
    pid = os.fork()
    if pid == 0:
        try:
            act()
            os._exit(0)
        except BaseException:
            sys.excepthook(*sys.exc_info())
            os._exit(1)
    _, status = os.waitpid(pid, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        raise SystemExit("an export failed")
    return os.WIFEXITED(status)


def die_before(nth: int) -> None:
    """Kill this process before its n-th change of a file."""
    seen = count(1)

    def hook(event, arguments):
        is_write = event == "open" and arguments[0] != os.devnull and isinstance(arguments[2], int)
        if ((is_write and arguments[2] & WRITES) or event in CHANGES) and next(seen) == nth:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


class Scenario:
    """An export to a place, over an old one or over nothing."""

    def __init__(self, folder: Path, file_format: str, kind: str):
        self.source = write_source(folder / "texts.jsonl")
        self.files, self.dataset = import_into(folder / "ws", self.source)
        self.format, self.kind, self.folder = file_format, kind, folder
        self.place = folder / "place"
        self.out = None if kind == "workspace" else self.place / NAMES[file_format]

    def export(self, which: str, out: Path | None) -> None:
        settings = ExportConfig(format=self.format)
        export_data(self.files, self.dataset, states(*DECISIONS[which]), out, settings, overwrites=True)

    def prepare(self, has_old: bool) -> None:
        shutil.rmtree(self.place, ignore_errors=True)
        shutil.rmtree(self.files.root / "exports", ignore_errors=True)
        self.place.mkdir()
        if has_old:
            shutil.copytree(self.folder / "old", self.place, dirs_exist_ok=True)

    def act(self) -> None:
        if self.kind == "replay":
            (recipe,) = (self.folder / "new").glob("*.export-*/recipe.json")
            replay_recipe(recipe, [self.source], self.out, overwrites=True)
        else:
            self.export("new", self.out)

    def seen(self) -> list[str]:
        """Visible names where the export goes."""
        folder = self.files.root / "exports" if self.out is None else self.place
        return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []

    def found(self) -> str:
        """What a person finds at the place: nothing, or which whole export."""
        if self.out is None:
            whole = [path for path in (self.files.root / "exports").glob("[!.]*") if verify_export(path)]
            return "new" if whole else "nothing"
        if self.kind == "folder":
            recover(self.out)
        if not self.out.exists():
            return "nothing"
        for which in DECISIONS:
            if bytes_of(self.out) == bytes_of(self.folder / which / self.out.name):
                if self.kind != "replay":
                    verify_export(self.out)
                return which
        return "a mixture"


def bytes_of(path: Path):
    if path.is_file():
        return path.read_bytes()
    return {str(file.relative_to(path)): file.read_bytes() for file in sorted(path.rglob("*")) if file.is_file()}


def main(folder: Path, file_format: str, kind: str, has_old: bool) -> None:
    scenario = Scenario(folder, file_format, kind)
    for which in DECISIONS:
        (folder / which).mkdir()
        in_fork(lambda which=which: scenario.export(which, folder / which / NAMES[file_format]))
    facts = {"format": file_format, "kind": kind, "has_old": has_old}

    def look() -> None:
        found = scenario.found()
        scenario.act()
        print(json.dumps({**facts, "found": found, "again": scenario.found(), "names": scenario.seen()}), flush=True)

    def look_and_die(nth: int) -> None:
        if nth > 1:
            look()
        scenario.prepare(has_old)
        die_before(nth)
        scenario.act()

    for nth in count(1):
        if in_fork(lambda nth=nth: look_and_die(nth)):
            in_fork(look)
            return


SCENARIOS = (
    ("jsonl", "file", True),
    ("hf", "folder", True),
    ("parquet", "file", False),
    ("jsonl", "workspace", False),
    ("jsonl", "replay", True),
)


if __name__ == "__main__":
    assert datasets.__version__  # loaded here once, not in every fork
    gc.freeze()  # a collection in a fork would copy every page
    for number, scenario in enumerate(SCENARIOS):
        place = Path(sys.argv[1]) / str(number)
        place.mkdir()
        main(place, *scenario)
