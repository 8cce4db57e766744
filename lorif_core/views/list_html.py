"""Comparisons and lists of examples as HTML without a script; see ``hit_html``."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from lorif_core.views.hit_html import block, literal, table_html, withheld
from lorif_core.views.tokens import signed

SHORT = 300


def comparison_html(found: Mapping[str, Any], *, redact: bool = False) -> str:
    """A ``Comparison.to_dict()``."""
    rows = [
        [
            escape({"both": "both", "a": "only A", "b": "only B"}[one["listed"]]),
            *("–" if one[name] is None else f"{one[name]:,}" for name in ("rank_a", "rank_b")),
            *("–" if one[name] is None else signed(one[name]) for name in ("score_a", "score_b")),
            literal(one["train_id"]),
            _text(one["text"], redact=redact),
        ]
        for one in found["rank_changes"]
    ]
    correlation = found["rank_correlation"]
    said = "–" if correlation is None else f"{correlation:+.3f} over {found['num_common']:,} texts"
    asked = [
        f"<p>{name}: {literal(one['prompt'])} ▸ <b>{literal(one['completion'])}</b></p>" for name, one in _ab(found)
    ]
    columns = ["listed", "rank A", "rank B", "score A", "score B", "id", "training text"]
    return block(*asked, f"<p>Rank correlation {escape(said)}. Ranks count all texts.</p>", table_html(columns, rows))


def examples_html(title: str, examples: Sequence[tuple[str, str | None, str]], *, redact: bool = False) -> str:
    """A list of examples.

    Args:
        title: Plain text above it.
        examples: Train id, status, text; a status of None is not told.
        redact: Leave out the texts.
    """
    rows = [[literal(one), escape(status or ""), _text(content, redact=redact)] for one, status, content in examples]
    return block(table_html(["id", "status", "training text"], rows, title))


def _ab(found: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    return [("A", found["a"]), ("B", found["b"])]


def _text(content: str, *, redact: bool) -> str:
    if redact:
        return withheld(len(content))
    return literal(content if len(content) <= SHORT else content[:SHORT] + "…")
