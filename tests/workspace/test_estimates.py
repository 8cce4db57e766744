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


def test_a_full_inverse_is_decomposed_as_a_whole(monkeypatch):
    """Two products of every text's row, of which 512 take the second, and one decomposition of the whole width."""
    without, _ = seconds(monkeypatch, "--method", "graddot", "--f", 1)
    whole, dim = seconds(monkeypatch, "--method", "logra", "--f", 1)
    assert dim > TIMED_WIDTH
    assert whole - without == pytest.approx(2 * NUM_TEXTS / 512 + (dim / TIMED_WIDTH) ** 3)


def test_a_subspace_is_decomposed_in_its_own_width(monkeypatch):
    without, _ = seconds(monkeypatch, "--method", "graddot", "--f", 1)
    sketched, _ = seconds(monkeypatch, "--method", "lorif", "--f", 1, "--subspace-rank", 6)
    assert sketched - without == pytest.approx(11 * NUM_TEXTS / 512 + 1)
