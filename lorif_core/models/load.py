"""Load a causal language model and its tokenizer, from safetensors only.

Weights in pickle formats are refused: reading them runs code. Code that comes with a model
runs only when a person asked for it. A fingerprint of the files names the model in every
artefact that is built from it.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerBase
from transformers import logging as transformers_logging

from lorif_core.config import ModelConfig
from lorif_core.errors import ModelError
from lorif_core.files import fingerprint_of_files, fingerprint_of_value
from lorif_core.models.adapter_loading import put_on_base
from lorif_core.models.adapters import Adapter, base_of_adapter, check_adapter, read_adapter
from lorif_core.models.model_folder import (
    ADAPTER_CONFIG,
    SETTING_FILES,
    TOKENIZER_FILES,
    WEIGHT_PATTERNS,
    find_model_folder,
    first_line,
    matching,
)
from lorif_core.models.quantised import (
    count_weights,
    quantisation_of,
    quantised_alone,
    require_packages,
    takes_float32,
)
from lorif_core.system_failures import refuse_if_of_the_machine
from lorif_core.turns import turn_on


@dataclass(frozen=True)
class LoadedModel:
    """A model in memory with its tokenizer and the fingerprints of their files."""

    model: torch.nn.Module
    """In evaluation mode, on its device."""

    tokenizer: PreTrainedTokenizerBase

    name: str
    """As the person gave it."""

    fingerprint: str
    """Of the weights and the configuration."""

    tokenizer_fingerprint: str

    adapter: Adapter | None = None
    """What the adapter says of itself; None for a model that stands alone."""

    @property
    def device(self) -> torch.device:
        """Where the first parameter lies."""
        return next(self.model.parameters()).device

    @property
    def max_positions(self) -> int | None:
        """Longest sequence that its positions are made for; None where nothing says so."""
        config: Any = getattr(self.model, "config", None)
        # A model of images and texts keeps it among the settings of its text.
        config = getattr(config, "get_text_config", lambda: config)()
        found = getattr(config, "max_position_embeddings", None)
        return found if isinstance(found, int) and found > 0 else None

    def generate(self, prompt_ids: torch.Tensor, **settings: Any) -> torch.Tensor:
        """Token ids of the prompt and its continuation, (1, T)."""
        model: Any = self.model  # transformers mixes `generate` in, torch's types do not know it
        with turn_on(self.model):
            return model.generate(prompt_ids, **settings)

    @property
    def num_parameters(self) -> int:
        """All parameters, tied ones once, packed ones as many as they stand for."""
        return count_weights(self.model)

    @property
    def architecture(self) -> str:
        """Class name of the model."""
        return type(self.model).__name__


def choose_device(name: str) -> torch.device:
    """The device a setting names; ``auto`` is a GPU when there is one, else the CPU.

    Raises:
        ModelError: The name is unknown or the device is not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ModelError(f"device must be auto, cpu, cuda or cuda:N, got {name!r}.") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ModelError(
            f"device {name!r} was asked for, but torch {torch.__version__} sees no GPU. Use `--device cpu`."
        )
    return device


def load_model(settings: ModelConfig, *, keeps_dtype: bool = False) -> LoadedModel:
    """Model and tokenizer, ready for capture: float32 on the CPU, the stored dtype on a GPU.

    A quantised model keeps its weights as they are stored. An adapter is put on its base.

    Args:
        settings: Which model, and where.
        keeps_dtype: Keep the stored dtype on the CPU as well: the model is on its way to GPUs.

    Raises:
        ModelError: There is no such model, no safetensors, it is no causal language model, its
            weights are damaged or incomplete, or it is an adapter that cannot be tracked.
    """
    device = choose_device(settings.device)
    folder = find_model_folder(settings)
    adapter = read_adapter(folder)
    transformers_logging.disable_progress_bar()
    if adapter is not None:
        check_adapter(adapter, settings.model)
    base = folder if adapter is None else _base_folder(adapter, settings)
    model = _load_weights(base, settings, device, keeps_dtype)
    is_quantised = getattr(model, "is_quantized", False)  # some formats are unpacked when loaded
    if adapter is not None:
        model = put_on_base(model, adapter, settings.model)
    elif is_quantised:
        raise ModelError(quantised_alone(quantisation_of(base), settings.model))
    if not is_quantised:  # what is quantised was loaded to its place, and refuses to be moved
        model = model.to(device)
    return LoadedModel(
        model.eval(),
        _load_tokenizer(folder, base, settings),
        settings.model,
        *_fingerprints(folder, base),
        adapter,
    )


def fingerprints_of(settings: ModelConfig) -> tuple[str, str]:
    """Fingerprints of a model's weights and of its tokenizer, as ``load_model`` gives them; nothing is loaded.

    Raises:
        ModelError: There is no such model.
    """
    folder = find_model_folder(settings)
    adapter = read_adapter(folder)
    return _fingerprints(folder, folder if adapter is None else _base_folder(adapter, settings))


def _fingerprints(folder: Path, base: Path) -> tuple[str, str]:
    own = _fingerprint(folder)
    return (
        own if base == folder else fingerprint_of_value([own, _fingerprint(base)]),
        fingerprint_of_files(matching(_tokenizer_folder(folder, base), TOKENIZER_FILES)),
    )


def _load_weights(folder: Path, settings: ModelConfig, device: torch.device, keeps_dtype: bool) -> Any:
    """A model of transformers from the weights in its own folder."""
    quantisation = quantisation_of(folder)
    placing: dict[str, Any] = {"dtype": torch.float32 if device.type == "cpu" and not keeps_dtype else "auto"}
    if quantisation is not None:
        require_packages(quantisation, settings.model)
        placing = {"dtype": placing["dtype"] if takes_float32(quantisation) else "auto", "device_map": {"": device}}
    loaded: Any
    try:
        loaded = AutoModelForCausalLM.from_pretrained(
            folder,
            use_safetensors=True,
            trust_remote_code=settings.trust_remote_code,
            output_loading_info=True,
            **placing,
        )
    except Exception as error:  # whatever its files make the library do
        refuse_if_of_the_machine(error, folder)
        raise ModelError(
            f"{settings.model!r} cannot be loaded as a causal language model: {first_line(error)}"
        ) from error
    model, loading = loaded
    if loading["missing_keys"]:
        # transformers fills them with random numbers and only warns.
        missing = sorted(loading["missing_keys"])
        raise ModelError(
            f"{settings.model!r} is incomplete: its files hold no weights for {len(missing)} parameters, such as "
            f"{missing[0]!r}. Download or save the model again."
        )
    return model


def _fingerprint(folder: Path) -> str:
    return fingerprint_of_files(matching(folder, WEIGHT_PATTERNS + SETTING_FILES))


def _base_folder(adapter: Adapter, settings: ModelConfig) -> Path:
    """Folder of the model that an adapter was trained on."""
    base = base_of_adapter(adapter, settings.model)
    try:
        folder = find_model_folder(replace(settings, model=base))
    except ModelError as error:
        raise ModelError(
            f"{str(adapter.config_path)!r} names the base model {adapter.base!r}, but {error} The name stands in "
            "`base_model_name_or_path` of that file."
        ) from error
    if (folder / ADAPTER_CONFIG).is_file():
        raise ModelError(
            f"{str(adapter.config_path)!r} names the base model {adapter.base!r}, which is an adapter itself. Merge "
            "that one into its base with `merge_and_unload().save_pretrained(...)`, and name the merged folder."
        )
    return folder


def _tokenizer_folder(folder: Path, base: Path) -> Path:
    """Where the tokenizer lies: an adapter saved without one has its base's."""
    return folder if matching(folder, TOKENIZER_FILES) else base


def _load_tokenizer(folder: Path, base: Path, settings: ModelConfig) -> PreTrainedTokenizerBase:
    try:
        return AutoTokenizer.from_pretrained(
            _tokenizer_folder(folder, base), trust_remote_code=settings.trust_remote_code
        )
    except Exception as error:  # the library's Rust part raises no other class
        refuse_if_of_the_machine(error, folder)
        raise ModelError(
            f"{settings.model!r} has no usable tokenizer: {first_line(error)} "
            "Save one beside the weights with `tokenizer.save_pretrained`."
        ) from error
