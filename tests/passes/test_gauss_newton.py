"""Products with the model's Gauss–Newton matrix, and their solvers, against J and G written out in float64."""

import pytest
import torch
import transformers as hf
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import close, leaf_of
from tiny_models import ARCHITECTURES, TOLERANCE, WIDE, random_examples, tiny_model

from lorif_core.capture.hooks import frozen
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
RATIO = 0.25


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
    return GradientSource(
        model, maps, modules, Kronecker(KroneckerConfig()), column_codec("sign"), 1, tokens_per_batch
    )


def explicit(source, texts):
    """Wᵀ H W as one matrix over all modules, (D, D): every logit of every target token differentiated by itself."""
    model = source.model
    for one in source.modules:
        if one.form == "columns":  # its own use alone, and not that of an embedding that shares the parameter
            head = model.get_submodule(one.name)
            head._parameters["weight"] = torch.nn.Parameter(head.weight.detach().clone())
    found = {one.name: leaf_of(model, one.name) for one in source.modules}
    leaves = [leaf.requires_grad_(True) for leaf, _, _ in found.values()]
    whole, num_tokens = 0.0, 0
    for text in texts:
        num_tokens += len(text.input_ids)
        logits = model(input_ids=torch.tensor([text.input_ids])).logits[0]
        for place in [place for place, is_target in enumerate(text.is_target) if is_target]:
            rows = []
            for logit in logits[place - 1]:
                gradients = torch.autograd.grad(logit, leaves, retain_graph=True, allow_unused=True)
                rows.append(torch.cat([_row(source, *one) for one in zip(found.items(), gradients, strict=True)]))
            jacobian, shares = torch.stack(rows), logits[place - 1].detach().double().softmax(0)
            fisher = torch.diag(shares) - torch.outer(shares, shares)
            whole = whole + abs(text.weight) * jacobian.T @ fisher @ jacobian
    return whole / num_tokens


def _row(source, named, gradient):
    """A logit's gradient by one weight, in the coordinates of its maps, flattened."""
    name, (leaf, expert, is_out_first) = named
    gradient = torch.zeros_like(leaf) if gradient is None else gradient
    gradient = gradient if expert is None else gradient[expert]
    gradient = (gradient.T if is_out_first else gradient).double()
    maps = source.maps[name]
    out = torch.diag(maps.output_map) if maps.output_map.ndim == 1 else maps.output_map
    return (maps.input_map.T @ gradient @ out).flatten()


def flat(vectors):
    return torch.cat([rows.flatten(1) for rows in vectors.values()], 1).double()


def random_vectors(source, num_queries=2, seed=5):
    generator = torch.Generator().manual_seed(seed)
    return {
        one.name: torch.randn(num_queries, one.d_in, one.d_out, generator=generator, dtype=torch.float64)
        for one in source.modules
    }


def dense_solutions(matrix, vectors, ratio=RATIO):
    """Of every query, with the ratio of the curvature along itself as damping."""
    found = []
    for row in flat(vectors):
        damping = ratio * (row @ matrix @ row) / (row @ row)
        found.append(torch.linalg.solve(matrix + damping * torch.eye(len(matrix), dtype=torch.float64), row))
    return torch.stack(found)


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


@settings(deadline=None, max_examples=5)
@given(st.integers(0, 99), st.integers(1, 2), st.booleans(), st.sampled_from([1, 2]), st.integers(2, 3))
def test_cg_in_tiny_random_models_is_the_dense_solution(seed, layers, tied, f, length):
    model = tiny_gpt2(seed, layers=layers, tied=tied)
    source = source_of(model, (), f=f, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    texts = [
        one._replace(input_ids=torch.randint(0, 9, (len(one.input_ids),), generator=generator).tolist())
        for one in random_examples([length], seed=seed)
    ]
    vectors = random_vectors(source, num_queries=1, seed=seed)
    with frozen(model):
        curved = GaussNewton(source, texts)
        product = curved.product(vectors)
        found = solve_system("cg", curved.product, vectors, ratio=RATIO, steps=18)
    matrix = explicit(source, texts)
    close(flat(product), flat(vectors) @ matrix, relative=1e-9)
    close(flat(found.matrices), dense_solutions(matrix, vectors), relative=1e-6)
    assert found.residuals.max() < 1e-6


CHOSEN = {"qwen3_moe": ("*.0.mlp.experts.1.*",), "llama_lora": ("*.0.*lora*",)}
"""Modules by family; of all others the last MLP, and whatever the head is called."""


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_family_s_product_is_that_of_j_and_g(architecture):
    model = tiny_model(architecture)
    include = CHOSEN.get(architecture, ("*.1.mlp*", "*.1.fc*", "*lm_head*", "*embed_out*"))
    source = source_of(model, include, f=16)
    vectors = random_vectors(source)
    with frozen(model):
        product = GaussNewton(source, TEXTS[:2]).product(vectors)
    wanted = flat(vectors) @ explicit(source, TEXTS[:2])
    close(flat(product), wanted, relative=TOLERANCE[architecture] * 100)
