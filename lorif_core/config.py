"""Settings of every stage as frozen dataclasses.

The command line, the manifest and the documentation are generated from them. Nothing here
imports torch, so ``lorif --help`` is instant. A field checks itself; a relation between two
fields is checked where both live.
"""

from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple, TypeVar

from lorif_core.errors import ConfigError

T = TypeVar("T")

Codec = Literal["bf16", "int8", "int4", "sign"]
DampingRule = Literal["trace", "spectrum", "absolute"]
Method = Literal["kronecker", "lorif", "graddot", "logra"]
Objective = Literal["loss", "margin", "contrast"]
Normalisation = Literal["none", "unit", "relatif", "tempered"]

DEFAULT_REFINE_RATIO = 3.0
"""Damping of the refinement over the mean self-influence: helps on both ground truths, 1 on one of them only."""

DEFAULT_DAMPING_RATIO: dict[str, float] = {"trace": 0.5, "spectrum": 0.1}
"""Ratio of each rule, in units of the mean eigenvalue that the rule names (docs/explanation/design.md §2.5)."""


class MethodDefaults(NamedTuple):
    """What a method takes for settings that are left unset."""

    f: int
    factor_rank: int
    codec: Codec
    subspace_rank: int


METHOD_DEFAULTS: dict[Method, MethodDefaults] = {
    "kronecker": MethodDefaults(f=1, factor_rank=2, codec="sign", subspace_rank=0),
    "lorif": MethodDefaults(f=4, factor_rank=1, codec="bf16", subspace_rank=256),
    "graddot": MethodDefaults(f=4, factor_rank=1, codec="bf16", subspace_rank=0),
    "logra": MethodDefaults(f=4, factor_rank=1, codec="bf16", subspace_rank=256),
}


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise ConfigError(message)


@dataclass(frozen=True, kw_only=True)
class ImportConfig:
    """How the columns of a data file are read. Columns left unset are found by name."""

    text: str | None = None
    """Column of plain text; every token but the first is a target. Found as `text`."""

    prompt: str | None = None
    """Column of the prompt; never a target. Found as `prompt`."""

    completion: str | None = None
    """Column of the completion; its tokens are the targets. Found as `completion`."""

    messages: str | None = None
    """Column of chat messages (role, content); assistant tokens are the targets. Found as `messages`."""

    id: str | None = None
    """Column of stable ids. Found as `id`; without one an id is the hash of the content."""

    name: str | None = None
    """Name of the data set in the workspace. Unset: the name of the first file."""

    keep_empty: bool = False
    """Keep rows whose completion is empty: the end token that follows it is their target."""

    strict: bool = False
    """Refuse the whole import when any row is bad, instead of listing it in the rejects file."""

    def __post_init__(self) -> None:
        """Check that at most one kind of text is named."""
        kinds = [self.text, self.prompt or self.completion, self.messages]
        _require(
            sum(kind is not None for kind in kinds) <= 1,
            "name the columns of one kind of text: `--text`, or `--prompt` with `--completion`, or "
            "`--messages`; several were given.",
        )
        _require(
            (self.prompt is None) == (self.completion is None),
            "`--prompt` and `--completion` go together, only one was given. Name both columns.",
        )


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Which model is differentiated, and which of its modules are tracked."""

    model: str
    """Folder or Hugging Face hub name of a causal language model (safetensors only)."""

    trust_remote_code: bool = False
    """Run model code that comes with the weights. Only for sources you trust."""

    include: tuple[str, ...] = ()
    """Patterns (`*` matches anything) of module names to track. Empty: all of attention and MLP."""

    exclude: tuple[str, ...] = ()
    """Patterns of module names not to track, applied after `include`."""

    device: str = "auto"
    """`auto` (a GPU when there is one, else the CPU), `cpu`, `cuda`, `cuda:1`, …"""


@dataclass(frozen=True, kw_only=True)
class FactorConfig:
    """How a per-example gradient becomes bytes."""

    f: int | None = None
    """Projection divisor: d_in = max(1, in // f), d_out = max(1, out // f). Unset: 1 for kronecker, else 4."""

    factor_rank: int | None = None
    """Factor rank c: numbers stored per example and module are c * (d_in + d_out). Unset: 2 for
    kronecker, else 1."""

    codec: Codec | None = None
    """How a stored number is encoded: bf16 (16 bits), int8, int4 or sign (1 bit). Unset: sign for
    kronecker, else bf16."""

    seed: int = 0
    """Seed of the random maps; any machine redraws the same ones."""

    def __post_init__(self) -> None:
        """Check ranges."""
        _require(
            self.f is None or self.f >= 1, f"f must be at least 1, got {self.f}: it divides the width of a module."
        )
        _require(
            self.factor_rank is None or self.factor_rank >= 1,
            f"factor_rank must be at least 1, got {self.factor_rank}. The paper uses 1 to 4.",
        )


@dataclass(frozen=True, kw_only=True)
class CurvatureConfig:
    """The preconditioner: subspace rank and damping."""

    subspace_rank: int | None = None
    """How many leading directions of the gradient Gram matrix are kept per module; 0 keeps none.
    Unset: 256 for lorif, 0 for kronecker, whose curvature is in its maps."""

    damping_rule: DampingRule = "trace"
    """trace: ratio x mean of all eigenvalues; spectrum: ratio x mean of the kept ones (the paper);
    absolute: `damping` as given."""

    damping_ratio: float | None = None
    """Damping over the mean eigenvalue that the rule names. Unset: 0.5 for trace, 0.1 for spectrum."""

    damping: float | None = None
    """Absolute damping, in gradient-norm squared; only with `damping_rule=absolute`."""

    def __post_init__(self) -> None:
        """Check ranges and that rule and value agree."""
        _require(
            self.subspace_rank is None or self.subspace_rank >= 0,
            f"subspace_rank must be at least 0, got {self.subspace_rank}; 0 is GradDot.",
        )
        if self.damping_rule == "absolute":
            _require(
                self.damping is not None and self.damping > 0,
                f"damping must be > 0 with damping_rule=absolute, got {self.damping}: outside the subspace "
                "the inverse is 1/damping. Pass `--damping`.",
            )
        else:
            _require(
                self.damping is None,
                f"damping is only read with damping_rule=absolute, but the rule is {self.damping_rule}. "
                "Pass `--damping-rule absolute`, or `--damping-ratio` instead.",
            )
            _require(
                self.ratio > 0,
                f"damping_ratio must be > 0, got {self.damping_ratio}: the inverse needs some damping.",
            )

    @property
    def ratio(self) -> float:
        """The damping ratio in force."""
        if self.damping_ratio is not None:
            return self.damping_ratio
        return DEFAULT_DAMPING_RATIO.get(self.damping_rule, 0.0)


@dataclass(frozen=True, kw_only=True)
class WhiteningConfig:
    """The statistics behind half-whitened codes; read by the method kronecker only."""

    alpha: float = 0.003
    """Damping of the input and of the gradient statistics, over their mean eigenvalues."""

    stats_examples: int = 2048
    """Examples, drawn at random, over which the statistics are taken; all, if there are fewer."""

    def __post_init__(self) -> None:
        """Check ranges."""
        _require(self.alpha > 0, f"alpha must be > 0, got {self.alpha}: the inverse needs some damping.")
        _require(self.stats_examples >= 1, f"stats_examples must be at least 1, got {self.stats_examples}.")


@dataclass(frozen=True, kw_only=True)
class BatchConfig:
    """How examples are cut into sequences, batches and shards. None of it changes a score."""

    max_length: int = 512
    """Longest sequence in tokens; longer examples are cut, counted and marked."""

    tokens_per_batch: int = 4096
    """Upper bound of batch size times longest sequence, padding included."""

    shard_examples: int | None = None
    """Examples per shard, the unit of resumption. Unset: about 32 MB a shard, 64 to 16384 examples."""

    def __post_init__(self) -> None:
        """Check ranges."""
        _require(self.max_length >= 2, f"max_length must be at least 2 tokens, got {self.max_length}.")
        _require(
            self.tokens_per_batch >= 1,
            f"tokens_per_batch must be at least 1, got {self.tokens_per_batch}.",
        )
        _require(
            self.shard_examples is None or self.shard_examples >= 1,
            f"shard_examples must be at least 1, got {self.shard_examples}.",
        )


@dataclass(frozen=True, kw_only=True)
class IndexConfig:
    """Everything that decides what an index holds."""

    model: ModelConfig
    """The model and its tracked modules."""

    method: Method = "kronecker"
    """kronecker: rank-c factors of half-whitened gradients. lorif: rank-c factors, subspace
    preconditioner. graddot: the same without curvature. logra: unfactored projected gradients with
    the full inverse (small models only)."""

    factors: FactorConfig = field(default_factory=FactorConfig)
    """How a gradient becomes bytes."""

    curvature: CurvatureConfig = field(default_factory=CurvatureConfig)
    """The preconditioner."""

    whitening: WhiteningConfig = field(default_factory=WhiteningConfig)
    """Statistics of half-whitened codes."""

    batches: BatchConfig = field(default_factory=BatchConfig)
    """Sequences, batches and shards."""

    budget: str | None = None
    """Bytes per example, such as 1KB or 512B: modules get rank-one terms by energy per byte until it is
    spent. Instead of `factor_rank`; chooses `f` too, if that is unset."""

    def __post_init__(self) -> None:
        """Fill in what the method takes for settings that were left unset."""
        if self.budget is not None:
            parse_bytes(self.budget)
            _require(
                self.factors.factor_rank is None,
                f"a budget decides the factor rank of every module, factor_rank {self.factors.factor_rank} was given "
                "too. Pass one of `--budget` and `--factor-rank`.",
            )
            _require(
                self.method != "logra", "a budget is for factors, and logra stores none. Use another `--method`."
            )
        default, factors, curvature = METHOD_DEFAULTS[self.method], self.factors, self.curvature
        filled = replace(
            factors,
            f=default.f if factors.f is None and self.budget is None else factors.f,
            factor_rank=default.factor_rank
            if factors.factor_rank is None and self.budget is None
            else factors.factor_rank,
            codec=factors.codec or default.codec,
        )
        object.__setattr__(self, "factors", filled)
        rank = default.subspace_rank if curvature.subspace_rank is None else curvature.subspace_rank
        curvature = replace(curvature, subspace_rank=rank)
        object.__setattr__(self, "curvature", _plain_product(curvature) if self.is_plain_product else curvature)

    @property
    def is_whitened(self) -> bool:
        """Whether gradients are projected by half-whitening maps."""
        return self.method == "kronecker"

    @property
    def is_plain_product(self) -> bool:
        """Whether a score is the plain inner product: all curvature is in the maps."""
        return self.is_whitened and self.curvature.subspace_rank in (None, 0)

    @property
    def f(self) -> int:
        """Projection divisor in force."""
        return _set(self.factors.f)

    @property
    def factor_rank(self) -> int:
        """Factor rank in force."""
        return _set(self.factors.factor_rank)

    @property
    def budget_bytes(self) -> int | None:
        """Bytes per example that factors may take; None without a budget."""
        return None if self.budget is None else parse_bytes(self.budget)

    @property
    def codec(self) -> Codec:
        """Codec in force."""
        return _set(self.factors.codec)

    @property
    def subspace_rank(self) -> int:
        """Subspace rank in force."""
        return _set(self.curvature.subspace_rank)


def _plain_product(curvature: CurvatureConfig) -> CurvatureConfig:
    """No subspace and damping 1: the inverse of the identity."""
    plain = CurvatureConfig(subspace_rank=0, damping_rule="absolute", damping=1.0)
    _require(
        curvature == plain or (curvature.damping_ratio is None and curvature.damping is None),
        "the damping of half-whitened gradients is `--alpha`; damping_ratio and damping belong to a subspace. "
        "Pass `--alpha`, or a `--subspace-rank` above 0.",
    )
    return plain


_UNITS = {"": 1, "B": 1, "KB": 1000, "MB": 1000**2, "KIB": 1024, "MIB": 1024**2}


def parse_bytes(text: str) -> int:
    """A number of bytes from words such as 512, 512B, 1.5KB or 2KiB.

    Raises:
        ConfigError: The text is no such number.
    """
    number = text.strip().upper().rstrip("KMIB")
    unit = text.strip().upper()[len(number) :].strip()
    try:
        value = float(number) * _UNITS[unit]
    except (ValueError, KeyError):
        value = 0.0
    _require(1 <= value < 2**62, f"a budget is a number of bytes per example like 1KB or 512B, got {text!r}.")
    return int(value)


def _set(value: T | None) -> T:
    assert value is not None  # IndexConfig fills it
    return value


@dataclass(frozen=True, kw_only=True)
class ScoreConfig:
    """How queries are differentiated and scored against an index."""

    objective: Objective = "loss"
    """loss: cross-entropy of the completion; margin: log p - log(1 - p); contrast: log p(A) - log p(B)."""

    normalisation: Normalisation = "none"
    """none; unit: divide by both gradient norms; relatif: divide by the root of the train
    example's self-influence; tempered: by its fourth root."""

    refine: int = 0
    """Half-whitened indexes: refine each query by this many steps of conjugate gradients with the curvature of
    the stored texts themselves (docs/decisions/0013: better scores, two do most of it); a step multiplies every
    stored text by a whole matrix twice, nothing is stored for it. 0: plain products, which are much faster."""

    refine_ratio: float = DEFAULT_REFINE_RATIO
    """Damping of that curvature over the mean self-influence; large values leave the query plain."""

    query_rank: int | None = None
    """Keep this many singular directions of each preconditioned query matrix, which makes many
    queries cheap. Unset: keep all (exact)."""

    subspace_rank: int | None = None
    """Use only this many of the index's directions. Unset: all. Needs no new pass over the data."""

    damping_rule: DampingRule | None = None
    """Replace the index's damping rule. Needs no new pass over the data."""

    damping_ratio: float | None = None
    """Replace the index's damping ratio."""

    damping: float | None = None
    """Absolute damping, with `damping_rule=absolute`."""

    def __post_init__(self) -> None:
        """Check ranges."""
        _require(
            self.refine >= 0,
            f"refine must be at least 0 steps, got {self.refine}; 0 leaves queries plain.",
        )
        _require(
            self.refine_ratio > 0,
            f"refine_ratio must be > 0, got {self.refine_ratio}: the inverse needs some damping.",
        )
        _require(
            self.query_rank is None or self.query_rank >= 1,
            f"query_rank must be at least 1, got {self.query_rank}; leave it unset to keep all.",
        )
        _require(
            self.subspace_rank is None or self.subspace_rank >= 0,
            f"subspace_rank must be at least 0, got {self.subspace_rank}; 0 is GradDot.",
        )
        _require(
            self.damping_ratio is None or self.damping_ratio > 0,
            f"damping_ratio must be > 0, got {self.damping_ratio}: the inverse needs some damping.",
        )
        _require(
            self.damping is None or self.damping > 0,
            f"damping must be > 0, got {self.damping}: outside the subspace the inverse is 1/damping.",
        )


@dataclass(frozen=True, kw_only=True)
class GenerateConfig:
    """How the model completes a prompt."""

    max_new_tokens: int = 32
    """Longest generated completion in tokens."""

    temperature: float = 0.0
    """0 takes the likeliest token each time (greedy); above 0 samples."""

    sampling_seed: int = 0
    """Seed of the sampling."""

    def __post_init__(self) -> None:
        """Check ranges."""
        _require(
            self.max_new_tokens >= 1 and self.temperature >= 0,
            f"max_new_tokens must be at least 1 and temperature at least 0, got {self.max_new_tokens} and "
            f"{self.temperature}.",
        )


EXPORT_FORMATS = ("jsonl", "parquet", "csv", "hf")


@dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """What of a curated data set is written, and how."""

    format: str | None = None
    """`jsonl`, `parquet`, `csv`, or `hf`: a folder that `datasets.load_from_disk` reads. Unset: what the suffix
    of `--out` says; jsonl without `--out`."""

    drop_flagged: bool = False
    """Leave out flagged examples too. Excluded ones are always left out."""

    with_decisions: bool = False
    """Add two columns: whether the example was kept or flagged, and the reason given."""

    status_column: str = "decision"
    """Name of the first added column."""

    reason_column: str = "decision_reason"
    """Name of the second added column."""

    count_by: str | None = None
    """Metadata column by which examples are counted. Unset: `source`, if the data have it."""

    def __post_init__(self) -> None:
        """Check the format and the names of the added columns."""
        _require(
            self.format is None or self.format in EXPORT_FORMATS,
            f"an export is written as one of {', '.join(EXPORT_FORMATS)}, got {self.format!r}. Pass one of them as "
            "`--format`.",
        )
        _require(
            bool(self.status_column and self.reason_column) and self.status_column != self.reason_column,
            f"the added columns need two different names, got {self.status_column!r} and {self.reason_column!r}. "
            "Change `--status-column` or `--reason-column`.",
        )
