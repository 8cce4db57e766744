"""Settings of the stages as frozen dataclasses; methods: ``method_settings``, members: ``members_config``,
exports: ``export_config``.

The command line, the manifest and the documentation are generated from them. Nothing here
imports torch, so ``lorif --help`` is instant. A field checks itself; a relation between two
fields is checked where both live.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

from lorif_core.errors import ConfigError

Codec = Literal["bf16", "int8", "int4", "sign"]
DampingRule = Literal["trace", "spectrum", "absolute"]
Objective = Literal["loss", "margin", "contrast"]
Normalisation = Literal["none", "unit", "relatif", "tempered"]
Search = Literal["exact", "fast"]
Alike = Literal["gradient", "meaning"]
RefineBy = Literal["codes", "model"]
RefineSolver = Literal["cg", "lissa"]
Windows = Literal["text", "all", "off"]
Precision = Literal["auto", "float32", "bfloat16"]

FormName = Literal[
    "messages",
    "sharegpt",
    "conversational",
    "prompt_completion",
    "preference",
    "unpaired",
    "tokens",
    "alpaca",
    "instruction_response",
    "question_answer",
    "input_output",
    "query_response",
    "prompt_response",
    "text",
]
PromptForm = Literal["verbatim", "plain", "alpaca", "chat"]
Preference = Literal["pairs", "chosen"]
TextUnit = Literal["file", "line"]

DEFAULT_REFINE_RATIO = 3.0
"""Helps on both ground truths of decision 0013, 1 on one of them only."""

MODEL_REFINEMENT = ("refine_by", "batch", "refine_damping", "solver", "refine_seed")
"""Fields of ``ScoreConfig`` that say nothing where no query is refined by the model."""

DEFAULT_DAMPING_RATIO: dict[str, float] = {"trace": 0.5, "spectrum": 0.1}
"""Of each rule, over the mean eigenvalue that it names (docs/explanation/design.md §2.5)."""


def require(holds: bool, message: str) -> None:
    """Refuse a setting, with the sentence that says why.

    Raises:
        ConfigError: It does not hold.
    """
    if not holds:
        raise ConfigError(message)


def check_choice(name: str, value: object, known: Any) -> None:
    """Refuse a value that a closed choice does not have.

    Args:
        name: Of the setting, as a person writes it.
        value: What was given.
        known: The ``Literal`` of the choice.

    Raises:
        ConfigError: Names the known values.
    """
    require(value in get_args(known), f"{name} must be one of {', '.join(get_args(known))}, got {value!r}.")


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
    """Column of chat messages (role and content, or from and value); assistant tokens are the targets. Found as
    `messages` or `conversations`."""

    id: str | None = None
    """Column of stable ids, or none. Found as `id`; without one an id is the hash of the text that is trained on."""

    weight_column: str | None = None
    """Column of a finite number per text that its loss is multiplied by, such as an advantage or a reward: 0 leaves
    nothing to learn, a negative one pushes away. Unset: every text weighs 1."""

    column: tuple[str, ...] = ()
    """Columns of other roles, each as ROLE=COLUMN: context (Alpaca's input), system, tools, chosen, rejected, label,
    input_ids, labels, position_ids, segment_ids, seq_lengths, attention_mask, shown."""

    form: FormName | None = None
    """How the columns are read. Unset: as their names and values say; see docs/reference/data-forms.md."""

    prompt_form: PromptForm | None = None
    """How texts become a prompt: alpaca (its standard wording), plain (blank lines between the parts, a line break
    before the answer), verbatim (as they are), chat (a user and an assistant message). Unset: alpaca for Alpaca's
    columns, verbatim for a column called `prompt` beside completion, chosen or rejected, otherwise plain."""

    preference: Preference | None = None
    """Preference data (chosen, rejected): pairs (chosen against rejected) or chosen (that side only)."""

    target_turn: int | None = None
    """Of chats: only this assistant turn is the target; 1 is the first, -1 the last. Unset: every one."""

    txt: TextUnit | None = None
    """What one text of a .txt file is: the whole file, or every line."""

    split: str | None = None
    """Split of a hub data set, of a saved one, or of a folder of shards, such as train. Several, as train,test, or
    all of them are one data set with a column that says which."""

    subset: str | None = None
    """Configuration of a hub data set that has several."""

    type: tuple[str, ...] = ()
    """Types of metadata columns, each as COLUMN=TYPE: text, int, float, bool, date, time, or decimal(10,2). Unset: as
    the file says, or as all accepted values are."""

    delimiter: str | None = None
    """What separates the cells of CSV files: one character, or tab. Unset: what their first rows say."""

    encoding: str | None = None
    """Encoding of text files, such as cp1252, gbk or utf-16. Unset: UTF-8."""

    file_column: str | None = None
    """Column to add that holds the name of a row's file."""

    split_column: str | None = None
    """Column to add that holds the name of a row's split. Unset: `split` where several are named, otherwise none."""

    max_decompressed_gb: float | None = None
    """How much a .gz, .zst or Parquet file may hold when unpacked. Unset: 200 times its size, but always 1.1 GB."""

    decimal_comma: bool = False
    """Numbers in CSV cells are written as 1.234,56."""

    name: str | None = None
    """Name of the data set in the workspace. Unset: the name of the first file."""

    keep_empty: bool = False
    """Keep rows whose completion is empty: the end token that follows it is their target."""

    strict: bool = False
    """Refuse the whole import when any row is bad, instead of listing it in the rejects file."""

    rules: int = 2
    """Rules of ids and types: 2, or 1 of imports from before types were told, which hashes whole rows and leaves
    cells text."""

    def __post_init__(self) -> None:
        """Check that at most one kind of text is named, and what each choice may be."""
        kinds = [self.text, self.prompt or self.completion, self.messages]
        require(
            sum(kind is not None for kind in kinds) <= 1,
            "name the columns of one kind of text: `--text`, or `--prompt` with `--completion`, or "
            "`--messages`; several were given.",
        )
        require(
            (self.prompt is None) == (self.completion is None)
            or self.form is not None
            or self.preference is not None
            or bool(self.column),
            "`--prompt` and `--completion` go together, only one was given. Name both columns.",
        )
        require(
            self.max_decompressed_gb is None or 0 < self.max_decompressed_gb < float("inf"),
            f"`--max-decompressed-gb` must be a number > 0, got {self.max_decompressed_gb}: leave it out for 200 "
            "times the size of a file.",
        )
        for name, known in (
            ("form", FormName),
            ("prompt_form", PromptForm),
            ("preference", Preference),
            ("txt", TextUnit),
        ):
            if getattr(self, name) is not None:
                check_choice(f"`--{name.replace('_', '-')}`", getattr(self, name), known)
        require(
            self.target_turn != 0,
            "`--target-turn` counts assistant turns from 1, or from -1 backwards, got 0: use 1 for the first.",
        )


def stored_import(values: Mapping[str, Any]) -> ImportConfig:
    """Settings of an import as a file keeps them; from before there were rules of types and ids, those of then.

    Raises:
        TypeError: A name is none of a setting.
    """
    lists = {name: tuple(values[name]) for name in ("column", "type") if name in values}
    return ImportConfig(**{"rules": 1, **values, **lists})


@dataclass(frozen=True, kw_only=True)
class NextVersion:
    """What a person says about a file that comes under the name of a data set that is there."""

    as_version: bool = False
    """It is really the next version of the data set of that name, although most of its texts are others."""

    drop_decided: bool = False
    """Add the version although texts are missing in it that somebody decided about; decisions come back with them."""


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Which model is differentiated, and which of its modules are tracked."""

    model: str
    """Folder or Hugging Face hub name of a causal language model (safetensors only)."""

    trust_remote_code: bool = False
    """Run model code that comes with the weights. Only for sources you trust."""

    include: tuple[str, ...] = ()
    """Patterns (`*` matches anything) of module names to track. Empty: what the method tracks by itself,
    MLPs and the output head for kronecker, attention and MLPs for the others."""

    exclude: tuple[str, ...] = ()
    """Patterns of module names not to track, applied after `include`."""

    device: str = "auto"
    """`auto` (a GPU when there is one, else the CPU), `cpu`, `cuda`, `cuda:1`, …"""

    precision: Precision = "auto"
    """What a CPU multiplies gradients in. auto: what an index was begun in, else bfloat16 where the processor and the
    model's width gain by it, float32 elsewhere. A GPU always multiplies in bfloat16."""

    def __post_init__(self) -> None:
        """Check the precision."""
        check_choice("precision", self.precision, Precision)


@dataclass(frozen=True, kw_only=True)
class CurvatureConfig:
    """What a preconditioner was fitted with, or will be: subspace rank and damping. The manifest keeps it."""

    subspace_rank: int | None = None
    """How many leading directions of the gradient Gram matrix are kept per module; 0 keeps none, None all."""

    damping_rule: DampingRule = "trace"
    """trace: ratio x mean of all eigenvalues; spectrum: ratio x mean of the kept ones (the paper);
    absolute: `damping` as given."""

    damping_ratio: float | None = None
    """Damping over the mean eigenvalue that the rule names. Unset: 0.5 for trace, 0.1 for spectrum."""

    damping: float | None = None
    """Absolute damping, in gradient-norm squared; only with `damping_rule=absolute`."""

    def __post_init__(self) -> None:
        """Check ranges and that rule and value agree."""
        check_choice("damping_rule", self.damping_rule, DampingRule)
        require(
            self.subspace_rank is None or self.subspace_rank >= 0,
            f"subspace_rank must be at least 0, got {self.subspace_rank}; 0 is GradDot.",
        )
        if self.damping_rule == "absolute":
            require(
                self.damping is not None and self.damping > 0,
                f"damping must be > 0 with damping_rule=absolute, got {self.damping}: outside the subspace "
                "the inverse is 1/damping. Pass `--damping`.",
            )
        else:
            require(
                self.damping is None,
                f"damping is only read with damping_rule=absolute, but the rule is {self.damping_rule}. "
                "Pass `--damping-rule absolute`, or `--damping-ratio` instead.",
            )
            require(
                self.ratio > 0,
                f"damping_ratio must be > 0, got {self.damping_ratio}: the inverse needs some damping.",
            )

    @property
    def ratio(self) -> float:
        """The damping ratio in force."""
        if self.damping_ratio is not None:
            return self.damping_ratio
        return DEFAULT_DAMPING_RATIO.get(self.damping_rule, 0.0)


PLAIN_PRODUCT = CurvatureConfig(subspace_rank=0, damping_rule="absolute", damping=1.0)
"""No subspace and damping 1: the inverse of the identity."""


@dataclass(frozen=True, kw_only=True)
class BatchConfig:
    """How examples are cut into sequences, batches and shards. Only the sequences are part of a score."""

    max_length: int = 512
    """Longest sequence in tokens; longer examples are read in windows, or cut and counted."""

    windows: Windows = "text"
    """What is read in overlapping windows of `max_length` where it is longer, every token a target once, its score
    the sum over its windows. text: plain texts and tokenised rows; all: prompts with completions and chats as well;
    off: nothing, what is longer is cut."""

    stride: int | None = None
    """Tokens from one window to the next; the others of a window repeat what stands before, as context. Unset: three
    quarters of a window."""

    tokens_per_batch: int | None = None
    """Upper bound of batch size times longest sequence, padding included. Unset: 1,024 on a CPU, beyond which nothing
    was measured to be gained but memory lost, and 2,048 to 16,384 on a GPU, as many as fit into a quarter of its
    memory beside the weights."""

    shard_examples: int | None = None
    """Texts per shard, the unit of resumption. Unset: about 32 MB a shard, 64 to 16384 texts."""

    def __post_init__(self) -> None:
        """Check ranges."""
        require(self.max_length >= 2, f"max_length must be at least 2 tokens, got {self.max_length}.")
        check_choice("windows", self.windows, Windows)
        require(
            self.stride is None or 1 <= self.stride < self.max_length,
            f"stride must be at least 1 and below max_length = {self.max_length}, got {self.stride}: a window needs "
            "a token of context.",
        )
        require(
            self.tokens_per_batch is None or self.tokens_per_batch >= 1,
            f"tokens_per_batch must be at least 1, got {self.tokens_per_batch}.",
        )
        require(
            self.shard_examples is None or self.shard_examples >= 1,
            f"shard_examples must be at least 1, got {self.shard_examples}.",
        )


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
    require(1 <= value < 2**62, f"a budget is a number of bytes per text like 1KB or 512B, got {text!r}.")
    return int(value)


def _require_damping(name: str, value: float | None) -> None:
    require(value is None or value > 0, f"{name} must be > 0, got {value}: the inverse needs some damping.")


@dataclass(frozen=True, kw_only=True)
class ScoreConfig:
    """How queries are differentiated and scored against an index."""

    objective: Objective = "loss"
    """loss: cross-entropy of the completion; margin: log p - log(1 - p); contrast: log p(A) - log p(B)."""

    normalisation: Normalisation = "none"
    """none; unit: divide by both gradient norms; relatif: divide by the root of the text's
    self-influence; tempered: by its fourth root."""

    refine: int = 0
    """Half-whitened indexes: refine each question by this many steps (also `--steps`). By codes, two do most of it
    (docs/decisions/0013), and a step multiplies every stored text by a whole matrix twice. By the model, a step takes
    three passes of the model over the batch. Nothing is stored for it. 0: plain products, which are much faster."""

    refine_by: RefineBy = "codes"
    """Whose curvature refines a question. codes: what the stored texts share. model: the model's own Gauss–Newton
    matrix over a batch of training texts, all tracked modules together (docs/decisions/0056)."""

    refine_ratio: float = DEFAULT_REFINE_RATIO
    """By codes: damping of that curvature over the mean self-influence; large values leave the question plain."""

    batch: int = 64
    """By the model: how many training texts its curvature is taken over, the same ones for every question."""

    refine_damping: float = 1.0
    """By the model: damping over the tracked gradients' coordinates per token of the batch."""

    solver: RefineSolver = "cg"
    """By the model: cg, conjugate gradients; lissa, the Neumann series, which takes far more steps."""

    refine_seed: int = 0
    """By the model: seed of the draw of the batch."""

    query_rank: int | None = None
    """Keep this many singular directions of each preconditioned question matrix, which makes many
    questions cheap. Unset: keep all (exact)."""

    subspace_rank: int | None = None
    """Use only this many of the index's directions. Unset: all. Needs no new pass over the data."""

    damping_rule: DampingRule | None = None
    """Replace the index's damping rule. Needs no new pass over the data."""

    damping_ratio: float | None = None
    """Replace the index's damping ratio."""

    damping: float | None = None
    """Absolute damping, with `damping_rule=absolute`."""

    def __post_init__(self) -> None:
        """Check choices and ranges."""
        check_choice("objective", self.objective, Objective)
        check_choice("normalisation", self.normalisation, Normalisation)
        if self.damping_rule is not None:
            check_choice("damping_rule", self.damping_rule, DampingRule)
        require(self.refine >= 0, f"refine must be at least 0 steps, got {self.refine}; 0 leaves queries plain.")
        _require_damping("refine_ratio", self.refine_ratio)
        self._check_model_refinement()
        require(
            self.query_rank is None or self.query_rank >= 1,
            f"query_rank must be at least 1, got {self.query_rank}; leave it unset to keep all.",
        )
        require(
            self.subspace_rank is None or self.subspace_rank >= 0,
            f"subspace_rank must be at least 0, got {self.subspace_rank}; 0 is GradDot.",
        )
        _require_damping("damping_ratio", self.damping_ratio)
        require(
            self.damping is None or self.damping > 0,
            f"damping must be > 0, got {self.damping}: outside the subspace the inverse is 1/damping.",
        )

    def _check_model_refinement(self) -> None:
        """Refuse what one of the two refinements does not read: it would be ignored."""
        check_choice("refine_by", self.refine_by, RefineBy)
        check_choice("solver", self.solver, RefineSolver)
        require(self.batch >= 1, f"batch must be at least 1 text, got {self.batch}.")
        _require_damping("refine_damping", self.refine_damping)
        if self.refine_by == "model":
            require(
                self.refine >= 1,
                "refine_by=model takes steps, got 0. Pass how many, `--steps 10`, or leave `--refine-by` out.",
            )
            require(
                self.refine_ratio == DEFAULT_REFINE_RATIO,
                f"refine_ratio is the damping of refine_by=codes, got {self.refine_ratio} for the model. Use "
                "`--refine-damping`.",
            )
            return
        changed = [one.name for one in fields(self) if getattr(self, one.name) != one.default]
        changed = [name for name in MODEL_REFINEMENT if name in changed]
        require(
            not changed,
            f"{' and '.join(changed)} belong to a refinement by the model, which was not asked for. Pass "
            "`--refine-by model --steps 10` as well, or leave it out.",
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
        require(
            self.max_new_tokens >= 1 and self.temperature >= 0,
            f"max_new_tokens must be at least 1 and temperature at least 0, got {self.max_new_tokens} and "
            f"{self.temperature}.",
        )
