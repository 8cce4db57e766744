"""Tiny models and adapters on disk, saved as PEFT saves them, with weights far from zero."""

import warnings
from pathlib import Path

import torch
from peft import LoraConfig, PeftConfig, PeftModel, get_peft_model
from tiny_models import tiny_model, tiny_tokenizer
from torch import nn
from transformers import AutoModelForCausalLM


def save_base(folder: Path, architecture: str = "llama") -> Path:
    tiny_model(architecture, dtype=torch.float32).save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


def lora(**settings: object) -> LoraConfig:
    return LoraConfig(**{"r": 2, "target_modules": ["q_proj", "down_proj"], "task_type": "CAUSAL_LM", **settings})


def save_adapter(base: Path, folder: Path, config: PeftConfig, *, rows: int | None = None, **saving: object) -> Path:
    """An adapter of random weights on the base in a folder, its vocabulary changed to ``rows`` first."""
    torch.manual_seed(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
        if rows is not None:
            model.resize_token_embeddings(rows)
        wrapper = get_peft_model(model, config)
        for name, parameter in wrapper.named_parameters():
            if parameter.requires_grad and "magnitude" not in name:
                nn.init.normal_(parameter, std=0.3)
            if parameter.requires_grad and "magnitude" in name:
                parameter.data *= torch.rand(parameter.shape) + 0.5
        wrapper.save_pretrained(folder, **saving)
    tiny_tokenizer().save_pretrained(folder)
    return folder


def by_peft(base: Path, folder: Path, *, rows: int | None = None) -> nn.Module:
    """The adapter as PEFT itself loads it, in float64."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
        if rows is not None:
            model.resize_token_embeddings(rows)
        return PeftModel.from_pretrained(model, folder).double().eval()
