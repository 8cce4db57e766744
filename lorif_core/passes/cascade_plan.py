"""What a search by a cascade reads of every text: chosen on a sample that is scored in full, term by term.

Columns of an output head are read in any case: which texts have one of a question's tokens is no matter of variance,
as a rare token is in no sample. Costs are counted in bytes of sign codes that are looked up for eight directions;
nothing is timed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from lorif_core.linalg.cut_queries import CutQuery
from lorif_core.linalg.scores import DirectQueries
from lorif_core.linalg.signs import ALIGNMENT
from lorif_core.linalg.term_energy import Choice, Target, choose_terms, order_terms
from lorif_core.passes.ceilings import cut_all
from lorif_core.passes.gathered import Gathered, gather, num_terms, with_terms_as_texts
from lorif_core.passes.products import ModuleQueries, shard_products
from lorif_core.shapes import Float, Int, ModuleShape
from lorif_core.store.blocks import term_bytes
from lorif_core.store.reader import Shard, StoreReader

SAMPLE_SHARE, SMALLEST_SAMPLE, SAMPLE_SEED = 0.01, 4000, 0
"""A hundredth of the texts is scored in full, evenly spread over the store; of small indexes more."""

MAY_MISS, HITS_MAY_MISS = 0.02, 0.005
"""Shares of a list, and of the texts that stand far out, that may be expected to be missing."""

HIT_Z = 6.0
"""Standard deviations above the mean from which a text stands far out."""

CUT_RANKS = (8, 16)
"""Directions that a question may be cut to: a table has a multiple of eight."""

WIDER_TABLE = 0.5
"""What eight further directions cost beside the first ones: the codes are read once."""

GATHERING = 3.0
"""What copying a byte of a chosen text costs, in bytes that are looked up."""

MULTIPLICATIONS = 128
"""Multiplications of a matrix product in the time in which a byte is looked up."""


@dataclass(frozen=True)
class Summand:
    """What a score adds up: products of one question with one member's stored gradients, each times a number."""

    reader: StoreReader
    queries: Mapping[str, ModuleQueries]
    """Of one question."""

    per_product: Float[Tensor, " N"]
    """What a product of 1 with each text counts in its score."""


class Term(NamedTuple):
    """One stored term of a member, or all of a module that is stored whole."""

    summand: int
    module: str
    place: int


@dataclass(frozen=True)
class Forced:
    """What is read instead of what is chosen; for tests and measurements."""

    num_terms: int | None = None
    query_rank: int | None = None
    chooses_candidates: bool = True


@dataclass(frozen=True)
class Sample:
    """Some texts, scored in full."""

    summands: Sequence[Summand]
    gathered: Sequence[Gathered]
    """Of every summand."""

    terms: list[Term]
    contributions: Float[Tensor, "P m"]
    """What each term adds to each score."""

    @property
    def positions(self) -> Int[Tensor, " m"]:
        """In store order."""
        return self.gathered[0].positions

    @cached_property
    def scores(self) -> Float[Tensor, " m"]:
        """In full."""
        return self.contributions.sum(0, dtype=torch.float64).float()

    @property
    def forms(self) -> list[dict[str, str]]:
        """Of every summand, what is stored of each module."""
        return [{module.name: module.form for module in one.reader.modules} for one in self.summands]

    @property
    def num_texts(self) -> int:
        """N."""
        return len(self.summands[0].per_product)


@dataclass(frozen=True)
class Reading:
    """What is read of every text."""

    terms: list[dict[str, list[int]]]
    """Of every summand, per module that is read, ascending places of terms."""

    cut: list[dict[str, CutQuery]]
    """Of every summand, the question as it is read, with bounds for what is left out."""

    of_sample: Float[Tensor, " m"]
    """Partial scores of the sample."""

    num_terms: int
    query_rank: int | None

    def queries(self, summand: int, whole: Mapping[str, ModuleQueries]) -> Mapping[str, ModuleQueries]:
        """The question as it is read."""
        return {**whole, **{name: one.queries for name, one in self.cut[summand].items()}}


def take_sample(summands: Sequence[Summand]) -> Sample:
    """Score a seeded sample in full, keeping what every term adds."""
    num_texts = len(summands[0].per_product)
    size = min(num_texts, max(SMALLEST_SAMPLE, int(SAMPLE_SHARE * num_texts)))
    edges = torch.arange(size + 1) * num_texts // size
    inside = torch.rand(size, generator=torch.Generator().manual_seed(SAMPLE_SEED), dtype=torch.float64)
    positions = edges[:-1] + (inside * (edges[1:] - edges[:-1])).long()
    gathered = [gather(one.reader, positions) for one in summands]
    terms = [
        Term(number, module.name, place)
        for number, one in enumerate(summands)
        for module in one.reader.modules
        for place in range(num_terms(one.reader, module))
    ]
    whole = [one.queries for one in summands]
    return Sample(summands, gathered, terms, _contributions(summands, gathered, whole))


def _contributions(
    summands: Sequence[Summand], gathered: Sequence[Gathered], queries: Sequence[Mapping[str, ModuleQueries]]
) -> Float[Tensor, "P m"]:
    found: list[Tensor] = []
    for one, texts, asked in zip(summands, gathered, queries, strict=True):
        counts = {module.name: num_terms(one.reader, module) for module in one.reader.modules}

        def work(
            piece: Shard,
            modules: Sequence[ModuleShape] = one.reader.modules,
            counts: Mapping[str, int] = counts,
            asked: Mapping[str, ModuleQueries] = asked,
        ) -> Tensor:
            return torch.cat([_of_terms(piece, module, counts[module.name], asked) for module in modules], 1)

        found.append(torch.cat(texts.each(work)).mT * one.per_product[texts.positions])
    return torch.cat(found)


def _of_terms(
    piece: Shard, module: ModuleShape, count: int, queries: Mapping[str, ModuleQueries]
) -> Float[Tensor, "n c"]:
    """Products of the question with every term of a module."""
    if piece.manifest.layout != "dense":
        piece = with_terms_as_texts(piece, count)
    return shard_products(piece, [module], queries)[0].view(-1, count)


def plan_reading(sample: Sample, k: int, num_opposing: int, forced: Forced) -> Reading:
    """Choose which terms are read, and how many directions of the question.

    Args:
        sample: Scored in full.
        k: Length of the list.
        num_opposing: Length of the list of the smallest scores.
        forced: Overrides what the sample says.
    """
    ranks = _ranks_worth_trying(sample, forced)
    cuts = [cut_all(one.reader, one.queries, ranks) for one in sample.summands]
    targets, full_cost = _targets(sample, k, num_opposing), _full_cost(sample)
    options = [
        _option(sample, rank, [of_summand[number] for of_summand in cuts], targets, full_cost)
        for number, rank in enumerate(ranks)
    ]
    best = min(options, key=lambda one: one.choice.cost)
    read = best.order[: forced.num_terms or best.choice.num_terms].tolist()
    terms: list[dict[str, list[int]]] = [{} for _ in sample.summands]
    for place in sorted(read):
        term = sample.terms[place]
        terms[term.summand].setdefault(term.module, []).append(term.place)
    partials = best.contributions[read].sum(0, dtype=torch.float64).float()
    return Reading(terms, best.cut, partials, len(read), best.rank)


class _Option(NamedTuple):
    rank: int | None
    cut: list[dict[str, CutQuery]]
    contributions: Tensor
    order: Tensor
    choice: Choice


def _option(
    sample: Sample,
    rank: int | None,
    cut: list[dict[str, CutQuery]],
    targets: Sequence[Target],
    full_cost: float,
) -> _Option:
    contributions, whole = sample.contributions, [one.queries for one in sample.summands]
    if rank is not None:
        whole = [
            {**one.queries, **{name: own.queries for name, own in of_module.items()}}
            for one, of_module in zip(sample.summands, cut, strict=True)
        ]
        contributions = _contributions(sample.summands, sample.gathered, whole)
    costs = torch.tensor(_costs(sample, whole), dtype=torch.float64)
    first = [sample.forms[term.summand][term.module] == "columns" for term in sample.terms]
    order = order_terms(contributions, costs, first)
    choice = choose_terms(
        contributions[order],
        sample.scores,
        costs[order].tolist(),
        targets=targets,
        fewest=min(sum(first) + 1, len(first)),
        full_cost=full_cost,
    )
    return _Option(rank, cut, contributions, order, choice)


def _targets(sample: Sample, k: int, num_opposing: int) -> list[Target]:
    """Both lists, and the texts that stand far out; counts are those of the sample. Of a list that is shorter than a
    sample shows, what exceeds the sample's largest score."""
    scores, share = sample.scores, len(sample.scores) / sample.num_texts
    found: list[Target] = []
    for sign, count in ((1, k), (-1, num_opposing)):
        if count:
            ends = (sign * scores).topk(min(len(scores), max(1, round(count * share)))).values
            found.append(Target(sign, float(ends[-1]), count * share, MAY_MISS))
    far = float(scores.mean() + HIT_Z * scores.std(correction=0))
    if num_far := int((scores > far).sum()):
        found.append(Target(1, far, num_far, HITS_MAY_MISS))
    return found


def _ranks_worth_trying(sample: Sample, forced: Forced) -> list[int | None]:
    """All directions, and cuts where many terms' question has more of them."""
    if forced.query_rank is not None:
        return [forced.query_rank]
    if forced.num_terms is not None:
        return [None]
    widest = max((_rank(own) for one in sample.summands for own in one.queries.values()), default=0)
    return [None, *(rank for rank in CUT_RANKS if rank < widest)]


def _rank(queries: ModuleQueries) -> int:
    if isinstance(queries, Tensor):
        return 0
    return min(queries.matrix.shape) if isinstance(queries, DirectQueries) else queries.rank


def _costs(sample: Sample, queries: Sequence[Mapping[str, ModuleQueries]]) -> list[float]:
    """Of reading each term of one text."""
    modules = [{module.name: module for module in one.reader.modules} for one in sample.summands]
    return [
        _cost(sample.summands[term.summand].reader, modules[term.summand][term.module], of_term[term.module])
        for term in sample.terms
        for of_term in (queries[term.summand],)
    ]


def _cost(reader: StoreReader, module: ModuleShape, queries: ModuleQueries) -> float:
    """In bytes that are looked up for eight directions."""
    codec = reader.manifest.column_codec
    if isinstance(queries, Tensor):
        return codec.column_bytes(module.dim) + module.dim / MULTIPLICATIONS
    size = term_bytes(codec, module)
    if isinstance(queries, DirectQueries):
        return size + module.dim / MULTIPLICATIONS
    if codec.name == "sign" and queries.reads_signs:
        return size * max(1.0, -(-queries.rank // ALIGNMENT) * WIDER_TABLE)
    return size + queries.rank * (module.d_in + module.d_out) / MULTIPLICATIONS


def _full_cost(sample: Sample) -> float:
    """Of scoring one more text in full: all its terms, and copying them."""
    copied = sum(bytes_of_term(sample.summands[term.summand].reader, term.module) for term in sample.terms)
    return sum(_costs(sample, [one.queries for one in sample.summands])) + GATHERING * copied


def bytes_of_term(reader: StoreReader, name: str) -> int:
    """Stored bytes of one term of a module."""
    (module,) = (one for one in reader.modules if one.name == name)
    codec = reader.manifest.column_codec
    return codec.column_bytes(module.dim) if reader.manifest.layout == "dense" else term_bytes(codec, module)
