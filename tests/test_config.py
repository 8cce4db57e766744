import dataclasses
import json
from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorif_core.config import (
    BatchConfig,
    CurvatureConfig,
    FactorConfig,
    GenerateConfig,
    ImportConfig,
    IndexConfig,
    ModelConfig,
    ScoreConfig,
)
from lorif_core.errors import ConfigError, LorifError
from lorif_core.workspace.indexes.building import settings_from_json

REFUSALS = [
    (ImportConfig, {"text": "a", "messages": "b"}, "columns of one kind of text"),
    (ImportConfig, {"text": "a", "prompt": "b", "completion": "c"}, "columns of one kind of text"),
    (ImportConfig, {"prompt": "a"}, "`--prompt` and `--completion` go together, only one was given"),
    (ImportConfig, {"completion": "a"}, "`--prompt` and `--completion` go together, only one was given"),
    (FactorConfig, {"f": 0}, "f must be at least 1, got 0"),
    (FactorConfig, {"factor_rank": 0}, "factor_rank must be at least 1, got 0"),
    (CurvatureConfig, {"subspace_rank": -1}, "subspace_rank must be at least 0, got -1; 0 is GradDot"),
    (CurvatureConfig, {"damping_rule": "absolute"}, r"damping must be > 0 .*got None.* Pass `--damping`"),
    (CurvatureConfig, {"damping_rule": "absolute", "damping": 0}, r"damping must be > 0 .*got 0"),
    (CurvatureConfig, {"damping": 1.0}, "damping is only read with damping_rule=absolute, but the rule is trace"),
    (CurvatureConfig, {"damping_ratio": 0}, "damping_ratio must be > 0, got 0"),
    (CurvatureConfig, {"damping_ratio": float("nan")}, "damping_ratio must be > 0, got nan"),
    (CurvatureConfig, {"damping_rule": "spectrum", "damping_ratio": -1}, "damping_ratio must be > 0, got -1"),
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
CONFIGS = [ImportConfig, ModelConfig, FactorConfig, CurvatureConfig, BatchConfig, IndexConfig, ScoreConfig]


@pytest.mark.parametrize(("config", "settings", "reason"), REFUSALS, ids=str)
def test_a_setting_out_of_range_is_refused(config, settings, reason):
    with pytest.raises(ConfigError, match=reason):
        config(**settings)


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
    method=st.sampled_from(["kronecker", "lorif", "graddot"]),
    budget=st.none() | st.sampled_from(["1KB", "512B"]),
)
def test_the_settings_of_an_index_survive_the_catalog(
    include, factor_rank, codec, ratio, shard_examples, method, budget
):
    settings = IndexConfig(
        model=ModelConfig(model="folder", include=tuple(include)),
        method=method,
        factors=FactorConfig(factor_rank=None if budget else factor_rank, codec=codec),
        curvature=CurvatureConfig(damping_ratio=None if method == "kronecker" else ratio),
        batches=BatchConfig(shard_examples=shard_examples),
        budget=budget,
    )
    assert settings_from_json(json.dumps(asdict(settings)), None) == settings
