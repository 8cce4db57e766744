"""Products with the model's Gauss–Newton matrix, and their solvers, against J and G written out in float64."""

import pytest
import torch
import transformers as hf
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import close
from tiny_models import ARCHITECTURES, TOLERANCE, WIDE, random_examples, tiny_model

from lorif_core.capture.hooks import frozen
from lorif_core.capture.precision import compute_in
from lorif_core.errors import DataError
from lorif_core.linalg.codecs import column_codec
from lorif_core.linalg.linear_solvers import solve_system
from lorif_core.linalg.maps import ModuleMaps
from lorif_core.methods.kronecker import Kronecker
from lorif_core.methods.method_settings import KroneckerConfig
from lorif_core.models.modules import list_modules, tracked_shapes
from lorif_core.passes.gauss_newton import GaussNewton
from lorif_core.passes.shards import GradientSource
from lorif_core.shapes import Tracked

TEXTS = random_examples([6, 3, 9, 4], seed=3)
DAMPING = 0.25


def source_of(model, include, *, f=4, seed=0, tokens_per_batch=20, dtype=torch.float64):
    """Arbitrary maps of that width, a diagonal one for the head's outputs."""
    generator = torch.Generator().manual_seed(seed)
    draw = lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)  # noqa: E731
    modules = tracked_shapes(list_modules(model, include=include, default=Tracked(attention=False, head=True)), f)
    maps = {
        one.name: ModuleMaps(
            draw(one.in_features, one.d_in) / one.in_features**0.5,
            draw(one.out_features).abs() + 0.5
            if one.form == "columns"
            else draw(one.out_features, one.d_out) / one.out_features**0.5,
        )
        for one in modules
    }
    return GradientSource(model, maps, modules, Kronecker(KroneckerConfig()), column_codec("sign"), 1, tokens_per_batch)


def explicit(source, texts):
    """Wᵀ H W as one matrix over all modules, (D, D): every logit of every target token differentiated by itself."""
    model, heads = source.model, {one.name for one in source.modules if one.form == "columns"}
    names = [one.name for one in source.modules]
    leaves = []
    for name in names:
        module = model.get_submodule(name)
        if name in heads:  # its own use alone, and not that of an embedding that shares the parameter
            module._parameters["weight"] = torch.nn.Parameter(module.weight.detach().clone())
        leaves.append(module.weight.requires_grad_(True))
    whole, num_tokens = 0.0, 0
    for text in texts:
        num_tokens += len(text.input_ids)
        logits = model(input_ids=torch.tensor([text.input_ids])).logits[0]
        for place, is_target in enumerate(text.is_target):
            if not is_target:
                continue
            at = logits[place - 1]
            rows = []
            for one in at:
                grads = torch.autograd.grad(one, leaves, retain_graph=True, allow_unused=True)
                parts = []
                for name, leaf, grad in zip(names, leaves, grads, strict=True):
                    grad = torch.zeros_like(leaf) if grad is None else grad
                    module = model.get_submodule(name)
                    grad = grad if isinstance(module, hf.pytorch_utils.Conv1D) else grad.T
                    maps = source.maps[name]
                    out = torch.diag(maps.output_map) if maps.output_map.ndim == 1 else maps.output_map
                    parts.append((maps.input_map.T.double() @ grad.double() @ out.double()).flatten())
                rows.append(torch.cat(parts))
            jacobian, p = torch.stack(rows), at.detach().double().softmax(0)
            whole = whole + abs(text.weight) * jacobian.T @ (torch.diag(p) - torch.outer(p, p)) @ jacobian
    return whole / num_tokens


def flat(vectors):
    return torch.cat([rows.flatten(1) for rows in vectors.values()], 1).double()


def random_vectors(source, num_queries=2, seed=5):
    generator = torch.Generator().manual_seed(seed)
    return {
        one.name: torch.randn(num_queries, one.d_in, one.d_out, generator=generator, dtype=torch.float64)
        for one in source.modules
    }


def dense(matrix, vectors):
    damped = matrix + DAMPING * torch.eye(len(matrix), dtype=torch.float64)
    return flat(vectors) @ damped, torch.linalg.solve(damped, flat(vectors).T).T


def tiny_gpt2(seed, *, vocabulary=9, width=4, layers=1, tied=True):
    config = hf.GPT2Config(
        vocab_size=vocabulary,
        n_embd=width,
        n_layer=layers,
        n_head=2,
        n_positions=12,
        tie_word_embeddings=tied,
        bos_token_id=0,
        eos_token_id=1,
        **WIDE,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return hf.GPT2LMHeadModel(config).double().eval()


@settings(deadline=None, max_examples=8)
@given(
    st.integers(0, 99), st.integers(1, 2), st.booleans(), st.sampled_from([1, 2]), st.lists(st.integers(2, 7), min_size=1, max_size=3)
)
def test_cg_in_tiny_random_models_is_the_dense_solution(seed, layers, tied, f, lengths):
    model = tiny_gpt2(seed, layers=layers, tied=tied)
    source = source_of(model, (), f=f, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    texts = [
        one._replace(input_ids=torch.randint(0, 9, (len(one.input_ids),), generator=generator).tolist())
        for one in random_examples(lengths, seed=seed)
    ]
    vectors = random_vectors(source, seed=seed)
    with frozen(model):
        curved = GaussNewton(source, texts, DAMPING)
        product = curved.product(vectors)
        found = solve_system("cg", curved.product, vectors, 60)
    times, solved = dense(explicit(source, texts), vectors)
    close(flat(product), times, relative=1e-9)
    close(flat(found.matrices), solved, relative=1e-5)
    assert found.residuals.max() < 1e-4


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_family_s_product_is_that_of_j_and_g(architecture):
    model = tiny_model(architecture)
    include = {"qwen3_moe": ("*.0.mlp.experts.1.*",), "llama_lora": ("*.0.*lora*",)}.get(architecture, ("*.1.mlp*", "*.0.*proj*", "*.0.fc1", "*lm_head*"))
    source = source_of(model, include, f=16, dtype=torch.float64)
    source = source if len(source.modules) <= 4 else None or GradientSource(
        model, {m.name: source.maps[m.name] for m in source.modules[-3:]}, source.modules[-3:], source.method, source.codec, 1, 20
    )
    vectors = random_vectors(source)
    with frozen(model):
        product = GaussNewton(source, TEXTS[:2], DAMPING).product(vectors)
    times, _ = dense(explicit(source, TEXTS[:2]), vectors)
    close(flat(product), times, relative=TOLERANCE[architecture] * 100)
