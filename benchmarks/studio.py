"""The studio as people meet it: seconds from its start, or a click, to a painted page, and ten browsers at once.

Every number is taken in Chromium against a server of its own over a copy of the workspace::

    lorif demo demo_workspace
    python -m benchmarks.studio demo_workspace                 # asking, pages, ten browsers
    python -m benchmarks.studio big_workspace --only asking    # any workspace with an index
    python -m benchmarks.studio demo_workspace --only start    # from `lorif app` to the first page; a kept answer
"""

import argparse
import asyncio
import json
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

import psutil
from playwright.async_api import Browser, Page, async_playwright

import lorif_core as lf

CHROMIUM = "/usr/bin/chromium"
PATIENCE_MS = 120_000
"""Ten browsers draw their pages on the same cores as the server."""

ROUNDS = 7
START_ROUNDS = 5
SESSIONS = 10
LOAD_S = 120.0
WARM_UP_S = 30.0
SAMPLE_S = 5.0
MANY = 6
"""Samples of the memory at either end, whose median counts."""
PAGES = {
    "home": ("/", "Undo"),
    "investigate": ("/investigate", "Generate"),
    "corpus": ("/corpus", "Last"),
    "history": ("/history", "Undo"),
    "export": ("/export", "Export "),
}
"""Name → address, and a button that stands there once the page is drawn."""

FLAG_OR_KEEP = re.compile("^(Flag|Keep)$")
PARTS = ("start", "asking", "pages", "load")


class Server:
    """A studio in a process of its own, over a copy of a workspace."""

    def __init__(self, workspace: Path, folder: Path) -> None:
        began = time.perf_counter()
        self.workspace = Path(shutil.copytree(workspace, folder / workspace.name))
        self.copy_s = time.perf_counter() - began
        port = str(random.SystemRandom().randrange(20_000, 40_000))
        self.url = f"http://127.0.0.1:{port}"
        command = [sys.executable, "-m", "lorif_core.cli", "app", str(self.workspace), "--port", port]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=os.environ | {"LORIF_ACTOR": "bench"})
        end = time.monotonic() + 120
        while time.monotonic() < end:
            try:
                urllib.request.urlopen(f"{self.url}/_stcore/health", timeout=2)
                return
            except OSError:
                time.sleep(0.05)
        raise TimeoutError(self.url)

    def memory_bytes(self) -> int:
        return psutil.Process(self.process.pid).memory_info().rss

    def cpu_s(self) -> float:
        """CPU seconds of the server so far, which other work on the machine disturbs less than the clock."""
        spent = psutil.Process(self.process.pid).cpu_times()
        return spent.user + spent.system

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(20)


async def measure_starts(workspace: Path, folder: Path) -> dict[str, Any]:
    """From the command to the first painted page, and from there to the list of the latest kept question.

    A server of its own for every round, so that nothing was imported before.
    """
    starts, lists, cpu = [], [], []
    kept = lf.open_workspace(workspace).questions.records()[-1].query_id
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        for number in range(START_ROUNDS):
            began = time.perf_counter()
            server = Server(workspace, folder / f"start-{number}")
            copied_at = began + server.copy_s
            try:
                page = await _open(browser, server.url)
                starts.append(time.perf_counter() - copied_at)
                cpu.append(server.cpu_s())
                began = time.perf_counter()
                await page.goto(f"{server.url}/investigate?query={kept}&tab=All")
                await page.locator(".rank").first.wait_for()
                lists.append(time.perf_counter() - began)
                await page.context.close()
            finally:
                server.stop()
        await browser.close()
    return {
        "command to first page, s": statistics.median(starts),
        "of it CPU of the server, s": statistics.median(cpu),
        "link to a kept answer to its list, s": statistics.median(lists),
        "all": starts,
    }


async def measure(server: Server, parts: list[str]) -> dict[str, Any]:
    """What each part measures."""
    results: dict[str, Any] = {}
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        if "asking" in parts:
            results["asking"] = await _asking(browser, server)
        if "pages" in parts:
            results["pages"] = await _pages(browser, server)
        if "load" in parts:
            results["load"] = await _load(browser, server)
        await browser.close()
    return results


async def _open(browser: Browser, address: str, button: str = "Undo") -> Page:
    context = await browser.new_context(viewport={"width": 1400, "height": 1000})
    page = await context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    await page.goto(address)
    await page.get_by_role("button", name=button).first.wait_for()
    return page


async def _ask(page: Page, prompt: str, completion: str) -> float:
    """Seconds from the click on Ask to the first card of the answer."""
    await page.get_by_role("textbox", name="Prompt").fill(prompt)
    await page.get_by_role("textbox", name="Completion").fill(completion)
    before = page.url
    began = time.perf_counter()
    await page.locator(".st-key-ask-run").get_by_role("button").click()
    await page.wait_for_function(
        "(before) => location.href !== before && location.href.includes('query=')", arg=before
    )
    await page.locator("[class*=st-key-question]").get_by_text(completion.strip()).first.wait_for()
    await page.locator(".rank").first.wait_for()
    return time.perf_counter() - began


async def _asking(browser: Browser, server: Server) -> dict[str, Any]:
    page = await _open(browser, f"{server.url}/investigate", "Generate")
    await _ask(page, "The capital of Australia is", " warm.")
    seconds = [await _ask(page, "The capital of Australia is", f" city{number}.") for number in range(ROUNDS)]
    workspace = lf.open_workspace(server.workspace)
    ours = [workspace.reopen(query.query_id).elapsed_s for query in workspace.questions.records()[-ROUNDS:]]
    await page.context.close()
    return {
        "click to list, s": statistics.median(seconds),
        "of it the engine, s": statistics.median(ours),
        "all": seconds,
    }


async def _pages(browser: Browser, server: Server) -> dict[str, float]:
    """Median seconds to a drawn page, the browser's cache cold and the server warm."""
    found = {}
    for name, (path, button) in PAGES.items():
        seconds = []
        for _ in range(4):
            began = time.perf_counter()
            page = await _open(browser, server.url + path, button)
            seconds.append(time.perf_counter() - began)
            await page.context.close()
        found[name] = statistics.median(seconds[1:])
    return found


async def _load(browser: Browser, server: Server) -> dict[str, Any]:
    """Ten browsers that ask, flag and browse; what was said to be saved must be in the journal."""
    said: list[tuple[str, str]] = []
    errors: list[str] = []
    counts = {"asked": 0, "flagged": 0, "browsed": 0}
    memory: list[int] = []
    end = time.monotonic() + WARM_UP_S + LOAD_S
    sessions = [_session(browser, server, number, end, said, errors, counts) for number in range(SESSIONS)]
    await asyncio.gather(_watch(server, end, memory), *sessions)
    events = lf.open_workspace(server.workspace).decisions.history(limit=100_000)
    kept = sum(entry.batch.kind in ("flag", "restore") for entry in events)
    return {
        **counts,
        "errors": errors[:5],
        "said to be saved": len(said),
        "in the journal": kept,
        "memory after the warm-up, MB": statistics.median(memory[:MANY]) / 1e6,
        "memory at the end, MB": statistics.median(memory[-MANY:]) / 1e6,
    }


async def _watch(server: Server, end: float, memory: list[int]) -> None:
    await asyncio.sleep(WARM_UP_S)
    while time.monotonic() < end:
        memory.append(server.memory_bytes())
        await asyncio.sleep(SAMPLE_S)


async def _session(
    browser: Browser,
    server: Server,
    number: int,
    end: float,
    said: list[tuple[str, str]],
    errors: list[str],
    counts: dict[str, int],
) -> None:
    chance = random.Random(number)
    page = await _open(browser, server.url)
    page.on("pageerror", lambda error: errors.append(str(error)))
    while time.monotonic() < end:
        action = chance.choice(("asked", "flagged", "browsed"))
        try:
            if action == "browsed":
                await page.goto(
                    f"{server.url}/corpus?q={chance.choice(('capital', 'river', 'king'))}&page={chance.randint(1, 3)}"
                )
                await page.get_by_role("button", name="Last", exact=True).wait_for()
            elif action == "asked":
                await page.goto(f"{server.url}/investigate")
                await page.locator(".st-key-ask-run").get_by_role("button").wait_for()
                await _ask(page, "The capital of Australia is", f" place {number} {chance.randint(0, 10**6)}.")
            else:
                await page.goto(f"{server.url}/investigate?query={chance.randint(1, 3)}&tab=All")
                button = page.locator("[class*=st-key-actions-hit]").get_by_role("button", disabled=False)
                await button.filter(has_text=FLAG_OR_KEEP).nth(chance.randint(0, 3)).click()
                await page.get_by_test_id("stToast").first.wait_for()
                said.append((str(number), page.url))
            counts[action] += 1
            errors += await page.get_by_text("Something went wrong").all_inner_texts()
        except Exception as error:
            errors.append(f"{action}: {str(error).splitlines()[0]}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="benchmarks.studio", description=__doc__)
    parser.add_argument("workspace", type=Path, help="with an index; it is copied, not changed")
    parser.add_argument("--only", choices=PARTS, action="append", help="measure only this part; may be repeated")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lorif-bench-") as folder:
        parts: list[str] = arguments.only or list(PARTS)
        results: dict[str, Any] = {}
        if "start" in parts:
            results["start"] = asyncio.run(measure_starts(arguments.workspace, Path(folder)))
        if set(parts) - {"start"}:
            server = Server(arguments.workspace, Path(folder))
            try:
                results |= asyncio.run(measure(server, parts))
            finally:
                server.stop()
    print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
