import pytest
from retrainings import write_recipe

from lorif_core.errors import ConfigError
from lorif_core.evaluation.recipe import Recipe, read_recipe

LEAST = 'checkpoint = "org/name"\nlearning_rate = 1e-3\nmax_length = 160\n'


def test_what_a_recipe_leaves_out_is_the_usual_fine_tuning(tmp_path):
    recipe = read_recipe(write_recipe(tmp_path, LEAST))
    assert recipe == Recipe(
        checkpoint="org/name",
        learning_rate=1e-3,
        max_length=160,
        optimiser="adamw",
        schedule="linear",
        weight_decay=0.0,
        batch_size=16,
        epochs=3,
        clip_norm=1.0,
        seed=0,
        tuning="full",
    )


def test_a_relative_checkpoint_starts_at_the_recipe(tmp_path, monkeypatch):
    (tmp_path / "base").mkdir()
    monkeypatch.chdir("/")
    path = write_recipe(tmp_path, LEAST.replace("org/name", "base"))
    assert read_recipe(path).checkpoint == str(tmp_path / "base")


def test_a_checkpoint_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="there is no folder"):
        read_recipe(write_recipe(tmp_path, LEAST.replace("org/name", "./base")))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("warmup = 3", "'warmup'. Rename or remove it"),
        ("epochs = 0", "epochs must be a whole number of at least 1, got 0"),
        ("epochs = true", "epochs must be a whole number of at least 1, got True"),
        ("epochs = 1.5", "epochs must be .*, got 1.5"),
        ("batch_size = '16'", "batch_size must be .*, got '16'"),
        ("clip_norm = -1", "clip_norm must be a number > 0, got -1"),
        ("weight_decay = nan", "weight_decay must be a number ≥ 0, got nan"),
        ("schedule = 'cosine'", "schedule must be 'linear' or 'constant', got 'cosine'"),
        ("optimiser = 'sgd'", "optimiser must be 'adamw'"),
        ("tuning = 'lora'", "lora_rank belongs to tuning = \"lora\", the recipe says 'lora'. Give it a value"),
        ("lora_rank = 4", "lora_rank belongs to .* says 'full'. Remove it"),
        ("epochs =", "is not TOML"),
    ],
)
def test_a_wrong_value_is_refused_by_name(tmp_path, line, message):
    with pytest.raises(ConfigError, match=message):
        read_recipe(write_recipe(tmp_path, LEAST + line))


def test_a_missing_key_is_named(tmp_path):
    with pytest.raises(ConfigError, match="must say learning_rate, max_length: add"):
        read_recipe(write_recipe(tmp_path, 'checkpoint = "x"'))


def test_a_missing_recipe_is_a_sentence(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        read_recipe(tmp_path / "none.toml")
