"""What storms do to a workspace. Every scenario goes on until its time is over, and adds what it saw to a tally."""

import contextlib
import json
import os
import pickle
import random
import resource
import shutil
import sqlite3
import subprocess
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from storms.decision_ledger import Act, Ledger, expected_statuses
from storms.forked_command import NO_FAULT, Ended, Fault, forked
from storms.storm_tally import Tally
from storms.storm_workspace import Base
from storms.workspace_readers import Said, is_plain_refusal, read_all, short

NOBODY = 65534
CHECK_EVERY = 8
LONG_AGO_S = -3 * 86_400.0


@dataclass
class Storm:
    """One scenario's means: where it may write, its dice, its time."""

    base: Base
    place: Path
    rng: random.Random
    tally: Tally
    until: float
    most_rounds: int
    """A short storm is bounded by what it does, a long one by the clock."""

    expected: dict[str, Said]
    """What readers say of the base."""

    def rounds(self) -> Iterator[int]:
        """Numbers of rounds, until time or rounds are over; one at least."""
        for number in range(self.most_rounds):
            yield number
            if time.monotonic() > self.until:
                return

    def copy(self, name: str = "ws") -> Path:
        """A copy of the base to go over."""
        return self.base.copy(self.place / name)

    def command(self, what: str, arguments: Sequence[object], workspace: Path, fault: Fault = NO_FAULT) -> Ended:
        """Run a command under a fault; a killed one is counted, another one has to end well or in one sentence."""
        ended = forked(arguments, watched=workspace, fault=fault)
        if ended.hung:
            self.tally.violate(f"hangs: {what}")
        elif ended.code < 0:
            self.tally.add("kills")
        else:
            self.tally.saw(what, ended.code, ended.err, (0, 2) if fault != NO_FAULT else (0,))
        return ended

    def compare(
        self, situation: str, workspace: Path, expected: dict[str, Said], names: Sequence[str] | None = None
    ) -> None:
        """Every reader says what it said before."""
        for name, said in read_all(workspace, names).items():
            self.tally.add("answers compared")
            if said.code != expected[name].code:
                self.tally.violate(f"{name} ends with {said.code} after {situation}: {said.err.strip()[-600:]}")
            elif said.answer != expected[name].answer:
                self.tally.violate(
                    f"{name} changed after {situation}: {short(said.answer)}, not {short(expected[name].answer)}"
                )


def history_of(storm: Storm, workspace: Path) -> list[dict[str, object]]:
    """The journal, newest first."""
    ended = storm.command(
        "history", ["history", workspace, "--dataset", "texts", "--limit", 1_000_000, "--json"], workspace
    )
    return ended.json["history"] if ended.code == 0 else []


def check_decisions(storm: Storm, workspace: Path, ledgers: Sequence[Ledger], *, others_flag: bool = False) -> None:
    """Nothing acknowledged is lost, every text stands where the history puts it, and the export holds these texts.

    With ``others_flag``, texts may be flagged by somebody who keeps no ledger.
    """
    history = history_of(storm, workspace)
    acts = {tag: act for ledger in ledgers for tag, act in ledger.tried.items()}
    for ledger in ledgers:
        ledger.check(history, storm.tally)
    before = {row["train_id"]: row["status"] for row in _rows(storm.expected["browse"])}
    expected = expected_statuses(history, acts.get, before)
    said = read_all(workspace, ["browse", "export"])
    if said["browse"].code or said["export"].code:
        storm.tally.violate(f"browse or export refuses: {said['browse'].err} {said['export'].err}")
        return
    found = {row["train_id"]: row["status"] for row in _rows(said["browse"])}
    allowed = {"flagged"} if others_flag else set[str]()
    wrong = {one: (found.get(one), is_) for one, is_ in expected.items() if found.get(one) not in {is_} | allowed}
    if wrong or found.keys() != expected.keys():
        storm.tally.violate(f"statuses differ from the history (found, expected): {wrong}")
    data = bytes.fromhex(said["export"].answer.rpartition("}")[2]).decode()
    exported = {line.split('"id": "')[1].split('"')[0] for line in data.splitlines()}
    kept = {one for one, status in found.items() if status != "excluded"}
    if exported != kept:
        storm.tally.violate(f"the export differs from the decisions: {sorted(exported ^ kept)[:10]}")
    storm.tally.add("checks of all decisions")


def _rows(said: Said) -> list[dict[str, str]]:
    return json.loads(said.answer)["examples"]


def kills_of_decisions(storm: Storm) -> None:
    """Deciding is killed at every step of it, and at any time."""
    workspace, ledger = storm.copy(), Ledger("kill")
    for number in storm.rounds():
        act = ledger.draw(storm.rng, storm.base.train_ids)
        steps = Fault(kill_at_step=storm.rng.randrange(14))
        times = Fault(kill_after_s=storm.rng.uniform(0.02, 0.6))
        ended = ledger.make(act, workspace, storm.rng.choice([steps, times, NO_FAULT]))
        tally_act(storm, act, ended)
        if number % CHECK_EVERY == CHECK_EVERY - 1:
            check_decisions(storm, workspace, [ledger])
    check_decisions(storm, workspace, [ledger])


def tally_act(storm: Storm, act: Act, ended: Ended, allowed: tuple[int, ...] = (0,)) -> None:
    storm.tally.add("acts tried")
    storm.tally.add("acknowledged acts", int(ended.code == 0))
    if ended.hung:
        storm.tally.violate(f"hangs: {act}")
    elif ended.code < 0:
        storm.tally.add("kills")
    else:
        storm.tally.saw(str(act), ended.code, ended.err, allowed)


class Writing(NamedTuple):
    """A command that writes, and what a person does after it was killed."""

    arguments: Callable[[Base, Path], list[object]]
    prepare: Callable[[Base, Path], list[list[object]]] = lambda base, workspace: []
    again: Callable[[Base, Path], list[object]] | None = None
    """The command that resumes; the same one unless set."""


def _side(workspace: Path, name: str) -> Path:
    return workspace.parent / f"{workspace.name}-{name}"


WRITINGS: dict[str, Writing] = {
    "import": Writing(lambda base, ws: ["import", ws, base.more_texts, "--name", "more"]),
    "import of a version": Writing(
        lambda base, ws: ["import", ws, base.texts.with_name("changed.jsonl"), "--name", "texts", "--drop-decided"]
    ),
    "index": Writing(
        lambda base, ws: ["index", ws, "--dataset", "texts", *base.build[:-3], 24, "--subspace-rank", 4]
    ),
    "ask": Writing(lambda base, ws: ["ask", ws, "--prompt", "The market of Corve is", "--completion", " garden."]),
    "score": Writing(
        lambda base, ws: ["score", ws, "--queries", base.texts, "--out", _side(ws, "s.parquet"), "--force"]
    ),
    "export": Writing(lambda base, ws: ["export", ws, "--dataset", "texts", "--out", _side(ws, "e.csv"), "--force"]),
    "export as hf": Writing(
        lambda base, ws: [
            "export",
            ws,
            "--dataset",
            "texts",
            "--format",
            "hf",
            "--out",
            _side(ws, "hf"),
            "--force",
        ]
    ),
    "freeze": Writing(
        lambda base, ws: ["freeze", ws, "v3", "--dataset", "texts"],
        prepare=lambda base, ws: [["exclude", ws, "t020", "--reason", "spam"]],
        again=lambda base, ws: ["versions", ws],
    ),
    "map": Writing(
        lambda base, ws: ["map", ws, "--seed", 1, "--out", _side(ws, "m.parquet")],
        again=lambda base, ws: ["map", ws],
    ),
    "search": Writing(
        lambda base, ws: ["browse", ws, "--dataset", "more", "--search", "words"],
        prepare=lambda base, ws: [["import", ws, base.more_texts, "--name", "more"]],
    ),
    "apply": Writing(lambda base, ws: ["apply", ws, "flag where year < 1905 because outdated"]),
    "decisions export": Writing(
        lambda base, ws: ["decisions", "export", ws, _side(ws, "d.jsonl")],
        again=lambda base, ws: ["decisions", "export", ws, _side(ws, "again.jsonl")],
    ),
    "retrain": Writing(
        lambda base, ws: ["verify", ws, "t010", "--queries", "1", "--recipe", base.recipe, "--device", "cpu"]
    ),
    "worker": Writing(
        lambda base, ws: ["worker", ws, "--device", "cpu", "--once"],
        prepare=lambda base, ws: [["map", ws, "--seed", 2, "--as-job"]],
        again=lambda base, ws: ["map", ws],
    ),
    "members": Writing(
        lambda base, ws: ["members", ws, "--set", "ann", "--role", "admin"],
        again=lambda base, ws: ["members", ws],  # ann alone may give roles, once she can
    ),
    "doctor": Writing(lambda base, ws: ["doctor", ws]),
    "repair": Writing(lambda base, ws: ["doctor", ws, "--repair", "--yes"]),
    "backup": Writing(lambda base, ws: ["backup", ws, _side(ws, "backups")]),
    "restoring a backup": Writing(
        lambda base, ws: ["restore-backup", _side(ws, "backups"), ws, "--replace"],
        prepare=lambda base, ws: [["backup", ws, _side(ws, "backups")]],
    ),
    "export to the hub": Writing(
        lambda base, ws: ["export", ws, "--dataset", "texts", "--to-hub", "owner/storm", "--force"]
    ),
    "decisions import": Writing(lambda base, ws: ["decisions", "import", ws, base.decisions, "--dataset", "texts"]),
}
"""Every command that writes files; those that decide have a scenario of their own."""


def kills_of_writers(storm: Storm) -> None:
    """Every command that writes is killed somewhere, run again, and must end as if nothing had happened."""
    _write_changed(storm.base)
    names = list(WRITINGS)
    storm.rng.shuffle(names)
    for number in storm.rounds():
        name = names[number % len(names)]
        _kill_writing(storm, name, WRITINGS[name])


def _kill_writing(storm: Storm, name: str, writing: Writing) -> None:
    again = writing.again or writing.arguments
    undisturbed = _prepared(storm, writing, "undisturbed")
    first = storm.command(name, writing.arguments(storm.base, undisturbed), undisturbed)
    workspace = _prepared(storm, writing, "killed")
    step = storm.rng.randrange(max(1, first.num_steps))
    for _ in range(storm.rng.randint(1, 2)):
        ended = storm.command(name, writing.arguments(storm.base, workspace), workspace, Fault(kill_at_step=step))
        step = storm.rng.randrange(max(1, first.num_steps))
        if ended.code >= 0:
            break
    storm.command(f"{name}, again", again(storm.base, workspace), workspace)
    if again is not writing.arguments:
        storm.command(f"{name}, again", again(storm.base, undisturbed), undisturbed)
    unlike = {"freeze": ("versions", "queries"), "apply": ("history",), "ask": ("queries",)}.get(name, ())
    names = [one for one in storm.expected if one not in unlike]
    storm.compare(f"a kill of {name} at step {step}", workspace, read_all(undisturbed, names), names)
    for left in storm.place.iterdir():
        shutil.rmtree(left) if left.is_dir() else left.unlink()


def _prepared(storm: Storm, writing: Writing, name: str) -> Path:
    workspace = storm.copy(name)
    for arguments in writing.prepare(storm.base, workspace):
        storm.command("preparing", arguments, workspace)
    return workspace


def _write_changed(base: Base) -> None:
    lines = base.texts.read_text(encoding="utf-8").splitlines(keepends=True)
    base.texts.with_name("changed.jsonl").write_text("".join(lines[:60] + lines[70:]), encoding="utf-8")


NOT_ON_FULL_DISKS = ("worker", "doctor", "members", "restoring a backup")
"""The first two write nothing by themselves, and after the others decisions of before are refused or taken back."""

MEMORIES = ("last-seen.json", "catalog.duckdb.last-seen.json")
"""What a damaged one says is refused, or it is made anew by whoever comes first; the doctor may come too late."""

MAY_GO = ("*.lock", "*.jsonl.lock", "coverage.json", "journal.sqlite-shm", "search.sqlite*", "states/*", "*.log")
"""Files that may vanish without a word: what they hold is made again, or nothing was in them."""

CHANGES_OF_A_FILE = ("flip", "flips", "cut", "emptied", "deleted", "foreign")


def damage_of_files(storm: Storm) -> None:
    """A file is damaged; who reads it says so or says what was said before, and the doctor names it."""
    for _ in storm.rounds():
        workspace = storm.copy()
        files = [one for one in sorted(workspace.rglob("*")) if one.is_file() and not one.name.endswith(".lock")]
        path = storm.rng.choice(files)
        relative = path.relative_to(workspace)
        how = storm.rng.choice(CHANGES_OF_A_FILE)
        if not change_file(path, how, files, storm.rng):
            continue
        storm.tally.add(f"damaged files: {how}")
        may_go = how == "deleted" and any(relative.match(pattern) for pattern in MAY_GO)
        may_go = may_go or str(relative) in MEMORIES or same_rows(path, storm.base.workspace / relative)
        named = False
        for name, said in read_all(workspace).items():
            storm.tally.add("answers compared")
            if is_plain_refusal(said):
                named = True
            elif said.code != 0:
                storm.tally.violate(f"{how} {relative}: {name} ends with {said.code}: {said.err.strip()[-900:]}")
            elif relative.name in said.err:
                named = True
            elif said.answer != storm.expected[name].answer:
                storm.tally.violate(f"SILENT {how} {relative}: {name} says something else: {said.err.strip()[-200:]}")
        storm.tally.add("damages named by a reader" if named else "damages without effect on a reader")
        doctor = forked(["doctor", workspace], watched=workspace)
        storm.tally.saw(f"doctor after {how} {relative}", doctor.code, doctor.err, (0, 1, 2))
        if doctor.code == 0 and not may_go:
            storm.tally.violate(f"doctor says nothing: {how} {relative}")
        elif doctor.code != 0:
            storm.tally.add("damages named by the doctor")


def same_rows(path: Path, before: Path) -> bool:
    """Whether a database holds what it held: damage in a page that is in no use changes nothing."""
    if not path.name.startswith("journal.sqlite"):
        return False
    dumps = []
    for one in (path, before):
        with tempfile.TemporaryDirectory() as folder:
            for found in one.parent.glob("journal.sqlite*"):
                shutil.copy(found, folder)
            try:
                with contextlib.closing(sqlite3.connect(Path(folder) / "journal.sqlite")) as connection:
                    dumps.append(list(connection.iterdump()))
            except sqlite3.DatabaseError:
                return False
    return dumps[0] == dumps[1]


def change_file(path: Path, how: str, files: Sequence[Path], rng: random.Random) -> bool:
    """Damage a file in one way of ``CHANGES_OF_A_FILE``; False where that changes nothing."""
    content = path.read_bytes()
    if how == "deleted":
        path.unlink()
        return True
    if not content:
        return False
    if how == "foreign":
        others = [one for one in files if one.parent == path.parent and one.suffix == path.suffix and one != path]
        if not others:
            return False
        new = rng.choice(others).read_bytes()
    elif how == "emptied":
        new = b""
    elif how == "cut":
        new = content[: rng.randrange(len(content))]
    else:
        changed = bytearray(content)
        for _ in range(1 if how == "flip" else 20):
            changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
        new = bytes(changed)
    if new == content:
        return False
    path.write_bytes(new)
    return True


@contextmanager
def small_disk(folder: Path, num_bytes: int) -> Iterator[Path]:
    """A disk of its own size; raises ``PermissionError`` where mounting is not allowed."""
    folder.mkdir(parents=True, exist_ok=True)
    options = ["mount", "-t", "tmpfs", "-o", f"size={num_bytes}", "none", str(folder)]
    if shutil.which("mount") is None or subprocess.run(options, capture_output=True, check=False).returncode:
        raise PermissionError("mounting a small disk is not allowed here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def full_disks(storm: Storm) -> None:
    """The disk is full after so many more bytes: one sentence, nothing lost, and the same command goes on."""
    _write_changed(storm.base)
    writings = {name: one for name, one in WRITINGS.items() if name not in NOT_ON_FULL_DISKS}
    for number in storm.rounds():
        size = sum(one.stat().st_size for one in storm.base.workspace.rglob("*") if one.is_file())
        try:
            with small_disk(storm.place / f"disk{number}", 2 * size + (24 << 20)) as disk:
                _fill_while(storm, disk, storm.rng.choice(list(writings)))
        except PermissionError:
            storm.tally.add("full disks skipped: mounting is not allowed here")
            return


def _fill_while(storm: Storm, disk: Path, name: str) -> None:
    writing, ledger = WRITINGS[name], Ledger("full")
    workspace = storm.base.copy(disk / "ws")
    for arguments in writing.prepare(storm.base, workspace):
        storm.command("preparing", arguments, workspace)
    ballast = disk / "ballast"
    leave = storm.rng.choice([0, 0, 4096, 20_000, 100_000, 400_000])
    ballast.write_bytes(b"\0" * max(0, shutil.disk_usage(disk).free - leave))
    full = Fault(clock_s=1e-6)  # no fault of the process: the disk has it
    storm.tally.add("full disks")
    ended = storm.command(f"{name} on a full disk", writing.arguments(storm.base, workspace), workspace, full)
    act = ledger.draw(storm.rng, storm.base.train_ids)
    tally_act(storm, act, ledger.make(act, workspace, full), (0, 2))
    ballast.unlink()
    if ended.code == 2 or name not in ("apply", "freeze"):
        again = writing.again or writing.arguments
        storm.command(f"{name} after the disk was full", again(storm.base, workspace), workspace)
    ledger.check(history_of(storm, workspace), storm.tally)
    unlike = ("history", "versions", "queries", "browse", "export", "facets", "diff", "indexes", "search", "rule")
    names = [one for one in storm.expected if one not in unlike and not (one == "ask" and name == "index")]
    storm.compare(f"a full disk during {name}", workspace, storm.expected, names)


def limited_processes(storm: Storm) -> None:
    """Few files, little memory, small files: one sentence, and nothing is lost."""
    workspace, ledger = storm.copy(), Ledger("limited")
    for number in storm.rounds():
        limit = storm.rng.choice(
            [
                (resource.RLIMIT_NOFILE, storm.rng.randint(4, 40)),
                (resource.RLIMIT_FSIZE, storm.rng.choice([8192, 30_000, 100_000])),
                (resource.RLIMIT_AS, _memory_in_use() + storm.rng.choice([0, 8, 64, 256]) * (1 << 20)),
            ]
        )
        fault = Fault(limits=(limit,))
        act = ledger.draw(storm.rng, storm.base.train_ids)
        storm.tally.add("limited processes")
        tally_act(storm, act, ledger.make(act, workspace, fault), (0, 2))
        name = storm.rng.choice(["export", "ask", "map"])
        storm.command(f"{name} under {limit}", WRITINGS[name].arguments(storm.base, workspace), workspace, fault)
        if number % CHECK_EVERY == CHECK_EVERY - 1:
            check_decisions(storm, workspace, [ledger])
    check_decisions(storm, workspace, [ledger])


def _memory_in_use() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * resource.getpagesize()


def clocks_going_back(storm: Storm) -> None:
    """The clock jumps: decisions keep the order in which they were made."""
    workspace, ledger = storm.copy(), Ledger("clock")
    for _ in storm.rounds():
        act = ledger.draw(storm.rng, storm.base.train_ids)
        fault = Fault(clock_s=storm.rng.uniform(LONG_AGO_S, -LONG_AGO_S))
        storm.tally.add("moved clocks")
        tally_act(storm, act, ledger.make(act, workspace, fault))
    check_decisions(storm, workspace, [ledger])


def other_places(storm: Storm) -> None:
    """The workspace is moved, linked, read-only, or somebody else's."""
    for number in storm.rounds():
        workspace = storm.copy(f"first{number}")
        moved = storm.place / f"moved to another place {number}"
        workspace.rename(moved)
        storm.compare("moving the workspace", moved, storm.expected)
        link = storm.place / f"link{number}"
        link.symlink_to(moved)
        storm.compare("linking the workspace", link, storm.expected)
        ledger = Ledger("place")
        for place in (moved, link):
            act = ledger.draw(storm.rng, storm.base.train_ids)
            tally_act(storm, act, ledger.make(act, place, NO_FAULT))
        ledger.check(history_of(storm, link), storm.tally)
        storm.tally.add("workspaces at another place", 2)
        if os.getuid() == 0:
            _as_somebody_else(storm, storm.copy("owned"))
            _read_only(storm, storm.copy("frozen"))


READ_ONLY = ("browse", "rule", "facets", "ask", "reopen", "diff", "versions", "history", "queries", "export")


def _as_somebody_else(storm: Storm, workspace: Path) -> None:
    fault = Fault(user=NOBODY)
    act = Ledger("nobody").draw(storm.rng, storm.base.train_ids)
    refused = forked(act.command(workspace), watched=workspace, fault=fault)
    storm.tally.saw("a decision in somebody else's workspace", refused.code, refused.err, (2,))
    storm.tally.add("workspaces of somebody else")
    storm.compare("somebody else tried to decide", workspace, storm.expected)


def _read_only(storm: Storm, workspace: Path) -> None:
    if subprocess.run(
        ["mount", "--bind", "-o", "ro", workspace, workspace], capture_output=True, check=False
    ).returncode:
        storm.tally.add("read-only places skipped: mounting is not allowed here")
        return
    try:
        storm.tally.add("read-only workspaces")
        storm.compare("making the workspace read-only", workspace, storm.expected, READ_ONLY)
        act = Ledger("frozen").draw(storm.rng, storm.base.train_ids)
        refused = forked(act.command(workspace), watched=workspace)
        storm.tally.saw("a decision in a read-only workspace", refused.code, refused.err, (2,))
    finally:
        subprocess.run(["umount", "-l", workspace], check=True)


Work = Callable[["Storm", Path, Ledger], None]
"""What one of several people does, until time or rounds are over; their decisions are in the ledger."""


def together(storm: Storm, workspace: Path, people: dict[str, Work]) -> dict[str, Ledger]:
    """Let people work at once, each in a process of their own; their ledgers, once all have ended."""
    children = {_fork(storm, workspace, name, work): name for name, work in people.items()}
    for child, name in children.items():
        _, status = os.waitpid(child, 0)
        if status:
            storm.tally.violate(f"{name}, one of several, ended with {os.waitstatus_to_exitcode(status)}")
    ledgers: dict[str, Ledger] = {}
    for path in sorted(storm.place.glob("*.pickle")):
        counts, violations, ledgers[path.stem] = pickle.loads(path.read_bytes())
        storm.tally.counts += counts
        storm.tally.violations += violations
    return ledgers


def _fork(storm: Storm, workspace: Path, name: str, work: Work) -> int:
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        storm.rng, storm.tally = random.Random(f"{storm.rng.random()} {name}"), Tally()
        ledger = Ledger(name)
        work(storm, workspace, ledger)
        said = (storm.tally.counts, storm.tally.violations, ledger)
        (storm.place / f"{name}.pickle").write_bytes(pickle.dumps(said))
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def six_processes(storm: Storm) -> None:
    """Six processes decide, import, ask and look at once: all are served, and nothing is lost."""
    workspace = storm.copy()
    others = dict.fromkeys((f"looker{number}" for number in range(4)), _look)
    ledgers = together(storm, workspace, {"importer": _import, "asker": _ask} | others)
    check_decisions(storm, workspace, list(ledgers.values()))


def _decide(storm: Storm, workspace: Path, ledger: Ledger) -> None:
    act = ledger.draw(storm.rng, storm.base.train_ids)
    tally_act(storm, act, ledger.make(act, workspace, NO_FAULT, actor=ledger.name))


def _import(storm: Storm, workspace: Path, ledger: Ledger) -> None:
    for turn in storm.rounds():
        _decide(storm, workspace, ledger)
        more = ["import", workspace, storm.base.more_texts, "--name", f"more{turn}"]
        storm.command(f"import {turn}", more, workspace)


def _ask(storm: Storm, workspace: Path, ledger: Ledger) -> None:
    for _ in storm.rounds():
        _decide(storm, workspace, ledger)
        storm.command("ask", WRITINGS["ask"].arguments(storm.base, workspace), workspace)


def _look(storm: Storm, workspace: Path, ledger: Ledger) -> None:
    for _ in storm.rounds():
        _decide(storm, workspace, ledger)
        storm.command("browse", ["browse", workspace, "--dataset", "texts", "--limit", 3], workspace)


SCENARIOS: dict[str, Callable[[Storm], None]] = {
    one.__name__: one
    for one in (
        kills_of_decisions,
        kills_of_writers,
        damage_of_files,
        full_disks,
        limited_processes,
        clocks_going_back,
        other_places,
        six_processes,
    )
}
