"""Results as rich renderables for a terminal; nothing here prints."""

from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from lorif_core.views.text import visible

if TYPE_CHECKING:
    from lorif_core.corpus.highlighting import Snippet
    from lorif_core.views.hits import Hit

BAR_WIDTH = 8
SCORE_WIDTH = 10
"""Longest signed number of four digits, such as -1.234e-05."""


def hits_table(hits: "list[Hit]", title: str) -> Table:
    """Ranked train examples: rank, signed score with a bar, z, source, id, snippet with marked words.

    Those that stand out no more than meaningless scores would are dimmed, below a line where they begin.
    """
    table = Table(title=_literal(title), title_justify="left", title_style="bold", expand=True, pad_edge=False)
    table.add_column("#", justify="right", width=3)
    table.add_column("score", justify="right", no_wrap=True, width=SCORE_WIDTH + 1 + BAR_WIDTH)
    has_z = any(hit.z is not None for hit in hits)
    if has_z:
        table.add_column("z", justify="right", no_wrap=True, width=6)
    has_sources = any(hit.source for hit in hits)
    if has_sources:
        table.add_column("source", no_wrap=True, max_width=18)
    table.add_column("id", no_wrap=True, max_width=18, style="dim")
    table.add_column("training text (strongest words marked)", ratio=1)
    largest = max((abs(hit.score) for hit in hits), default=0.0)
    for place, hit in enumerate(hits):
        source = [_literal(hit.source)] if has_sources else []
        z = [Text("" if hit.z is None else f"{hit.z:+.1f}")] if has_z else []
        table.add_row(
            str(hit.rank),
            _signed_bar(hit.score, largest),
            *z,
            *source,
            _literal(hit.train_id),
            _marked(hit),
            style="dim" if hit.is_noise else None,
            end_section=not hit.is_noise and place + 1 < len(hits) and hits[place + 1].is_noise,
        )
    return table


def answer_view(
    prompt: str,
    completion: str,
    contrast: str | None,
    supports: "list[Hit]",
    opposes: "list[Hit]",
    facts: Iterable[str],
) -> RenderableType:
    """A question's answer: what was asked, the ranked lists, the sign convention and how it was computed."""
    from lorif_core.views.hits import SIGN_CONVENTION

    asked = Text.assemble(
        ("prompt      ", "dim"), visible(prompt), ("\ncompletion  ", "dim"), (visible(completion), "bold yellow")
    )
    if contrast is not None:
        asked.append("\ncompared with ", style="dim").append(visible(contrast), style="bold")
    parts: list[RenderableType] = [asked, Text()]
    if supports:
        parts.append(hits_table(supports, "Training texts that support it"))
    else:
        parts.append(Text("No training text has a positive score."))
    if opposes:
        parts += [Text(), hits_table(opposes, "Training texts that oppose it")]
    parts += [Text(), Text(SIGN_CONVENTION, style="dim"), Text("  ·  ".join(facts), style="dim")]
    return Group(*parts)


def _literal(value: Any) -> Text:
    """A value as text that neither rich nor the terminal interprets."""
    return Text(visible(str(value)))


def _signed_bar(score: float, largest: float) -> Text:
    filled = round(BAR_WIDTH * abs(score) / largest) if largest else 0
    style = "green" if score >= 0 else "magenta"
    return Text.assemble((f"{score:+.4g}", "bold"), " ", ("█" * filled, style), ("░" * (BAR_WIDTH - filled), "dim"))


def _marked(hit: "Hit") -> Text:
    """The snippet with its strongest words set apart by style and, for those who see none, by brackets."""
    from lorif_core.views.hits import snippet, window_text

    text = Text(overflow="fold")
    for is_marked, group in groupby(snippet(hit), key=lambda piece: piece[1]):
        words = "".join(piece for piece, _ in group)
        if not is_marked or not words.strip():
            text.append(words)
            continue
        core = words.strip()
        before, after = words[: words.index(core)], words[words.index(core) + len(core) :]
        text.append(before).append(f"«{core}»", style="bold yellow").append(after)
    if window := window_text(hit):
        text.append(f"  ({window})", style="dim")
    if said := hit.verbatim.sentence:
        text.append(f"  [{said}]", style="italic cyan")
    return text


def key_value_table(title: str, rows: Mapping[str, Any]) -> Table:
    """Two columns of names and values."""
    table = Table(title=_literal(title), title_justify="left", title_style="bold", show_header=False, pad_edge=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows.items():
        table.add_row(_literal(name), _literal(value))
    return table


def bracketed(passage: "Snippet") -> str:
    """A passage with what was found between brackets, for places that know no styles."""
    from lorif_core.views.tokens import found_parts

    parts = found_parts(passage.text, passage.spans)
    return "".join(f"«{part['t']}»" if part.get("m") else part["t"] for part in parts)


def marked_passage(passage: "Snippet") -> Text:
    """A passage with what was found set apart by style and, for those who see none, by brackets."""
    from lorif_core.views.tokens import found_parts

    text = Text(overflow="fold")
    for part in found_parts(passage.text, passage.spans):
        is_found = part.get("m", False)
        text.append(f"«{part['t']}»" if is_found else part["t"], style="bold yellow" if is_found else "")
    return text


def records_table(title: str, columns: list[str], rows: Iterable[Iterable[Any]]) -> Table:
    """A plain table; values show literally, never as markup, and a ``Text`` as it is."""
    table = Table(title=_literal(title), title_justify="left", title_style="bold", pad_edge=False)
    for column in columns:  # may be a column of the data
        table.add_column(_literal(column), no_wrap=column == "id")
    for row in rows:
        table.add_row(*(value if isinstance(value, Text) else _literal(value) for value in row))
    return table


def human_bytes(size: float) -> str:
    """Bytes with a decimal unit."""
    for unit in ("B", "KB", "MB", "GB"):
        if abs(size) < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def human_seconds(seconds: float) -> str:
    """A duration people read at a glance."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
