"""Products with the model's Gauss–Newton matrix, and their solvers, against J and G written out in float64."""

from dataclasses import replace

import pytest
import torch
import transformers as hf
from gauss_newton_oracle import dense_solutions, explicit, flat
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import close
from tiny_models import ARCHITECTURES, TOLERANCE, WIDE, random_examples, tiny_model

from lorif_core.capture.hooks import frozen
from lorif_core.capture.precision import compute_in
from lorif_core.errors import CaptureError, DataError
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
    return GradientSource(
        model, maps, modules, Kronecker(KroneckerConfig()), column_codec("sign"), 1, tokens_per_batch
    )


def random_vectors(source, num_queries=2, seed=5):
    generator = torch.Generator().manual_seed(seed)
    return {
        one.name: torch.randn(num_queries, one.d_in, one.d_out, generator=generator, dtype=torch.float64)
        for one in source.modules
    }


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
        found = solve_system("cg", curved.product, vectors, damping=DAMPING, steps=18)
    matrix = explicit(source, texts)
    close(flat(product), flat(vectors) @ matrix, relative=1e-9)
    close(flat(found.matrices), dense_solutions(matrix, vectors, DAMPING), relative=1e-6)
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


def small(**changes):
    """A model of nine tokens, its source, texts of it and two queries."""
    model = tiny_gpt2(1)
    source = source_of(model, (), f=1, **changes)
    texts = [one._replace(input_ids=[token % 9 for token in one.input_ids]) for one in TEXTS]
    return model, source, texts, random_vectors(source)


def product_of(source, texts, vectors):
    with frozen(source.model):
        return flat(GaussNewton(source, texts).product(vectors))


def test_neither_batches_nor_their_padding_show():
    _, source, texts, vectors = small()
    together = product_of(replace(source, tokens_per_batch=99), texts, vectors)
    close(product_of(replace(source, tokens_per_batch=1), texts, vectors), together, relative=1e-12)


def test_a_text_of_two_sequences_counts_each_by_the_size_of_its_weight():
    _, source, texts, vectors = small()
    chosen, rejected = texts[0], texts[1]
    tokens = len(chosen.input_ids) + len(rejected.input_ids)
    alone = [product_of(source, [one], vectors) * len(one.input_ids) for one in (chosen, rejected)]
    pair = (chosen, rejected._replace(weight=-0.5))
    close(product_of(source, [pair], vectors), (alone[0] + 0.5 * alone[1]) / tokens, relative=1e-12)


def test_the_matrix_is_symmetric_and_bends_upwards():
    _, source, texts, vectors = small()
    product = product_of(source, texts, vectors)
    both = product @ flat(vectors).T
    close(both, both.T, relative=1e-12)
    assert (torch.linalg.eigvalsh(both) > 0).all()


def test_the_model_is_left_as_it_was_found():
    model, source, texts, vectors = small()
    before = {name: (parameter, parameter.detach().clone()) for name, parameter in model.named_parameters()}
    product_of(source, texts, vectors)
    for name, parameter in model.named_parameters():
        assert parameter is before[name][0]
        assert torch.equal(parameter, before[name][1])
        assert parameter.grad is None
        assert parameter.requires_grad
    assert model.lm_head.weight is model.transformer.wte.weight
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_products_are_in_the_weights_own_precision_where_an_index_is_captured_in_bfloat16():
    model, source, texts, vectors = small()
    model.float()  # autocast leaves float64 alone
    wanted = product_of(source, texts, vectors)
    with frozen(model), compute_in(model, "bfloat16"):
        found = flat(GaussNewton(source, texts).product(vectors))
        narrow = model(torch.tensor([[1, 2]])).logits.dtype
    assert narrow == torch.bfloat16
    close(found, wanted, relative=1e-6)


def test_texts_without_a_target_are_refused():
    _, source, texts, vectors = small()
    empty = texts[0]._replace(is_target=[False] * len(texts[0].is_target))
    with pytest.raises(DataError, match="none of the 1 drawn has any"):
        product_of(source, [empty], vectors)
    close(
        product_of(source, [texts[1], empty], vectors) * (len(texts[1].input_ids) + len(empty.input_ids)),
        product_of(source, [texts[1]], vectors) * len(texts[1].input_ids),
        relative=1e-12,
    )


class _Opaque(torch.autograd.Function):
    @staticmethod
    def forward(ctx, rows):
        return rows.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient


def test_an_operation_that_knows_no_tangents_is_refused_with_the_way_out():
    model, source, texts, vectors = small()
    model.transformer.ln_f.register_forward_hook(lambda module, args, output: _Opaque.apply(output))
    with pytest.raises(CaptureError, match=r"GPT2LMHeadModel has an operation .* Use `--refine-by codes`"):
        product_of(source, texts, vectors)
    assert isinstance(model.lm_head.weight, torch.nn.Parameter)
