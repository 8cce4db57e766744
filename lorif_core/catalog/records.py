"""What the catalog knows about each artefact, as plain values.

A record has the columns of one table (``schema.py``) and nothing else, so that both catalogs store the
same thing. Times are aware and in UTC. ``None`` means that the fact does not exist or is not known yet.
"""

import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Literal, NamedTuple, TypedDict, get_args

from lorif_core.errors import CatalogError

GONE = "gone-"
"""How the fingerprint of a question begins that went with its index."""

IndexStatus = Literal["building", "complete", "failed", "damaged"]


def utc_now() -> datetime:
    """The present time in UTC, to the microsecond."""
    return datetime.now(UTC)


def check_status(status: str) -> None:
    """Refuse a status that no index can have.

    Raises:
        CatalogError: The status is unknown; the message lists the known ones.
    """
    known = get_args(IndexStatus)
    if status not in known:
        raise CatalogError(f"the status of an index is one of {', '.join(known)}, got {status!r}.")


def _check_aware(name: str, time: datetime) -> None:
    if time.tzinfo is None:
        raise CatalogError(f"{name} needs a time zone, got {time.isoformat()!r} without one: use `utc_now()`.")


@dataclass(frozen=True, kw_only=True)
class _Created:
    created_at: datetime = field(default_factory=utc_now)
    """When the artefact came to be; lists are ordered by it, then by id."""

    def __post_init__(self) -> None:
        _check_aware("created_at", self.created_at)


@dataclass(frozen=True, kw_only=True)
class DatasetRecord(_Created):
    """An imported data set."""

    dataset_id: str
    """Stable id, also the name of its folder."""

    name: str
    """What people call it."""

    fingerprint: str
    """Hash of the source files and of how they were read."""

    kind: str
    """Shape of an example: plain text, prompt and completion, or chat messages."""

    num_examples: int
    """Examples kept."""

    num_rejected: int = 0
    """Rows that could not be used; they are listed in the rejects file."""

    num_duplicates: int = 0
    """Rows dropped because an earlier one had the same id and content."""

    size_bytes: int
    """Bytes of the imported copy on disk."""

    source_files: tuple[str, ...] = ()
    """Files the examples were read from, in the order given."""

    source_checksums: tuple[str, ...] = ()
    """Checksum of each source file; empty for data sets of before format 3 and for folders."""

    settings_json: str = "{}"
    """How the files were read, as JSON text of ``ImportConfig``. Never filtered on."""

    corpus_id: str = ""
    """Id of the first version of this data; decisions belong to it, so that they outlive a new version.
    Left out: this is the first version."""

    parent_id: str | None = None
    """The version that this one replaces; None for the first."""

    version: int = 1
    """1 for the first version, then counted up."""

    def __post_init__(self) -> None:
        """Check the time, and name the corpus after its first version."""
        super().__post_init__()
        if not self.corpus_id:
            object.__setattr__(self, "corpus_id", self.dataset_id)


@dataclass(frozen=True, kw_only=True)
class ModelRecord(_Created):
    """A model that at least one index was built for."""

    model_id: str
    """Stable id."""

    name: str
    """Folder or hub name, as given."""

    fingerprint: str
    """Hash of the weights."""

    tokenizer_fingerprint: str
    """Hash of the tokenizer's files."""

    architecture: str
    """Class name that the model's configuration gives."""

    num_parameters: int
    """All parameters, tracked or not."""


@dataclass(frozen=True, kw_only=True)
class IndexRecord(_Created):
    """An index: the artefact built for one data set and one model."""

    index_id: str
    """Stable id, also the name of its folder."""

    dataset_id: str
    """The data set whose examples it holds."""

    model_id: str
    """The model whose gradients it holds."""

    method: str
    """Attribution method, as in the settings."""

    status: IndexStatus = "building"
    """``building`` until the last shard is written; ``failed`` if the build stopped with an error;
    ``damaged`` once a file differs from its checksum."""

    factor_rank: int | None
    """Factor rank c; None for a method without factors."""

    f: int
    """Projection divisor."""

    codec: str
    """How a stored number is encoded."""

    num_examples: int
    """Train examples, N."""

    num_modules: int
    """Tracked modules."""

    total_dim: int
    """Sum over modules of d_in * d_out."""

    max_length: int
    """Longest sequence in tokens; longer examples were cut."""

    num_truncated: int | None = None
    """Examples that were cut; None until the build has seen them all."""

    shard_bytes: int | None = None
    """Bytes of all shards; None until they are written."""

    total_bytes: int | None = None
    """Bytes of the whole folder, manifest, maps and preconditioner included; None until it is complete."""

    fingerprint: str | None = None
    """Hash of the settings and of the parents' fingerprints; None until the manifest is written."""

    settings_json: str
    """The full settings as JSON text, to repeat the build. Never filtered on."""

    updated_at: datetime = field(default_factory=utc_now)
    """Last change of this record."""

    build_seconds: float | None = None
    """Wall-clock time of the build; None until it ends."""

    @property
    def storage(self) -> str | None:
        """Where its files lie, as the settings have it; None: in the workspace."""
        return json.loads(self.settings_json).get("storage")

    def __post_init__(self) -> None:
        """Check the status and that both times are aware."""
        super().__post_init__()
        _check_aware("updated_at", self.updated_at)
        check_status(self.status)


@dataclass(frozen=True, kw_only=True)
class PreconditionerRecord(_Created):
    """A preconditioner of an index; one index may have several."""

    preconditioner_id: str
    """Stable id."""

    index_id: str
    """The index it belongs to."""

    subspace_rank: int
    """Directions kept per module, r; 0 is GradDot."""

    damping_rule: str
    """``trace``, ``spectrum`` or ``absolute``."""

    damping_ratio: float | None = None
    """Damping over the mean eigenvalue that the rule names; None with ``absolute``."""

    damping: float | None = None
    """Absolute damping, in gradient-norm squared; only with ``absolute``."""

    size_bytes: int
    """Bytes on disk."""

    fingerprint: str
    """Hash of its settings and of the index's fingerprint."""

    build_seconds: float | None = None
    """Wall-clock time of the build."""


@dataclass(frozen=True, kw_only=True)
class EvaluationRecord(_Created):
    """A quality measurement of indexes or methods."""

    evaluation_id: str
    """Stable id."""

    kind: str
    """``lds``, ``sweep``, ``fidelity``, ``planted``, ``mislabel``, ``tail-patch`` or ``brittleness``."""

    dataset_id: str
    """The data set whose examples were ranked."""

    settings_json: str
    """What was asked, as JSON text, to repeat it. Never filtered on."""

    result_json: str
    """The figures, as JSON text."""


@dataclass(frozen=True, kw_only=True)
class QueryRecord(_Created):
    """A question that was asked, with everything needed to show its answer again without a model."""

    query_id: str
    """A number, in the order of asking."""

    fingerprint: str
    """Hash of the question, its settings and the index: the same question again is the same query."""

    index_id: str
    """The index that answered."""

    dataset_id: str
    """The data set whose examples were ranked."""

    prompt: str
    """What the model was given."""

    completion: str
    """What it said."""

    contrast: str | None = None
    """The second completion of "why A and not B"."""

    tokens_json: str | None = None
    """The tokens of the completion that were explained, as a JSON list; None: all."""

    objective: str
    """loss, margin or contrast."""

    normalisation: str
    """How scores were normalised."""

    settings_json: str
    """The scoring settings in full, as JSON text. Never filtered on."""

    objective_value: float
    """Of the completion, in nats."""

    num_scored: int
    """Examples that were scored."""

    positive_total: float
    """Sum of all positive scores."""

    k: int
    """Asked-for length of the supporting list."""

    num_opposing: int
    """Asked-for length of the opposing list."""

    elapsed_s: float
    """What the answer took."""

    plans_json: str = "{}"
    """Scoring plan → number of modules, as JSON text."""

    asked_by: str
    """Who asked."""

    @property
    def is_gone(self) -> bool:
        """Whether it went with its index: only its number is left, so that no other question gets it."""
        return self.fingerprint.startswith(GONE)

    def without_words(self) -> "QueryRecord":
        """What is left of it when its index is deleted."""
        return replace(
            self,
            fingerprint=f"{GONE}{self.query_id}",
            prompt="",
            completion="",
            contrast=None,
            tokens_json=None,
            settings_json="{}",
            plans_json="{}",
        )


@dataclass(frozen=True, kw_only=True)
class HitRecord(_Created):
    """One line of a query's top lists."""

    hit_id: str
    """Query, side and rank; sorts as the list does."""

    query_id: str
    """The query."""

    side: str
    """supports or opposes."""

    rank: int
    """1 is the strongest of its side."""

    train_id: str
    """The train example."""

    score: float
    """Positive supports, negative opposes."""

    tokens_json: str = "[]"
    """The example's tokens with their parts of the score, as JSON text; an object of ``tokens`` and the strongest
    ``window`` for a text of several sequences."""


Record = DatasetRecord | ModelRecord | IndexRecord | PreconditionerRecord | EvaluationRecord | QueryRecord | HitRecord


class IndexMeasures(TypedDict, total=False):
    """What a build finds out about its index on the way. A key left out keeps its value."""

    num_truncated: int
    shard_bytes: int
    total_bytes: int
    fingerprint: str
    build_seconds: float


class Kind(NamedTuple):
    """How to name the things of one table, in code and to a person."""

    noun: str
    id_field: str
    remedy: str


KINDS: dict[type[Record], Kind] = {
    DatasetRecord: Kind("data set", "dataset_id", "`lorif import` adds one"),
    ModelRecord: Kind("model", "model_id", "`lorif index` adds the model that it is given"),
    IndexRecord: Kind("index", "index_id", "`lorif index` builds one"),
    PreconditionerRecord: Kind("preconditioner", "preconditioner_id", "`lorif index` builds one"),
    EvaluationRecord: Kind("evaluation", "evaluation_id", "`lorif evaluate` makes one"),
    QueryRecord: Kind("query", "query_id", "`lorif ask` makes one"),
    HitRecord: Kind("hit", "hit_id", "`lorif ask` makes some"),
}


def id_of(record: Record) -> str:
    """The primary key of a record."""
    return getattr(record, KINDS[type(record)].id_field)
