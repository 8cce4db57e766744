"""A crowd: ten browsers, two writers by command line and one build, with a killer among them.

Everybody is a process of their own, forked before a browser starts. The writers and the build lose about every third
command to the killer. The browsers go from page to page, decide, search and ask; an error that a page shows is kept
word for word, because each of them has to be true.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from storms.decision_ledger import Ledger
from storms.forked_command import NO_FAULT, Fault
from storms.storm_scenarios import Storm, check_decisions, history_of, tally_act, together
from storms.storm_tally import TRACEBACK

from app.shell import PAGES

CHROMIUM = Path("/usr/bin/chromium")
NUM_BROWSERS = 10
NUM_WRITERS = 2
KILLED_SHARE = 0.3
STUDIO_ACTOR = "tester"
SAVED = "decisions that a page said are saved"
PAGE_TIMEOUT_MS = 120_000
PATIENCE_MS = 30_000


def crowd(storm: Storm) -> None:
    """Ten browsers, two writers, a build and a killer."""
    if not CHROMIUM.exists():
        storm.tally.add("crowds skipped: Chromium is not installed")
        return
    workspace = storm.copy()
    writers = dict.fromkeys((f"writer{number}" for number in range(NUM_WRITERS)), _write)
    ledgers = together(storm, workspace, writers | {"builder": _build, "browsers": _browse})
    check_decisions(storm, workspace, [ledgers[name] for name in writers if name in ledgers], others_flag=True)
    saved = sum(entry["batch"]["actor"] == STUDIO_ACTOR for entry in history_of(storm, workspace))
    if saved < storm.tally.counts[SAVED]:
        storm.tally.violate(
            f"pages said {storm.tally.counts[SAVED]} times that a decision is saved, {saved} are there"
        )


def _perhaps_killed(storm: Storm) -> Fault:
    kills = storm.rng.random() < KILLED_SHARE
    return Fault(kill_after_s=storm.rng.uniform(0.05, 2.0)) if kills else NO_FAULT


def _write(storm: Storm, workspace: Path, ledger: Ledger) -> None:
    for _ in storm.rounds():
        act = ledger.draw(storm.rng, storm.base.train_ids)
        tally_act(storm, act, ledger.make(act, workspace, _perhaps_killed(storm), actor=ledger.name))


def _build(storm: Storm, workspace: Path, ledger: Ledger) -> None:
    for number in storm.rounds():
        settings = ["--model", storm.base.model, "--method", "lorif", "--shard-examples", 8 + number % 9]
        for fault in (_perhaps_killed(storm), NO_FAULT):
            build = ["index", workspace, "--dataset", "texts", *settings, "--subspace-rank", 4 + number % 5]
            if storm.command("a build in a crowd", build, workspace, fault).code == 0:
                break


def _browse(storm: Storm, workspace: Path, ledger: Ledger) -> None:
    from playwright.sync_api import sync_playwright
    from studio_server import serving

    with serving(workspace) as studio, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu"])
        pages = [browser.new_context().new_page() for _ in range(NUM_BROWSERS)]
        for page in pages:
            page.set_default_timeout(PAGE_TIMEOUT_MS)
            page.goto(studio.url)
        for number in storm.rounds():
            page = pages[number % NUM_BROWSERS]
            _act_on(storm, page, studio.url)
            _look_for_errors(storm, page)
        storm.tally.add("browsers", len(pages))
        browser.close()
    if TRACEBACK in studio.log.read_text(errors="replace"):
        storm.tally.violate(f"a traceback in the studio's log: {studio.log.read_text()[-2000:]}")


def _act_on(storm: Storm, page: Any, url: str) -> None:
    deed = storm.rng.choice(["open", "open", "reload", "back", "decide"])
    storm.tally.add(f"browser: {deed}")
    if deed == "reload":
        page.reload()
    elif deed == "back":
        page.go_back()
    elif deed == "decide":
        page.goto(f"{url}/?query={storm.rng.choice('12')}")
        flags = page.get_by_role("button", name="Flag", exact=True, disabled=False)
        if _is_there(flags) and _clicked(flags.nth(storm.rng.randrange(max(1, flags.count())))):
            if _is_there(page.get_by_test_id("stToast").filter(has_text="Flagged 1 text.")):
                storm.tally.add(SAVED)
    else:
        page.goto(f"{url}/{storm.rng.choice(PAGES).url}")
    _is_there(page.get_by_role("button", name="Undo", exact=True))


def _is_there(wanted: Any) -> bool:
    return _in_time(lambda: wanted.first.wait_for(timeout=PATIENCE_MS))


def _clicked(button: Any) -> bool:
    """False for a button that was drawn again, or that somebody else's decision has switched off."""
    return _in_time(lambda: button.click(timeout=PATIENCE_MS / 6))


def _in_time(wait: Callable[[], None]) -> bool:
    from playwright.sync_api import (
        TimeoutError as TooLate,
    )  # only the process with the browsers has a browser's library

    try:
        wait()
    except TooLate:
        return False
    return True


def _look_for_errors(storm: Storm, page: Any) -> None:
    for found in page.get_by_test_id("stException").all_inner_texts():
        storm.tally.violate(f"a page shows an exception: {page.url.split('/', 3)[-1]}: {found[:800]}")
    for found in page.get_by_test_id("stAlertContentError").all_inner_texts():
        storm.tally.violate(f"a page shows an error: {page.url.split('/', 3)[-1]}: {found[:800]}")
    storm.tally.add("pages looked at")
