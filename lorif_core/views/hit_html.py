"""Hits as HTML without a script, for places that run none: GitHub, nbconvert, mail, a notebook without widgets.

Every text is escaped, and marked so that no viewer takes `$x$` in it for mathematics. Styles only decorate: where
they are stripped, rank, sign, source, id and text are still there.
"""

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from lorif_core.views.hits import SIGN_CONVENTION, Hit
from lorif_core.views.score_scale import BarScale, bar_scale
from lorif_core.views.text import visible
from lorif_core.views.tokens import card

REDACTED = "text withheld"
"""Stands where a training text would be."""

LITERAL = 'class="tex2jax_ignore mathjax_ignore" dir="auto"'
"""Attributes of an element that holds data."""

QUIET = "opacity:.72;font-size:.85em"
CELL = "text-align:left;vertical-align:top;padding:.25em .6em"
HUES = {True: "#2f6fde", False: "#d9661f"}
"""Supports, opposes; as in ``tokens.css``."""


def answer_html(
    prompt: str,
    completion: str,
    contrast: str | None,
    supports: Sequence[Hit],
    opposes: Sequence[Hit],
    facts: Iterable[str],
    *,
    redact: bool = False,
) -> str:
    """A question with both lists.

    Args:
        prompt: What the model was given.
        completion: What it said.
        contrast: The completion that it was compared with.
        supports: Strongest first.
        opposes: Most negative first.
        facts: What the lists rest on.
        redact: Leave out the training texts.
    """
    rather = "" if contrast is None else f", compared with ▸ <b>{literal(contrast)}</b>"
    parts = [f"<p>{literal(prompt)} ▸ <b>{literal(completion)}</b>{rather}</p>"]
    parts.append(hits_html("Training texts that support it", supports, redact=redact))
    if opposes:
        parts.append(hits_html("Training texts that oppose it", opposes, redact=redact))
    parts.append(f'<p style="{QUIET}">{escape(SIGN_CONVENTION)}<br>{literal(" · ".join(facts))}</p>')
    return block(*parts)


def hits_html(title: str, hits: Sequence[Hit], *, redact: bool = False) -> str:
    """A list of hits as a table; see ``answer_html``."""
    if not hits:
        return f"<p><b>{escape(title)}</b>: none</p>"
    scale = bar_scale(hits)
    rows = [_row(hit, scale, redact=redact) for hit in hits]
    return table_html(["#", "score", "source", "id", "training text"], rows, title)


def table_html(columns: Sequence[str], rows: Sequence[Sequence[str]], title: str = "") -> str:
    """A table.

    Args:
        columns: Headings, as plain text.
        rows: Cells, as HTML: see ``literal``.
        title: Plain text above it.
    """
    head = "".join(f'<th style="{CELL}">{escape(name)}</th>' for name in columns)
    body = "".join("<tr>" + "".join(f'<td style="{CELL}">{cell}</td>' for cell in row) + "</tr>" for row in rows)
    above = f"<p><b>{escape(title)}</b></p>" if title else ""
    return f"{above}<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def literal(value: Any) -> str:
    """A value as HTML that shows it, whatever it contains."""
    shown = escape(visible(str(value)))
    return f'<code {LITERAL} style="font-family:inherit;background:none;color:inherit">{shown}</code>'


def block(*parts: str) -> str:
    """Parts of one output."""
    return f'<div class="lorif-html" style="font-size:.92em">{"".join(parts)}</div>'


def withheld(num_characters: int) -> str:
    """What stands where a training text would be."""
    return f'<i style="{QUIET}">{REDACTED} ({num_characters:,} characters)</i>'


def _row(hit: Hit, scale: BarScale, *, redact: bool) -> list[str]:
    shown = card(hit, scale=scale, standing=None, status="kept", reason=None)
    size = round(70 * abs(shown["share"]))
    bar = f'<span style="display:inline-block;height:.55em;width:{size}px;background:{HUES[hit.score >= 0]}"></span>'
    text = withheld(len(hit.text)) if redact else _pieces(shown["parts"])
    return [
        str(hit.rank),
        f"<b>{shown['score']}</b><br>{bar}"
        + (f'<br><span style="{QUIET}">{shown["z"]}</span>' if shown["z"] else ""),
        literal(hit.source),
        literal(hit.train_id),
        (
            text
            if redact
            else f'<code {LITERAL} style="white-space:pre-wrap;background:none;color:inherit">{text}</code>'
        )
        + (f'<br><span style="{QUIET}">{escape(shown["verbatim"])}</span>' if shown["verbatim"] else ""),
    ]


def _pieces(parts: Sequence[dict[str, Any]]) -> str:
    """Pieces of a text; where what is taught begins, behind what is asked, stands a mark."""
    found, was_asked = list[str](), False
    for part in parts:
        is_asked = bool(part.get("p"))
        found += [f'<b style="color:{HUES[True]}">▸</b>'] if was_asked and not is_asked else []
        found.append(f'<span style="opacity:.72">{_piece(part)}</span>' if is_asked else _piece(part))
        was_asked = is_asked
    return "".join(found)


def _piece(part: dict[str, Any]) -> str:
    text, heat = escape(part["t"]), part.get("h")
    if part.get("o"):
        text = f'<span style="text-decoration:overline dotted 2px">{text}</span>'
    if not heat:
        return text
    hue = HUES[heat > 0]
    line = f"{1 + 2 * abs(heat):.1f}px {'solid' if heat > 0 else 'dashed'} {hue}"
    return f'<span style="background:{hue}{round(abs(heat) * 80):02x};border-bottom:{line}">{text}</span>'
