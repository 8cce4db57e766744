"""From what a person types to a query that the engine can differentiate."""

from lorif_core.data.encoding import EncodedExample, Encoder
from lorif_core.data.examples import Example
from lorif_core.errors import ConfigError, DataError
from lorif_core.passes.queries import Query
from lorif_core.workspace.asking.question import Question


def encode_question(question: Question, encoder: Encoder, query_id: str = "q") -> Query:
    """Encode a question as its objective needs.

    Raises:
        ConfigError: A token does not exist.
        DataError: There is nothing to predict.
    """
    first = _encode(question.prompt, question.said, encoder)
    if question.tokens is not None:
        first = _restrict(first, question.tokens)
    if question.contrast is None:
        return Query(query_id, (first,), (1.0,))
    second = _encode(question.prompt, question.contrast, encoder)
    return Query(query_id, (first, second), (1.0, -1.0))


def _encode(prompt: str, completion: str, encoder: Encoder) -> EncodedExample:
    if not completion:
        raise DataError("the completion must not be empty: it is what gets explained. Type one, or use `--generate`.")
    encoded = encoder.encode(Example("query", prompt=prompt, completion=completion))
    if not encoded.has_targets:
        raise DataError(
            f"nothing of the completion is left to predict within {encoder.max_length} tokens. Shorten it, or build "
            "the index with a larger `--max-length`."
        )
    return encoded


def _restrict(encoded: EncodedExample, tokens: tuple[int, ...]) -> EncodedExample:
    targets = [position for position, is_target in enumerate(encoded.is_target) if is_target]
    unknown = [token for token in tokens if not 0 <= token < len(targets)]
    if unknown or not tokens:
        raise ConfigError(
            f"tokens must lie between 0 and {len(targets) - 1}, the completion's last token; got {list(tokens)}."
        )
    chosen = {targets[token] for token in tokens}
    return encoded._replace(is_target=[position in chosen for position in range(len(encoded.is_target))])
