"""Questions to an index of losses, by the questions of its table. Loads no torch."""

from dataclasses import replace

from lorif_core.errors import CatalogError, ConfigError
from lorif_core.workspace.asking.question import Question
from lorif_core.workspace.folder.index_losses import IndexLosses

MOST_NAMED = 3


def with_table_losses(question: Question, index_id: str, losses: IndexLosses | None) -> Question:
    """A question that names one of an index's table, or says the same words, with its losses; any other as it is.

    Args:
        question: As it was asked.
        index_id: Of the index that is asked.
        losses: What is known of it; None: it is one of gradients.

    Raises:
        CatalogError: The table has no such question.
        ConfigError: There is no model that could say something.
    """
    if question.question_id is None:
        if losses is not None and losses.is_imported and question.losses is None:
            says = None if question.completion is None else losses.question_that_says(question.prompt, question.said)
            if says is not None:
                return with_table_losses(replace(question, question_id=says.question_id), index_id, losses)
            raise ConfigError(
                f"index {index_id!r} holds losses that were imported and has no model, so a question comes with its "
                f"losses: {ways_to_ask(losses)}"
            )
        if question.losses is not None and question.completion is None:
            return replace(question, completion="")
        return question
    known = None if losses is None else losses.question(question.question_id)
    if losses is None or known is None:
        raise CatalogError(
            f"index {index_id!r} has no question {question.question_id!r}: "
            + ("it is no index of losses." if losses is None else ways_to_ask(losses))
        )
    found = dict(zip(losses.names, known.losses, strict=True))
    return replace(question, prompt=known.prompt, completion=known.completion, losses=found)


def ways_to_ask(losses: IndexLosses) -> str:
    """How such an index is asked."""
    if not losses.questions:
        return (
            "pass `--losses FILE` (columns model and loss). Its table came without questions; import it again with "
            "some."
        )
    named = ", ".join(one.question_id for one in losses.questions[:MOST_NAMED])
    more = len(losses.questions) - MOST_NAMED
    told = f"{named} and {more:,} more" if more > 0 else named
    return f"name one of its table with `--question` ({told}), or pass `--losses FILE` (columns model and loss)."
