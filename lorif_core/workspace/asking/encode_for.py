"""From a question, or a query of a file, to what an index is asked with: tokens for its model, or losses."""

from collections.abc import Mapping

from lorif_core.data.examples import Example
from lorif_core.errors import ConfigError, DataError
from lorif_core.passes.queries import Query
from lorif_core.workspace.asking.encode_question import EncodedQuestion, encode_question
from lorif_core.workspace.asking.question import Question
from lorif_core.workspace.asking.table_questions import MOST_NAMED, ways_to_ask
from lorif_core.workspace.folder.index_losses import IndexLosses
from lorif_core.workspace.indexes.open_index import OpenIndex


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
            f"ids, and {example.train_id!r} is none: {ways_to_ask(index.losses)}"
        )
    return Query(example.train_id, (), (), known.losses)
