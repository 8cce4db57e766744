"""The folder that holds a model: found or downloaded, refused with the way to convert where its format is another.

Weights in pickle formats are refused: reading them runs code. GGUF is refused: it is made for inference, and no
gradient goes through the programs that read it.
"""

from pathlib import Path

from lorif_core.config import ModelConfig
from lorif_core.errors import ModelError
from lorif_core.models.model_settings import check_settings

WEIGHT_PATTERNS = ("*.safetensors",)
ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
SETTING_FILES = ("config.json", ADAPTER_CONFIG)
TOKENIZER_FILES = (
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
_PICKLE_PATTERNS = ("*.bin", "*.pth", "*.pt", "*.ckpt")
FOREIGN_PATTERNS = (*_PICKLE_PATTERNS, "*.gguf")
"""Weights in formats that are refused."""


def find_model_folder(settings: ModelConfig) -> Path:
    """Folder that holds the model: the given one, or the local snapshot of a hub name.

    Raises:
        ModelError: Neither exists, or the weights are not in safetensors.
    """
    folder = Path(settings.model).expanduser()
    if folder.is_file():
        raise ModelError(_not_a_folder(settings.model, folder))
    if not folder.is_dir():
        folder = _download(settings)
    check_weight_files(folder, settings.model)
    return folder


def check_weight_files(folder: Path, name: str) -> None:
    """Refuse a folder without a model, or with weights in another format than safetensors.

    Args:
        folder: Of the model.
        name: As the person gave it.

    Raises:
        ModelError: Names what was found and how it is converted.
    """
    is_adapter = (folder / ADAPTER_CONFIG).is_file()
    weights = matching(folder, WEIGHT_PATTERNS)
    if is_adapter and not (folder / ADAPTER_WEIGHTS).is_file():
        raise ModelError(_no_adapter_weights(folder, name))
    if is_adapter and (folder / "config.json").is_file() and matching(folder, ("model*.safetensors",)):
        raise ModelError(
            f"{name!r} holds a whole model and an adapter, and nothing says which of them is meant. Move "
            f"{ADAPTER_CONFIG} and {ADAPTER_WEIGHTS} out of it to have the model, or into a folder of their own to "
            "have the adapter."
        )
    if not weights and (found := matching(folder, ("*.gguf",))):
        raise ModelError(_gguf(name, found[0]))
    if not is_adapter and not (folder / "config.json").is_file():
        raise ModelError(_no_model(folder, name))
    if not weights:
        raise ModelError(_no_safetensors(folder, name))
    check_settings(folder, name)


def matching(folder: Path, patterns: tuple[str, ...]) -> list[Path]:
    """Files of a folder that match any of the patterns, sorted."""
    return sorted({path for pattern in patterns for path in folder.glob(pattern)})


def first_line(error: Exception) -> str:
    """What an exception of another library says first, as the end of a sentence."""
    text = str(error).strip().splitlines()
    return (text[0].strip() if text else type(error).__name__).rstrip(".:") + "."


def _not_a_folder(name: str, path: Path) -> str:
    if path.suffix == ".gguf":
        return _gguf(name, path)
    return f"{name!r} is a file, but a model is a folder with its configuration. Give {str(path.parent)!r}."


def _gguf(name: str, path: Path) -> str:
    return (
        f"{name!r} holds weights in GGUF ({path.name!r}), a format for inference through which no gradient can be "
        "taken. Give the model it was made from; or convert it (this needs `pip install gguf`): "
        f"`AutoModelForCausalLM.from_pretrained({str(path.parent)!r}, gguf_file={path.name!r}, "
        "quantization_config=GgufConfig(dequantize=True)).save_pretrained(OUT)`, and the same with `AutoTokenizer` "
        "without the last setting, then give OUT."
    )


def _no_adapter_weights(folder: Path, name: str) -> str:
    if not (folder / "adapter_model.bin").is_file():
        return (
            f"{name!r} holds an {ADAPTER_CONFIG} but no {ADAPTER_WEIGHTS}. Save the adapter again with "
            "`model.save_pretrained(...)`."
        )
    return (
        f"{name!r} holds its adapter in adapter_model.bin, a format that can run code when read. If you trust it, "
        "convert it there: `safetensors.torch.save_file(torch.load('adapter_model.bin', weights_only=True), "
        f"'{ADAPTER_WEIGHTS}')`."
    )


def _no_safetensors(folder: Path, name: str) -> str:
    pickled = matching(folder, _PICKLE_PATTERNS)
    held = f" ({', '.join(path.name for path in pickled[:2])})" if pickled else ""
    return (
        f"{name!r} holds no .safetensors file, and other weight formats{held} can run code when read. If you trust "
        f"it, convert it: `AutoModelForCausalLM.from_pretrained({str(folder)!r}).save_pretrained(OUT)`, and the same "
        "with `AutoTokenizer`, then give OUT."
    )


def _no_model(folder: Path, name: str) -> str:
    inside = sorted(
        path.parent.name for pattern in SETTING_FILES for path in folder.glob(f"*/{pattern}") if path.is_file()
    )
    if not inside:
        return f"{name!r} is no model folder: it holds no config.json. Give a folder made by save_pretrained."
    shown = ", ".join(repr(one) for one in dict.fromkeys(inside))
    return (
        f"{name!r} is no model folder itself, but folders in it are: {shown}. Give one of them: "
        f"`--model {folder / inside[0]}`."
    )


def _download(settings: ModelConfig) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    patterns = [
        "*.safetensors",
        "*.safetensors.index.json",
        *SETTING_FILES,
        "generation_config.json",
        *TOKENIZER_FILES,
    ]
    if settings.trust_remote_code:
        patterns.append("*.py")
    try:
        return Path(snapshot_download(settings.model, allow_patterns=patterns))
    except (HFValidationError, LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise ModelError(
            f"{settings.model!r} is neither a folder nor a model that the Hugging Face hub gives: "
            f"{first_line(error)} Check the path; offline, give a local folder."
        ) from error
