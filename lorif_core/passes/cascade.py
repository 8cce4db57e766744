"""Find a question's strongest texts without reading all that is stored of every text.

1. A seeded sample is scored in full, term by term: ``linalg/term_energy`` says which terms hold this question's
   energy.
2. Of every text these terms are read, with the question cut to as few directions as pay. That is its partial score.
3. Texts are scored in full until no more than a fiftieth of the list is expected to be missing, by how far the
   residuals of the sample reach; with them those that could be huge, see below.

**Guaranteed** is what Cauchy and Schwarz give. A stored term is x yᵀ, and what it adds to a score is at most ‖x‖ ‖y‖
σ₁ of the question's matrix (of a head, ‖x‖ times its heaviest column). ‖x‖ ‖y‖ is at most what the scales say, which
are read of every text: a few bytes a term. So every text has a ceiling, its partial score plus what its unread terms
could add. Those with the highest ceilings are scored in full as well, and the highest that is left is told: no text
that exceeds it was missed, and a list that lies above it is the exact one. What codec has no scales has the stored
norm for a ceiling, ‖text‖ ‖question‖. **Expected**, not guaranteed, is the recall of hits that lie below: it is
measured on the sample.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lorif_core.errors import NumericalError
from lorif_core.linalg.term_energy import Target, Unread
from lorif_core.metrics.spread import ScoreSpread, spread_of_sample
from lorif_core.passes.cascade_plan import (
    HIT_Z,
    HITS_MAY_MISS,
    MAY_MISS,
    Forced,
    Reading,
    Sample,
    Summand,
    bytes_of_term,
    plan_reading,
    take_sample,
)
from lorif_core.passes.ceilings import Ceilings
from lorif_core.passes.gathered import gather, with_terms
from lorif_core.passes.products import ModuleQueries, shard_products
from lorif_core.shapes import Bool, Float, Int, ModuleShape
from lorif_core.store.cores import one_thread
from lorif_core.store.reader import Shard

MOST_CANDIDATES = 0.2
"""Share of the texts that are scored in full at most; what is expected to be missing then is told."""

FEWEST_CANDIDATES = 0.005
"""Share of the texts that are scored in full at least, whatever the sample says."""

FIRST_CANDIDATES = 8
"""Texts of the largest partial scores per place of a list that are scored first, so that it is known what the list
takes."""

CEILING_SHARE, FEWEST_CEILINGS = 0.0005, 64
"""Texts of the highest ceilings that are scored in full beside the candidates."""

TEXTS_AT_ONCE = 1 << 16
"""Texts whose codes are copied together."""

Queries = Mapping[str, ModuleQueries]


@dataclass(frozen=True)
class CascadeReport:
    """What a search by a cascade rests on."""

    sample_size: int
    share_read: float
    """Bytes of stored gradients that went into scores, over all; not those that were read to check files."""

    num_terms: int
    num_all_terms: int
    query_rank: int | None
    """Directions that the question was cut to; None: all."""

    num_candidates: int
    expected_recall: float
    """Of the list."""

    expected_hit_recall: float | None
    """Of the texts above z = 6; None where none was found or is expected."""

    num_hits: int
    """Texts above z = 6 that were found."""

    ceiling: float | None
    """No text with a larger score was missed, whatever the sample says; None: all were scored in full."""

    is_proved: bool
    """Whether the list lies above the ceiling: then it is the exact one."""


@dataclass(frozen=True)
class Found:
    """Strongest texts at both ends."""

    positions: Int[Tensor, " k"]
    scores: Float[Tensor, " k"]
    opposing: Int[Tensor, " o"]
    opposing_scores: Float[Tensor, " o"]
    scored: Int[Tensor, " m"]
    """Every text that was scored in full, in store order."""

    spread: Callable[..., ScoreSpread]
    """Of all scores, by those that are known; takes ``has_two_sides``."""

    positive_total: float
    """Sum of all positive scores, by those that are known."""

    report: CascadeReport


def search_by_cascade(
    summands: Sequence[Summand],
    k: int,
    num_opposing: int = 0,
    *,
    forced: Forced = Forced(),  # noqa: B008 - frozen
    on_progress: Callable[[int], None] = lambda num_read: None,
) -> Found:
    """The k largest scores of one question, and its most negative ones.

    Args:
        summands: One per member, over the same texts in shards of the same size.
        k: Length of the list; ties go in store order.
        num_opposing: Length of the list of the smallest scores.
        forced: Overrides what the sample says.
        on_progress: Receives how many texts more were read.

    Raises:
        DamagedArtefact: A shard's bytes differ from its checksum; names the file.
        NumericalError: A score is not finite.
    """
    with one_thread():
        sample = take_sample(summands)
        reading = plan_reading(sample, k, num_opposing, forced)
        partials, reaches = _read(sample, reading, on_progress)
        known = _Known(sample)
        ends = [_End(sign, count, partials, reaches) for sign, count in ((1, k), (-1, num_opposing)) if count]
        for end in ends:
            known.score(end.first())
        for end in ends if forced.chooses_candidates else ():
            known.score(end.candidates(known, reading))
        return _found(known, ends, reading)


def _read(
    sample: Sample, reading: Reading, on_progress: Callable[[int], None]
) -> tuple[Float[Tensor, " N"], Float[Tensor, " N"]]:
    """Of every text its partial score, and how far its score may lie from that at most."""
    summands = sample.summands
    queries = [reading.queries(number, one.queries) for number, one in enumerate(summands)]
    ceilings = [
        Ceilings(one.reader, one.queries, reading.cut[number], reading.terms[number])
        for number, one in enumerate(summands)
    ]
    partials, reaches = torch.zeros(sample.num_texts), torch.zeros(sample.num_texts)

    def work(first: Shard) -> int:
        rows = slice(first.start, first.start + first.num_examples)
        for number, one in enumerate(summands):
            shard = first if not number else one.reader.shard(first.number)
            per_product, terms = one.per_product[rows], reading.terms[number]
            reaches[rows] += ceilings[number].of_shard(shard) * per_product.abs()
            modules = [module for module in one.reader.modules if module.name in terms]
            if modules:
                some = shard if shard.manifest.layout == "dense" else with_terms(shard, terms)
                partials[rows] += shard_products(some, modules, queries[number])[0] * per_product
        return first.num_examples

    for num_read in summands[0].reader.map_shards(work):
        on_progress(num_read)
    return partials, reaches


class _Known:
    """Texts that were scored in full."""

    def __init__(self, sample: Sample) -> None:
        self.sample = sample
        self.scores = torch.full((sample.num_texts,), torch.nan)
        self.scores[sample.positions] = sample.scores
        self.is_chosen = torch.zeros(sample.num_texts, dtype=torch.bool)
        """Texts that are known for another reason than that they are of the sample."""

    @property
    def is_known(self) -> Bool[Tensor, " N"]:
        """Whether each text was scored in full."""
        return ~self.scores.isnan()

    def score(self, positions: Int[Tensor, " m"]) -> None:
        """Score some texts in full, in store order."""
        self.is_chosen[positions] = True
        unknown = positions[self.scores[positions].isnan()]
        for some in unknown.split(TEXTS_AT_ONCE) if len(unknown) else ():
            total = torch.zeros(len(some))
            for one in self.sample.summands:
                modules, queries = one.reader.modules, one.queries

                def work(
                    piece: Shard, modules: Sequence[ModuleShape] = modules, queries: Queries = queries
                ) -> Tensor:
                    return shard_products(piece, modules, queries)[0]

                total += torch.cat(gather(one.reader, some).each(work)) * one.per_product[some]
            if not torch.isfinite(total).all():
                raise NumericalError("scores are not finite: raise the damping, or check the objective.")
            self.scores[some] = total

    def far_out(self) -> tuple[float, int]:
        """The score at z = 6, and how many texts are known to exceed it."""
        mean, deviation, _ = self.moments()
        far = mean + HIT_Z * deviation
        return far, int((self.scores > far).sum())

    def moments(self) -> tuple[float, float, float]:
        """Mean and standard deviation of all scores, and the sum of the positive ones: what was chosen counts as
        itself, the sample stands for the others."""
        chosen = self.scores[self.is_chosen].double()
        others = self.sample.scores[~self.is_chosen[self.sample.positions]].double()
        num_others = len(self.scores) - len(chosen)

        def total(of: Callable[[Tensor], Tensor]) -> float:
            rest = float(of(others).mean()) * num_others if len(others) else 0.0
            return float(of(chosen).sum()) + rest

        mean = total(lambda scores: scores) / len(self.scores)
        square = total(torch.square) / len(self.scores)
        return mean, max(square - mean * mean, 0.0) ** 0.5, total(lambda scores: scores.clamp_min(0))


@dataclass
class _End:
    """One end of the ranking: which texts are scored in full for it."""

    sign: int
    count: int
    """Length of its list."""

    partials: Float[Tensor, " N"]
    reaches: Float[Tensor, " N"]
    limit: float = -math.inf
    """Partial score from which on all texts were scored in full."""

    @property
    def signed(self) -> Float[Tensor, " N"]:
        """Partial scores with the largest at this end."""
        return self.partials * self.sign

    def first(self) -> Int[Tensor, " m"]:
        """The largest partial scores, and the largest ceilings."""
        total = len(self.partials)
        by_score = self.signed.topk(min(total, max(FIRST_CANDIDATES * self.count, FEWEST_CEILINGS)))
        self.limit = float(by_score.values[-1])
        by_ceiling = (self.signed + self.reaches).topk(min(total, max(FEWEST_CEILINGS, int(CEILING_SHARE * total))))
        return torch.cat((by_score.indices, by_ceiling.indices)).unique()

    def candidates(self, known: _Known, reading: Reading) -> Int[Tensor, " m"]:
        """Further texts: until no more is expected to be missing than may be."""
        unread = self._unread(known, reading)
        self.limit = min(unread.limit(self.signed, target) for target in self._targets(known))
        most, fewest = (int(share * len(self.partials)) for share in (MOST_CANDIDATES, FEWEST_CANDIDATES))
        num = min(max(int((self.signed >= self.limit).sum()), fewest), most)
        chosen = self.signed.topk(num)
        self.limit = float(chosen.values[-1]) if num else self.limit
        return chosen.indices.sort().values

    def _unread(self, known: _Known, reading: Reading) -> Unread:
        return Unread(known.sample.scores, reading.of_sample, self.sign)

    def threshold(self, known: _Known) -> float:
        """The weakest score of the list so far."""
        scores = (self.sign * known.scores).nan_to_num(-torch.inf)
        return float(scores.topk(min(self.count, len(scores))).values[-1])

    def _targets(self, known: _Known) -> list[Target]:
        found = [Target(self.sign, self.threshold(known), self.count, MAY_MISS)]
        if self.sign > 0:
            far, num_far = known.far_out()
            found += [Target(1, far, num_far, HITS_MAY_MISS)] if num_far else []
        return found

    def recall(self, known: _Known, reading: Reading, threshold: float, found: int) -> float:
        """Expected, of the texts above a score of which so many were found."""
        unknown = self.signed[~known.is_known]
        return self._unread(known, reading).expected_recall(found, unknown, threshold, self.limit)

    def ceiling(self, known: _Known) -> float | None:
        """No text that was not scored in full has a larger score."""
        unknown = ~known.is_known
        return float((self.signed + self.reaches)[unknown].max()) if unknown.any() else None

    def ranked(self, known: _Known) -> tuple[Tensor, Tensor]:
        """Positions and signed scores of the list, ties in store order."""
        positions = known.is_known.nonzero()[:, 0]
        scores, order = (self.sign * known.scores[positions]).sort(descending=True, stable=True)
        return positions[order[: self.count]], scores[: self.count]


def _found(known: _Known, ends: Sequence[_End], reading: Reading) -> Found:
    mean, deviation, positive_total = known.moments()
    top = ends[0]
    positions, scores = top.ranked(known)
    opposing, negated = ends[1].ranked(known) if len(ends) > 1 else (positions[:0], scores[:0])
    sample = known.sample
    recalls = [end.recall(known, reading, end.threshold(known), end.count) for end in ends]
    far, num_far = known.far_out()
    ceilings = [end.ceiling(known) for end in ends]
    proved = all(
        ceiling is None or end.threshold(known) >= ceiling for end, ceiling in zip(ends, ceilings, strict=True)
    )

    def spread(*, has_two_sides: bool = False) -> ScoreSpread:
        return spread_of_sample(sample.scores, len(known.scores), mean, deviation, has_two_sides=has_two_sides)

    report = CascadeReport(
        sample_size=len(sample.scores),
        share_read=_share_read(known, reading),
        num_terms=reading.num_terms,
        num_all_terms=len(sample.terms),
        query_rank=reading.query_rank,
        num_candidates=int(known.is_known.sum()) - len(sample.scores),
        expected_recall=min(recalls),
        expected_hit_recall=top.recall(known, reading, far, num_far) if num_far else None,
        num_hits=num_far,
        ceiling=ceilings[0],
        is_proved=proved,
    )
    scored = known.is_known.nonzero()[:, 0]
    return Found(positions, scores, opposing, -negated, scored, spread, positive_total, report)


def _share_read(known: _Known, reading: Reading) -> float:
    """Stored bytes that went into scores and ceilings, over all."""
    sample, num_texts = known.sample, len(known.scores)
    whole = sum(bytes_of_term(sample.summands[term.summand].reader, term.module) for term in sample.terms)
    coarse = 0
    for number, one in enumerate(sample.summands):
        terms = reading.terms[number]
        coarse += sum(bytes_of_term(one.reader, name) * len(places) for name, places in terms.items())
        ceilings = Ceilings(one.reader, one.queries, reading.cut[number], terms)
        coarse += ceilings.bytes_read(one.reader.shard(0), terms)
    num_known = int(known.is_known.sum())
    return min(1.0, (coarse * num_texts + whole * num_known) / (whole * num_texts))
