"""How far people are: what each of them decided, for which reason, on which day."""

from zoneinfo import ZoneInfo

import polars as pl

from lorif_core.journal.entries import STATUS_OF

DAILY_SCHEMA: dict[str, pl.DataType] = {
    "day": pl.Date(),
    "person": pl.String(),
    "decision": pl.String(),
    "reason": pl.String(),
    "num_texts": pl.Int64(),
    "num_acts": pl.Int64(),
}
"""Columns of the frame of days."""

WORDS = {**STATUS_OF, "note": "commented", "label": "labelled", "unlabel": "label taken away"}
"""Kind of an act → what a table calls it."""


def daily(acts: pl.DataFrame, zone: str | None = None) -> pl.DataFrame:
    """What each person did on each day, by decision and reason; see ``DAILY_SCHEMA``.

    A text that is decided about twice counts twice.

    Args:
        acts: Those that count, of ``journal.reads_of_people.live_acts``.
        zone: IANA name of the time zone whose days are meant; None is UTC.
    """
    days = acts.with_columns(
        pl.col("at").dt.convert_time_zone(str(ZoneInfo(zone or "UTC"))).dt.date().alias("day"),
        pl.col("actor").alias("person"),
        pl.col("kind").replace_strict(WORDS, default=pl.col("kind"), return_dtype=pl.String()).alias("decision"),
    )
    keys = ["day", "person", "decision", "reason"]
    sums = days.group_by(keys).agg(pl.col("num_texts").sum(), pl.len().cast(pl.Int64()).alias("num_acts"))
    return sums.sort(keys, nulls_last=True).select(*DAILY_SCHEMA)


def by_person(days: pl.DataFrame) -> pl.DataFrame:
    """One row a person, who decided most first: texts by status, comments, labels, and the last day."""
    counts = [
        pl.col("num_texts").filter(pl.col("decision") == word).sum().alias(word)
        for word in (*STATUS_OF.values(), "commented", "labelled")
    ]
    table = days.group_by("person").agg(*counts, pl.col("day").max().alias("last_day"))
    decided = sum((pl.col(word) for word in STATUS_OF.values()), pl.lit(0))
    return table.with_columns(decided.alias("decided")).sort("decided", "person", descending=[True, False])


def by_reason(days: pl.DataFrame) -> pl.DataFrame:
    """Texts flagged and excluded for each reason, most first; decisions without one are a row without a reason."""
    decided = days.filter(pl.col("decision").is_in(["flagged", "excluded"]))
    counts = [
        pl.col("num_texts").filter(pl.col("decision") == word).sum().alias(word) for word in ("flagged", "excluded")
    ]
    table = decided.group_by("reason").agg(*counts)
    return table.sort(pl.col("flagged") + pl.col("excluded"), "reason", descending=[True, False], nulls_last=True)


def every_day(days: pl.DataFrame) -> pl.DataFrame:
    """Decisions of each person on each day from the first to the last, with zeros: day, person, num_texts."""
    decided = days.filter(pl.col("decision").is_in(list(STATUS_OF.values())))
    if decided.is_empty():
        return pl.DataFrame(schema={name: DAILY_SCHEMA[name] for name in ("day", "person", "num_texts")})
    calendar = decided.select(pl.date_range(pl.col("day").min(), pl.col("day").max(), "1d").alias("day"))
    people = decided.select("person").unique().sort("person")
    sums = decided.group_by("day", "person").agg(pl.col("num_texts").sum())
    return (
        calendar.join(people, how="cross")
        .join(sums, on=["day", "person"], how="left")
        .with_columns(pl.col("num_texts").fill_null(0))
        .sort("day", "person")
    )
