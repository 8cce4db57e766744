"""A byte budget divided among modules: cases worked by hand, and energies against full SVDs."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from indexes import LOGRA, TRAIN, oracle_rows, source_of
from oracles import close

from lorif_core.capture.hooks import frozen
from lorif_core.config import parse_bytes
from lorif_core.errors import ConfigError
from lorif_core.linalg.codecs import column_codec, factor_bytes
from lorif_core.methods.method_settings import KroneckerConfig
from lorif_core.methods.registry import method_settings
from lorif_core.passes.budget import MAX_RANK, allocate_ranks, choose_divisor, measure_energies
from lorif_core.shapes import ModuleShape

BF16, SIGN = column_codec("bf16"), column_codec("sign")


def module(name, width):
    return ModuleShape(name, width, width, width, width)


A, B = module("a", 2), module("b", 4)
"""With bf16, a term of a costs 2 · (2 + 2) = 8 bytes and one of b 16."""

ENERGIES = {"a": torch.tensor([8.0, 4.0, 1.0]), "b": torch.tensor([12.0, 1.0])}
"""Per byte: a 1, 0.5, 0.125; b 0.75, 0.0625. So the order is a, b, a, a, b."""


@pytest.mark.parametrize(
    ("budget", "ranks"),
    [
        (8, {"a": 1, "b": 0}),
        (23, {"a": 2, "b": 0}),  # b's term does not fit any more, a's second one does
        (24, {"a": 1, "b": 1}),
        (31, {"a": 1, "b": 1}),
        (32, {"a": 2, "b": 1}),
        (40, {"a": 3, "b": 1}),
        (55, {"a": 3, "b": 1}),
        (56, {"a": 3, "b": 2}),
        (10_000, {"a": 3, "b": 2}),  # no more terms were measured
    ],
)
def test_terms_are_bought_by_energy_per_byte(budget, ranks):
    assert allocate_ranks([A, B], ENERGIES, BF16, budget) == ranks


def test_scales_count_as_bytes():
    # sign: ⌈2/8⌉ + 2 = 3 bytes a column, so 6 a term; 12 bytes are two terms and 11 one.
    energies = {"a": torch.tensor([2.0, 1.0])}
    assert allocate_ranks([A], energies, SIGN, 12) == {"a": 2}
    assert allocate_ranks([A], energies, SIGN, 11) == {"a": 1}


def test_the_cheaper_of_two_modules_with_the_same_energy_comes_first():
    assert allocate_ranks([B, A], {"a": torch.tensor([1.0]), "b": torch.tensor([1.0])}, BF16, 16) == {"b": 0, "a": 1}


@pytest.mark.parametrize("names", ["xyz", "zyx", "yzx"])
def test_ties_are_broken_by_name_whatever_the_order_of_the_modules(names):
    modules = [module(name, 2) for name in names]
    energies = {name: torch.tensor([1.0, 1.0]) for name in names}
    assert allocate_ranks(modules, energies, BF16, 16) == {"x": 1, "y": 1, "z": 0}
    assert allocate_ranks(modules, energies, BF16, 32) == {"x": 2, "y": 1, "z": 1}


@pytest.mark.parametrize("budget", [7, 0, -12])
def test_a_budget_below_one_term_of_the_narrowest_module_is_refused(budget):
    message = rf"one term of the narrowest module, 8 bytes, but {budget} are left for factors\. Raise `--budget`"
    with pytest.raises(ConfigError, match=message):
        allocate_ranks([B, A], ENERGIES, BF16, budget)


@given(
    widths=st.lists(st.tuples(st.integers(1, 40), st.integers(1, 40)), min_size=1, max_size=6),
    codec=st.sampled_from(["bf16", "int8", "int4", "sign"]),
    budget=st.integers(200, 2000),
    seed=st.integers(0, 2**16),
)
def test_a_budget_is_never_exceeded_and_no_term_that_fits_is_left(widths, codec, budget, seed):
    generator = torch.Generator().manual_seed(seed)
    modules = [ModuleShape(f"m{n}", i, o, i, o) for n, (i, o) in enumerate(widths)]
    energies = {one.name: torch.rand(3, generator=generator).sort(descending=True).values for one in modules}
    ranks = allocate_ranks(modules, energies, column_codec(codec), budget)
    cost = {one.name: factor_bytes(column_codec(codec), 1, one.d_in, one.d_out) for one in modules}
    spent = sum(cost[name] * rank for name, rank in ranks.items())
    assert spent <= budget
    assert all(cost[name] > budget - spent for name, rank in ranks.items() if rank < 3)


@given(budget=st.integers(200, 2000), seed=st.integers(0, 2**16))
def test_no_bought_term_has_less_energy_per_byte_than_one_that_was_left_at_the_same_price(budget, seed):
    generator = torch.Generator().manual_seed(seed)
    modules = [module(f"m{n}", 16) for n in range(5)]
    energies = {one.name: torch.rand(4, generator=generator).sort(descending=True).values for one in modules}
    ranks = allocate_ranks(modules, energies, BF16, budget)
    bought = [float(e) for name, rank in ranks.items() for e in energies[name][:rank]]
    left = [float(e) for name, rank in ranks.items() for e in energies[name][rank:]]
    assert min(bought) >= max(left, default=0.0)


def folded(modules):
    """Every module with its widths divided by f, as ``tracked_shapes`` does it."""
    return lambda f: [
        replace(one, d_in=max(1, one.in_features // f), d_out=max(1, one.out_features // f)) for one in modules
    ]


def test_the_divisor_is_the_smallest_power_of_two_at_which_a_third_of_the_first_terms_fits():
    # bf16, one term of three modules 64 × 64: 3 · 256 = 768 bytes at f = 1, halved with every doubling of f.
    modules = folded([module(name, 64) for name in "abc"])
    assert [choose_divisor(modules, BF16, budget) for budget in (256, 255, 128, 127, 64)] == [1, 2, 2, 4, 4]


def test_the_divisor_counts_scales_and_stops_at_the_largest():
    # sign: (1 + 2) bytes for every column of up to 8 numbers, whatever f: 6 bytes a term.
    modules = folded([module(str(number), 8) for number in range(30)])
    assert choose_divisor(modules, SIGN, 1) == 64
    assert choose_divisor(modules, SIGN, 1, largest=4) == 4
    assert choose_divisor(modules, SIGN, 60) == 1


def test_the_divisor_asks_nothing_of_a_head_whose_columns_are_stored():
    head = ModuleShape("head", 64, 5000, 64, 5000, "columns")
    both = choose_divisor(folded([module("a", 64), head]), BF16, 86)
    assert both == choose_divisor(folded([module("a", 64)]), BF16, 86) == 1


def test_a_column_of_a_head_costs_its_numbers_and_which_one_it_is():
    # sign: 8 bytes and a scale of 2 for 64 numbers, 2 for the number of the column; a term of a: 2 · (1 + 2).
    head = ModuleShape("head", 64, 5000, 64, 5000, "columns")
    energies = {"head": torch.tensor([12.0, 11.0, 1.0]), "a": torch.tensor([5.0, 4.0])}
    assert allocate_ranks([head, A], energies, SIGN, 12) == {"head": 1, "a": 0}
    assert allocate_ranks([head, A], energies, SIGN, 30) == {"head": 2, "a": 1}


def test_energies_are_the_mean_squared_singular_values_of_the_whole_gradients():
    source = source_of(LOGRA)
    with frozen(source.model):
        found = measure_energies(source, TRAIN)
    assert len(found) == len(source.modules) == 7
    for shape, rows in zip(source.modules, oracle_rows(TRAIN), strict=True):
        values = torch.linalg.svdvals(rows.unflatten(1, (shape.d_in, shape.d_out))).square().mean(0)
        assert len(found[shape.name]) == min(MAX_RANK, shape.d_in, shape.d_out)
        # float32 gradients, and singular values that sixteen power iterations have not quite told apart
        close(found[shape.name], values[:MAX_RANK], relative=1e-3)


@pytest.mark.parametrize("tokens_per_batch", [1, 9999])
def test_the_batch_budget_does_not_change_energies(tokens_per_batch):
    source, other = source_of(LOGRA), source_of(LOGRA, tokens_per_batch=tokens_per_batch)
    with frozen(source.model):
        found, wanted = measure_energies(other, TRAIN), measure_energies(source, TRAIN)
    assert set(found) == {module.name for module in source.modules}
    for name in wanted:
        close(found[name], wanted[name], relative=1e-4)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1KB", 1000),
        ("1KiB", 1024),
        ("1kib", 1024),
        ("512", 512),
        ("512B", 512),
        ("0.5KB", 500),
        (" 2 KB ", 2000),
        ("1MB", 10**6),
        ("1.5MiB", 3 * 2**19),
    ],
)
def test_a_number_of_bytes_is_read_as_written(text, size):
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["", "KB", "0", "-1KB", "1TB", "1 K B", "1BK", "one", "nan", "inf", "1e30", "1,5KB"])
def test_other_words_are_no_number_of_bytes(text):
    with pytest.raises(ConfigError, match="a budget is a number of bytes per text like 1KB or 512B, got"):
        parse_bytes(text)


def test_a_budget_leaves_rank_and_divisor_open_and_nothing_else():
    settings = KroneckerConfig(budget="1KiB")
    assert settings.budget_bytes == 1024
    assert (settings.f, settings.factor_rank, settings.codec) == (None, None, "sign")


def test_a_given_divisor_stands_beside_a_budget():
    settings = KroneckerConfig(f=2, budget="1KB")
    assert settings.f == 2


def test_a_budget_with_a_factor_rank_is_refused():
    with pytest.raises(ConfigError, match="Pass one of `--budget` and `--factor-rank`"):
        KroneckerConfig(factor_rank=2, budget="1KB")


def test_a_budget_for_whole_gradients_is_refused():
    with pytest.raises(ConfigError, match="logra has no setting 'budget': there are"):
        method_settings("logra", budget="1KB")
