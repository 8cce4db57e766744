"""Settings of the attribution methods, and of an index, which is built by one of them.

Here and not beside the methods: those compute, and settings are read before torch is imported, so that
``lorif index --method lorif --help`` is instant.
"""

from dataclasses import dataclass, field
from typing import ClassVar

from lorif_core.config import (
    PLAIN_PRODUCT,
    BatchConfig,
    Codec,
    CurvatureConfig,
    DampingRule,
    ModelConfig,
    check_choice,
    parse_bytes,
    require,
)
from lorif_core.members_config import MembersConfig
from lorif_core.storage_location import plain_location

OWN_HEAD_COLUMNS = 8
"""More were measured to gain next to nothing (docs/decisions/0033)."""


class MethodSettings:
    """What a method is told; every method has a subclass of its own, with its own defaults."""

    name: ClassVar[str] = ""
    """Of the method, as people type it."""

    unrolls_training: ClassVar[bool] = False
    """Whether an index answers with the checkpoints of a training and by how it went, and not without them."""


@dataclass(frozen=True, kw_only=True)
class DampedSettings(MethodSettings):
    """Settings of methods that invert a Gram matrix."""

    damping_rule: DampingRule = "trace"
    """trace: ratio x mean of all eigenvalues; spectrum: ratio x mean of the kept ones (the paper);
    absolute: `damping` as given."""

    damping_ratio: float | None = None
    """Damping over the mean eigenvalue that the rule names. Unset: 0.5 for trace, 0.1 for spectrum."""

    damping: float | None = None
    """Absolute damping, in gradient-norm squared; only with `damping_rule=absolute`."""

    def __post_init__(self) -> None:
        """Check that rule and value agree."""
        _ = self.curvature

    @property
    def curvature(self) -> CurvatureConfig:
        """What the preconditioner is fitted with."""
        return self._curvature(None)

    def _curvature(self, subspace_rank: int | None) -> CurvatureConfig:
        return CurvatureConfig(
            subspace_rank=subspace_rank,
            damping_rule=self.damping_rule,
            damping_ratio=self.damping_ratio,
            damping=self.damping,
        )


@dataclass(frozen=True, kw_only=True)
class FactoredSettings(MethodSettings):
    """Settings of methods that store factors of projected gradients."""

    own_f: ClassVar[int | None] = 4
    """None: as many bytes as the model's size asks for decide, and the memory that is there."""

    own_factor_rank: ClassVar[int] = 1

    f: int | None = None
    """Projection divisor: d_in = max(1, in // f), d_out = max(1, out // f). Unset: 4; a budget chooses one."""

    factor_rank: int | None = None
    """Factor rank c: numbers stored per text and module are c * (d_in + d_out). Unset: 1; a budget gives
    every module its own."""

    codec: Codec = "bf16"
    """How a stored number is encoded: bf16 (16 bits), int8, int4 or sign (1 bit)."""

    seed: int = 0
    """Seed of the random maps and of the factors' start; any machine redraws the same ones."""

    budget: str | None = None
    """Bytes per text, such as 1KB or 512B: modules get rank-one terms by energy per byte until it is
    spent. Instead of `factor_rank`; chooses `f` too, if that is unset."""

    def __post_init__(self) -> None:
        """Check ranges and fill in the method's own f and rank, unless a budget decides them."""
        _check_codes(self.f, self.codec)
        require(
            self.factor_rank is None or self.factor_rank >= 1,
            f"factor_rank must be at least 1, got {self.factor_rank}. The paper uses 1 to 4.",
        )
        if self.budget is not None:
            parse_bytes(self.budget)
            require(
                self.factor_rank is None,
                f"a budget decides the factor rank of every module, factor_rank {self.factor_rank} was given too. "
                "Pass one of `--budget` and `--factor-rank`.",
            )
            return
        if self.f is None and self.own_f is None:
            return
        object.__setattr__(self, "f", self.f or self.own_f)
        object.__setattr__(self, "factor_rank", self.factor_rank or self.own_factor_rank)

    @property
    def is_sized_by_model(self) -> bool:
        """Whether f, and the rank where it is unset as well, are still to be chosen by the size of the model."""
        return self.f is None and self.budget is None

    @property
    def budget_bytes(self) -> int | None:
        """Bytes per text that factors may take; None without a budget."""
        return None if self.budget is None else parse_bytes(self.budget)


@dataclass(frozen=True, kw_only=True)
class KroneckerConfig(FactoredSettings, DampedSettings):
    """Rank-c factors of half-whitened gradients, whose plain product is the influence."""

    name: ClassVar[str] = "kronecker"
    own_f: ClassVar[int | None] = None
    own_factor_rank: ClassVar[int] = 2

    f: int | None = None
    """Projection divisor: d_in = max(1, in // f), d_out = max(1, out // f). Unset: 1 for small models, and more where
    a text would take more than 4 KB and up, by the model's size, or the maps more memory than there is."""

    factor_rank: int | None = None
    """Factor rank c: numbers stored per text and module are c * (d_in + d_out). Unset: 2, or 1 where those bytes
    hold no second term and f is unset too; a budget gives every module its own."""

    codec: Codec = "sign"
    """How a stored number is encoded: bf16 (16 bits), int8, int4 or sign (1 bit)."""

    alpha: float = 0.03
    """Damping of the input and of the gradient statistics, over their mean eigenvalues."""

    stats_examples: int | None = None
    """Examples, drawn at random, over which the statistics are taken; all, if there are fewer. Unset: 2,048, and as
    many more as hold 128 tokens for every dimension of the widest tracked module."""

    head_columns: int | None = None
    """Columns of the output head that are stored per text, each of a token that the text teaches most; 0: the head is
    not tracked. Unset: 8; a budget buys as many as it finds worth it."""

    subspace_rank: int = 0
    """How many leading directions of the whitened gradients' Gram matrix are kept per module, besides what the maps
    hold; 0 keeps none, and the damping below is not read."""

    def __post_init__(self) -> None:
        """Check ranges; without a subspace all damping is in the maps."""
        FactoredSettings.__post_init__(self)
        require(self.alpha > 0, f"alpha must be > 0, got {self.alpha}: the inverse needs some damping.")
        require(
            self.stats_examples is None or self.stats_examples >= 1,
            f"stats_examples must be at least 1, got {self.stats_examples}.",
        )
        require(
            self.head_columns is None or self.head_columns >= 0,
            f"head_columns must be at least 0, got {self.head_columns}. 0 leaves the output head out.",
        )
        require(
            not self.head_columns or self.budget is None,
            f"a budget decides how many columns of the output head are kept, head_columns {self.head_columns} was "
            "given too. Pass one of `--budget` and `--head-columns`, or `--head-columns 0` to leave the head out.",
        )
        if self.head_columns is None and self.budget is None:
            object.__setattr__(self, "head_columns", OWN_HEAD_COLUMNS)
        _ = self.curvature
        require(
            self.subspace_rank > 0 or (self.damping_ratio is None and self.damping is None),
            "the damping of half-whitened gradients is `--alpha`; damping_ratio and damping belong to a subspace. "
            "Pass `--alpha`, or a `--subspace-rank` above 0.",
        )

    @property
    def curvature(self) -> CurvatureConfig:
        """What the preconditioner is fitted with."""
        fitted = self._curvature(self.subspace_rank)
        return fitted if self.subspace_rank else PLAIN_PRODUCT


@dataclass(frozen=True, kw_only=True)
class LorifConfig(FactoredSettings, DampedSettings):
    """Rank-c factors of randomly projected gradients, curvature in a subspace: the paper's method."""

    name: ClassVar[str] = "lorif"

    subspace_rank: int = 256
    """How many leading directions r of the gradient Gram matrix are kept per module; 0 keeps none."""

    def __post_init__(self) -> None:
        """Check ranges."""
        FactoredSettings.__post_init__(self)
        DampedSettings.__post_init__(self)

    @property
    def curvature(self) -> CurvatureConfig:
        """What the preconditioner is fitted with."""
        return self._curvature(self.subspace_rank)


@dataclass(frozen=True, kw_only=True)
class GraddotConfig(FactoredSettings):
    """Rank-c factors of randomly projected gradients, no curvature: the plain inner product."""

    name: ClassVar[str] = "graddot"

    @property
    def curvature(self) -> CurvatureConfig:
        """None: the identity."""
        return PLAIN_PRODUCT


@dataclass(frozen=True, kw_only=True)
class LograConfig(DampedSettings):
    """Whole projected gradients and the full inverse, for small models."""

    name: ClassVar[str] = "logra"

    f: int = 4
    """Projection divisor: d_in = max(1, in // f), d_out = max(1, out // f)."""

    codec: Codec = "bf16"
    """How a stored number is encoded: bf16 (16 bits), int8, int4 or sign (1 bit)."""

    seed: int = 0
    """Seed of the random maps; any machine redraws the same ones."""

    def __post_init__(self) -> None:
        """Check ranges."""
        DampedSettings.__post_init__(self)
        _check_codes(self.f, self.codec)


@dataclass(frozen=True, kw_only=True)
class SourceConfig(FactoredSettings):
    """Rank-c factors of randomly projected gradients of checkpoints, and the training between them unrolled."""

    name: ClassVar[str] = "source"
    unrolls_training: ClassVar[bool] = True

    subspace_rank: int = 256
    """How many leading directions of the gradient Gram matrix are kept per module and checkpoint; all others count
    with the mean of their eigenvalues."""

    def __post_init__(self) -> None:
        """Check ranges."""
        super().__post_init__()
        require(
            self.subspace_rank >= 1,
            f"subspace_rank must be at least 1, got {self.subspace_rank}: the curvature is what tells the "
            "stretches of a training apart. Use `--method graddot` with checkpoints for none.",
        )

    @property
    def curvature(self) -> CurvatureConfig:
        """What a checkpoint's directions are kept with; the damping is of normalisations alone."""
        return CurvatureConfig(subspace_rank=self.subspace_rank)


@dataclass(frozen=True, kw_only=True)
class DaunceConfig(MethodSettings):
    """Centred losses of every text under K models that differ a little; a score is their covariance."""

    name: ClassVar[str] = "daunce"

    models: tuple[str, ...] = ()
    """Folders of the models whose losses are compared, or patterns such as `'perturbed/*/'`; `lorif perturb` makes
    them. Two at least. Of losses that were imported: the names of their models."""

    codec: Codec = "bf16"
    """How a stored loss is encoded: bf16 (16 bits), int8, int4 or sign (1 bit)."""

    def __post_init__(self) -> None:
        """Check the codec, and that no model counts twice."""
        check_choice("codec", self.codec, Codec)
        repeated = [one for place, one in enumerate(self.models) if one in self.models[:place]]
        require(not repeated, f"every model must count once, {repeated[:1]} is named twice. Name it once.")


def _check_codes(f: int | None, codec: Codec) -> None:
    require(f is None or f >= 1, f"f must be at least 1, got {f}: it divides the width of a module.")
    check_choice("codec", codec, Codec)


@dataclass(frozen=True, kw_only=True)
class IndexConfig:
    """Everything that decides what an index holds."""

    model: ModelConfig
    """The model and its tracked modules."""

    method: MethodSettings = field(default_factory=KroneckerConfig)
    """What is stored of a gradient, and its curvature."""

    batches: BatchConfig = field(default_factory=BatchConfig)
    """Sequences, batches and shards."""

    members: MembersConfig = field(default_factory=MembersConfig)
    """Further models whose scores are added."""

    storage: str | None = None
    """Where the files of the index lie, such as s3://bucket/prefix; decides nothing of what they hold. Unset: in the
    workspace."""

    size_chosen: str | None = None
    """Why f and factor rank are what they are, in a sentence, where the model's size and the memory decided them; it
    decides nothing itself."""

    def __post_init__(self) -> None:
        """Check that the method comes with its settings."""
        require(
            isinstance(self.method, MethodSettings),  # pyright: ignore[reportUnnecessaryIsInstance] - typed by people
            f"method must be the settings of a method, such as LorifConfig(f=8), got {self.method!r}. "
            "`lorif_core.method_settings` makes them from a method's name.",
        )
        if self.storage is not None:
            object.__setattr__(self, "storage", plain_location(self.storage))
