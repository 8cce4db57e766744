"""What guidelines become can load nothing and run nothing, whatever they hold."""

from html.parser import HTMLParser

import pytest

from lorif_core.views.guidelines_html import ELEMENTS, guidelines_html


class Seen(HTMLParser):
    """Elements, attributes and words of a page, read by a parser that knows nothing of ours."""

    def __init__(self, page):
        super().__init__()
        self.elements, self.attributes, self.words = [], [], ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.elements.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.words += data


HOSTILE = [
    "<script>alert(1)</script>",
    "a <img src=x onerror=alert(1)> b",
    "![cat](https://example.org/cat.png)",
    "[here](https://example.org/ 'title')",
    "[here](javascript:alert(1))",
    "<https://example.org/>",
    "[ref]\n\n[ref]: https://example.org/ref",
    "![ref]\n\n[ref]: https://example.org/ref.png",
    "<div>\n\n**b**\n\n</div>",
    "<!-- hidden --> <style>p { background: url(https://example.org/) }</style>",
    "```html\n<script>1</script>\n```",
    "`<b>`",
    "&lt;script&gt; &#60;b&#62;",
    "| a | b |\n|:-:|--|\n| <i>x</i> | ![y](z) |",
    ">" * 200 + " deep",
    "- " * 100 + "deep",
    "[a](<b> \"onmouseover='x'\")",
    "\x00\x1b[31m",
]


@pytest.mark.parametrize("markdown", HOSTILE)
def test_nothing_comes_out_but_plain_elements_without_attributes(markdown):
    seen = Seen(guidelines_html(markdown))
    assert set(seen.elements) <= ELEMENTS - {"a", "img"}
    assert seen.attributes == []


def test_html_shows_as_it_was_typed():
    assert Seen(guidelines_html("a <b>bold</b> <script>x</script>")).words == "a <b>bold</b> <script>x</script>"


def test_an_image_is_its_description_and_a_link_says_where_it_leads():
    seen = Seen(guidelines_html("See ![the cat](https://e.org/cat.png) and [the page](https://e.org/page)."))
    assert seen.words == "See [image: the cat] and the page (https://e.org/page)."


def test_what_markdown_is_for_is_drawn():
    page = "# Rules\n\nKeep **facts**, *not* rumours.\n\n1. read\n2. decide\n\n- `spam`\n\n"
    page += "> quoted\n\n---\n\n| a |\n|--|\n| 1 |"
    seen = Seen(guidelines_html(page))
    assert {"h1", "strong", "em", "ol", "ul", "li", "code", "blockquote", "hr", "table", "td"} <= set(seen.elements)
    assert "Keep facts, not rumours." in seen.words


@pytest.mark.parametrize("marker", ["> ", "- "])
@pytest.mark.parametrize("depth", [3, 9, 19, 20, 40])
def test_nothing_of_a_page_is_lost_however_deep_it_lies(marker, depth):
    assert "the word" in Seen(guidelines_html(marker * depth + "the word")).words
