"""Load a causal language model and its tokenizer, from safetensors only.

Weights in pickle formats are refused: reading them runs code. Code that comes with a model
runs only when a person asked for it. A fingerprint of the files names the model in every
artefact that is built from it.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerBase
from transformers import logging as transformers_logging

from lorif_core.config import ModelConfig
from lorif_core.errors import ModelError
from lorif_core.files import fingerprint_of_files, fingerprint_of_value, read_json
from lorif_core.turns import turn_on

_WEIGHT_PATTERNS = ("*.safetensors",)
_ADAPTER_CONFIG = "adapter_config.json"
_SETTING_FILES = ("config.json", _ADAPTER_CONFIG)
_TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
)


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
        """All parameters, tied ones once."""
        return sum(parameter.numel() for parameter in self.model.parameters())

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


def load_model(settings: ModelConfig) -> LoadedModel:
    """Model and tokenizer, ready for capture: float32 on the CPU, the stored dtype on a GPU.

    Raises:
        ModelError: There is no such model, no safetensors, it is no causal language model, or its
            weights are damaged or incomplete.
    """
    device = choose_device(settings.device)
    folder = find_model_folder(settings)
    base = _base_folder(folder, settings)
    transformers_logging.disable_progress_bar()
    loaded: Any
    try:
        loaded = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=torch.float32 if device.type == "cpu" else "auto",
            use_safetensors=True,
            trust_remote_code=settings.trust_remote_code,
            output_loading_info=True,
        )
    except (OSError, ValueError, ImportError, KeyError, RuntimeError, SafetensorError) as error:
        raise ModelError(
            f"{settings.model!r} cannot be loaded as a causal language model: {_first_line(error)}"
        ) from error
    model, loading = loaded
    if loading["missing_keys"]:
        # transformers fills them with random numbers and only warns.
        missing = sorted(loading["missing_keys"])
        raise ModelError(
            f"{settings.model!r} is incomplete: its files hold no weights for {len(missing)} parameters, such as "
            f"{missing[0]!r}. Download or save the model again."
        )
    return LoadedModel(
        model.to(device).eval(),
        _load_tokenizer(folder, settings),
        settings.model,
        _fingerprint(folder) if base is None else fingerprint_of_value([_fingerprint(folder), _fingerprint(base)]),
        fingerprint_of_files(_matching(folder, _TOKENIZER_FILES)),
    )


def _fingerprint(folder: Path) -> str:
    return fingerprint_of_files(_matching(folder, _WEIGHT_PATTERNS + _SETTING_FILES))


def _base_folder(folder: Path, settings: ModelConfig) -> Path | None:
    """Folder of the model that an adapter was trained on; None for a model that stands alone."""
    if not (folder / _ADAPTER_CONFIG).is_file():
        return None
    base = read_json(folder / _ADAPTER_CONFIG).get("base_model_name_or_path")
    if not base:
        raise ModelError(
            f"{settings.model!r} is an adapter whose {_ADAPTER_CONFIG} names no base model. Merge it into its base "
            "with `merge_and_unload().save_pretrained(...)`, and give that folder."
        )
    return find_model_folder(replace(settings, model=base))


def _load_tokenizer(folder: Path, settings: ModelConfig) -> PreTrainedTokenizerBase:
    try:
        return AutoTokenizer.from_pretrained(folder, trust_remote_code=settings.trust_remote_code)
    except (OSError, ValueError, ImportError, KeyError) as error:
        raise ModelError(
            f"{settings.model!r} has no usable tokenizer: {_first_line(error)} "
            "Save one beside the weights with `tokenizer.save_pretrained`."
        ) from error


def find_model_folder(settings: ModelConfig) -> Path:
    """Folder that holds the model: the given one, or the local snapshot of a hub name.

    Raises:
        ModelError: Neither exists, or the weights are not in safetensors.
    """
    folder = Path(settings.model).expanduser()
    if not folder.is_dir():
        folder = _download(settings)
    if not (folder / "config.json").is_file() and not (folder / _ADAPTER_CONFIG).is_file():
        raise ModelError(
            f"{settings.model!r} is no model folder: it holds no config.json. Give a folder made by save_pretrained."
        )
    if not _matching(folder, _WEIGHT_PATTERNS):
        raise ModelError(
            f"{settings.model!r} holds no .safetensors file, and other weight formats can run code when read. "
            "Convert it with `AutoModelForCausalLM.from_pretrained(...).save_pretrained(...)`."
        )
    return folder


def _download(settings: ModelConfig) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    patterns = [
        "*.safetensors",
        "*.safetensors.index.json",
        *_SETTING_FILES,
        "generation_config.json",
        *_TOKENIZER_FILES,
    ]
    if settings.trust_remote_code:
        patterns.append("*.py")
    try:
        return Path(snapshot_download(settings.model, allow_patterns=patterns))
    except (HFValidationError, LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise ModelError(
            f"{settings.model!r} is neither a folder nor a model that the Hugging Face hub gives: "
            f"{_first_line(error)} Check the path; offline, give a local folder."
        ) from error


def _matching(folder: Path, patterns: tuple[str, ...]) -> list[Path]:
    return sorted({path for pattern in patterns for path in folder.glob(pattern)})


def _first_line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return (text[0] if text else type(error).__name__).rstrip(".") + "."
