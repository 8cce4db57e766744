import dataclasses
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorif_core.config import BatchConfig, CurvatureConfig, GenerateConfig, ImportConfig, ModelConfig, ScoreConfig
from lorif_core.errors import ConfigError, LorifError
from lorif_core.methods.method_settings import (
    GraddotConfig,
    IndexConfig,
    KroneckerConfig,
    LograConfig,
    LorifConfig,
)
from lorif_core.methods.registry import METHODS as REGISTERED
from lorif_core.workspace.indexes.index_settings import read_index_settings, write_index_settings

REFUSALS = [
    (ImportConfig, {"text": "a", "messages": "b"}, "columns of one kind of text"),
    (ImportConfig, {"text": "a", "prompt": "b", "completion": "c"}, "columns of one kind of text"),
    (ImportConfig, {"prompt": "a"}, "`--prompt` and `--completion` go together, only one was given"),
    (ImportConfig, {"completion": "a"}, "`--prompt` and `--completion` go together, only one was given"),
    (LorifConfig, {"f": 0}, "f must be at least 1, got 0"),
    (LorifConfig, {"factor_rank": 0}, "factor_rank must be at least 1, got 0"),
    (CurvatureConfig, {"subspace_rank": -1}, "subspace_rank must be at least 0, got -1; 0 is GradDot"),
    (CurvatureConfig, {"damping_rule": "absolute"}, r"damping must be > 0 .*got None.* Pass `--damping`"),
    (CurvatureConfig, {"damping_rule": "absolute", "damping": 0}, r"damping must be > 0 .*got 0"),
    (CurvatureConfig, {"damping": 1.0}, "damping is only read with damping_rule=absolute, but the rule is trace"),
    (CurvatureConfig, {"damping_ratio": 0}, "damping_ratio must be > 0, got 0"),
    (CurvatureConfig, {"damping_ratio": float("nan")}, "damping_ratio must be > 0, got nan"),
    (CurvatureConfig, {"damping_rule": "spectrum", "damping_ratio": -1}, "damping_ratio must be > 0, got -1"),
    (LograConfig, {"f": 0}, "f must be at least 1, got 0"),
    (KroneckerConfig, {"alpha": 0}, "alpha must be > 0, got 0"),
    (KroneckerConfig, {"stats_examples": 0}, "stats_examples must be at least 1, got 0"),
    (KroneckerConfig, {"damping_ratio": 0.1}, "the damping of half-whitened gradients is `--alpha`"),
    (BatchConfig, {"max_length": 1}, "max_length must be at least 2 tokens, got 1"),
    (BatchConfig, {"tokens_per_batch": 0}, "tokens_per_batch must be at least 1, got 0"),
    (BatchConfig, {"shard_examples": 0}, "shard_examples must be at least 1, got 0"),
    (ScoreConfig, {"query_rank": 0}, "query_rank must be at least 1, got 0; leave it unset to keep all"),
    (ScoreConfig, {"subspace_rank": -1}, "subspace_rank must be at least 0, got -1"),
    (ScoreConfig, {"damping_ratio": 0}, "damping_ratio must be > 0, got 0"),
    (ScoreConfig, {"damping": 0}, "damping must be > 0, got 0"),
    (GenerateConfig, {"max_new_tokens": 0}, "max_new_tokens must be at least 1 .* got 0"),
    (GenerateConfig, {"temperature": -0.1}, "temperature at least 0, got 32 and -0.1"),
]
METHODS = [KroneckerConfig, LorifConfig, GraddotConfig, LograConfig]
CONFIGS = [ImportConfig, ModelConfig, *METHODS, CurvatureConfig, BatchConfig, IndexConfig, ScoreConfig]

OTHER_WORDS = {
    "GraddotConfig(codec='fp4')": "codec must be one of bf16, int8, int4, sign, got 'fp4'.",
    "LorifConfig(damping_rule='tracee')": "damping_rule must be one of trace, spectrum, absolute, got 'tracee'.",
    "CurvatureConfig(damping_rule='tracee')": "damping_rule must be one of trace, spectrum, absolute, got 'tracee'.",
    "ScoreConfig(normalisation='cosine')": "normalisation must be one of none, unit, relatif, tempered, "
    "got 'cosine'.",
    "ScoreConfig(objective='lost')": "objective must be one of loss, margin, contrast, got 'lost'.",
    "ScoreConfig(damping_rule='tracee')": "damping_rule must be one of trace, spectrum, absolute, got 'tracee'.",
    "IndexConfig(model=ModelConfig(model='m'), method='kfac')": "method must be the settings of a method, such as "
    "LorifConfig(f=8), got 'kfac'. `lorif_core.method_settings` makes them from a method's name.",
    "method_settings('kfac')": f"method must be one of {', '.join(REGISTERED)}, got 'kfac'.",
    "method_settings('graddot', alpha=1.0)": "graddot has no setting 'alpha': there are f, factor_rank, codec, seed, "
    "budget.",
}
"""What a person may type, and the sentence that it is refused with."""


@pytest.mark.parametrize(("config", "settings", "reason"), REFUSALS, ids=str)
def test_a_setting_out_of_range_is_refused(config, settings, reason):
    with pytest.raises(ConfigError, match=reason):
        config(**settings)


def test_a_word_that_a_closed_choice_does_not_have_is_refused_with_the_known_ones():
    """In a process of its own: here the types of all calls are checked first."""
    tries = "\n".join(f"attempt(lambda: {typed})" for typed in OTHER_WORDS)
    program = f"""
from lorif_core.config import *
from lorif_core.methods.method_settings import *
from lorif_core.methods.registry import method_settings
from lorif_core.errors import ConfigError

def attempt(make):
    try:
        make()
    except ConfigError as error:
        print(error)
    else:
        print("it was taken")

{tries}
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines() == list(OTHER_WORDS.values())


@pytest.mark.parametrize("config", CONFIGS)
def test_settings_cannot_be_changed_after_their_check(config):
    field = dataclasses.fields(config)[0].name
    settings = object.__new__(config)
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(settings, field, None)


def test_a_refused_setting_is_an_error_that_the_command_line_shows():
    assert issubclass(ConfigError, LorifError)


@pytest.mark.parametrize(("rule", "ratio"), [("trace", 0.5), ("spectrum", 0.1)])
def test_each_rule_has_its_own_default_ratio(rule, ratio):
    assert CurvatureConfig(damping_rule=rule).ratio == ratio


@given(
    include=st.lists(st.text(), max_size=3),
    factor_rank=st.integers(1, 9),
    codec=st.sampled_from(["bf16", "int8", "int4", "sign"]),
    ratio=st.none() | st.floats(1e-6, 1e6),
    shard_examples=st.none() | st.integers(1, 99),
    method=st.sampled_from([KroneckerConfig, LorifConfig, GraddotConfig]),
    budget=st.none() | st.sampled_from(["1KB", "512B"]),
)
def test_the_settings_of_an_index_survive_the_catalog(
    include, factor_rank, codec, ratio, shard_examples, method, budget
):
    damping = {"damping_ratio": ratio} if method is LorifConfig else {}
    settings = IndexConfig(
        model=ModelConfig(model="folder", include=tuple(include)),
        method=method(factor_rank=None if budget else factor_rank, codec=codec, budget=budget, **damping),
        batches=BatchConfig(shard_examples=shard_examples),
    )
    assert read_index_settings(write_index_settings(settings)) == settings
