"""A model with its tracked modules and maps: what both indexing and asking differentiate through."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import nn

from lorif_core.capture.hooks import frozen, num_ids
from lorif_core.capture.precision import Recorded, compute_in
from lorif_core.capture.probe import probe_modules
from lorif_core.config import BatchConfig, ModelConfig
from lorif_core.data.batches import pad_batch
from lorif_core.data.encoding import EncodedExample, Encoder, pad_token
from lorif_core.data.example import Example
from lorif_core.errors import TargetError
from lorif_core.linalg.codecs import ColumnCodec, codec_for, column_codec
from lorif_core.linalg.maps import ModuleMaps
from lorif_core.methods.make_method import make_method
from lorif_core.methods.method_settings import IndexConfig, MethodSettings
from lorif_core.methods.protocol import AttributionMethod
from lorif_core.models.load import LoadedModel
from lorif_core.models.modules import ModuleEntry, check_patterns, list_modules, tracked_shapes
from lorif_core.passes.budget import choose_divisor
from lorif_core.passes.shards import GradientSource
from lorif_core.shapes import ATTENTION_AND_MLP, ModuleShape, TokenBatch, Tracked
from lorif_core.store.plan import Plan
from lorif_core.store.reader import StoreReader
from lorif_core.weights import locate_weight
from lorif_core.workspace.indexes.build_memory import FEWEST_GPU_TOKENS, check_random_maps, tokens_that_fit
from lorif_core.workspace.indexes.choose_size import sized
from lorif_core.workspace.indexes.free_memory import free_host_bytes, total_device_bytes

CPU_TOKENS_PER_BATCH = 1024
"""Where the settings say nothing: 1,024 were measured to be faster than 2,048 in half of the memory."""

TRIAL_TEXT = "The capital of France is Paris, and the river that runs through it is called the Seine."
TRIAL_LENGTHS = (11, 7)
"""Tokens of the two texts of a trial batch: primes, which are nobody's number of heads."""


@dataclass(frozen=True)
class Engine:
    """A loaded model, the method, the modules that are tracked and their maps."""

    loaded: LoadedModel
    method: AttributionMethod
    batches: BatchConfig
    modules: list[ModuleShape]
    """The tracked modules, as wide as their maps leave them."""

    f: int
    """Projection divisor: the method's, or what its budget chose."""

    maps: Mapping[str, ModuleMaps]
    """On the CPU, float32; empty while half-whitening maps wait for their statistics."""

    entries: list[ModuleEntry]
    """Every module of the model with weights, tracked or with the reason why not; empty for an index that is open."""

    stride: int | None = None
    """Tokens from one window of a long text to the next; None: long texts are cut. Depends on the data as well."""

    precision: Recorded = None
    """What a CPU multiplies in. Depends on what was begun as well."""

    has_old_scales: bool = False
    """Whether both factors of a term have a scale, as in indexes that were begun before one was enough."""

    @property
    def stored(self) -> list[ModuleShape]:
        """What shards hold: the tracked modules, or the one that stands for all of them."""
        joint = self.method.projection.joint(self.modules)
        return self.modules if joint is None else [joint]

    @property
    def codec(self) -> ColumnCodec:
        """How factors become bytes."""
        feature = self.method.feature
        return column_codec(feature.codec) if self.has_old_scales else codec_for(feature.codec, feature.layout)

    @property
    def encoder(self) -> Encoder:
        """From text to tokens, in windows of what the settings say and the model can read, or cut to it."""
        length, longest = self.batches.max_length, self.loaded.max_positions
        length = length if longest is None else min(length, longest)
        return Encoder(self.loaded.tokenizer, length, self.stride, num_ids(self.loaded.model))

    @property
    def tokens_per_batch(self) -> int:
        """Most tokens of a batch, padding included: as asked for, or what was measured to suffice.

        On a GPU that is as many as its memory has room for, whatever else lies there now.
        """
        if self.batches.tokens_per_batch:
            return self.batches.tokens_per_batch
        device = self.loaded.device
        if device.type == "cuda":
            return tokens_that_fit(total_device_bytes(device), self.loaded.model, self.modules)
        return CPU_TOKENS_PER_BATCH if device.type == "cpu" else FEWEST_GPU_TOKENS  # an outline lies nowhere

    def with_windows_for(self, example: Example | None) -> "Engine":
        """The same engine with windows where the settings want them for data of such examples."""
        choice, asked = self.batches.windows, self.batches.stride
        is_text = example is not None and (example.text is not None or example.input_ids is not None)
        if choice == "off" or (choice == "text" and not is_text):
            return replace(self, stride=None)
        length = self.encoder.max_length
        return replace(self, stride=min(asked or max(1, length - length // 4), length - 1))

    def as_begun(self, plan: Plan) -> "Engine":
        """The same engine with what an index keeps that was begun elsewhere or before."""
        return replace(self, precision=plan.precision, has_old_scales=plan.scales is None)

    @property
    def pad_id(self) -> int:
        """An id to pad with."""
        return pad_token(self.loaded.tokenizer, num_ids(self.loaded.model))

    def with_ranks(self, ranks: Mapping[str, int]) -> "Engine":
        """The same engine with a rank per module; modules without any are no longer tracked."""
        modules = [module for module in self.modules if ranks.get(module.name)]
        maps = {module.name: self.maps[module.name] for module in modules if module.name in self.maps}
        kept = {module.name: ranks[module.name] for module in modules}
        return replace(self, modules=modules, maps=maps, method=self.method.with_budget(self.f, kept))

    def with_maps(self, maps: Mapping[str, ModuleMaps]) -> "Engine":
        """The same engine with other maps."""
        return replace(self, maps=maps)

    @contextmanager
    def frozen_model(self) -> Iterator[nn.Module]:
        """The model ready for capture; it is left as it was found."""
        with frozen(self.loaded.model), compute_in(self.loaded.model, self.precision):
            yield self.loaded.model

    @contextmanager
    def gradients(self) -> Iterator[GradientSource]:
        """Everything that turns sequences into stored gradients, while the model is frozen."""
        model = self.loaded.model
        placed = {
            name: self._placed(maps, locate_weight(model, name).parameter.device) for name, maps in self.maps.items()
        }
        with self.frozen_model():
            yield GradientSource(
                model=model,
                maps=placed,
                modules=self.stored,
                method=self.method,
                codec=self.codec,
                pad_id=self.pad_id,
                tokens_per_batch=self.tokens_per_batch,
            )

    def _placed(self, maps: ModuleMaps, device: torch.device) -> ModuleMaps:
        """Maps where they are multiplied, in what they are multiplied in: cast once and not for every batch. A
        diagonal is always multiplied in float32. On a GPU all else is multiplied in bfloat16."""
        narrow = (self.precision == "bfloat16" or device.type == "cuda") and not maps.keeps_outputs_apart
        return maps.to(device, torch.bfloat16 if narrow else torch.float32)


def whole_engine(engine: Engine, model: ModelConfig) -> Engine:
    """The same model with every tracked module at its full width, whatever an index keeps of them."""
    modules = tracked_shapes(choose_modules(engine.loaded, model, ATTENTION_AND_MLP), 1)
    maps = {module.name: ModuleMaps(None, None) for module in modules}
    return replace(engine, modules=modules, f=1, maps=maps, precision=None)


def head_of(loaded: LoadedModel) -> ModuleShape:
    """The model's output head at full width, whatever patterns or an index keep of the model.

    Raises:
        TargetError: There is none whose gradient of its own use could be taken.
    """
    entries = list_modules(loaded.model, default=Tracked(attention=False, head=True))
    heads = [entry for entry in entries if entry.is_head and entry.is_tracked]
    names = [entry.name for entry in heads]
    reasons = probe_modules(loaded.model, names, _trial_batch(loaded), heads=names) if names else {}
    if not heads or reasons:
        why = "; ".join(reasons.values()) or "it has none, or one that is frozen beside adapters or quantised"
        raise TargetError(
            f"the gradients of this model's output head cannot be taken: {why}. Compare with `kfac` and `ekfac`."
        )
    return tracked_shapes(heads, 1)[0]


def build_engine(loaded: LoadedModel, settings: IndexConfig) -> Engine:
    """Choose the modules of a loaded model and draw their maps.

    Maps that need statistics are made when the index is built. Where the settings leave f to the size of the model,
    it is what the bytes of a text ask for.

    Raises:
        TargetError: A pattern matches nothing, or nothing is left to track.
        ResourceError: Random maps would not fit into memory.
    """
    default = make_method(settings.method).tracked
    entries = choose_modules(loaded, settings.model, default)
    method, f = method_with_divisor(sized(settings.method, entries), entries)
    modules = method.projection.shapes(tracked_shapes(entries, f))
    maps: dict[str, ModuleMaps] = {}
    if method.projection.sample(modules) is None:
        check_random_maps(lambda f: method.projection.maps_bytes(tracked_shapes(entries, f)), f, free_host_bytes())
        maps = {module.name: method.projection.maps(module, None) for module in modules}
    return Engine(loaded, method, settings.batches, modules, f, maps, entries)


def method_with_divisor(settings: MethodSettings, entries: list[ModuleEntry]) -> tuple[AttributionMethod, int]:
    """The method of some settings and its projection divisor, which a budget chooses where they say none."""
    method = make_method(settings)
    f = method.projection.f
    if f is None:  # left to the budget
        codec = codec_for(method.feature.codec, method.feature.layout)
        f = choose_divisor(lambda f: tracked_shapes(entries, f), codec, method.budget_bytes or 0)
        method = method.with_budget(f, {})
    return method, f


def projected_further(engine: Engine, settings: MethodSettings) -> Engine:
    """The engine of a method whose maps wait for their statistics, under settings that say another f."""
    method = make_method(settings)
    f = method.projection.f
    assert f is not None  # settings that say it
    return replace(engine, method=method, f=f, modules=tracked_shapes(engine.entries, f))


def engine_of_index(loaded: LoadedModel, settings: IndexConfig, reader: StoreReader) -> Engine:
    """The engine that an index was built by: its own modules and maps, which nothing decides anew."""
    manifest, method = reader.manifest, make_method(settings.method)
    if manifest.budget_bytes is not None:
        method = method.with_budget(manifest.f, manifest.ranks or {})
    own = list(manifest.captured or manifest.modules)
    maps = reader.maps() or {module.name: method.projection.maps(module, None) for module in own}
    return Engine(loaded, method, settings.batches, own, manifest.f, maps, []).as_begun(manifest)


def choose_modules(loaded: LoadedModel, model: ModelConfig, default: Tracked) -> list[ModuleEntry]:
    """Every module with weights, tracked or with the reason why not: the settings', or that a trial went wrong.

    Raises:
        TargetError: A pattern matches nothing.
        NumericalError: The model's outputs are not finite.
    """
    entries = list_modules(loaded.model, model.include, model.exclude, default)
    check_patterns(entries, model.include + model.exclude)
    wanted = [entry.name for entry in entries if entry.is_tracked]
    heads = {entry.name for entry in entries if entry.is_head}
    reasons = probe_modules(loaded.model, wanted, _trial_batch(loaded), heads=heads) if wanted else {}
    return [
        replace(entry, reason=reasons[entry.name], failed_trial=True) if entry.name in reasons else entry
        for entry in entries
    ]


def _trial_batch(loaded: LoadedModel) -> TokenBatch:
    """Two short texts of different lengths, the same for every data set, so that the same modules are chosen."""
    limit = num_ids(loaded.model)
    ids = [token for token in loaded.tokenizer(TRIAL_TEXT, verbose=False)["input_ids"] if token < limit] or [0]
    ids = ids * max(TRIAL_LENGTHS)
    lengths = [min(length, loaded.max_positions or length) for length in TRIAL_LENGTHS]
    examples = [EncodedExample(ids[:length], [place >= 2 for place in range(length)], length) for length in lengths]
    return pad_batch(examples, pad_token(loaded.tokenizer, limit))
