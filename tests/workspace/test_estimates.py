"""What a build is said to take counts everything that the fit does."""

import time
from itertools import count

import pytest
from tiny_workspace import NUM_TEXTS, done, imported, model_folder

from lorif_core.workspace.indexes.estimate import TIMED_WIDTH


def seconds(monkeypatch, *words):
    """Of an index of one module, on a clock that is read once a second: whatever is timed takes one."""
    ticks = count()
    monkeypatch.setattr(time, "perf_counter", lambda: float(next(ticks)))
    asked = ("index", imported(), "--model", model_folder(), "--include", "*h.0.attn.c_proj", *words)
    estimate = done(*asked, "--dry-run", "--json").json["estimate"]
    return estimate["seconds"], estimate["total_dim"]


@pytest.mark.parametrize(("f", "num_products"), [(1, 3), (4, 2)], ids=["fewer texts", "fewer numbers"])
def test_a_full_inverse_is_decomposed_on_the_smaller_side(monkeypatch, f, num_products):
    """Products of every text's row, of which 512 take a second, and one decomposition, which takes one."""
    without, _ = seconds(monkeypatch, "--method", "graddot", "--f", f)
    whole, dim = seconds(monkeypatch, "--method", "logra", "--f", f)
    assert (dim > NUM_TEXTS) == (f == 1)
    assert min(dim, NUM_TEXTS) <= TIMED_WIDTH
    assert whole - without == pytest.approx(num_products * NUM_TEXTS / 512 + 1)


def test_a_subspace_is_decomposed_in_its_own_width(monkeypatch):
    without, _ = seconds(monkeypatch, "--method", "graddot", "--f", 1)
    sketched, _ = seconds(monkeypatch, "--method", "lorif", "--f", 1, "--subspace-rank", 6)
    assert sketched - without == pytest.approx(11 * NUM_TEXTS / 512 + 1)
