"""Where the tests of this folder find the others' oracles and models, and the device that they run on.

They import nothing beside torch, transformers, safetensors, numpy and pytest (docs/decisions/0021).
"""

import os
import sys
from pathlib import Path

import pytest
import torch

os.environ.setdefault("HF_HUB_OFFLINE", "1")
TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS.parent), str(TESTS), str(TESTS / "capture"), str(TESTS / "passes")]


@pytest.fixture(scope="session")
def device() -> torch.device:
    """A GPU, or the CPU where it was asked for."""
    name = os.environ.get("LORIF_GPU_TEST_DEVICE", "cuda")
    if name.startswith("cuda") and not torch.cuda.is_available():
        pytest.skip("no CUDA device; LORIF_GPU_TEST_DEVICE=cpu runs the same on the CPU")
    if name == "cpu":
        torch.set_num_threads(1)  # the models are tiny
    return torch.device(name)
