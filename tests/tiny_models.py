"""Randomly initialised models of every supported family: hidden width 32, two layers, 64 tokens, from a seed."""

import warnings
from collections.abc import Callable, Sequence

import torch
import transformers as hf
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors
from torch import nn

from lorif_core.data.encoding import EncodedExample

VOCABULARY = 64
WIDE = {"initializer_range": 0.25}
"""Larger than the usual 0.02, so that attention and gates are far from their linear regime."""
ROTARY = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": 1,
    **WIDE,
}
HEAD_DIM = {"head_dim": 8}


def gpt2_config(**changes: object) -> hf.GPT2Config:
    sizes = {"vocab_size": VOCABULARY, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64}
    return hf.GPT2Config(**{**sizes, "bos_token_id": 0, "eos_token_id": 1, **WIDE, **changes})


def llama_config(**changes: object) -> hf.LlamaConfig:
    return hf.LlamaConfig(**{**ROTARY, **changes})


def _llama_with_lora() -> nn.Module:
    from peft import LoraConfig, get_peft_model  # not at the top: a machine that only computes may not have it

    targets = ["q_proj", "v_proj", "down_proj"]
    with warnings.catch_warnings():
        # peft 0.21 reads an attribute that transformers 5.23 renames; no way around it from here.
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
        model = get_peft_model(
            hf.AutoModelForCausalLM.from_config(llama_config()),
            LoraConfig(r=4, lora_alpha=8, target_modules=targets, task_type="CAUSAL_LM"),
        )
    for name, parameter in model.named_parameters():
        if "lora_B" in name:  # initialised to zero, where lora_A has no gradient
            nn.init.normal_(parameter, std=0.3)
    return model


_CONFIGS: dict[str, Callable[[], hf.PretrainedConfig]] = {
    "gpt2": gpt2_config,
    "gpt2_untied": lambda: gpt2_config(tie_word_embeddings=False),
    "llama": lambda: llama_config(tie_word_embeddings=False),
    "llama_tied": lambda: llama_config(tie_word_embeddings=True),
    "qwen2": lambda: hf.Qwen2Config(**ROTARY),
    "qwen3": lambda: hf.Qwen3Config(**ROTARY, **HEAD_DIM, tie_word_embeddings=True),
    "gemma": lambda: hf.GemmaConfig(**ROTARY, **HEAD_DIM),
    "gemma2": lambda: hf.Gemma2Config(**ROTARY, **HEAD_DIM, query_pre_attn_scalar=8, sliding_window=4),
    "gemma3": lambda: hf.Gemma3TextConfig(**ROTARY, **HEAD_DIM, query_pre_attn_scalar=8, sliding_window=4),
    "olmo2": lambda: hf.Olmo2Config(**ROTARY),
    "gpt_neox": lambda: hf.GPTNeoXConfig(
        **{key: value for key, value in ROTARY.items() if key != "num_key_value_heads"}
    ),
    "opt": lambda: hf.OPTConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        ffn_dim=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=64,
        word_embed_proj_dim=32,
        init_std=0.25,
    ),
    "qwen3_moe": lambda: hf.Qwen3MoeConfig(
        **ROTARY, **HEAD_DIM, moe_intermediate_size=16, num_experts=4, num_experts_per_tok=2
    ),
}
ARCHITECTURES = [*_CONFIGS, "llama_lora"]

WIDEST = dict.fromkeys(ARCHITECTURES, torch.float64) | {"gemma2": torch.float32}
"""Widest dtype a family computes in: transformers masks Gemma 2's scores beyond the range of the float32
softmax that follows."""

# RMS norms and rotary angles are float32 inside transformers, whatever the model's dtype: 2e-7 per
# operation over two layers. LayerNorm and learned positions follow the model.
TOLERANCE = (
    dict.fromkeys(ARCHITECTURES, 2e-5) | {"gpt2": 1e-11, "gpt2_untied": 1e-11, "opt": 1e-11} | {"gemma2": 2e-4}
)
"""Rounding of a gradient relative to its largest number, in the widest dtype."""


def tiny_model(architecture: str, *, seed: int = 0, dtype: torch.dtype | None = None) -> nn.Module:
    """A fresh model in evaluation mode, in its widest dtype unless another one is given."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if architecture == "llama_lora":
            model = _llama_with_lora()
        else:
            model = hf.AutoModelForCausalLM.from_config(_CONFIGS[architecture]())
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):  # zeros would hide a forgotten bias
                nn.init.normal_(parameter, std=0.1)
    if architecture == "qwen3_moe":  # torch has no float64 kernel for grouped experts
        model.set_experts_implementation("eager")
    return model.to(dtype or WIDEST[architecture]).eval()


def with_checkpointing(model: nn.Module, *, use_reentrant: bool) -> nn.Module:
    """The same model, recomputing its layers' activations in the backward pass, in training mode."""
    enable = getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
    enable({"use_reentrant": use_reentrant})  # the latter is its name before transformers 5.23
    return model.train()


def example_of(ids: Sequence[int], targets: Sequence[bool]) -> EncodedExample:
    return EncodedExample(list(ids), list(targets), len(ids))


def random_examples(lengths: Sequence[int], *, seed: int = 0) -> list[EncodedExample]:
    """Random token sequences; about the first third of each is a prompt, the rest are targets."""
    generator = torch.Generator().manual_seed(seed)
    examples = []
    for length in lengths:
        ids = torch.randint(2, VOCABULARY, (length,), generator=generator).tolist()
        prompt = max(1, length // 3)
        examples.append(example_of(ids, [position >= prompt for position in range(length)]))
    return examples


LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789 \n:.,!?<>"


def tiny_tokenizer(
    *, adds_bos: bool = False, adds_eos: bool = False, **special: str | None
) -> hf.PreTrainedTokenizerFast:
    """One token per character; ids 0, 1, 2 are the start, end and unknown tokens."""
    vocabulary = {token: number for number, token in enumerate(["<s>", "</s>", "<unk>", *LETTERS])}
    core = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), behavior="isolated")
    core.decoder = decoders.Fuse()
    core.post_processor = processors.TemplateProcessing(
        single=f"{'<s> ' if adds_bos else ''}$A{' </s>' if adds_eos else ''}",
        special_tokens=[("<s>", 0), ("</s>", 1)],
    )
    names = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", **special}
    return hf.PreTrainedTokenizerFast(
        tokenizer_object=core, **{key: value for key, value in names.items() if value is not None}
    )
