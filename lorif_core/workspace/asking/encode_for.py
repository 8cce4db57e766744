"""From a question, or a query of a file, to what an index is asked with: tokens for its model, or losses."""

from collections.abc import Mapping
from dataclasses import replace

from lorif_core.data.examples import Example
from lorif_core.errors import CatalogError, ConfigError, DataError
from lorif_core.passes.queries import Query
from lorif_core.workspace.asking.encode_question import EncodedQuestion, encode_question
from lorif_core.workspace.asking.question import Question
from lorif_core.workspace.folder.index_losses import IndexLosses
from lorif_core.workspace.indexes.open_index import OpenIndex

MOST_NAMED = 3


def encode_for(index: OpenIndex, question: Question, query_id: str = "q") -> EncodedQuestion:
    """A question as the index takes it.

    Args:
        index: What is asked.
        question: With its completion; a question of a table was looked up before (``with_table_losses``).
        query_id: Of the query.

    Raises:
        ConfigError: The question comes with losses and the index is one of gradients, or the reverse.
        DataError: There is nothing to predict.
    """
    if question.losses is None:
        return encode_question(question, index.engine.loaded, query_id)
    if index.losses is None:
        raise ConfigError(
            f"losses are for an index of losses, and {index.index_id!r} is one of gradients. Leave them out."
        )
    return EncodedQuestion(Query(query_id, (), (), in_order(index.losses, question.losses)), [], 0)


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
                f"losses: {_ways(losses)}"
            )
        if question.losses is not None and question.completion is None:
            return replace(question, completion="")
        return question
    known = None if losses is None else losses.question(question.question_id)
    if losses is None or known is None:
        raise CatalogError(
            f"index {index_id!r} has no question {question.question_id!r}: "
            + ("it is no index of losses." if losses is None else _ways(losses))
        )
    found = dict(zip(losses.names, known.losses, strict=True))
    return replace(question, prompt=known.prompt, completion=known.completion, losses=found)


def in_order(losses: IndexLosses, given: Mapping[str, float]) -> tuple[float, ...]:
    """Losses of a question in the order of an index's models.

    Raises:
        DataError: One is missing, or is of another model.
    """
    lacking = [name for name in losses.names if name not in given]
    further = [name for name in given if name not in losses.names]
    if lacking or further:
        raise DataError(
            f"a question needs a loss under each of the index's {len(losses.models)} models and no other: "
            + " and ".join(
                f"{what} {', '.join(map(repr, names[:MOST_NAMED]))}{' …' if len(names) > MOST_NAMED else ''}"
                for what, names in (("it lacks", lacking), ("the index does not know", further))
                if names
            )
            + ". Give the losses of the models that the index names."
        )
    return tuple(float(given[name]) for name in losses.names)


def query_of_table(index: OpenIndex, example: Example) -> Query | None:
    """A query of a file whose id is a question's of the index's table; None where the index's models say its loss.

    Raises:
        DataError: The index has no model, and its table no such question.
    """
    if index.losses is None or not index.losses.is_imported:
        return None
    known = index.losses.question(example.train_id)
    if known is None:
        raise DataError(
            f"index {index.index_id!r} has no model, so the queries of a file are questions of its table, by their "
            f"ids, and {example.train_id!r} is none: {_ways(index.losses)}"
        )
    return Query(example.train_id, (), (), known.losses)


def _ways(losses: IndexLosses) -> str:
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
