"""A model without its weights: every module and its shape, from `config.json` alone, on torch's meta device.

Nothing of a size is allocated. What can be told from shapes can be told of it; it cannot be run.
"""

from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.tokenization_utils_base import PreTrainedTokenizerBase

from lorif_core.config import ModelConfig
from lorif_core.errors import ModelError
from lorif_core.models.load import LoadedModel, choose_device
from lorif_core.models.model_folder import (
    ADAPTER_CONFIG,
    FOREIGN_PATTERNS,
    WEIGHT_PATTERNS,
    first_line,
    matching,
)
from lorif_core.models.model_settings import check_sizes
from lorif_core.models.quantised import quantisation_of
from lorif_core.system_failures import refuse_if_of_the_machine

OUTLINED_FROM = 1 << 30
"""Bytes of weight files below which nobody asks how many they become."""


def has_only_a_configuration(settings: ModelConfig) -> bool:
    """Whether the folder holds a model's configuration and no weights of any format."""
    folder = Path(settings.model).expanduser()
    return (
        (folder / "config.json").is_file()
        and not (folder / ADAPTER_CONFIG).is_file()
        and not matching(folder, (*WEIGHT_PATTERNS, *FOREIGN_PATTERNS))
    )


def weights_bytes(settings: ModelConfig) -> int:
    """What the weights beside a configuration take in memory; 0 where they are quantised, an adapter or not there.

    On the CPU they become float32. They are counted from the outline where their files alone do not tell.
    """
    folder = Path(settings.model).expanduser()
    is_plain = (folder / "config.json").is_file() and not (folder / ADAPTER_CONFIG).is_file()
    if not is_plain or quantisation_of(folder):
        return 0
    stored = sum(path.stat().st_size for path in matching(folder, WEIGHT_PATTERNS))
    if choose_device(settings.device).type != "cpu" or stored < OUTLINED_FROM:
        return stored
    return 4 * outline_model(settings).num_parameters


def outline_model(settings: ModelConfig) -> LoadedModel:
    """The model of a configuration, on the meta device; its tokenizer knows no token, and nothing fingerprints it.

    Raises:
        ModelError: The configuration is none of a causal language model, or its numbers cannot be.
    """
    folder = Path(settings.model).expanduser()
    check_sizes(folder, settings.model)
    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=settings.trust_remote_code)
        with torch.device("meta"):
            model: Any = AutoModelForCausalLM.from_config(config, trust_remote_code=settings.trust_remote_code)
    except Exception as error:  # whatever its files make the library do
        refuse_if_of_the_machine(error, folder)
        raise ModelError(
            f"{settings.model!r} is no configuration of a causal language model: {first_line(error)}"
        ) from error
    model.tie_weights()
    return LoadedModel(model.eval(), PreTrainedTokenizerBase(), settings.model, "", "")
