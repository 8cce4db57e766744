"""What the panels of notebook widgets (``lorif_core/widgets/*.js``) draw, as JSON values."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lorif_core.corpus.facets import Facet, HistogramFacet
from lorif_core.corpus.highlighting import Snippet
from lorif_core.metrics.spread import ScoreSpread
from lorif_core.views.choices import CLUSTERS, of_bins, values_of
from lorif_core.views.hits import SIGN_CONVENTION, Hit
from lorif_core.views.score_figures import score_bins
from lorif_core.views.score_scale import BarScale, bar_scale, noise_line, standing
from lorif_core.views.shown_values import bin_text, cell_text
from lorif_core.views.text import visible
from lorif_core.views.tokens import (
    Payload,
    card,
    found_parts,
    heated,
    noise,
    plain,
    signed,
    text,
    words_of_hit,
)

MAX_CHOICES = 12
"""Values of a column that are listed."""


def answer_panel(
    question: tuple[str, str, str | None],
    supports: Sequence[Hit],
    opposes: Sequence[Hit],
    facts: Iterable[str],
    *,
    scores: NDArray[np.float32] | None,
    spread: ScoreSpread | None = None,
    reasons: Sequence[str],
) -> Payload:
    """An answer with both lists.

    Args:
        question: Prompt, completion, contrast.
        supports: Strongest first.
        opposes: Most negative first.
        facts: What the lists rest on.
        scores: Of all examples, (N,), smallest first; None when they are gone.
        spread: Of all scores; None in an answer of version 0.1, which does not say where its lists turn into noise.
        reasons: Words that an exclusion can give.
    """
    hits = [*supports, *opposes]
    scale = bar_scale(hits)
    prompt, completion, contrast = question
    lines = {side: noise_line(spread, side, has_two_sides=contrast is not None) for side in ("supports", "opposes")}
    return {
        "mode": "answer",
        "question": {
            "prompt": visible(prompt),
            "completion": visible(completion),
            "contrast": None if contrast is None else visible(contrast),
        },
        "supports": _with_line([hit_card(hit, scale, scores) for hit in supports], lines["supports"]),
        "opposes": _with_line([hit_card(hit, scale, scores) for hit in opposes], lines["opposes"]),
        "facts": [visible(one) for one in facts],
        "sign": SIGN_CONVENTION,
        "bins": None if scores is None else score_bars(scores, [hit.score for hit in hits]),
        "reasons": list(reasons),
        "strip": None,
        "can_load": False,
    }


def hit_card(hit: Hit, scale: BarScale, scores: NDArray[np.float32] | None) -> Payload:
    """A hit of a list; its status is told apart, because it changes.

    Args:
        hit: What to show.
        scale: Of the bars of the page.
        scores: As for ``answer_panel``.
    """
    where = None if scores is None else standing(scores, hit.score)
    return card(hit, scale=scale, standing=where, status="kept", reason=None) | {"key": hit.train_id}


def _with_line(cards: list[Payload], told: tuple[str, str] | None) -> list[Payload]:
    """The cards of a list, the first one that is noise with the line that stands above it."""
    first = next((place for place, one in enumerate(cards) if one["is_noise"]), None)
    if first is None or told is None:
        return cards
    return [one | {"line": noise(told)} if place == first else one for place, one in enumerate(cards)]


def score_bars(scores: NDArray[np.float32], marks: Sequence[float]) -> Payload:
    """The histogram of all scores, with the places of some."""
    counts, edges = score_bins(scores)
    label = f"scores of all {len(scores):,} texts, and where the listed ones lie"
    return {"counts": counts.tolist(), "edges": edges.tolist(), "marks": list(marks), "label": label}


def found_card(train_id: str, passage: Snippet, source: object) -> Payload:
    """An example of a list that a search found: the passage in which it did, with the hits marked."""
    marked = [part | {"t": re.sub(r"[\r\n\t]", " ", part["t"])} for part in found_parts(passage.text, passage.spans)]
    return page_card(train_id, "", source) | {"parts": marked}


def page_card(train_id: str, content: str, source: object, max_chars: int = 260) -> Payload:
    """An example of a list without scores."""
    shown = " ".join(content[: max_chars + 1].split())
    shown = shown if len(content) <= max_chars else shown[:max_chars] + "…"
    return {
        "key": train_id,
        "id": visible(train_id),
        "source": visible(str(source)) if source not in (None, "") else None,
        "parts": [{"t": visible(shown)}],
    }


def reader_panel(
    train_id: str,
    content: str,
    metadata: Mapping[str, object],
    events: Sequence[str],
    *,
    hit: Hit | None = None,
    others: Sequence[str] = (),
    found: Sequence[tuple[int, int]] = (),
) -> Payload:
    """One example in full.

    Args:
        train_id: Its id.
        content: Its text.
        metadata: Its other columns.
        events: What was decided about it, one sentence each.
        hit: If a question brought it up; what it shares with the answer word for word gets a line above.
        others: Other questions that bring it up, one sentence each.
        found: Start and end of what a search found in the text.
    """
    head = hit_card(hit, bar_scale([hit]), None) | {"parts": []} if hit else None
    return {
        "key": train_id,
        "id": visible(train_id),
        "source": visible(str(metadata.get("source") or "")) or None,
        "card": head,
        "plain": (plain(hit) if hit else text(content, found))["parts"],
        "heated": heated(words_of_hit(hit), hit)["parts"] if hit and hit.tokens else None,
        "metadata": [
            [visible(name), visible(cell_text(value))] for name, value in metadata.items() if value is not None
        ],
        "events": [visible(one) for one in events],
        "others": [visible(one) for one in others],
    }


def status_words(statuses: Mapping[str, tuple[str, str | None]]) -> dict[str, dict[str, str]]:
    """Train id → its status, and how a card says it; see ``hit_filters.statuses_of``."""
    return {
        train_id: {"status": status, "text": f"{status} · {reason}" if reason else status}
        for train_id, (status, reason) in statuses.items()
    }


def compare_panel(found: Mapping[str, Any], *, reasons: Sequence[str]) -> Payload:
    """A ``Comparison.to_dict()``."""
    correlation = found["rank_correlation"]
    said = "–" if correlation is None else f"{correlation:+.3f} (Spearman, over {found['num_common']:,} texts)"
    said = said.replace("-", "−")
    return {
        "mode": "compare",
        "a": _asked(found, "a"),
        "b": _asked(found, "b"),
        "facts": [
            f"they differ in: {', '.join(found['differences']) or 'nothing'}",
            f"rank correlation {said}",
            f"{found['side']}, {found['k']} texts each",
        ],
        "rows": [_changed(one) for one in found["rank_changes"]],
        "reasons": list(reasons),
    }


def _asked(found: Mapping[str, Any], side: str) -> Payload:
    pieces = [*found["prompt_diff"], {"text": " ▸", "side": "both"}, *found["completion_diff"]]
    shown = [
        {"t": visible(piece["text"]), "differs": piece["side"] == side}
        for piece in pieces
        if piece["side"] in ("both", side)
    ]
    one = found[side]
    about = [f"query {one['query_id']}", one["method"], one["index_id"]]
    about += [f"tokens {one['tokens']}"] if one["tokens"] else []
    return {"pieces": shown, "about": visible(" · ".join(about))}


def _changed(row: Mapping[str, Any]) -> Payload:
    scores = {name: "–" if row[name] is None else signed(row[name]) for name in ("score_a", "score_b")}
    ranks = {name: row[name] for name in ("rank_a", "rank_b", "listed")}
    return page_card(row["train_id"], row["text"], None) | ranks | scores


def facet_panel(facet: Facet, choice: str | None) -> Payload:
    """Values or bars of a column to choose from.

    Args:
        facet: Of ``Workspace.facets``.
        choice: The condition that was clicked together in this column.
    """
    if isinstance(facet, HistogramFacet):
        choices = [
            {
                "label": bin_text(facet, one),
                "count": one.count,
                "on": choice == of_bins(facet.column, [one]),
            }
            for one in facet.bins
        ]
        ends = ["" if end is None else _end_text(end) for end in (facet.minimum, facet.maximum)]
        return {"column": facet.column, "is_histogram": True, "choices": choices, "ends": ends}
    values = [one.value for one in facet.values]
    on = set(values_of(choice, values)) if choice else set()
    choices = [
        {"label": visible(cell_text(one.value)), "count": one.count, "on": place in on}
        for place, one in enumerate(facet.values[:MAX_CHOICES])
    ]
    others = facet.num_other_values + max(0, len(facet.values) - MAX_CHOICES)
    rest = f"and {others:,} more" if others else ""
    return {"column": facet.column, "is_histogram": False, "choices": choices, "rest": rest}


def cluster_panel(clusters: Sequence[tuple[str, int, bool]]) -> Payload:
    """The clusters of a map to choose from, the largest first.

    Args:
        clusters: What each is called, how many texts are in it, and whether it is chosen.
    """
    choices = [{"label": visible(label), "count": count, "on": is_on} for label, count, is_on in clusters]
    return {"column": CLUSTERS, "label": "cluster", "is_histogram": False, "choices": choices, "rest": ""}


def _end_text(end: object) -> str:
    return f"{end:g}" if isinstance(end, int | float) else cell_text(end)
