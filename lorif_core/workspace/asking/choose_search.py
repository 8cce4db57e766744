"""Which search answers a question: every text is scored, or a cascade finds the strongest."""

from dataclasses import replace
from typing import TYPE_CHECKING

from lorif_core.config import ScoreConfig
from lorif_core.errors import ConfigError
from lorif_core.workspace.asking.question import Question
from lorif_core.workspace.indexes.usual_search import READ_WHOLE, usual_search

if TYPE_CHECKING:
    from lorif_core.workspace.indexes.open_index import OpenIndex

ON_A_GPU = "every text was scored: the index is multiplied on a GPU, where no search by parts is built"


BY_WORKERS = "every text was scored: workers scan all that they hold, and a search by parts is one process's"


def ways_to_answer(question: Question, num_texts: int) -> list[Question]:
    """The question with each search that answers it, the exact one first: a kept exact answer is as good."""
    exact, fast = (replace(question, search=search) for search in ("exact", "fast"))
    return [exact, fast] if (question.search or usual_search(num_texts)) == "fast" else [exact]


def choose_search(index: "OpenIndex", question: Question, *, has_workers: bool) -> tuple[Question, str | None]:
    """The question with the search that answers it, and why that is the exact one where a fast one was to be.

    Args:
        index: What is asked.
        question: As it was asked.
        has_workers: Whether workers scan.

    Raises:
        ConfigError: A fast search was asked for by name, and the settings forbid it.
    """
    if has_workers:
        _refuse_with_workers(question)
    ways = ways_to_answer(question, index.reader.manifest.num_examples)
    if len(ways) == 1:
        return ways[0], None
    exact, fast = ways
    if has_workers:
        return exact, BY_WORKERS
    if index.fitted.scored_on is not None:
        return exact, ON_A_GPU
    if (reason := _why_not(index, question.scoring)) is None:
        return fast, None
    if question.search == "fast":
        raise ConfigError(
            f"a fast search is not possible: {reason}. Pass `--search exact`, or leave the setting out."
        )
    return exact, f"every text was scored: {reason}"


def _why_not(index: "OpenIndex", settings: ScoreConfig) -> str | None:
    """Why every stored byte is read anyway."""
    if not index.reader.place.reads_in_parts:
        return READ_WHOLE
    if settings.refine and settings.refine_by == "codes":
        return f"refine={settings.refine} reads every stored text at each of its steps"
    built = index.fitted.curvature
    if settings.normalisation != "none" and index.fitted.method.curvature.asked(built, settings) != built:
        return (
            f"normalisation={settings.normalisation} with another damping or rank than the index's takes every "
            "text's self-influence again"
        )
    return None


def _refuse_with_workers(question: Question) -> None:
    if question.search == "fast":
        raise ConfigError(
            "a fast search is not possible with workers, which scan all parts at once. Leave `--on` and `--workers` "
            "out, or pass `--search exact`."
        )
    refuse_refinement_with_workers(question.scoring)


def refuse_refinement_with_workers(settings: ScoreConfig) -> None:
    """Refuse what reads all of the index in this process before anything is scored: a refinement by codes.

    Raises:
        ConfigError: It is asked for.
    """
    if settings.refine and settings.refine_by == "codes":
        raise ConfigError(
            f"refine={settings.refine} reads every stored text in this process at each of its steps, which workers "
            "do not do. Leave it out, pass `--refine-by model`, or leave `--on` and `--workers` out."
        )
