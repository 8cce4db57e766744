"""How far a round is, how well people agree in it, and on which texts they do not."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import polars as pl

from lorif_core.journal.team_records import Round
from lorif_core.metrics.agreement import cohen_kappa, krippendorff_alpha, percent_agreement


@dataclass(frozen=True, kw_only=True)
class PersonsShare:
    """How far one person is with their share."""

    person: str
    num_texts: int
    num_done: int

    @property
    def num_left(self) -> int:
        """Texts that they have not decided about."""
        return self.num_texts - self.num_done


@dataclass(frozen=True, kw_only=True)
class PairAgreement:
    """Two people on the texts of a round that both decided about."""

    one: str
    other: str
    num_texts: int
    """That both decided about."""

    percent: float
    """Of them on which they gave the same status."""

    kappa: float | None
    """Cohen's kappa; None where both always gave one and the same status."""


@dataclass(frozen=True, kw_only=True)
class Disagreement:
    """A text that people gave different statuses."""

    train_id: str
    said: Mapping[str, str]
    """Person → status, with the reason they gave, as in ``excluded · spam``."""


@dataclass(frozen=True, kw_only=True)
class RoundResults:
    """One round as it stands."""

    round: Round
    shares: Sequence[PersonsShare]
    pairs: Sequence[PairAgreement]
    """Those with a text that both decided about."""

    alpha: float | None
    """Krippendorff's alpha of all people; None where it is not defined."""

    num_judged_twice: int
    """Texts that two or more people decided about."""

    disagreements: Sequence[Disagreement]

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON-serialisable values, without the ids of the shares."""
        about = {name: getattr(self.round, name) for name in ("name", "queue", "overlap_percent", "by", "is_over")}
        return {
            **about,
            "at": self.round.at.isoformat(),
            "num_texts": len(self.round.train_ids),
            "num_shared": self.round.num_shared,
            "shares": [asdict(one) | {"num_left": one.num_left} for one in self.shares],
            "pairs": [asdict(one) for one in self.pairs],
            "alpha": self.alpha,
            "num_judged_twice": self.num_judged_twice,
            "disagreements": [{"train_id": one.train_id, "said": dict(one.said)} for one in self.disagreements],
        }


def results_of(found: Round, opinions: pl.DataFrame, present: Collection[str]) -> RoundResults:
    """A round as it stands.

    Args:
        found: The round.
        opinions: The first decision of each person on each text since, of ``reads_of_people.opinions_since``. Those
            of people outside the round count for the agreement too.
        present: Texts of the round that the data still hold; others are nobody's to decide about, and count in a
            share only where they were decided about before they went.
    """
    said: dict[str, dict[str, tuple[str, str | None]]] = {}
    for train_id, actor, status, reason in opinions.select("train_id", "actor", "status", "reason").iter_rows():
        said.setdefault(train_id, {})[actor] = (status, reason)
    there = set(present)
    shares = [
        PersonsShare(
            person=person,
            num_texts=sum(one in there or person in said.get(one, {}) for one in ids),
            num_done=sum(person in said.get(one, {}) for one in ids),
        )
        for person, ids in found.shares.items()
    ]
    people = sorted({person for one in said.values() for person in one})
    pairs = [pair for one, other in combinations(people, 2) if (pair := _pair(one, other, said)) is not None]
    judged = [[status for status, _ in one.values()] for one in said.values()]
    order = [train_id for train_id in found.train_ids if train_id in said]
    return RoundResults(
        round=found,
        shares=shares,
        pairs=pairs,
        alpha=krippendorff_alpha(judged),
        num_judged_twice=sum(len(one) > 1 for one in judged),
        disagreements=[
            Disagreement(train_id=train_id, said={person: _in_words(*one) for person, one in said[train_id].items()})
            for train_id in order
            if len({status for status, _ in said[train_id].values()}) > 1
        ],
    )


def _pair(one: str, other: str, said: Mapping[str, Mapping[str, tuple[str, str | None]]]) -> PairAgreement | None:
    both = [
        (opinions[one][0], opinions[other][0]) for opinions in said.values() if one in opinions and other in opinions
    ]
    if not both:
        return None
    first, second = [a for a, _ in both], [b for _, b in both]
    return PairAgreement(
        one=one,
        other=other,
        num_texts=len(both),
        percent=percent_agreement(first, second),
        kappa=cohen_kappa(first, second),
    )


def _in_words(status: str, reason: str | None) -> str:
    return f"{status} · {reason}" if reason else status
