"""Adapters as PEFT saves them: what an adapter folder says of itself, which base it names, and which are refused.

Only adapters whose trained weights multiply activations can be tracked: LoRA in the variants that apply its two
matrices as they are (LoRA, rsLoRA, DoRA, the LoRA of a start such as PiSSA), AdaLoRA, VeRA, IA3 and tuned norms
(``factored_adapters`` brings them into the form of modules). All others are refused here, before anything is
loaded: their base is frozen, so an index of it would explain weights that were never trained.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from lorif_core.errors import ModelError
from lorif_core.files import read_json
from lorif_core.models.model_folder import ADAPTER_CONFIG, ADAPTER_WEIGHTS

_LABELS = {
    "LORA": "LoRA",
    "ADALORA": "AdaLoRA",
    "IA3": "IA3",
    "LOHA": "LoHa",
    "LOKR": "LoKr",
    "VERA": "VeRA",
    "PVERA": "PVeRA",
    "VBLORA": "VB-LoRA",
    "XLORA": "X-LoRA",
    "HIRA": "HiRA",
    "DELORA": "DeLoRA",
    "GRALORA": "GraLoRA",
    "RANDLORA": "RandLora",
    "PROMPT_TUNING": "prompt tuning",
    "MULTITASK_PROMPT_TUNING": "multitask prompt tuning",
    "P_TUNING": "P-tuning",
    "PREFIX_TUNING": "prefix tuning",
    "ADAPTION_PROMPT": "LLaMA-Adapter",
    "LN_TUNING": "LN tuning",
    "TRAINABLE_TOKENS": "trainable tokens",
}

_PROMPTS = {
    "PROMPT_TUNING",
    "MULTITASK_PROMPT_TUNING",
    "P_TUNING",
    "PREFIX_TUNING",
    "CPT",
    "CARTRIDGE",
    "ADAPTION_PROMPT",
}
_MIXTURES = {"XLORA", "POLY"}
_TRACKED = ("LORA", "ADALORA", "VERA", "IA3", "LN_TUNING")
_NOT_MERGED = {"LILY", "SHADOW", "BEFT", "QALoRA", "aLoRA"}
"""PEFT cannot merge these, or not into every base."""

_RANKED = ("lora_A.weight", "lora_A", "lora_embedding_A", "vera_lambda_d")
"""Ends of the names of weights whose first axis is a rank."""

_VARIANTS = {
    "alora_invocation_tokens": "aLoRA",
    "arrow_config": "Arrow",
    "use_bdlora": "BD-LoRA",
    "monteclora_config": "MonteCLoRA",
    "use_qalora": "QALoRA",
    "kasa_config": "KaSA",
}
"""Settings of LoRA under which its two matrices are not applied as they are."""

_RETRAIN = "Train a LoRA adapter on the same texts and index that."
_MERGE = (
    "Merge it into its base, `PeftModel.from_pretrained(base, folder).merge_and_unload().save_pretrained(OUT)`, and "
    "give OUT, whose every linear module is tracked."
)


@dataclass(frozen=True)
class Adapter:
    """What an adapter folder says of itself."""

    folder: Path

    kind: str
    """As people write it: LoRA, DoRA, rsLoRA, AdaLoRA, …"""

    base: str | None
    """The base model as ``adapter_config.json`` names it; None where it names none."""

    ranks: tuple[int, ...]
    """Of its low-rank terms, ascending; several where layers differ, none where the kind has no rank."""

    settings: Mapping[str, Any]
    """``adapter_config.json``, verbatim."""

    @property
    def config_path(self) -> Path:
        """The file that names the base."""
        return self.folder / ADAPTER_CONFIG

    @property
    def others(self) -> list[str]:
        """Folders in this one that hold adapters of their own, such as a training run's checkpoints."""
        return sorted(path.parent.name for path in self.folder.glob(f"*/{ADAPTER_CONFIG}"))

    def describe(self) -> str:
        """Kind, rank and base in a few words."""
        ranks = f"{self.ranks[0]} to {self.ranks[-1]}" if len(self.ranks) > 1 else "".join(map(str, self.ranks))
        return f"{self.kind} adapter{f' of rank {ranks}' if ranks else ''} on {self.base!r}"


def read_adapter(folder: Path) -> Adapter | None:
    """What the adapter in a folder says of itself; None for a folder without one.

    Raises:
        ArtefactError: ``adapter_config.json`` is no JSON object.
    """
    path = folder / ADAPTER_CONFIG
    if not path.is_file():
        return None
    settings = read_json(path)
    base = settings.get("base_model_name_or_path")
    return Adapter(folder, _kind(settings), str(base) if base else None, _ranks(folder / ADAPTER_WEIGHTS), settings)


def _ranks(weights: Path) -> tuple[int, ...]:
    """Ranks of the low-rank terms in a file; none where it cannot be read, which loading it will say."""
    try:
        with safe_open(weights, framework="np") as file:
            names = [name for name in file.keys() if name.endswith(_RANKED)]
            return tuple(sorted({file.get_slice(name).get_shape()[0] for name in names}))
    except (OSError, SafetensorError):
        return ()


def check_adapter(adapter: Adapter, name: str) -> None:
    """Refuse an adapter that could not be tracked.

    Args:
        adapter: Of the folder.
        name: As the person gave it.

    Raises:
        ModelError: Names its kind, the reason, and what can be indexed instead.
    """
    peft_type, task = str(adapter.settings.get("peft_type")), adapter.settings.get("task_type")
    variant = _variant(adapter.settings)
    if peft_type in _PROMPTS:
        raise ModelError(
            f"{name!r} is an adapter of kind {adapter.kind}: it learnt vectors that stand beside the text's, which "
            "no linear module holds, so nothing of it could be tracked. Train a LoRA adapter on the same texts and "
            "index that."
        )
    if peft_type in _MIXTURES or variant == "Arrow":
        raise ModelError(
            f"{name!r} is an adapter of kind {adapter.kind}, a mixture of adapters that is weighed again for every "
            "text; this cannot be tracked. Give one of the LoRA adapters it was made from."
        )
    if peft_type not in _TRACKED or variant is not None:
        kinds = ", ".join(_LABELS[one] for one in _TRACKED)
        remedy = _RETRAIN if {peft_type, variant} & _NOT_MERGED else _MERGE
        raise ModelError(
            f"only adapters of the kinds {kinds}, rsLoRA and DoRA can be tracked, but {name!r} is of kind "
            f"{adapter.kind}, and its base is frozen. {remedy}"
        )
    if task not in (None, "CAUSAL_LM"):
        raise ModelError(
            f"{name!r} is an adapter for the task {task}, not for a causal language model (CAUSAL_LM): "
            "no text's loss was what it learnt from. Give an adapter of a causal language model."
        )


def base_of_adapter(adapter: Adapter, name: str) -> str:
    """Folder or hub name of the model that an adapter was trained on.

    A relative path counts from the adapter's folder, or else from the current one.

    Raises:
        ModelError: The adapter names no base, or a path at which there is none.
    """
    if adapter.base is None:
        raise ModelError(
            f"{name!r} is an adapter whose {ADAPTER_CONFIG} names no base model. Write its path into "
            f"`base_model_name_or_path` in {str(adapter.config_path)!r}."
        )
    path = Path(adapter.base).expanduser()
    places = [adapter.folder / path, Path.cwd() / path]  # an absolute path stays what it is
    found = next((place for place in places if place.is_dir()), None)
    if found is not None:
        return str(found.resolve())
    if _is_path(adapter.base):
        looked = " or ".join(dict.fromkeys(repr(str(place)) for place in places))
        raise ModelError(
            f"{str(adapter.config_path)!r} names the base model {adapter.base!r}, but there is no folder {looked}. "
            "Correct `base_model_name_or_path` in that file."
        )
    return adapter.base


def _is_path(base: str) -> bool:
    """Whether a name can be no hub name, which is NAME or OWNER/NAME."""
    return base.startswith((".", "~", "/")) or "\\" in base or base.count("/") > 1


def _kind(settings: Mapping[str, Any]) -> str:
    peft_type = str(settings.get("peft_type"))
    if peft_type != "LORA":
        return _LABELS.get(peft_type, peft_type)
    if (variant := _variant(settings)) is not None:
        return variant
    if settings.get("use_dora"):
        return "rsDoRA" if settings.get("use_rslora") else "DoRA"
    return "rsLoRA" if settings.get("use_rslora") else "LoRA"


def _variant(settings: Mapping[str, Any]) -> str | None:
    if str(settings.get("peft_type")) != "LORA":
        return None
    return next((label for setting, label in _VARIANTS.items() if settings.get(setting)), None)
