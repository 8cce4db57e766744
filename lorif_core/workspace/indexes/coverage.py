"""What of a data set an index rests on: texts that could not be read, texts with nothing to predict, tokens cut."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from lorif_core.data.sequences import has_targets
from lorif_core.errors import DataError
from lorif_core.store.manifest import Manifest

if TYPE_CHECKING:
    from lorif_core.data.encoding import EncodedExample
    from lorif_core.workspace.indexes.index_job import IndexJob


@dataclass(frozen=True)
class Coverage:
    """What of the data set's texts the stored gradients are of."""

    unreadable: dict[str, str]
    """Why, by id, texts could not be turned into tokens, such as chats that the template refuses, or their gradients
    not be taken. What is stored of them is zero, so they never come up."""

    num_without_gradients: int
    """How many of these could be read, but their gradients not be taken."""

    without_targets: list[str]
    """Ids of texts of which nothing is to be predicted, such as a prompt longer than a sequence. Their gradient is
    zero, too."""

    num_without_targets: int
    """As many; more than are listed where a part of the index is older than the list."""

    num_cut: int
    """Texts of which tokens were cut."""

    num_tokens: int | None
    """Of all texts; None in an index from before they were counted."""

    num_tokens_read: int | None
    """Of these, those that the model read."""

    max_length: int
    """Longest sequence in tokens."""

    stride: int | None
    """Tokens from one window of a long text to the next; None: long texts were cut."""

    @property
    def share(self) -> float | None:
        """Part of the tokens that the model read, from 0 to 1; None where they were not counted."""
        if self.num_tokens is None or self.num_tokens_read is None:
            return None
        return self.num_tokens_read / self.num_tokens if self.num_tokens else 1.0

    def sentences(self, where: str, *, most: int = 3) -> list[str]:
        """What a person should know of it, a sentence each; none where every token of every text was read.

        Args:
            where: How to see all of a list, such as a command.
            most: Ids that are named.
        """
        found = []
        if self.unreadable:
            named = [f"{train_id} ({reason})" for train_id, reason in list(self.unreadable.items())[:most]]
            count = len(self.unreadable)
            what = "read or differentiated" if self.num_without_gradients else "read"
            found.append(f"{_texts(count)} could not be {what}: {_listed(named, count, where)}")
        if self.num_without_targets:
            count = self.num_without_targets
            listed = _listed(self.without_targets[:most], count, where)
            verb = "has" if count == 1 else "have"
            found.append(f"{_texts(count)} {verb} no token to predict within {self.max_length}: {listed}")
        if found:
            found[-1] += " Such texts never come up, their gradients are stored as zero."
        if self.stride is not None:
            found.append(
                f"Texts longer than {self.max_length} tokens are read in windows, a new one every {self.stride} "
                "tokens."
            )
        if self.num_cut:
            share = "" if self.share is None else f", so the index covers {_percent(self.share)} of all tokens"
            verb = "is" if self.num_cut == 1 else "are"
            found.append(
                f"{_texts(self.num_cut)} {verb} cut at {self.max_length} tokens{share}; `--max-length` sets the "
                "limit, `--windows all` reads long texts whole."
            )
        return found

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON-serialisable values."""
        return asdict(self) | {"share": self.share}


def _texts(count: int) -> str:
    return f"{count:,} text{'s' if count != 1 else ''}"


def _listed(named: list[str], count: int, where: str) -> str:
    more = count - len(named)
    return f"{', '.join(named)}{f' and {more:,} more, see {where}' if more > 0 else ''}."


def _percent(share: float) -> str:
    return f"{min(share, 0.999) if share < 1 else share:.1%}"


def coverage_of(manifest: Manifest) -> Coverage:
    """What the finished parts of an index rest on."""
    shards = manifest.shards
    tokens = [shard.num_tokens for shard in shards]
    read = [shard.num_tokens_read for shard in shards]
    pairs = (pair for shard in shards for pair in zip(shard.failed_ids, shard.failed_reasons, strict=True))
    return Coverage(
        unreadable=dict(pairs),
        num_without_gradients=sum(shard.num_without_gradients for shard in shards),
        without_targets=[train_id for shard in shards for train_id in shard.ids_without_targets or []],
        num_without_targets=sum(shard.num_without_targets for shard in shards),
        num_cut=sum(shard.num_truncated for shard in shards),
        num_tokens=None if None in tokens else sum(count or 0 for count in tokens),
        num_tokens_read=None if None in read else sum(count or 0 for count in read),
        max_length=manifest.max_length,
        stride=manifest.stride,
    )


def first_readable(job: "IndexJob") -> "tuple[EncodedExample, ...]":
    """The first text that has a token to predict.

    Raises:
        DataError: There is none; names the reason of the first.
    """
    encoder, reason = job.engine.encoder, None
    for example in job.examples.iter_examples():
        found = encoder.encode_all([example])
        if has_targets(found.texts[0]):
            return found.texts[0]
        reason = reason or f"the first, {example.train_id!r}: " + found.unreadable.get(
            example.train_id, f"it has no token to predict within {encoder.max_length}"
        )
    raise DataError(
        f"this model can learn from none of the data's texts, {job.dataset.num_examples:,} in all; {reason}. Choose "
        "another model, or import the data in another form."
    )
