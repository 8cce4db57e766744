"""From a question to the tokens that the model was given and said, and to a query that the engine differentiates.

What is explained is exactly what was said. What the model generated keeps the model's own tokens; what a person typed
is tokenised as it stands, and has an end token only where the person says that it ends there.
"""

from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from lorif_core.data.chat_encoding import encode_chat, encode_chat_question
from lorif_core.data.encoding import EncodedExample, closed, encode_prompt, special_token
from lorif_core.data.token_text import continuation_ids, token_texts
from lorif_core.errors import ConfigError, DataError
from lorif_core.models.load import LoadedModel
from lorif_core.passes.queries import Query
from lorif_core.workspace.asking.question import Question

SAMPLE = "x"
"""An answer behind which a chat's end of turn is looked up."""


@dataclass(frozen=True)
class EncodedQuestion:
    """A question in tokens."""

    query: Query
    """The prompt with the completion, and with the second completion of a contrast."""

    prompt_ids: list[int]
    """What the model reads of the prompt."""

    num_prompt_tokens: int
    """Length of the prompt before it was cut to what the model reads."""

    @property
    def prompt_tokens(self) -> tuple[int, int] | None:
        """Tokens of the prompt that the model read, and all that it has; None where losses came with the question."""
        return None if self.query.losses is not None else (len(self.prompt_ids), self.num_prompt_tokens)


def encode_question(question: Question, loaded: LoadedModel, query_id: str = "q") -> EncodedQuestion:
    """Encode a question as its objective needs.

    Args:
        question: With its completion.
        loaded: Who is asked; the prompt is cut at its front to what this model reads, its start token is kept.
        query_id: Of the query.

    Raises:
        ConfigError: A chosen token does not exist.
        DataError: There is nothing to predict, or the completion alone is longer than the model reads.
    """
    tokenizer = loaded.tokenizer
    whole = ids_of_prompt(question, tokenizer)
    said = [_said_ids(question, tokenizer)]
    if question.contrast is not None:
        said.append(_typed_ids(question, question.contrast, tokenizer))
    read = None if question.spoken is None else question.spoken.num_prompt_tokens
    prompt = fit_prompt(whole, max(map(len, said)), loaded, read)
    sequences = [_sequence(prompt, ids) for ids in said]
    if question.tokens is not None:
        sequences[0] = _restrict(sequences[0], question.tokens)
    weights = (1.0, -1.0)[: len(sequences)]
    return EncodedQuestion(Query(query_id, tuple(sequences), weights), prompt, len(whole))


def ids_of_prompt(question: Question, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """All tokens of a prompt: as it stands, or as the model's chat template writes it up to the answer."""
    if question.form == "chat":
        return encode_chat_question(tokenizer, question.conversation)
    return encode_prompt(tokenizer, question.prompt)


def fit_prompt(ids: list[int], num_said: int, loaded: LoadedModel, most: int | None = None) -> list[int]:
    """The prompt's tokens that the model reads before what it says: the last ones, behind its start token.

    Args:
        ids: Of the whole prompt.
        num_said: How many tokens follow.
        loaded: Who reads them.
        most: The most tokens that are wanted; None: as many as fit.

    Raises:
        DataError: What follows leaves no room.
    """
    room = len(ids) if loaded.max_positions is None else loaded.max_positions - num_said
    room = room if most is None else min(room, most)
    if room < 1:
        raise DataError(
            f"the completion has {num_said:,} tokens and the model reads at most {loaded.max_positions:,}, "
            "the prompt included. Shorten it."
        )
    if len(ids) <= room:
        return ids
    start = ids[:1] if ids[0] == special_token(loaded.tokenizer, "bos") and room > 1 else []
    return start + ids[len(ids) - room + len(start) :]


def _said_ids(question: Question, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    if question.spoken is not None:
        return list(question.spoken.ids)
    return _typed_ids(question, question.said, tokenizer)


def _typed_ids(question: Question, completion: str, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    if not completion and not question.ends:
        raise DataError("the completion must not be empty: it is what gets explained. Type one, or use `--generate`.")
    ids = continuation_ids(tokenizer, completion)
    if not question.ends:
        return ids
    if question.form == "chat":
        return [*ids, *_end_of_turn(question, tokenizer)]
    return closed(tokenizer, ids)


def _end_of_turn(question: Question, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """The tokens with which the chat's template lets the assistant end what it says."""
    answered = [*question.conversation, {"role": "assistant", "content": SAMPLE}]
    ids, is_target = encode_chat(tokenizer, answered, target_turn=-1)
    turn = [token for token, said in zip(ids, is_target, strict=True) if said]
    texts = token_texts(tokenizer, turn, is_continued=True)
    last = max(place for place, text in enumerate(texts) if SAMPLE in text)
    return turn[last + 1 :]


def _sequence(prompt: list[int], said: list[int]) -> EncodedExample:
    is_target = [False] * len(prompt) + [True] * len(said)
    is_target[0] = False
    if not any(is_target):
        raise DataError(
            "there is nothing to predict: the completion is one token and no token comes before it. Give a prompt."
        )
    return EncodedExample(prompt + said, is_target, len(prompt) + len(said))


def _restrict(encoded: EncodedExample, tokens: tuple[int, ...]) -> EncodedExample:
    targets = [position for position, is_target in enumerate(encoded.is_target) if is_target]
    unknown = [token for token in tokens if not 0 <= token < len(targets)]
    if unknown or not tokens:
        raise ConfigError(
            f"tokens must lie between 0 and {len(targets) - 1}, the completion's last token; got {list(tokens)}."
        )
    chosen = {targets[token] for token in tokens}
    return encoded._replace(is_target=[position in chosen for position in range(len(encoded.is_target))])
