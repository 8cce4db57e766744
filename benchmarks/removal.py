"""Do predicted removals come true? On the demo: what-if, verify, and random removal sets.

    python -m benchmarks.removal --workspace demo_workspace [--sets 30] [--set-epochs 1]

1. Asks the planted questions and keeps them; for ten facts, the sign of what-if on their planted texts.
2. Verifies the removal of all planted texts of these ten facts at once by the sample model's own recipe: how many
   answers return to the truth.
3. Draws random sets from the evidence, each text of a question's top ten with probability 1/2, trains without each
   set (a shorter recipe: minutes instead of hours), and correlates predicted with actual changes.
"""

import argparse
import json
import random
import time
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory

import torch

from lorif_core.metrics.correlation import spearman
from lorif_core.workspace.curation.removing import held_change, linear_change
from lorif_core.workspace.curation.verifying import retrain_without
from lorif_core.workspace.quality.demo import build_demo, demo_key, sample_data_folder
from lorif_core.workspace.quality.planted import PlantedFact, read_answer_key
from lorif_core.workspace.workspace import Workspace

NUM_FACTS = 10
TOP = 10


def main() -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workspace", type=Path, default=Path("demo_workspace"))
    parser.add_argument("--sets", type=int, default=30)
    parser.add_argument("--set-epochs", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    workspace, _ = build_demo(arguments.workspace)
    facts = read_answer_key(demo_key())
    query_ids = [str(workspace.ask(fact.prompt, fact.wrong, k=TOP).query_id) for fact in facts]
    result = {
        "what_if": measure_signs(workspace, facts[:NUM_FACTS], query_ids),
        "verify": measure_verify(workspace, facts, query_ids),
        "random_sets": measure_sets(workspace, query_ids, arguments.sets, arguments.set_epochs, arguments.seed),
    }
    print(json.dumps(result, indent=1))


def measure_signs(workspace: Workspace, facts: list[PlantedFact], query_ids: list[str]) -> dict[str, object]:
    """How often what-if says that the wrong answer gets less likely without the texts planted for it."""
    changes = []
    for fact, query_id in zip(facts, query_ids, strict=False):
        predicted = workspace.what_if(fact.planted_ids, [query_id], controls=[])
        changes.append(predicted.queries[0].change)
    return {"facts": len(facts), "right_sign": sum(change < 0 for change in changes), "changes_nats": changes}


def measure_verify(workspace: Workspace, facts: list[PlantedFact], query_ids: list[str]) -> dict[str, object]:
    """Train with and without the texts planted for the first ten facts."""
    removed = [train_id for fact in facts[:NUM_FACTS] for train_id in fact.planted_ids]
    found = workspace.verify(removed, query_ids, sample_data_folder() / "recipe.toml")
    chosen, others = found.queries[:NUM_FACTS], found.queries[NUM_FACTS:]
    return {
        "removed": len(removed),
        "wrong_with": sum(query.answer_with == fact.wrong for query, fact in zip(chosen, facts, strict=False)),
        "true_without": sum(query.answer_without == fact.truth for query, fact in zip(chosen, facts, strict=False)),
        "others_changed": sum(query.answer_with != query.answer_without for query in others),
        "predicted_nats": [query.predicted for query in chosen],
        "actual_nats": [query.actual for query in chosen],
        "largest_other_nats": max(abs(query.actual) for query in others),
        "rank_correlation": found.rank_correlation,
        "elapsed_s": found.elapsed_s,
    }


def measure_sets(
    workspace: Workspace, query_ids: list[str], num_sets: int, epochs: int, seed: int
) -> dict[str, object]:
    """Correlate predicted and actual changes over random removal sets."""
    if not num_sets:
        return {}
    files, started = workspace.files, time.perf_counter()
    queries = [files.catalog.query(query_id) for query_id in query_ids]
    evidence = sorted({hit.train_id for query_id in query_ids for hit in workspace.reopen(query_id).supports})
    rng = random.Random(seed)
    chosen = [[train_id for train_id in evidence if rng.random() < 0.5] for _ in range(num_sets)]
    rows = [files.examples(queries[0].dataset_id).rows_of(ids) for ids in chosen]
    with TemporaryDirectory() as folder:
        recipe = Path(folder) / "recipe.toml"
        text = (sample_data_folder() / "recipe.toml").read_text(encoding="utf-8")
        base = sample_data_folder() / "base"
        text = text.replace('"base"', json.dumps(str(base))).replace("epochs = 6", f"epochs = {epochs}")
        recipe.write_text(text, encoding="utf-8")
        runs = retrain_without(files, rows, queries, recipe)
    predicted = torch.tensor(
        [[held_change(query, linear_change(files, query, part)) for part in rows] for query in queries]
    )  # (Q, S)
    actual = torch.stack([run.change for run in runs], dim=1)
    per_query = spearman(predicted, actual)
    return {
        "sets": num_sets,
        "texts_per_set": mean(map(len, chosen)),
        "evidence": len(evidence),
        "epochs": epochs,
        "rank_correlation_per_query": {
            "mean": per_query.mean().item(), "min": per_query.min().item(), "max": per_query.max().item(),
        },
        "rank_correlation_pooled": spearman(predicted.flatten(), actual.flatten()).item(),
        "elapsed_s": time.perf_counter() - started,
    }  # fmt: skip


if __name__ == "__main__":
    main()
