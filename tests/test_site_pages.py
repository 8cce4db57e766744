"""The site has every page of docs/, and what checks it sees what is wrong."""

import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "docs"))

import check_site  # noqa: E402 - found through the line above
import stage_site  # noqa: E402

MKDOCS = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))


def leaves(nav):
    for one in nav:
        for value in one.values() if isinstance(one, dict) else [one]:
            yield from leaves(value) if isinstance(value, list) else [value]


def test_every_page_is_in_the_nav_once():
    pages = stage_site.pages()
    listed = list(leaves(stage_site.filled_nav(MKDOCS["nav"], list(pages))))
    assert sorted(listed) == sorted(set(listed))
    assert set(listed) == {page for page in pages if page.endswith(".md")}
    written = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    assert written <= set(listed)


def test_notebooks_and_files_of_the_root_are_pages_whose_links_count_from_there():
    pages = stage_site.pages()
    assert {f"tutorials/{path.stem}.md" for path in (ROOT / "notebooks").glob("*.ipynb")} <= set(pages)
    assert "[data-forms" not in pages["tutorials/06_a_chat_model.md"]
    assert "](../reference/data-forms.md)" in pages["tutorials/06_a_chat_model.md"]
    assert "](04_how_good_is_it.md)" in pages["tutorials/06_a_chat_model.md"]
    assert "](../reference/methods.md)" in pages["how-to/contributing.md"]
    assert "](../decisions/index.md)" in pages["how-to/contributing.md"]


def test_links_in_code_are_left_alone():
    text = "`[a](b.md)` [c](../SECURITY.md)\n```\n[a](b.md)\n```\n"
    page = "x.md"
    relinked = stage_site._relinked(text, "docs/" + page, page)
    assert relinked == "`[a](b.md)` [c](explanation/security.md)\n```\n[a](b.md)\n```\n"


def test_a_site_calls_no_other_host_and_every_link_leads_somewhere(tmp_path):
    (tmp_path / "a.html").write_text(
        '<h1 id="top">A</h1><a href="b.html#x">b</a><a href="#top">t</a><a href="https://example.org">e</a>'
        '<a href="b.html#y">b</a><a href="d.html">d</a>'
    )
    (tmp_path / "b.html").write_text('<p id="x"><img src="a.png"><script src="https://cdn.example/x.js"></script>')
    (tmp_path / "c.css").write_text("@font-face { src: url(https://fonts.example/f.woff2) }")
    assert check_site.faults(tmp_path) == [
        "a.html: b.html#y leads nowhere",
        "a.html: d.html leads nowhere",
        "b.html loads https://cdn.example/x.js",
        "b.html: a.png leads nowhere",
        "c.css loads https://fonts.example/f.woff2",
    ]
