"""Let the model of an index say something."""

import torch
from transformers import StoppingCriteriaList

from lorif_core.config import GenerateConfig
from lorif_core.data.encoding import encode_prompt, pad_token
from lorif_core.errors import DataError
from lorif_core.models.load import LoadedModel
from lorif_core.turns import turn_on
from lorif_core.workspace.folder.progress import ProgressSink, no_progress


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
