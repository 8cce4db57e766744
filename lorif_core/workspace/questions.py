"""From what a person types to queries the engine can differentiate."""

from dataclasses import dataclass

import torch
from transformers import StoppingCriteriaList

from lorif_core.config import GenerateConfig, Objective
from lorif_core.data.encoding import EncodedExample, Encoder, encode_prompt, pad_token
from lorif_core.data.examples import Example
from lorif_core.errors import ConfigError, DataError
from lorif_core.methods.queries import Query
from lorif_core.models.load import LoadedModel
from lorif_core.turns import turn_on
from lorif_core.workspace.progress import ProgressSink, no_progress


@dataclass(frozen=True)
class Question:
    """A prompt and the completion that is to be explained."""

    prompt: str
    completion: str

    contrast: str | None = None
    """Completion B of "why A and not B"."""

    tokens: tuple[int, ...] | None = None
    """Restrict the objective to these tokens of the completion, counted from 0. None: all."""


def build_query(question: Question, encoder: Encoder, objective: Objective, query_id: str = "q") -> Query:
    """Encode a question as its objective needs.

    Raises:
        ConfigError: The objective and the question do not fit together, or a token does not exist.
        DataError: There is nothing to predict.
    """
    if (objective == "contrast") != (question.contrast is not None):
        raise ConfigError(
            "the objective contrast and a second completion go together, only one was given. Pass "
            "`--contrast COMPLETION`, or another objective."
        )
    first = _encode(question.prompt, question.completion, encoder)
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


def generate_completion(
    loaded: LoadedModel, prompt: str, settings: GenerateConfig, on_progress: ProgressSink = no_progress
) -> str:
    """Let the model complete the prompt, greedily or sampled with a seed, within the length that it reads.

    Args:
        loaded: Who completes it.
        prompt: What it is given.
        settings: Length and sampling.
        on_progress: Receives ("generate", tokens said, the most that it may say). What it raises ends the work.

    Raises:
        DataError: The prompt leaves no room, or the model ends at once.
    """
    tokenizer = loaded.tokenizer
    ids = encode_prompt(tokenizer, prompt)
    room = settings.max_new_tokens if loaded.max_positions is None else loaded.max_positions - len(ids)
    if room < 1:
        raise DataError(
            f"the prompt has {len(ids)} tokens and the model reads at most {loaded.max_positions}: shorten it."
        )
    longest = min(settings.max_new_tokens, room)

    def go_on(said: torch.Tensor, scores: object, **_: object) -> torch.Tensor:
        on_progress("generate", said.shape[1] - len(ids), longest)
        return torch.zeros(len(said), dtype=torch.bool, device=said.device)  # nothing has to stop here

    prompt_ids = torch.tensor([ids], device=loaded.device)
    sampling = (
        {"do_sample": True, "temperature": settings.temperature} if settings.temperature else {"do_sample": False}
    )
    # The turn is taken before the seed is set: torch's random numbers are one stream for all threads.
    with turn_on(loaded.model), torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(settings.sampling_seed)
        output = loaded.generate(
            prompt_ids,
            attention_mask=torch.ones_like(prompt_ids),
            max_new_tokens=longest,
            stopping_criteria=StoppingCriteriaList([go_on]),
            pad_token_id=pad_token(tokenizer),
            **sampling,
        )
    completion = str(tokenizer.decode(output[0, len(ids) :], skip_special_tokens=True))
    if not completion:
        raise DataError(f"the model ends at once after the prompt {prompt!r}: there is no completion to explain.")
    return completion


def joined_without_space(question: Question) -> bool:
    """Whether prompt and completion meet without white space, which is rarely meant."""
    return bool(question.prompt) and not question.prompt[-1].isspace() and question.completion[:1].isalnum()
