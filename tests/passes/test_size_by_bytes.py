"""f and rank by the bytes of a text: every family of models that the numbers were chosen for, from their widths."""

import pytest

from lorif_core.linalg.codecs import column_codec
from lorif_core.methods.make_method import make_method
from lorif_core.methods.method_settings import KroneckerConfig
from lorif_core.passes.size_by_bytes import Size, default_bytes, rank_by_bytes, size_by_bytes, tracked_numbers
from lorif_core.shapes import ModuleShape
from lorif_core.store.blocks import bytes_per_example

MODELS = {
    # layers, hidden, MLP, vocabulary → f, c
    "t0-gpt2": ((4, 128, 512, 4096, 2), (1, 2)),
    "SmolLM2-135M": ((30, 576, 1536, 49152, 3), (4, 1)),
    "Llama-3-8B": ((32, 4096, 14336, 128256, 3), (16, 1)),
}


def shapes(model, f):
    layers, hidden, wide, vocabulary, num = model
    sides = [(hidden, wide)] * (num - 1) + [(wide, hidden)]
    found = [
        ModuleShape(f"{layer}.{place}", a, b, a // f, b // f)
        for layer in range(layers)
        for place, (a, b) in enumerate(sides)
    ]
    return [*found, ModuleShape("head", hidden, vocabulary, hidden // f, vocabulary, "columns")]


def bytes_of(model, f, rank, codec="sign"):
    feature = make_method(KroneckerConfig(f=f, factor_rank=rank, codec=codec)).feature
    return bytes_per_example(shapes(model, f), column_codec(codec), feature.rank_of, "factors")


@pytest.mark.parametrize("name", MODELS)
def test_a_models_size_decides_f_and_rank(name):
    model, expected = MODELS[name]
    limit = default_bytes(shapes(model, 1))
    found = size_by_bytes(limit, lambda f, rank: bytes_of(model, f, rank), 2)
    assert found == Size(*expected)
    assert bytes_of(model, *found) <= limit


def test_bytes_grow_with_the_cube_root_beyond_twenty_million():
    def numbers(count):
        return [ModuleShape("a", count, 1, 1, 1), ModuleShape("head", 10**6, 10**6, 1, 1, "columns")]

    assert tracked_numbers(numbers(20_000_000)) == 20_000_000  # a head is none of them
    assert [default_bytes(numbers(count)) for count in (1, 20_000_000, 160_000_000)] == [4096, 4096, 8192]


def test_f_comes_before_a_second_term():
    taken = {(1, 1): 10, (1, 2): 20, (2, 1): 5, (2, 2): 10, (4, 1): 3, (4, 2): 5}
    assert size_by_bytes(20, lambda *at: taken[at], 2) == Size(1, 2)
    assert size_by_bytes(19, lambda *at: taken[at], 2) == Size(1, 1)
    assert size_by_bytes(9, lambda *at: taken[at], 2) == Size(2, 1)
    assert rank_by_bytes(5, lambda *at: taken[at], 4, 2) == 2


def test_where_nothing_fits_it_is_the_largest_divisor():
    assert size_by_bytes(1, lambda f, rank: 100 * rank // f + 2, 2) == Size(64, 1)
