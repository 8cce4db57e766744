"""Factors, codes, statistics and whitened maps that are computed on a device, against the CPU."""

import pytest
import torch
from captures import captured
from devices import BFLOAT16, FLOAT32, distance, model_on, oracle_model
from oracles import best_rank, close, project, second_moments, unpack_signs, weight_gradients
from tiny_models import ARCHITECTURES, TOLERANCE, random_examples

from lorif_core.capture.hooks import frozen
from lorif_core.errors import NumericalError
from lorif_core.linalg.codecs import check_finite, column_codec
from lorif_core.linalg.factors import factor_gradient, random_start
from lorif_core.linalg.gradients import DenseGradient, SequenceGradient
from lorif_core.linalg.whitening import Moments, whitened_maps
from lorif_core.models.modules import list_modules, tracked_shapes
from lorif_core.passes.second_moments import add_moments, empty_moments, placed_moments

pytestmark = pytest.mark.gpu

EXAMPLES = random_examples([9, 3, 13, 6])
SEQUENCES = [(one.input_ids, one.is_target) for one in EXAMPLES]
ALPHA = 0.1


def falling_matrices(count, d_in, d_out, rng):
    """Random matrices whose singular values fall to a quarter each, so that the best one of a rank is soon found."""
    rank = min(d_in, d_out)
    left = torch.linalg.qr(torch.randn(count, d_in, rank, generator=rng)).Q
    right = torch.linalg.qr(torch.randn(count, d_out, rank, generator=rng)).Q
    return (left * 0.25 ** torch.arange(rank)) @ right.mT


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize("rank", [1, 3])
@pytest.mark.parametrize(("d_in", "d_out"), [(24, 40), (40, 24), (160, 130)], ids=["wide", "tall", "large"])
def test_factors_are_the_best_of_their_rank(d_in, d_out, rank, device, generator):
    matrices = falling_matrices(5, d_in, d_out, generator)
    start = random_start("module", d_out, rank, seed=0)
    factors = factor_gradient(DenseGradient(matrices.to(device)), start)
    assert factors.left.device.type == device.type
    wanted = torch.stack([best_rank(matrix, rank) for matrix in matrices])
    close(factors.dense(), wanted, relative=FLOAT32)  # eight iterations or more leave (1/4)¹⁶ of the next direction


@pytest.mark.parametrize("rank", [1, 3])
def test_factors_of_tokens_kept_apart_are_those_of_their_product(rank, device, generator):
    matrices = falling_matrices(5, 24, 24, generator)
    spread = torch.linalg.qr(torch.randn(5, 30, 24, generator=generator)).Q  # 30 tokens
    tokens = SequenceGradient((spread @ matrices.mT).to(device), spread.to(device))
    close(tokens.dense(), matrices, relative=1e-5)
    factors = factor_gradient(tokens, random_start("module", 24, rank, seed=0))
    close(factors.dense(), torch.stack([best_rank(matrix, rank) for matrix in matrices]), relative=FLOAT32)
    close(tokens.squared_norm(), matrices.square().sum((1, 2)), relative=FLOAT32)


def test_a_gradient_of_zero_has_factors_of_zero(device):
    for zero in (
        DenseGradient(torch.zeros(2, 24, 40, device=device)),
        SequenceGradient(torch.zeros(2, 8, 24, device=device), torch.zeros(2, 8, 40, device=device)),
    ):
        for rank in (1, 2):
            assert not factor_gradient(zero, random_start("module", 40, rank, seed=0)).dense().any()


@pytest.mark.parametrize("width", [1, 7, 8, 33, 256])
@pytest.mark.parametrize(("name", "top"), [("int8", 127), ("int4", 7)])
def test_grid_codes_are_within_half_a_step(name, top, width, device, generator):
    columns = torch.randn(6, 2, width, generator=generator)
    codec = column_codec(name)
    coded = codec.encode(columns.to(device))
    step = coded.scales.float().cpu().unsqueeze(-1)
    # The scale is rounded up to 8 bits, on a device from a product that may be rounded once more.
    assert bool((step * top <= columns.abs().amax(-1, keepdim=True) * (1 + 2**-7 + 1e-6)).all())
    decoded = codec.decode(coded.codes, coded.scales, width).cpu()
    assert bool(((decoded - columns).abs() <= step / 2 * (1 + 1e-5)).all())
    assert torch.equal(decoded, codec.decode(coded.codes.cpu(), coded.scales.cpu(), width))


@pytest.mark.parametrize("width", [1, 7, 8, 33, 256])
def test_bf16_codes_round_to_eight_bits(width, device, generator):
    columns = torch.randn(6, 2, width, generator=generator)
    codec = column_codec("bf16")
    decoded = codec.decode(*vars(codec.encode(columns.to(device))).values(), width)
    assert decoded.device.type == device.type
    assert bool(((decoded.cpu() - columns).abs() <= columns.abs() * 2**-8).all())


@pytest.mark.parametrize("width", [1, 7, 8, 33, 256])
def test_sign_codes_hold_every_sign_and_the_mean_magnitude(width, device, generator):
    columns = torch.randn(6, 2, width, generator=generator)
    codec = column_codec("sign")
    coded = codec.encode(columns.to(device))
    decoded = codec.decode(coded.codes, coded.scales, width)
    assert decoded.device.type == device.type
    assert torch.equal(decoded.cpu(), unpack_signs(coded.codes.cpu(), coded.scales.cpu(), width).float())
    wanted = columns.sign() * columns.abs().mean(-1, keepdim=True)
    assert bool(((decoded.cpu() - wanted).abs() <= wanted.abs() * 2**-8).all())


@pytest.mark.parametrize("name", ["bf16", "int8", "int4", "sign"])
def test_a_number_that_is_not_finite_is_refused(name, device):
    columns = torch.ones(2, 9, device=device)
    columns[1, 3] = torch.inf
    coded = column_codec(name).encode(columns)
    with pytest.raises(NumericalError, match=r"must be finite to be stored, those of module 'm' are not in 1 of 2"):
        check_finite("m", coded.codes if coded.scales is None else coded.scales)


def moments_on(device, architecture, precision):
    """Sums over all examples, in batches that need padding."""
    model = model_on(device, architecture, precision)
    moments = placed_moments(model, empty_moments(tracked_shapes(list_modules(model), 1)))
    with frozen(model):
        add_moments(model, moments, EXAMPLES, pad_id=1, tokens_per_batch=24)
    return moments


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("precision", ["widest", "autocast"])
def test_statistics_are_those_of_every_token_of_one_pass_per_example(architecture, precision, device):
    if architecture == "qwen3_moe" and precision == "autocast":
        precision = "float32"  # rounding may send a token to another expert
    moments = moments_on(device, architecture, precision)
    oracle = oracle_model(architecture)
    modules = dict(oracle.named_modules())  # a fused expert is none
    wanted = second_moments(oracle, [name for name in moments if name in modules], SEQUENCES)
    assert wanted
    tolerance = 2 * BFLOAT16[architecture] if precision == "autocast" else TOLERANCE[architecture] + FLOAT32
    for name, (inputs, output_grads, num_tokens) in wanted.items():
        assert moments[name].num_tokens == num_tokens
        assert moments[name].inputs.device.type == torch.device(device).type
        assert distance(moments[name].inputs.cpu(), inputs) <= tolerance, name
        assert distance(moments[name].output_grads.cpu(), output_grads) <= tolerance, name


@pytest.mark.parametrize("f", [1, 4])
@pytest.mark.parametrize("architecture", ["gpt2", "llama"])
def test_gradients_through_whitened_maps_are_those_of_the_cpu(architecture, f, device):
    oracle = oracle_model(architecture)
    model = model_on(device, architecture, "widest")
    shapes = tracked_shapes(list_modules(model), f)
    sums = second_moments(oracle, [shape.name for shape in shapes], SEQUENCES)
    wanted_maps = {
        shape.name: whitened_maps(shape, Moments(*sums[shape.name]), alpha=ALPHA, seed=0) for shape in shapes
    }
    own = moments_on(device, architecture, "widest")
    maps = {shape.name: whitened_maps(shape, own[shape.name], alpha=ALPHA, seed=0) for shape in shapes}
    on_device = {name: sides.to(device, next(model.parameters()).dtype) for name, sides in maps.items()}
    found = captured(model, on_device, EXAMPLES)
    assert found.keys() == sums.keys()
    for row, (ids, targets) in enumerate(SEQUENCES):
        for name, gradient in weight_gradients(oracle, list(maps), ids, targets).items():
            wanted = project(gradient, wanted_maps[name].input_map, wanted_maps[name].output_map)
            # Sums in float32; a root multiplies their error by at most 1 / (2 α) on either side.
            close(found[name][row], wanted, relative=(TOLERANCE[architecture] + FLOAT32) / ALPHA)
