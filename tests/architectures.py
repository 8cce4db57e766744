"""One-layer models of fifty families from their configuration classes: narrow, random, in float64."""

from typing import Any

import torch
import transformers as hf
from torch import nn

SIZES: dict[str, Any] = {
    "vocab_size": 48,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "max_position_embeddings": 32,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": 1,
    "initializer_range": 0.25,
}
GROUPED = {**SIZES, "num_key_value_heads": 1}
HEADS = {**GROUPED, "head_dim": 8}
ROUTED = {"num_local_experts": 4, "num_experts_per_tok": 2}
NUMBERED = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 8}
LATENT = {
    **SIZES,
    "num_key_value_heads": 2,
    "q_lora_rank": 8,
    "kv_lora_rank": 8,
    "qk_rope_head_dim": 4,
    "qk_nope_head_dim": 4,
    "v_head_dim": 8,
    "n_routed_experts": 4,
    "n_shared_experts": 1,
    "moe_intermediate_size": 8,
    "first_k_dense_replace": 0,
    "num_experts_per_tok": 2,
    "n_group": 2,
    "topk_group": 2,
}
MAMBA = {"state_size": 4, "head_dim": 8, "num_heads": 4, "expand": 2, "n_groups": 1, "chunk_size": 8}

CONFIGS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("Llama", GROUPED),
    "llama4": (
        "Llama4Text",
        {**HEADS, "num_local_experts": 2, "intermediate_size_mlp": 24, "attention_chunk_size": 8},
    ),
    "mistral": ("Mistral", HEADS),
    "mixtral": ("Mixtral", {**GROUPED, **ROUTED}),
    "qwen2": ("Qwen2", GROUPED),
    "qwen2_moe": ("Qwen2Moe", {**GROUPED, **NUMBERED, "shared_expert_intermediate_size": 8}),
    "qwen3": ("Qwen3", HEADS),
    "qwen3_moe": ("Qwen3Moe", {**HEADS, **NUMBERED}),
    "qwen3_next": (
        "Qwen3Next",
        {
            **HEADS,
            **NUMBERED,
            "num_hidden_layers": 2,
            "shared_expert_intermediate_size": 8,
            "linear_key_head_dim": 8,
            "linear_value_head_dim": 8,
            "linear_num_key_heads": 1,
            "linear_num_value_heads": 2,
            "layer_types": ["linear_attention", "full_attention"],
        },
    ),
    "gemma": ("Gemma", HEADS),
    "gemma2": ("Gemma2", {**HEADS, "query_pre_attn_scalar": 8, "sliding_window": 4}),
    "gemma3": ("Gemma3Text", {**HEADS, "query_pre_attn_scalar": 8, "sliding_window": 4}),
    "gemma3n": (
        "Gemma3nText",
        {
            **HEADS,
            "vocab_size_per_layer_input": 48,
            "hidden_size_per_layer_input": 4,
            "altup_num_inputs": 2,
            "num_kv_shared_layers": 0,
            "laurel_rank": 4,
            "activation_sparsity_pattern": [0.0],
            "sliding_window": 4,
            "layer_types": ["full_attention"],
        },
    ),
    "phi": ("Phi", SIZES),
    "phi3": ("Phi3", GROUPED),
    "phimoe": ("Phimoe", {**GROUPED, **ROUTED}),
    "olmo": ("Olmo", GROUPED),
    "olmo2": ("Olmo2", GROUPED),
    "olmo3": ("Olmo3", {**GROUPED, "sliding_window": 4}),
    "olmoe": ("Olmoe", {**GROUPED, "num_experts": 4, "num_experts_per_tok": 2}),
    "gpt2": ("GPT2", {**SIZES, "n_inner": 24}),
    "gpt_neox": ("GPTNeoX", SIZES),
    "gptj": ("GPTJ", {**SIZES, "rotary_dim": 4, "n_inner": 24}),
    "gpt_neo": ("GPTNeo", {**SIZES, "num_layers": 1, "num_heads": 2, "attention_types": [[["global"], 1]]}),
    "gpt_oss": ("GptOss", {**HEADS, **ROUTED, "sliding_window": 4}),
    "gpt_bigcode": ("GPTBigCode", {**SIZES, "n_inner": 24}),
    "opt": ("OPT", {**SIZES, "ffn_dim": 24, "word_embed_proj_dim": 16, "init_std": 0.25}),
    "bloom": ("Bloom", SIZES),
    "falcon": ("Falcon", SIZES),
    "mpt": (
        "Mpt",
        {
            "vocab_size": 48,
            "d_model": 16,
            "n_layers": 1,
            "n_heads": 2,
            "max_seq_len": 32,
            "expansion_ratio": 2,
            "initializer_range": 0.25,
        },
    ),
    "mamba": ("Mamba", {**SIZES, "state_size": 4}),
    "mamba2": ("Mamba2", {**SIZES, **MAMBA}),
    "zamba2": (
        "Zamba2",
        {
            **SIZES,
            "num_hidden_layers": 2,
            "layers_block_type": ["hybrid", "hybrid"],
            "mamba_d_state": 4,
            "mamba_headdim": 8,
            "n_mamba_heads": 4,
            "mamba_ngroups": 1,
            "mamba_expand": 2,
            "chunk_size": 8,
            "num_mem_blocks": 1,
            "adapter_rank": 4,
            "num_key_value_heads": 2,
            "use_shared_attention_adapter": False,
        },
    ),
    "jamba": (
        "Jamba",
        {
            **GROUPED,
            "num_hidden_layers": 2,
            "num_experts": 2,
            "num_experts_per_tok": 1,
            "mamba_d_state": 4,
            "mamba_dt_rank": 4,
            "use_mamba_kernels": False,
            "attn_layer_period": 2,
            "attn_layer_offset": 1,
            "expert_layer_period": 2,
            "expert_layer_offset": 1,
        },
    ),
    "cohere": ("Cohere", GROUPED),
    "cohere2": ("Cohere2", {**HEADS, "sliding_window": 4}),
    "granite": ("Granite", GROUPED),
    "granitemoe": ("GraniteMoe", {**GROUPED, **ROUTED}),
    "starcoder2": ("Starcoder2", GROUPED),
    "stablelm": ("StableLm", GROUPED),
    "deepseek_v2": ("DeepseekV2", {**LATENT, "topk_method": "greedy"}),
    "deepseek_v3": ("DeepseekV3", LATENT),
    "nemotron": ("Nemotron", HEADS),
    "persimmon": ("Persimmon", SIZES),
    "glm4": ("Glm4", HEADS),
    "ernie4_5": ("Ernie4_5", HEADS),
    "smollm3": ("SmolLM3", GROUPED),
    "exaone4": ("Exaone4", {**HEADS, "sliding_window": 4}),
    "helium": ("Helium", HEADS),
    "lfm2": ("Lfm2", {**GROUPED, "num_hidden_layers": 2, "layer_types": ["conv", "full_attention"]}),
}


def one_layer_model(family: str, *, seed: int = 0) -> nn.Module:
    """A random model of a family, in evaluation mode, its experts computed by transformers' own loop."""
    prefix, sizes = CONFIGS[family]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = hf.AutoModelForCausalLM.from_config(getattr(hf, f"{prefix}Config")(**sizes))
        for name, parameter in model.named_parameters():
            if name.endswith("bias") or not bool(parameter.any()):  # zeros would hide what is forgotten
                nn.init.normal_(parameter, std=0.1)
    if model._can_set_experts_implementation():
        model.set_experts_implementation("eager")
    return model.double().eval()
