"""Daunce: covariances of losses, against numpy's, against losses taken one by one, and against influence itself."""

from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from indexes import EXACT, MemoryFile, MemoryIndex, MemoryShard, memory_entry
from oracles import close, example_loss
from tiny_models import random_examples, tiny_model

from lorif_core.config import PLAIN_PRODUCT, ScoreConfig
from lorif_core.errors import ConfigError
from lorif_core.linalg.preconditioner import precondition
from lorif_core.methods.daunce import Daunce
from lorif_core.methods.method_settings import DaunceConfig
from lorif_core.passes.fitting import self_influence
from lorif_core.passes.loss_shards import build_loss_shard, loss_queries
from lorif_core.passes.queries import Query
from lorif_core.passes.scoring import FittedIndex, iter_scores, plan_scoring
from lorif_core.passes.text_losses import query_objectives, text_losses
from lorif_core.store.manifest import manifest_of_plan
from lorif_core.store.plan import Parents
from lorif_core.workspace.indexes.loss_index import LossBatches, loss_plan

UNIT = ScoreConfig(normalisation="unit")
ROUNDING = 1e-5
"""Centred losses are stored in float32, and multiplied in it."""


def scores_of(texts, queries, asked=None, codec=EXACT):
    """Scores (Q, N) of an index in memory over texts' losses (N, K), asked with queries' losses (Q, K)."""
    asked = asked or ScoreConfig()
    names = tuple(f"m{place}" for place in range(texts.shape[1]))
    method = Daunce(DaunceConfig(models=names))
    plan = loss_plan(len(texts), names, "bf16", Parents("d", "m", "t"), LossBatches(shard_examples=4))
    manifest = replace(manifest_of_plan(plan), codec=codec.name)
    files = []
    for number in range(plan.num_parts):
        rows = plan.rows_of(number)
        part = texts[rows.start : rows.stop]
        manifest.shards.append(memory_entry(start=rows.start, num_examples=len(rows)))
        files.append(MemoryFile(build_loss_shard(part, torch.zeros(len(rows), dtype=torch.int32), codec).tensors))
    shards = [
        MemoryShard(number, manifest, files[number], range(one.num_examples))
        for number, one in enumerate(manifest.shards)
    ]
    index = MemoryIndex(manifest, shards, {}, [], method)
    (module,) = index.modules
    index.subspaces[module.name] = method.curvature.fit(
        module, lambda: (shard.block(module).dense().flatten(1) for shard in shards)
    )
    index = replace(
        index, manifest=replace(manifest, subspace_rank=0, curvature=asdict(PLAIN_PRODUCT), status="complete")
    )
    for shard in shards:
        index.self_influences.append(
            self_influence(shard, index.modules, lambda one: precondition(index.subspace(one), 1.0))
        )
    plan = plan_scoring(
        FittedIndex(index, method, PLAIN_PRODUCT), loss_queries(queries, queries.mean(1), [asked], codec), asked
    )
    return torch.cat([part for _, part in iter_scores(plan)], 1)


tables = st.tuples(st.integers(2, 9), st.integers(1, 11), st.integers(1, 3), st.integers(0, 2**16))


def drawn(shape, seed, offset):
    generator = torch.Generator().manual_seed(seed)
    spread = torch.rand(shape[0], 1, generator=generator, dtype=torch.float64) * 4 + 0.1
    return offset + spread * torch.randn(*shape, generator=generator, dtype=torch.float64)


@given(tables)
@settings(deadline=None, max_examples=40)
def test_a_score_is_the_covariance_that_numpy_gives_and_without_a_unit_the_correlation(drawing):
    num_models, num_texts, num_queries, seed = drawing
    texts = drawn((num_texts, num_models), seed, 60.0)
    queries = drawn((num_queries, num_models), seed + 1, -3.0)
    pairs = [[(query, text) for text in texts.numpy()] for query in queries.numpy()]
    covariances = torch.tensor([[np.cov(*pair)[0, 1] for pair in row] for row in pairs], dtype=torch.float64)
    correlations = np.array([[np.corrcoef(*pair)[0, 1] for pair in row] for row in pairs])
    close(scores_of(texts, queries), covariances, relative=ROUNDING)
    assert scores_of(texts, queries, UNIT).numpy() == pytest.approx(correlations, abs=5 * ROUNDING)


def test_what_is_the_same_for_all_models_makes_no_difference():
    texts, queries = drawn((6, 5), 0, 0.0), drawn((2, 5), 1, 0.0)
    shifted = scores_of(texts + torch.arange(6)[:, None] * 100, queries - 1000)
    close(shifted, scores_of(texts, queries).double(), relative=ROUNDING)


def test_a_text_without_losses_scores_zero():
    texts = drawn((5, 4), 0, 10.0)
    texts[2] = 0.0
    for asked in (ScoreConfig(), UNIT):
        assert scores_of(texts, drawn((1, 4), 1, 0.0), asked)[0, 2] == 0


@given(
    st.sampled_from(["gpt2", "llama", "qwen3", "gemma"]),
    st.integers(2, 4),
    st.lists(st.integers(2, 12), min_size=1, max_size=5),
    st.integers(0, 2**16),
)
@settings(deadline=None, max_examples=12)
def test_over_tiny_models_it_is_the_covariance_of_losses_taken_one_by_one(architecture, num_models, lengths, seed):
    models = [tiny_model(architecture, seed=seed + place, dtype=torch.float64) for place in range(num_models)]
    texts, asked = random_examples(lengths, seed=seed), random_examples([7], seed=seed + 1)
    stored = torch.stack([text_losses(one, texts, pad_id=1, tokens_per_batch=24) for one in models], 1)
    queries = [Query("q", (asked[0],), (1.0,))]
    questions = torch.stack([query_objectives(one, queries, "loss", 1, 24) for one in models], 1)
    with torch.no_grad():
        rows = [[example_loss(one, text.input_ids, text.is_target) for one in models] for text in [*texts, *asked]]
    oracle = np.array([[float(loss) for loss in row] for row in rows])
    wanted = np.array([np.cov(oracle[-1], row)[0, 1] for row in oracle[:-1]])
    found = scores_of(stored, questions)[0].double().numpy()
    scale = np.sqrt(oracle[-1].var(ddof=1) * oracle[:-1].var(axis=1, ddof=1).max())
    # RMS norms and rotary angles are float32 inside transformers, whatever the model's dtype.
    assert found == pytest.approx(wanted, abs=5e-4 * scale)


def test_a_contrast_is_the_difference_of_two_losses():
    model, (one, other) = tiny_model("gpt2"), random_examples([6, 8])
    first, second = (query_objectives(model, [Query("q", (x,), (1.0,))], "loss", 1, 64) for x in (one, other))
    both = query_objectives(model, [Query("q", (one, other), (1.0, -1.0))], "contrast", 1, 64)
    close(both, first - second, relative=1e-12)


def test_models_that_fluctuate_as_the_inverse_curvature_allows_give_influence():
    """Linear regression: losses of models drawn from N(θ, s H⁻¹) have the covariance s g_qᵀ H⁻¹ g_n."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(12, 4, generator=generator, dtype=torch.float64)
    targets = inputs @ torch.tensor([1.0, -2.0, 0.5, 0.0], dtype=torch.float64)
    targets = targets + torch.randn(12, generator=generator, dtype=torch.float64)
    hessian = inputs.T @ inputs
    theta = torch.linalg.solve(hessian, inputs.T @ targets)
    asked = torch.cat([inputs[:2] + 0.3, inputs[5:6]])
    asked_targets = torch.tensor([2.0, -1.0, 0.7], dtype=torch.float64)
    gradients = (inputs @ theta - targets)[:, None] * inputs
    query_gradients = (asked @ theta - asked_targets)[:, None] * asked
    wanted = query_gradients @ torch.linalg.solve(hessian, gradients.T)
    scale, num_models = 1e-6, 20_000  # small, so that a loss is linear in what the models differ by
    root = torch.linalg.cholesky(torch.linalg.inv(hessian))
    noise = torch.randn(num_models, 4, generator=generator, dtype=torch.float64) @ root.T
    thetas = theta + scale**0.5 * noise
    texts = ((inputs @ thetas.T - targets[:, None]) ** 2 / 2).double()
    queries = (asked @ thetas.T - asked_targets[:, None]) ** 2 / 2
    found = scores_of(texts, queries).double() / scale
    own = (gradients @ torch.linalg.solve(hessian, gradients.T)).diagonal()
    theirs = (query_gradients @ torch.linalg.solve(hessian, query_gradients.T)).diagonal()
    errors = ((theirs[:, None] * own + wanted**2) / num_models).sqrt()
    assert (found - wanted).abs().div(errors).max() < 4.5  # standard errors, of 36 scores
    assert wanted.abs().max() > 20 * errors.max()  # the tolerance is no refuge


def test_two_bytes_per_model_cost_next_to_nothing():
    """bf16 has 8 bits; a sum over models has the rounding of all of them, in both directions."""
    from lorif_core.linalg.codecs import column_codec

    texts, queries = drawn((200, 16), 3, 60.0), drawn((3, 16), 4, 60.0)
    exact, stored = (scores_of(texts, queries, UNIT, codec) for codec in (EXACT, column_codec("bf16")))
    assert (exact - stored).abs().max() < 2**-8


def test_what_daunce_cannot_take_is_said():
    method = Daunce(DaunceConfig(models=("a", "b", "c")))
    assert method.label == "daunce 3 models bf16"
    assert method.unit_per_product(7) == 0.5
    with pytest.raises(ConfigError, match=r"stores none\. Use another `--method`\.$"):
        method.with_budget(1, {})
    with pytest.raises(ConfigError, match=r"which no damping changes"):
        method.curvature.asked(PLAIN_PRODUCT, ScoreConfig(damping_rule="absolute", damping=2.0))
    with pytest.raises(ConfigError, match=r"every model must count once, \['a'\] is named twice"):
        DaunceConfig(models=("a", "b", "a"))
