"""Which search answers a question: every text is scored, or a cascade finds the strongest."""

from dataclasses import replace

from lorif_core.config import ScoreConfig
from lorif_core.errors import ConfigError
from lorif_core.workspace.asking.question import Question
from lorif_core.workspace.indexes.open_index import OpenIndex
from lorif_core.workspace.indexes.usual_search import READ_WHOLE, usual_search

ON_A_GPU = "every text was scored: the index is multiplied on a GPU, where no search by parts is built"


def ways_to_answer(question: Question, num_texts: int) -> list[Question]:
    """The question with each search that answers it, the exact one first: a kept exact answer is as good."""
    exact, fast = (replace(question, search=search) for search in ("exact", "fast"))
    return [exact, fast] if (question.search or usual_search(num_texts)) == "fast" else [exact]


def choose_search(index: OpenIndex, question: Question) -> tuple[Question, str | None]:
    """The question with the search that answers it, and why that is the exact one where a fast one was to be.

    Raises:
        ConfigError: A fast search was asked for by name, and the settings forbid it.
    """
    ways = ways_to_answer(question, index.reader.manifest.num_examples)
    if len(ways) == 1:
        return ways[0], None
    exact, fast = ways
    if index.fitted.scored_on is not None:
        return exact, ON_A_GPU
    if (reason := _why_not(index, question.scoring)) is None:
        return fast, None
    if question.search == "fast":
        raise ConfigError(
            f"a fast search is not possible: {reason}. Pass `--search exact`, or leave the setting out."
        )
    return exact, f"every text was scored: {reason}"


def _why_not(index: OpenIndex, settings: ScoreConfig) -> str | None:
    """Why every stored byte is read anyway."""
    if not index.reader.place.reads_in_parts:
        return READ_WHOLE
    if settings.refine:
        return f"refine={settings.refine} reads every stored text at each of its steps"
    built = index.fitted.curvature
    if settings.normalisation != "none" and index.fitted.method.curvature.asked(built, settings) != built:
        return (
            f"normalisation={settings.normalisation} with another damping or rank than the index's takes every "
            "text's self-influence anew"
        )
    return None
