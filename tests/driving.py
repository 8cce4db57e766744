"""What tests do on a page: wait for a claim, read lists and tables, choose rows and tokens."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Error, TimeoutError
from studio_server import Studio

PATIENCE_S = 300
TIMEOUT_MS = 300_000
HEARD_MS = 5_000
ATTEMPTS = 60
"""A click that comes while the page is drawn again may not be heard, nor by a person's hand."""

ROW_SELECTOR_WIDTH = 16
"""Pixels from the left edge of a table to the middle of its boxes for choosing rows."""

DEEP_TEXT = """
() => {
  const seen = [];
  const read = (node) => {
    if (node.nodeType === Node.TEXT_NODE) seen.push(node.textContent);
    if (["SCRIPT", "STYLE"].includes(node.tagName)) return;
    if ("value" in node && typeof node.value === "string") seen.push(node.value);
    if (node.shadowRoot) read(node.shadowRoot);
    node.childNodes.forEach(read);
  };
  read(document.body);
  return seen.join("");
}
"""
"""Every text on the page: in shadow roots, in boxes, and in the cells behind a canvas."""


@contextmanager
def opening(chromium, name: str) -> Iterator[tuple[Callable, list[str]]]:
    """What opens a page of a studio in a browser of its own, and the addresses that its pages called.

    A dialog of the browser fails the test, and so does what the page's policy forbids. With LORIF_SHOTS, a picture
    of every page is left in that folder.
    """
    contexts, requests, forbidden = [], [], []

    def open_path(studio: Studio, path: str = "/", *, waits: bool = True, **options):
        context = chromium.new_context(**({"viewport": {"width": 1400, "height": 1000}} | options))
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(TIMEOUT_MS)
        page.on("request", lambda made: requests.append(made.url))
        page.on("websocket", lambda made: requests.append(made.url))
        page.on("console", lambda said: forbidden.append(said.text) if "Security Policy" in said.text else None)
        page.on("dialog", lambda dialog: pytest.fail(f"a dialog opened: {dialog.message}"))
        page.goto(studio.url + path)
        if waits:
            page.get_by_role("button", name="Undo", exact=True).first.wait_for()
        return page

    try:
        yield open_path, requests
        assert forbidden == []
    finally:
        for number, context in enumerate(contexts):
            if folder := os.environ.get("LORIF_SHOTS"):
                for place, page in enumerate(context.pages):
                    page.screenshot(path=Path(folder) / f"{name}-{number}-{place}.png")
            context.close()


def address(page) -> str:
    """Where the page is; asks it, because ``page.url`` is as old as the last call that heard from the browser."""
    return page.evaluate("() => location.href")


def parameters(page) -> dict[str, list[str]]:
    """The query of its address."""
    return parse_qs(urlsplit(address(page)).query)


def become(look: Callable[[], object], wanted: object, seconds: float = PATIENCE_S) -> None:
    """Return once what is seen is what is wanted; a failure shows what was seen last."""
    end = time.monotonic() + seconds
    while (seen := look()) != wanted and time.monotonic() < end:
        time.sleep(0.15)
    assert seen == wanted


def wait_until(claim: Callable[[], object], seconds: float = PATIENCE_S) -> None:
    """Return once the claim holds."""
    end = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < end, "it did not come true in time"
        time.sleep(0.15)


def wait_for_run(page) -> None:
    """Return once no script runs for the page."""
    page.wait_for_function(
        "() => document.querySelector('[data-testid=stApp]')?.dataset.testScriptState === 'notRunning'"
    )


def cards(page, part: str):
    """A part of every card of the list; the open text has a head like theirs, which is none of them."""
    return page.locator(f"[class*='st-key-card-hit-'] {part}")


def settle(page) -> None:
    """Wait until no run, which leaves the old cards till its end, and as many are painted as the page says."""
    wait_for_run(page)
    told = page.locator(".st-key-count-line [data-testid=stText]").first
    told.wait_for()
    wait_until(lambda: cards(page, ".rank").count() == int(told.inner_text().split(" of ")[0]))


def ranks(page) -> list[str]:
    """``#1``, ``#2``, … of the cards."""
    settle(page)
    return cards(page, ".rank").all_inner_texts()


def scores(page) -> list[float]:
    """Of the cards."""
    settle(page)
    return [number(text) for text in cards(page, ".score").all_inner_texts()]


def card_ids(page) -> list[str]:
    """Train ids of the cards."""
    settle(page)
    return cards(page, ".head .mono").all_inner_texts()


def number(text: str) -> float:
    """A number as the studio prints it."""
    return float(text.replace("−", "-").replace(",", ""))


def ask_button(page):
    """What asks the question; by its key: its name says the shortcut, which systems write differently."""
    return page.locator(".st-key-ask-run").get_by_role("button")


def show_tokens(page) -> None:
    """Let the strip show single tokens, where it shows words."""
    token(page, 0).wait_for()
    if (switch := page.get_by_role("switch", name="Tokens")).count():
        switch.check()


def token(page, place: int):
    """A token of the strip, or a word while it shows words."""
    return page.locator(f".token[data-position='{place}']")


def selected_tokens(page) -> list[int]:
    """Places of the chosen tokens."""
    options = page.get_by_role("option", selected=True).all()
    return [int(place) for option in options if (place := option.get_attribute("data-position"))]


def deep_text(page) -> str:
    """Every text on the page."""
    return page.evaluate(DEEP_TEXT)


def table(page, name: str):
    """A table in which rows can be chosen, by the beginning of its key."""
    return page.locator(f"[class*='st-key-{name}'] [data-testid=stDataFrame]").first


def corpus_rows(page):
    """Rows of the table of texts, on Corpus."""
    return page.locator(".corpus tbody tr")


def corpus_ids(page) -> list[str]:
    """Train ids of its rows."""
    corpus_rows(page).first.wait_for()
    return corpus_rows(page).evaluate_all("(rows) => rows.map((row) => row.dataset.id)")


def sort_corpus(page, column: str) -> None:
    """Click the heading of one of its columns."""
    page.locator(".corpus th .sort").filter(has_text=column).first.click()


def facet(page, column: str):
    """What a column holds, beside it."""
    return page.locator(f".corpus .facet[aria-label='{column}']")


def described(page, description: str):
    """A table by what a screen reader calls it."""
    return page.get_by_test_id("stDataFrame").filter(has=page.locator(f"[aria-label='{description}']")).first


def bring_into_view(frame) -> None:
    """Scroll to a part of the page; again if a run of the page has drawn it anew meanwhile."""
    for _ in range(ATTEMPTS):
        try:
            frame.scroll_into_view_if_needed()
        except Error as error:
            if "not attached" not in str(error):
                raise
        else:
            return
    pytest.fail("a part of the page is drawn anew again and again")


def rows_of(frame) -> list[list[str]]:
    """Cells of the rows of a table that are near the screen, without the boxes for choosing rows."""
    bring_into_view(frame)
    frame.locator("[data-testid^=glide-cell]").first.wait_for(state="attached")
    return frame.evaluate(
        """(frame) => [...frame.querySelectorAll("[role=row]")]
             .map((row) => [...row.querySelectorAll("[role=gridcell]")].map((cell) => cell.textContent))
             .filter((cells) => cells.length)"""
    )


def click_cell(
    page, frame, *, row: int, x: float = ROW_SELECTOR_WIDTH, row_height: int = 35, header: int = 35
) -> None:
    """Click into a table; the row counts from 0 as it is seen, -1 is the header."""
    bring_into_view(frame)
    box = frame.bounding_box()
    y = header / 2 if row < 0 else header + (row + 0.5) * row_height
    page.mouse.click(box["x"] + x, box["y"] + y)


def choose(page, name: str, option: str) -> None:
    """Take an entry of a list that opens on a click; opens it again if a run of the page has closed it."""
    for _ in range(ATTEMPTS):
        wait_for_run(page)
        page.get_by_role("combobox", name=name).click()
        with suppress(TimeoutError):
            page.get_by_role("option", name=option).click(timeout=HEARD_MS)
            return
    pytest.fail(f"{name} offers no {option}")


def said(page, sentence: str) -> None:
    """Wait for a toast."""
    page.get_by_test_id("stToast").filter(has_text=sentence).first.wait_for()


def count_gestures(page) -> Callable[[], tuple[int, int]]:
    """Begin to count what a person does on a page; what it gives tells clicks and keys so far.

    A key held with others is one; typing into a box counts a key for every character.
    """
    page.evaluate(
        """() => {
             window.gestures = [0, 0];
             const held = ["Control", "Shift", "Alt", "Meta"];
             addEventListener("pointerdown", (event) => { if (event.isTrusted) window.gestures[0] += 1; }, true);
             addEventListener("keydown", (event) => {
               if (event.isTrusted && !event.repeat && !held.includes(event.key)) window.gestures[1] += 1;
             }, true);
           }"""
    )

    def counted() -> tuple[int, int]:
        clicks, keys = page.evaluate("() => window.gestures")
        return clicks, keys

    return counted
