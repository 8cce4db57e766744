"""Let the model of an index say something."""

import torch
from transformers import StoppingCriteriaList

from lorif_core.data.encoding import pad_token, special_token
from lorif_core.data.token_text import token_texts
from lorif_core.errors import DataError
from lorif_core.models.load import LoadedModel
from lorif_core.turns import turn_on
from lorif_core.workspace.asking.encode_question import fit_prompt, ids_of_prompt
from lorif_core.workspace.asking.question import Question, Spoken
from lorif_core.workspace.folder.progress import ProgressSink, no_progress


def generate_completion(loaded: LoadedModel, question: Question, on_progress: ProgressSink = no_progress) -> Spoken:
    """Let the model complete the prompt, greedily or sampled with a seed, within the length that it reads.

    Args:
        loaded: Who completes it.
        question: The prompt, and how the model completes it. A prompt that is longer than the model reads is cut at
            its front; the explanation sees the same tokens and says so.
        on_progress: Receives ("generate", tokens said, the most that it may say). What it raises ends the work.

    Raises:
        DataError: The model ends at once.
    """
    settings = question.generate
    whole = ids_of_prompt(question, loaded.tokenizer)
    room = settings.max_new_tokens if loaded.max_positions is None else loaded.max_positions - len(whole)
    if room < 1:  # as many tokens as were asked for, but the prompt comes first
        room = max(1, min(settings.max_new_tokens, (loaded.max_positions or 2) // 2))
    longest = min(settings.max_new_tokens, room)
    ids = fit_prompt(whole, longest, loaded)

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
            pad_token_id=pad_token(loaded.tokenizer),
            eos_token_id=_end_tokens(loaded) or None,
            **sampling,
        )
    said = [int(token) for token in output[0, len(ids) :]]
    text = text_of_said(loaded, said, is_continued=bool(question.prompt or question.messages))
    if not text:
        raise DataError(
            f"the model ends at once after the prompt {question.prompt!r}: there is no completion to explain. Type "
            "one."
        )
    return Spoken(text, tuple(said), len(ids))


def text_of_said(loaded: LoadedModel, ids: list[int], *, is_continued: bool) -> str:
    """What was said as people read it, without the special tokens in it."""
    special = set(loaded.tokenizer.all_special_ids)
    texts = token_texts(loaded.tokenizer, ids, is_continued=is_continued)
    return "".join(text for token, text in zip(ids, texts, strict=True) if token not in special)


def _end_tokens(loaded: LoadedModel) -> list[int]:
    """Every token with which the model may end what it says: its own, of which it may have several, and the
    tokenizer's."""
    named = getattr(getattr(loaded.model, "generation_config", None), "eos_token_id", None)
    own = named if isinstance(named, list) else [named]
    ends = {token for token in (*own, special_token(loaded.tokenizer, "eos")) if isinstance(token, int)}
    return sorted(ends)
