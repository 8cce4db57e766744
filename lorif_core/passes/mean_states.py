"""What a model makes of whole texts: the mean over a text's tokens of the last hidden state. Forward passes only."""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn

from lorif_core.capture.boundaries import length_boundaries
from lorif_core.capture.hooks import model_inputs
from lorif_core.data.batches import pad_batch, plan_batches
from lorif_core.data.sequences import EncodedExample, EncodedText, sequences_of
from lorif_core.errors import ModelError, NumericalError
from lorif_core.passes.text_losses import without_dropout
from lorif_core.shapes import Float, TokenBatch


def mean_states(
    model: nn.Module,
    texts: Sequence[EncodedText],
    *,
    pad_id: int,
    tokens_per_batch: int,
    on_texts: Callable[[int], None] = lambda _: None,
) -> Float[Tensor, "n d"]:
    """Mean over its tokens of what the output head reads at each, float32 on the CPU; zeros for a text without any.

    A token that several windows of a text hold counts once, where it is read first. Neither the size of the batches
    nor the padding in them shows beyond float rounding.

    Args:
        model: Its training flags are restored.
        texts: Encoded, at least one.
        pad_id: Any valid token.
        tokens_per_batch: Padding included.
        on_texts: Told after each batch how many texts' sequences were read, so that the sum is the number of texts.

    Raises:
        ModelError: The model has no output head whose input could be read.
        NumericalError: A state is not finite; says of which text.
    """
    read = [(row, one, mask) for row, text in enumerate(texts) for one, mask in _first_readings(text)]
    lengths = [len(one.input_ids) for _, one, _ in read]
    counts = torch.zeros(len(texts), dtype=torch.long)
    for row, _, mask in read:
        counts[row] += sum(mask)
    sums: Tensor | None = None
    done = 0
    with without_dropout(model), torch.no_grad():
        for places in plan_batches(lengths, tokens_per_batch, length_boundaries(model)) if read else []:
            batch = pad_batch([read[place][1] for place in places], pad_id)
            states = _states(model, batch)
            mask = _stacked([read[place][2] for place in places], states.shape[1]).to(states.device)
            found = torch.einsum("bt,btd->bd", mask, states).double().cpu()
            sums = torch.zeros(len(texts), found.shape[1], dtype=torch.float64) if sums is None else sums
            sums.index_add_(0, torch.tensor([read[place][0] for place in places]), found)
            now = len(texts) * (done + len(places)) // len(read) - len(texts) * done // len(read)
            done += len(places)
            on_texts(now)
    if sums is None:
        on_texts(len(texts))
        return torch.zeros(len(texts), _width(model))
    bad = (~sums.isfinite().all(1)).nonzero().flatten().tolist()
    if bad:
        raise NumericalError(
            f"the hidden states of a text are not finite, of row {bad[0]} of a part: the model's numbers overflowed. "
            "Load it in float32 or bfloat16, or check its weights."
        )
    return (sums / counts.clamp_min(1).unsqueeze(1)).float()


def _first_readings(text: EncodedText) -> Iterator[tuple[EncodedExample, list[bool]]]:
    """The sequences of a text that read something new, with which of their tokens are new."""
    known = set[tuple[bool, int]]()
    for one in sequences_of(text):
        places = [(one.is_rejected, place) for place in one.places]
        mask = [place not in known for place in places]
        known.update(places)
        if any(mask):
            yield one, mask


def _stacked(masks: Sequence[list[bool]], length: int) -> Tensor:
    found = torch.zeros(len(masks), length)
    for row, mask in enumerate(masks):
        found[row, : len(mask)] = torch.tensor(mask, dtype=torch.float32)
    return found


class _Read(Exception):
    """What the output head was given; it ends a forward pass, as logits over a vocabulary would outweigh the rest."""


def _states(model: nn.Module, batch: TokenBatch) -> Tensor:
    """What the output head would read at every token, (B, T, d).

    Raises:
        ModelError: There is no such head, or it is not given one state per token.
    """

    def stop(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        raise _Read(inputs[0])

    handle = _head(model).register_forward_pre_hook(stop)
    try:
        model(**model_inputs(model, batch))
    except _Read as read:
        found: Tensor = read.args[0]
    else:
        raise ModelError(
            f"{type(model).__name__} did not use its output head, so the states before it cannot be read: texts can "
            "be compared by their gradients only."
        )
    finally:
        handle.remove()
    if found.shape[:2] != batch.input_ids.shape:
        raise ModelError(
            f"one state per token was expected, {list(batch.input_ids.shape)} of them, the output head was given "
            f"{list(found.shape)}: texts can be compared by their gradients only."
        )
    return found.detach().float()


def _head(model: nn.Module) -> nn.Module:
    found = getattr(model, "get_output_embeddings", lambda: None)()
    if not isinstance(found, nn.Module):
        raise ModelError(
            f"{type(model).__name__} names no output head, so the states before it cannot be read: texts can be "
            "compared by their gradients only."
        )
    return found


def _width(model: nn.Module) -> int:
    return int(getattr(_head(model), "in_features", 1))
