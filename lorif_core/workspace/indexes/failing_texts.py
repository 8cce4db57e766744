"""Texts whose gradients cannot be taken: found by halving the part that fails, named, and stored as zero.

One such text (numbers beyond what its precision holds, a kernel that fails at its length) would otherwise stop the
build of millions. What fails again by itself is left out with its reason; many such texts mean that the model or its
settings do not work, so more than one in ``ONE_IN`` stops the build (docs/decisions/0044).
"""

from collections.abc import Callable, Sequence

import torch
from torch import nn

from lorif_core.data.encoding import EncodedTexts
from lorif_core.errors import CaptureError, LorifError, NumericalError
from lorif_core.passes.shards import GradientSource, ShardTensors, build_shard
from lorif_core.passes.text_gradients import OnBatch
from lorif_core.store.json_files import Folder
from lorif_core.store.manifest import Manifest, read_manifest
from lorif_core.system_failures import is_of_the_machine

ONE_IN = 1000
"""So many of a data set's texts may fail; one text is always allowed."""

LONGEST_REASON = 200
"""Characters of a reason that are kept."""

_OF_A_TEXT = (RuntimeError, ValueError, IndexError, ArithmeticError)
"""What a pass over one text may raise; torch's errors are RuntimeErrors. Anything else is a defect of ours."""


class FailingText(Exception):
    """A part cannot be made because of some of its texts; carries the first error as its cause."""


def num_left_to_fail(folder: Folder) -> int:
    """How many more texts of an index that is being built may fail than did in its finished parts."""
    manifest = read_manifest(folder)
    return most_failing(manifest.num_examples) - len(_failed(manifest))


def most_failing(num_examples: int) -> int:
    """How many of a data set's texts may fail."""
    return max(1, num_examples // ONE_IN)


def check_failures(manifest: Manifest) -> None:
    """Refuse an index of whose texts more failed than may: workers that find theirs at one time do not see that.

    Raises:
        CaptureError: More did; names one.
    """
    failed = _failed(manifest)
    if len(failed) > most_failing(manifest.num_examples):
        raise too_many(failed)


def _failed(manifest: Manifest) -> dict[str, str]:
    """Reason by id of every text that failed in a finished part; unreadable texts are none of them."""
    pairs = [
        pair
        for shard in manifest.shards
        for pair in list(zip(shard.failed_ids, shard.failed_reasons, strict=True))[
            len(shard.failed_ids) - shard.num_without_gradients :
        ]
    ]
    return dict(pairs)


def take_whole(source: GradientSource, encoded: EncodedTexts, on_batch: OnBatch) -> ShardTensors:
    """The shard of some texts, none of which fails.

    Raises:
        FailingText: One does.
    """
    try:
        return build_shard(source, encoded.texts, on_batch)
    except _OF_A_TEXT as error:
        if not is_of_a_text(error, source.model):
            raise
        raise FailingText(reason_of(error)) from error


def take_without_failing(
    source: GradientSource, ids: Sequence[str], encoded: EncodedTexts, num_allowed: Callable[[], int]
) -> tuple[ShardTensors, EncodedTexts]:
    """The shard of some texts of which some fail, these as zero, and the texts with these among the unreadable ones.

    Args:
        source: Model, maps and method.
        ids: Of the texts.
        encoded: The texts, in store order.
        num_allowed: How many more texts may fail; asked when the first was found.

    Raises:
        CaptureError: More texts fail than may.
        FailingText: The part fails, and none of its texts by itself.
    """
    failing = _find_failing(source, ids, encoded, num_allowed)
    left = [() if one in failing else text for one, text in zip(ids, encoded.texts, strict=True)]
    without = EncodedTexts(left, encoded.unreadable | failing)
    return take_whole(source, without, lambda *_: None), without


def _find_failing(
    source: GradientSource, ids: Sequence[str], encoded: EncodedTexts, num_allowed: Callable[[], int]
) -> dict[str, str]:
    """Reason by id of every text that fails by itself, in store order."""
    found: dict[str, str] = {}
    waiting = _halves(range(len(ids)))
    while waiting:
        rows = waiting.pop()
        try:
            take_whole(source, EncodedTexts(encoded.texts[rows.start : rows.stop], {}), lambda *_: None)
        except FailingText as failure:
            if len(rows) > 1:
                waiting += _halves(rows)
                continue
            found[ids[rows.start]] = untaken(failure)
            if len(found) > num_allowed():
                raise too_many(found) from failure
    return found


def untaken(reason: object) -> str:
    """Why a text is stored as zero."""
    return f"its gradient cannot be taken: {reason}"


def _halves(rows: range) -> list[range]:
    """Both halves, the first one last: it is taken first."""
    middle = (rows.start + rows.stop + 1) // 2
    return [half for half in (range(middle, rows.stop), range(rows.start, middle)) if half]


def too_many(failing: dict[str, str]) -> CaptureError:
    """The refusal of a build of whose texts too many fail; names some of them."""
    train_id, reason = next(iter(failing.items()))
    return CaptureError(
        f"at most {1 / ONE_IN:.1%} of the texts, and at least one, may be without a gradient because it cannot be "
        f"taken, and more are; one is {train_id!r}: {reason}. So model and settings do not work on this data: check "
        "the model's weights, try `--precision float32`, or leave these texts out of the data."
    )


def is_of_a_text(error: BaseException, model: nn.Module) -> bool:
    """Whether another text may do where this one failed: neither the machine nor the model as a whole is at fault."""
    if not isinstance(error, _OF_A_TEXT) or is_of_the_machine(error):
        return False
    if isinstance(error, LorifError) and not isinstance(error, NumericalError):
        return False
    return all(_computes(device) for device in {one.device for one in model.parameters()})


def _computes(device: torch.device) -> bool:
    """Whether a device still does anything: after some failures a GPU does nothing more in this process."""
    try:
        return bool(torch.ones(1, device=device).sum().item() == 1)
    except RuntimeError:
        return False


def reason_of(error: BaseException) -> str:
    """The first line of what a text raised, to be kept."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:LONGEST_REASON].rstrip(". ")
