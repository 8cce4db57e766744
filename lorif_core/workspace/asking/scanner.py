"""Who multiplies queries with all that is stored of an index: this process, or workers that share its parts."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

from lorif_core.views.search_report import MissingParts

if TYPE_CHECKING:
    from torch import Tensor

    from lorif_core.passes.ranking import Lengths, OnScores, Ranking
    from lorif_core.passes.scoring import ScoringPlan
    from lorif_core.store.reader import StoreReader

TakeScores = Callable[[int, "Tensor"], None]
"""Receives the store position of a first text, and scores (Q, n) from there on."""


class Ranked(NamedTuple):
    """A ranking, and what it lacks."""

    ranking: "Ranking"
    missing: MissingParts | None
    """None: nothing."""


@runtime_checkable
class Scanner(Protocol):
    """Makes one pass over an index; plans are one per member of its scores."""

    @property
    def has_workers(self) -> bool:
        """Whether other processes scan."""
        ...

    def rank(
        self,
        plans: "Sequence[ScoringPlan]",
        lengths: "Lengths",
        *,
        on_texts: Callable[[int], None],
        on_scores: "OnScores | None" = None,
    ) -> Ranked:
        """The strongest texts at both ends.

        Args:
            plans: The queries.
            lengths: Of the lists.
            on_texts: Receives how many texts more were scored.
            on_scores: Receives the scores of all texts in store order; None where nobody wants them.

        Raises:
            ArtefactError: Something of the index cannot be read.
            NumericalError: A score is not finite.
        """
        ...

    def most_queries(self, reader: "StoreReader") -> int | None:
        """Queries of one call of ``each``, at most; None: as many as memory allows."""
        ...

    def each(self, plans: "Sequence[ScoringPlan]", take: TakeScores) -> MissingParts | None:
        """Hand over the scores of all texts in store order; what was not to be had is left out, and told.

        Raises:
            ArtefactError: Something of the index cannot be read.
            NumericalError: A score is not finite.
        """
        ...


class OwnScanner:
    """This process scans."""

    has_workers = False

    def rank(
        self,
        plans: "Sequence[ScoringPlan]",
        lengths: "Lengths",
        *,
        on_texts: Callable[[int], None],
        on_scores: "OnScores | None" = None,
    ) -> Ranked:
        """See ``Scanner``."""

        from lorif_core.passes.ranking import rank_examples

        def take(scores: "Tensor", influences: "Tensor") -> None:
            if on_scores is not None:
                on_scores(scores, influences)
            on_texts(scores.shape[1])

        found = rank_examples(*plans, k=lengths.k, num_opposing=lengths.num_opposing, on_scores=take)
        return Ranked(found, None)

    def most_queries(self, reader: "StoreReader") -> int | None:
        """See ``Scanner``."""
        return None

    def each(self, plans: "Sequence[ScoringPlan]", take: TakeScores) -> MissingParts | None:
        """See ``Scanner``."""
        from lorif_core.passes.scoring import iter_scores

        for start, scores in iter_scores(*plans):
            take(start, scores)
        return None


OWN = OwnScanner()
"""This process."""
