"""Follow every link of a built site: ``python docs/check_site.py SITE``.

A link within the site leads to a file, and to an anchor that is there; nothing that a page loads (scripts, styles,
pictures, fonts) comes from another host. Links that people click may lead elsewhere and are not followed.
"""

import re
import sys
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "video": "src", "audio": "src"}
"""Tags that load what their attribute names; a ``link`` does, unless it only names the page itself."""
NAMES_ONLY = {"canonical", "prev", "next", "edit", "alternate"}


class Page(HTMLParser):
    """Anchors, links and loaded addresses of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what a tag is called, leads to or loads."""
        found = {name: value or "" for name, value in attrs}
        self.anchors |= {found[name] for name in ("id", "name") if name in found}
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        if tag in LOADED and found.get(LOADED[tag]):
            self.loaded.append(found[LOADED[tag]])
        if tag == "link" and not NAMES_ONLY & set(found.get("rel", "").split()):
            self.loaded.append(found.get("href", ""))


def faults(site: Path) -> list[str]:
    """What is wrong, one sentence each."""
    found = []
    for path in sorted(site.rglob("*.html")):
        name, page = path.relative_to(site), _page(path)
        found += [f"{name} loads {one}" for one in page.loaded if _is_elsewhere(one)]
        is_error_page = path.name == "404.html"  # served at any depth, so its addresses are of the host
        inside = [] if is_error_page else [one for one in page.links + page.loaded if not _is_elsewhere(one)]
        found += [f"{name}: {one} leads nowhere" for one in inside if not _leads_somewhere(path, one)]
    for path in sorted(site.rglob("*.css")):
        text = path.read_text("utf-8")
        found += [f"{path.relative_to(site)} loads {one}" for one in re.findall(r"url\(['\"]?(https?:[^)]+)\)", text)]
    return found


def _is_elsewhere(address: str) -> bool:
    return bool(urlsplit(address).netloc)


def _leads_somewhere(page: Path, address: str) -> bool:
    parts = urlsplit(address)
    if parts.scheme:  # mailto:, data:
        return True
    target = page.parent / unquote(parts.path) if parts.path else page
    target = target / "index.html" if target.is_dir() else target
    if not target.is_file():
        return False
    return not parts.fragment or target.suffix != ".html" or unquote(parts.fragment) in _page(target).anchors


@cache
def _page(path: Path) -> Page:
    return Page(path.read_text("utf-8"))


if __name__ == "__main__":
    wrong = faults(Path(sys.argv[1]))
    print("\n".join(wrong) or f"{len(list(Path(sys.argv[1]).rglob('*.html')))} pages, every link leads somewhere")
    sys.exit(bool(wrong))
