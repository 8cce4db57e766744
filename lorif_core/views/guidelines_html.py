"""A page of Markdown as HTML that can load nothing and run nothing.

What the page itself holds of HTML shows as text. Images and links are not made: an image is its description, a link
its words with the address behind them, to be read and not followed, so no host is called. The result has no
attributes at all, and no elements but those of ``ELEMENTS``.
"""

from html import escape
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token

ELEMENTS = frozenset(
    "h1 h2 h3 h4 h5 h6 p ul ol li strong em s code pre blockquote hr br table thead tbody tr th td".split()
)
"""Every element that may come out."""

MAX_NESTING = 20
"""Levels of lists and quotes that a parser follows; a page with more shows as it was typed, so nothing is lost."""


def guidelines_html(markdown: str) -> str:
    """A page of Markdown as HTML without attributes."""
    parser = MarkdownIt("commonmark", {"html": False, "maxNesting": MAX_NESTING}).enable(["table", "strikethrough"])
    tokens = parser.parse(markdown)
    if any(token.level >= MAX_NESTING - 1 for token in tokens):
        return f"<pre>{escape(markdown)}</pre>"
    return "".join(_html(token) for token in tokens).strip()


def _html(token: Token) -> str:
    if token.type == "inline":
        return "".join(_inline(token.children or []))
    if token.type in ("fence", "code_block"):
        return f"<pre><code>{escape(token.content)}</code></pre>\n"
    return _element(token)


def _inline(tokens: list[Token]) -> list[str]:
    said: list[str] = []
    addresses: list[Any] = []
    for token in tokens:
        if token.type == "link_open":
            addresses.append(token.attrs.get("href", ""))
        elif token.type == "link_close":
            said.append(escape(f" ({addresses.pop()})"))
        elif token.type == "image":
            said.append(escape(f"[image: {token.content or token.attrs.get('src', '')}]"))
        elif token.type == "code_inline":
            said.append(f"<code>{escape(token.content)}</code>")
        elif token.type == "softbreak":
            said.append("\n")
        else:
            said.append(_element(token))
    return said


def _element(token: Token) -> str:
    """The tag of a token that is one, its words otherwise."""
    if token.tag not in ELEMENTS or token.hidden:
        return "" if token.hidden else escape(token.content)
    return f"</{token.tag}>" if token.nesting < 0 else f"<{token.tag}>"
