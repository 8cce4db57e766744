import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lorif_core.linalg import gradients
from lorif_core.linalg.gradients import (
    DenseGradient,
    SequenceGradient,
    finish_gradient,
    multiplication_order,
    prepare_inputs,
    sum_gradients,
)
from lorif_core.linalg.maps import ModuleMaps

ORDERS = ["sequence", "both", "input", "output"]
sizes = st.integers(1, 7)


def random_module(rng, batch, tokens, in_features, out_features, d_in, d_out):
    draw = lambda *shape: torch.randn(*shape, generator=rng, dtype=torch.float64)  # noqa: E731
    maps = ModuleMaps(
        None if d_in is None else draw(in_features, d_in), None if d_out is None else draw(out_features, d_out)
    )
    return draw(batch, tokens, in_features), draw(batch, tokens, out_features), maps


def gradients_by_hand(inputs, output_grads, maps):
    """Σ_t of outer products, then both maps, example by example."""
    rows = []
    for x, y in zip(inputs, output_grads, strict=True):
        gradient = sum(torch.outer(x[t], y[t]) for t in range(len(x)))
        if maps.input_map is not None:
            gradient = maps.input_map.T @ gradient
        rows.append(gradient if maps.output_map is None else gradient @ maps.output_map)
    return torch.stack(rows)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(("d_in", "d_out"), [(3, 2), (None, 2), (3, None), (None, None)])
@pytest.mark.parametrize("tokens", [1, 9])
def test_every_order_of_multiplication_gives_the_same_gradient(order, d_in, d_out, tokens, rng):
    inputs, output_grads, maps = random_module(rng, 2, tokens, 6, 5, d_in, d_out)
    found = finish_gradient(prepare_inputs(inputs, maps, order), output_grads, maps, order).dense()
    torch.testing.assert_close(found, gradients_by_hand(inputs, output_grads, maps))


@given(batch=sizes, tokens=sizes, in_features=sizes, out_features=sizes, columns=sizes, seed=st.integers(0, 999))
def test_a_gradient_kept_by_token_acts_as_the_multiplied_one(batch, tokens, in_features, out_features, columns, seed):
    rng = torch.Generator().manual_seed(seed)
    inputs, output_grads, maps = random_module(rng, batch, tokens, in_features, out_features, None, None)
    pair = SequenceGradient(inputs, output_grads)
    dense = DenseGradient(gradients_by_hand(inputs, output_grads, maps))
    right = torch.randn(batch, out_features, columns, generator=rng, dtype=torch.float64)
    left = torch.randn(batch, in_features, columns, generator=rng, dtype=torch.float64)
    assert pair.widths == dense.widths == (in_features, out_features)
    for found, wanted in (
        (pair.dense(), dense.dense()),
        (pair.apply(right), dense.matrix @ right),
        (dense.apply(right), dense.matrix @ right),
        (pair.apply_transposed(left), dense.matrix.mT @ left),
        (dense.apply_transposed(left), dense.matrix.mT @ left),
        (pair.squared_norm(), (dense.matrix**2).sum((1, 2))),
        (dense.squared_norm(), (dense.matrix**2).sum((1, 2))),
    ):
        torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-10)


def test_a_squared_norm_is_never_negative():
    # Opposite tokens cancel to zero, where the Gram form of the norm rounds to either side.
    x = torch.tensor([[[0.1, 0.7], [0.1, 0.7]]])
    y = torch.tensor([[[0.3, 0.9], [-0.3, -0.9]]])
    assert SequenceGradient(x, y).squared_norm().item() >= 0


@pytest.mark.parametrize(
    ("tokens", "maps", "expected"),
    [
        (7, ModuleMaps(torch.ones(100, 8), torch.ones(100, 9)), {"sequence"}),
        (8, ModuleMaps(torch.ones(100, 8), torch.ones(100, 9)), {"both", "input", "output"}),
        # Hardly any d_in: forming (d_in, o) costs 1·100·100 for 1000 tokens' worth of projecting outputs.
        (1000, ModuleMaps(torch.ones(100, 1), torch.ones(100, 50)), {"input"}),
        (1000, ModuleMaps(torch.ones(100, 50), torch.ones(100, 1)), {"output"}),
        # With d ≪ i, o and few tokens projecting both sides first is the least work.
        (10, ModuleMaps(torch.ones(100, 10), torch.ones(100, 10)), {"both"}),
    ],
)
def test_the_order_with_the_least_work_is_taken(tokens, maps, expected):
    assert multiplication_order(tokens, 100, 100, maps) in expected


@pytest.mark.parametrize("orders", [["sequence", "sequence"], ["sequence", "both"], ["both", "input", "output"]])
def test_several_calls_of_a_module_add_up(orders, rng):
    total, parts = 0, []
    maps = ModuleMaps(*(torch.randn(5, 2, generator=rng, dtype=torch.float64) for _ in range(2)))
    for position, order in enumerate(orders):
        inputs, output_grads, _ = random_module(rng, 3, 2 + position, 5, 5, None, None)
        parts.append(finish_gradient(prepare_inputs(inputs, maps, order), output_grads, maps, order))
        total = total + gradients_by_hand(inputs, output_grads, maps)
    torch.testing.assert_close(sum_gradients(parts).dense(), total)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_gradients_of_a_half_precision_model_are_float32(order, dtype, rng):
    inputs, output_grads, maps = random_module(rng, 2, 9, 6, 5, 3, 2)
    maps = ModuleMaps(maps.input_map.float(), maps.output_map.float())
    prepared = prepare_inputs(inputs.to(dtype), maps, order)
    found = finish_gradient(prepared, output_grads.to(dtype), maps, order).dense()
    assert found.dtype == torch.float32
    wanted = gradients_by_hand(inputs, output_grads, ModuleMaps(maps.input_map.double(), maps.output_map.double()))
    assert (found.double() - wanted).norm() / wanted.norm() < 3 * torch.finfo(dtype).eps


@pytest.mark.parametrize("numbers", [1, 20, 100, 1 << 22])
def test_inner_products_of_rows_do_not_depend_on_how_many_columns_are_taken_at_a_time(numbers, rng, monkeypatch):
    monkeypatch.setattr(gradients, "NUMBERS_AT_ONCE", numbers)
    rows = torch.randn(2, 3, 11, generator=rng, dtype=torch.float64)
    found = gradients.Gram.of(rows)
    wanted = torch.einsum("bti,bsi->bts", rows, rows)
    torch.testing.assert_close(found.matrix * found.scale.square(), wanted)
    torch.testing.assert_close(found.scale.flatten(), torch.tensor([float(one.abs().max()) for one in rows]).double())
