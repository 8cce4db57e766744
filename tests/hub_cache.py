"""A data set of the Hugging Face hub that is in the local cache alone."""

from pathlib import Path

import pyarrow as pa
import pytest


def cached_hub_data(folder, monkeypatch):
    """Name of a data set in a cache as `datasets` leaves it behind; there is no network."""
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", folder / "cache")
    place = folder / "cache" / "openai___gsm_tiny" / "main" / "0.0.0" / ("a" * 40)
    place.mkdir(parents=True)
    table = pa.table({"question": ["1 + 1?", "2 + 2?"], "answer": ["2", "4"]})
    splits = datasets.SplitDict(dataset_name="gsm_tiny")
    splits.add(datasets.SplitInfo("train", num_examples=2))
    info = datasets.DatasetInfo(
        features=datasets.Features.from_arrow_schema(table.schema),
        builder_name="parquet",
        dataset_name="gsm_tiny",
        config_name="main",
        version="0.0.0",
        splits=splits,
    )
    info.write_to_directory(str(place))
    with pa.ipc.new_stream(place / "gsm_tiny-train.arrow", table.schema) as writer:
        writer.write_table(table)
    return Path("openai/gsm_tiny")
