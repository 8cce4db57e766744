"""Tokenizers and models with first weights, from sizes, texts and a seed."""

import string
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
import transformers as hf
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import nn

from benchmarks.truths.truth_plans import Architecture, ModelShape

END = "<|endoftext|>"
MLP_RATIO = 4
"""Width of an MLP over that of the model."""

GATED_RATIO = 2.75
"""The same of an MLP with a gate: three matrices have about as many numbers as two of ``MLP_RATIO``."""


def train_tokenizer(texts: Iterable[str], vocabulary: int) -> hf.PreTrainedTokenizerFast:
    """Byte-level BPE learnt from the texts; it starts and ends texts with one token and pads with it."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[END],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    core.train_from_iterator(texts, trainer)
    return hf.PreTrainedTokenizerFast(tokenizer_object=core, bos_token=END, eos_token=END, pad_token=END)


def build_model(shape: ModelShape, *, num_ids: int, num_positions: int, seed: int) -> nn.Module:
    """A causal language model without dropout whose first weights follow from the seed."""
    config = _CONFIGS[shape.architecture](shape, num_ids, num_positions)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return hf.AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()


def start_alike(model: Any, tokenizer: hf.PreTrainedTokenizerBase) -> None:
    """Give every token in capitals the first weights of the same token in small letters, embedding and head.

    The rows part in training, but what is learnt about one token starts as knowledge about both.
    """
    ids = tokenizer.get_vocab()
    twins = {token: token.translate(_SMALL) for token in ids}  # ASCII only: Ġ stands for a space, and is a capital
    pairs = [(ids[one], ids[twin]) for one, twin in twins.items() if one != twin and twin in ids]
    capitals, small = torch.tensor(pairs).T
    with torch.no_grad():
        for table in (model.get_input_embeddings(), model.get_output_embeddings()):
            table.weight[capitals] = table.weight[small]


def _gpt2(shape: ModelShape, num_ids: int, num_positions: int) -> hf.PretrainedConfig:
    return hf.GPT2Config(
        vocab_size=num_ids, n_positions=num_positions, n_embd=shape.width, n_layer=shape.layers, n_head=shape.heads,
        resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, **_ENDS,
    )  # fmt: skip


def _gpt_neox(shape: ModelShape, num_ids: int, num_positions: int) -> hf.PretrainedConfig:
    return hf.GPTNeoXConfig(
        hidden_dropout=0.0, attention_dropout=0.0, **_sizes(shape, num_ids, num_positions, MLP_RATIO)
    )


def _llama(shape: ModelShape, num_ids: int, num_positions: int) -> hf.PretrainedConfig:
    return hf.LlamaConfig(**_sizes(shape, num_ids, num_positions, GATED_RATIO))


def _qwen2(shape: ModelShape, num_ids: int, num_positions: int) -> hf.PretrainedConfig:
    return hf.Qwen2Config(num_key_value_heads=shape.heads, **_sizes(shape, num_ids, num_positions, GATED_RATIO))


def _sizes(shape: ModelShape, num_ids: int, num_positions: int, mlp_ratio: float) -> dict[str, Any]:
    return {
        "vocab_size": num_ids,
        "hidden_size": shape.width,
        "intermediate_size": round(mlp_ratio * shape.width),
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "max_position_embeddings": num_positions,
        "tie_word_embeddings": False,
        **_ENDS,
    }


_SMALL = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)

_ENDS: dict[str, Any] = {"bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0}
"""The first special token of ``train_tokenizer``."""

_CONFIGS: Mapping[Architecture, Callable[[ModelShape, int, int], hf.PretrainedConfig]] = {
    "gpt2": _gpt2,
    "gpt_neox": _gpt_neox,
    "llama": _llama,
    "qwen2": _qwen2,
}
