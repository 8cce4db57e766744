"""The map of an index as JSON-serialisable values for the studio's renderer."""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from lorif_core.views.atlas_figures import COLOURS, MAX_VALUES, MISSING, OTHERS, SIZES, start_of
from lorif_core.views.text import visible

MORE_COLOURS = ("#e377c2", "#bcbd22", "#1b9e77", "#e6550d", "#6b6ecf", "#8c6d31", "#ad494a", "#31a354")
"""For clusters, of which more than for other columns have a colour of their own."""

SIGNED = ("#c2500f", "#c9ccd1", "#1f5fd0")
SPREAD = ("#29456f", "#7d7c78", "#e6c94a")


def map_points(
    points: pl.DataFrame,
    values: pl.Series,
    *,
    starts: Sequence[str] | None = None,
    names: Mapping[int, str] | None = None,
    is_signed: bool = False,
    max_groups: int = MAX_VALUES,
) -> dict[str, Any]:
    """Places between 0 and 1, what colours them, and names where the median of a cluster's points lies.

    Args:
        points: train_id, x, y, cluster; every one with a place.
        values: What colours them, one per point.
        starts: How each text begins, to be shown where the pointer is; None: the ids are.
        names: Of the clusters, by number.
        is_signed: Numbers are scores: two colours that meet at zero.
        max_groups: Values with a colour of their own: the most frequent ones.
    """
    placed = _between_0_and_1(points)
    found: dict[str, Any] = {
        "ids": points["train_id"].to_list(),
        "shown": [] if starts is not None else [visible(one) for one in points["train_id"]],
        "starts": None if starts is None else [visible(start_of(one)) for one in starts],
        "x": placed["x"].round(5).to_list(),
        "y": placed["y"].round(5).to_list(),
        "size": next((size for most, size in SIZES if len(points) <= most), SIZES[-1][1]),
        "names": _names(placed, names or {}),
    }
    if values.dtype.is_numeric() and (is_signed or values.n_unique() > MAX_VALUES):
        return found | _shares(values.cast(pl.Float64), is_signed)
    return found | _groups(values, max_groups)


def _between_0_and_1(points: pl.DataFrame) -> pl.DataFrame:
    """With one scale on both axes."""
    ends = points.select(pl.col("x", "y").min().name.suffix("_low"), pl.col("x", "y").max().name.suffix("_high"))
    low_x, low_y, high_x, high_y = (float(one or 0) for one in ends.row(0))
    span = max(high_x - low_x, high_y - low_y) or 1.0
    middle = ((low_x + high_x) / 2, (low_y + high_y) / 2)
    return points.with_columns(
        ((pl.col("x") - middle[0]) / span + 0.5).cast(pl.Float64),
        ((pl.col("y") - middle[1]) / span + 0.5).cast(pl.Float64),
    )


def _names(placed: pl.DataFrame, names: Mapping[int, str]) -> list[dict[str, Any]]:
    medians = placed.group_by("cluster").agg(pl.col("x", "y").median(), pl.len().alias("texts"))
    rows = medians.drop_nulls().sort(["texts", "cluster"], descending=[True, False])
    return [
        {"x": round(x, 4), "y": round(y, 4), "t": visible(names[number])}
        for number, x, y, _ in rows.iter_rows()
        if number in names
    ]


def _groups(values: pl.Series, max_groups: int) -> dict[str, Any]:
    named = values.cast(pl.String).fill_null(MISSING).alias("value")
    counts = named.value_counts(sort=True, name="count").sort(["count", "value"], descending=[True, False])
    rows = list(counts.iter_rows())
    colours = (*COLOURS[:-1], *MORE_COLOURS)
    shown = rows[: min(max_groups, len(colours))]
    place_of = {value: place for place, (value, _) in enumerate(shown)}
    groups = [
        {"name": visible(value), "count": count, "colour": colours[place]}
        for place, (value, count) in enumerate(shown)
    ]
    others = sum(count for _, count in rows[len(shown) :])
    if others:
        groups.append({"name": OTHERS, "count": others, "colour": COLOURS[-1]})
    return {
        "group": [place_of.get(value, len(shown)) for value in named],
        "groups": groups,
        "share": None,
        "told": [],
        "ends": ["", ""],
    }


def _shares(numbers: pl.Series, is_signed: bool) -> dict[str, Any]:
    """Where every number lies between both ends, from -1 to 1."""
    # One far score would leave all others the colour of zero: the scale ends where one text in a hundred lies beyond.
    finite = numbers.filter(numbers.is_finite())
    if is_signed:
        end = float(finite.abs().quantile(0.99) or 0) or float(finite.abs().max() or 1)  # type: ignore[arg-type]
        low, high = -end, end
    else:
        low, high = (float(one or 0) for one in (finite.min(), finite.max()))  # type: ignore[arg-type]
    span = (high - low) or 1.0
    scaled = ((numbers - low) / span * 2 - 1).clip(-1, 1).round(3)
    return {
        "group": None,
        "share": [one if one is not None and one == one else None for one in scaled],
        "told": ["" if one is None else f"{one:.4g}".replace("-", "−") for one in numbers],
        "groups": [{"name": "", "count": 0, "colour": one} for one in (SIGNED if is_signed else SPREAD)],
        "ends": [f"{end:.3g}".replace("-", "−") for end in (low, high)],
    }
