"""The rows of texts that a loop did not store, taken as `lorif index` takes them, with the model as it is then."""

from collections.abc import Iterator, Sequence

import torch

from lorif_core.capture.hooks import frozen, num_ids
from lorif_core.data.encoding import Encoder, pad_token
from lorif_core.data.sequences import count_tokens
from lorif_core.errors import ConfigError, DataError
from lorif_core.passes.loop_batches import LoopRows
from lorif_core.passes.shards import GradientSource
from lorif_core.passes.text_gradients import capture_texts
from lorif_core.workspace.indexes.engine import CPU_TOKENS_PER_BATCH
from lorif_core.workspace.runs.row_files import POSITION, STEP, Rows
from lorif_core.workspace.runs.run_files import RunFiles

AT_ONCE = 256
"""Texts whose rows are in memory."""


def rows_of_missing(run: RunFiles, source: GradientSource, positions: Sequence[int], step: int) -> Iterator[Rows]:
    """Rows of the texts at these places of the data set.

    Args:
        run: Of the texts.
        source: The trained model, its maps and method.
        positions: Of the texts.
        step: That the rows are signed with.

    Raises:
        ConfigError: The model is no language model, or there is no tokenizer.
        DataError: A text cannot be read.
    """
    if not positions:
        return
    if not run.can_be_loaded or run.tokenizer is None:
        raise ConfigError(
            "texts are taken at the end from a language model whose `tokenizer=` was given to `lf.log`. Without one, "
            "train on `run.missing_ids` with `run.batch`, and no steps."
        )
    count = num_ids(source.model)
    encoder = Encoder(run.tokenizer, run.max_length, None, count)
    with frozen(source.model):
        for start in range(0, len(positions), AT_ONCE):
            chosen = list(positions[start : start + AT_ONCE])
            encoded = encoder.encode_all(run.examples.examples_at(chosen))
            if encoded.unreadable:
                train_id, reason = next(iter(encoded.unreadable.items()))
                raise DataError(f"text {train_id!r} is missing and cannot be read by this model: {reason}.")
            rows = LoopRows(source, torch.arange(len(chosen)))
            pad_id = pad_token(run.tokenizer, count)
            capture_texts(
                source.model,
                source.maps,
                encoded.texts,
                rows.take,
                pad_id=pad_id,
                tokens_per_batch=CPU_TOKENS_PER_BATCH,
            )
            lengths = [count_tokens(one).whole for one in encoded.texts]
            yield rows.finish() | {
                "num_tokens": torch.tensor(lengths, dtype=torch.int32),
                POSITION: torch.tensor(chosen, dtype=torch.int32),
                STEP: torch.full((len(chosen),), step, dtype=torch.int32),
            }
