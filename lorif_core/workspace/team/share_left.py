"""The texts that a person has still to decide about."""

from collections.abc import Sequence

import polars as pl

from lorif_core.data.examples import ExampleTable
from lorif_core.journal.journal import Journal
from lorif_core.journal.reads_of_people import opinions_since
from lorif_core.journal.team_records import TeamRecords


def texts_left(journal: Journal, examples: ExampleTable, corpus_id: str, person: str) -> list[str]:
    """Train ids of a person's shares of all open rounds, the oldest round first, without what they decided since.

    Args:
        journal: With the rounds and the decisions.
        examples: Of the version that is reviewed: texts that went with an earlier one are nobody's to decide about.
        corpus_id: The line of data set versions.
        person: Whose shares.
    """
    left: dict[str, None] = {}
    for found in reversed(TeamRecords(journal.engine).rounds(corpus_id)):
        ids = [] if found.is_over else list(found.shares.get(person, ()))
        opinions = opinions_since(journal.engine, corpus_id, ids, found.revision)
        done = set(opinions.filter(pl.col("actor") == person)["train_id"])
        left |= dict.fromkeys(train_id for train_id in ids if train_id not in done)
    return still_there(examples, list(left))


def still_there(examples: ExampleTable, train_ids: Sequence[str]) -> list[str]:
    """Those of some texts that a version of the data holds, in the order given."""
    if not train_ids:
        return []
    ids = pl.Series(train_ids, dtype=pl.String)
    return ids.filter(ids.is_in(examples.column("train_id").implode())).to_list()
