"""Put the site's pages together: ``python docs/stage_site.py FOLDER`` writes ``mkdocs.yml`` and ``docs`` there.

Pages that lie elsewhere come in: notebooks as tutorials (their words, and their code as it is run), SECURITY.md,
CONTRIBUTING.md, CHANGELOG.md, the results that pages link to, and a list of the decisions. ``NAME/*`` in the nav of
``mkdocs.yml`` stands for all pages of a folder that it names nowhere else, so that a new how-to or decision is in the
site the day it is written. What is written is plain Markdown: no hook of one generator (docs/decisions/0073).
"""

import json
import posixpath
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
OUTSIDE = {
    "SECURITY.md": "explanation/security.md",
    "CONTRIBUTING.md": "how-to/contributing.md",
    "CHANGELOG.md": "changelog.md",
}
"""A file of the repository → its page."""
LINK = re.compile(r"\]\(([^)#\s]+)(#[^)\s]*)?\)")
CODE = re.compile(r"(^```.*?^```$|`[^`\n]+`)", re.MULTILINE | re.DOTALL)
ASSETS = ("*.css", "images/*.png", "images/*.svg")


def main() -> None:
    """Write the pages and the configuration, into a folder that is made anew."""
    target = Path(sys.argv[1])
    shutil.rmtree(target, ignore_errors=True)
    found = pages()
    for name, text in found.items():
        _write(target / "docs" / name, text.encode())
    for pattern in ASSETS:
        for path in (ROOT / "docs").glob(pattern):
            _write(target / "docs" / path.relative_to(ROOT / "docs"), path.read_bytes())
    configuration = yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))
    configuration["nav"] = filled_nav(configuration["nav"], list(found))
    configuration["plugins"]["mkdocstrings"]["handlers"]["python"]["paths"] = [str(ROOT)]
    _write(target / "mkdocs.yml", yaml.safe_dump(configuration, sort_keys=False).encode())


def pages() -> dict[str, str]:
    """Every page: its place below docs/ of the site → its text."""
    found = {_page_of(path.name): _tutorial(path) for path in _notebooks()}
    for path in sorted((ROOT / "docs").rglob("*.md")):
        source = path.relative_to(ROOT).as_posix()
        page = source.removeprefix("docs/")
        found[page] = _relinked(path.read_text("utf-8"), source, page)
    for source, page in OUTSIDE.items():
        found[page] = _relinked((ROOT / source).read_text("utf-8"), source, page)
    found["decisions/index.md"] = _decisions()
    return found | {name: (ROOT / name).read_text("utf-8") for name in sorted(_linked_results())}


def filled_nav(nav: list[Any], pages: list[str]) -> list[Any]:
    """The nav with the pages of a folder in the place of ``NAME/*``."""
    return _filled(nav, pages, _named(nav))


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _notebooks() -> list[Path]:
    return sorted((ROOT / "notebooks").glob("*.ipynb"))


def _page_of(notebook: str) -> str:
    return f"tutorials/{notebook.removesuffix('.ipynb')}.md"


def _tutorial(path: Path) -> str:
    """Words and code of a notebook; outputs are not kept in the repository."""
    cells = json.loads(path.read_text("utf-8"))["cells"]
    parts = []
    for cell in cells:
        source = "".join(cell["source"])
        is_code = cell["cell_type"] == "code"
        parts.append(
            f"```python\n{source}\n```"
            if is_code
            else _relinked(source, f"notebooks/{path.name}", _page_of(path.name))
        )
    opening = f"*This page is `notebooks/{path.name}`: `make notebook` opens it, to run it and change it.*"
    return "\n\n".join([parts[0], opening, *parts[1:]])


def _decisions() -> str:
    """What was decided, oldest first."""
    lines = ["# Decisions", "", "Why it is built as it is: what was tried, what was measured, what was left.", ""]
    for path in sorted((ROOT / "docs" / "decisions").glob("*.md")):
        title = path.read_text("utf-8").partition("\n")[0].lstrip("# ")
        lines.append(f"- [{title}]({path.name})")
    return "\n".join(lines)


def _relinked(text: str, source: str, page: str) -> str:
    """A text whose relative links, which count from its source in the repository, count from its page."""

    def replaced(match: re.Match[str]) -> str:
        target, anchor = match.group(1), match.group(2) or ""
        if re.match(r"[a-z]+:|/", target):
            return match.group(0)
        found = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
        return f"]({posixpath.relpath(_place(found), posixpath.dirname(page) or '.')}{anchor})"

    return "".join(one if CODE.fullmatch(one) else LINK.sub(replaced, one) for one in CODE.split(text))


def _place(path: str) -> str:
    """Where a file of the repository is in the site."""
    if path.startswith("notebooks/"):
        return _page_of(posixpath.basename(path))
    if not Path(path).suffix:  # a folder
        return f"{path.removeprefix('docs/')}/index.md"
    return OUTSIDE.get(path, path.removeprefix("docs/"))


def _linked_results() -> set[str]:
    texts = [path.read_text("utf-8") for path in (ROOT / "docs").rglob("*.md")]
    return set(re.findall(r"\]\((?:\.\./)+(benchmarks/results/[\w.-]+)\)", "\n".join(texts)))


def _named(nav: list[Any]) -> set[str]:
    """Every page that the nav names by itself."""
    found = set()
    for one in nav:
        for value in one.values() if isinstance(one, dict) else [one]:
            found |= _named(value) if isinstance(value, list) else {value}
    return found


def _filled(nav: list[Any], pages: list[str], named: set[str]) -> list[Any]:
    filled: list[Any] = []
    for one in nav:
        if isinstance(one, dict):
            filled.append({name: _filled(below, pages, named) for name, below in one.items()})
        elif one.endswith("/*"):
            filled += sorted(
                page for page in pages if page.startswith(one[:-1]) and page.endswith(".md") and page not in named
            )
        else:
            filled.append(one)
    return filled


if __name__ == "__main__":
    main()
