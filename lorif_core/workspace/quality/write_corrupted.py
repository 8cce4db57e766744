"""Make a data file with some completions exchanged, to see whether scores find them."""

import json
import tempfile
from pathlib import Path

from lorif_core.config import ImportConfig
from lorif_core.data.examples import ExampleTable
from lorif_core.data.importing import write_examples
from lorif_core.errors import DataError
from lorif_core.evaluation.mislabel import swap_completions
from lorif_core.files import replace_file


def write_corrupted(source: Path, out: Path, *, fraction: float, seed: int) -> int:
    """Write the rows of ``source`` as JSONL with some completions exchanged and a column `is_corrupted`.

    Returns:
        How many rows were changed.

    Raises:
        DataError: The file has bad rows or no completions, or ``out`` exists.
        ConfigError: The fraction picks too few rows.
    """
    if out.exists():
        raise DataError(f"{str(out)!r} exists already. Choose another `--out`, or remove it.")
    with tempfile.TemporaryDirectory(prefix="lorif-corrupt-") as folder:
        write_examples([source], ImportConfig(strict=True, keep_empty=True), Path(folder))
        table = ExampleTable(Path(folder) / "examples.parquet")
        examples = list(table.iter_examples())
        metadata = table.values_at(range(len(examples)))
        kept = {name: [row[name] for row in metadata] for name in table.metadata_columns}
    changed, is_corrupted = swap_completions(examples, fraction, seed)
    with replace_file(out) as partial, partial.open("w", encoding="utf-8") as lines:
        for row, (example, flag) in enumerate(zip(changed, is_corrupted.tolist(), strict=True)):
            values = {name: column[row] for name, column in kept.items()}
            values |= {"id": example.train_id, "prompt": example.prompt, "completion": example.completion}
            lines.write(json.dumps(values | {"is_corrupted": flag}, ensure_ascii=False, default=str) + "\n")
    return int(is_corrupted.sum())
