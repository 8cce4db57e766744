"""The way from a file of texts to curated data, step by step: what of it is done, and what comes next."""

import json
from dataclasses import dataclass, field

from lorif_core.catalog import DatasetRecord
from lorif_core.views.text import counted
from lorif_core.workspace.curation.versions import versions
from lorif_core.workspace.folder.workspace_files import WorkspaceFiles


@dataclass(frozen=True)
class Step:
    """One step of the way."""

    name: str
    is_done: bool
    said: str
    """What was done, or what the step is for; holds names that people gave, so it is shown as plain text only."""

    page: str
    """Path of the studio's page that does it."""

    label: str
    """What a link to that page says."""

    query: dict[str, str] = field(default_factory=dict[str, str])
    """Parameters of its address."""


def road(files: WorkspaceFiles, dataset: DatasetRecord | None) -> list[Step]:
    """Data, Index, Ask, Decide, Check, Export, as far as a data set has come; None: there is none yet."""
    ids = (
        {one.dataset_id for one in files.catalog.datasets() if one.corpus_id == dataset.corpus_id}
        if dataset
        else set()
    )
    steps = [_data(dataset), _index(files, ids), _ask(files, ids)]
    return [*steps, _decide(files, dataset, ids), _check(files, ids), _export(files, dataset, ids)]


def next_step(steps: list[Step]) -> Step | None:
    """The first one that is not done; None: all are."""
    return next((step for step in steps if not step.is_done), None)


def _data(dataset: DatasetRecord | None) -> Step:
    said = "Import the texts that your model was trained on."
    if dataset is not None:
        said = f"{dataset.name} v{dataset.version}: {counted(dataset.num_examples, 'text')}"
    is_there = dataset is not None
    return Step("Data", is_there, said, "indexes", "Import more" if is_there else "Import data", {"tab": "Import"})


def _index(files: WorkspaceFiles, ids: set[str]) -> Step:
    complete = [one for one in files.catalog.indexes() if one.dataset_id in ids and one.status == "complete"]
    if complete:
        return Step("Index", True, counted(len(complete), "index", "indexes"), "indexes", "See indexes")
    said = "Store what each text taught the model: once, for every question."
    return Step("Index", False, said, "indexes", "Build an index", {"tab": "Build"})


def _ask(files: WorkspaceFiles, ids: set[str]) -> Step:
    asked = [one for one in files.catalog.queries() if one.dataset_id in ids]
    said = f"{counted(len(asked), 'question')} asked" if asked else "Ask why the model said something."
    return Step("Ask", bool(asked), said, "investigate", "Ask")


def _decide(files: WorkspaceFiles, dataset: DatasetRecord | None, ids: set[str]) -> Step:
    counts = files.journal.counts(dataset.corpus_id) if dataset is not None else {}
    told = [f"{counts[status]:,} {status}" for status in ("excluded", "flagged") if counts.get(status)]
    if told:
        return Step("Decide", True, ", ".join(told), "review", "Review")
    said = "Flag or exclude the texts that taught it."
    asked = [one.query_id for one in files.catalog.queries() if one.dataset_id in ids]
    if asked:
        return Step("Decide", False, said, "investigate", "Open an answer", {"query": str(asked[-1])})
    return Step("Decide", False, said, "review", "Review")


def _check(files: WorkspaceFiles, ids: set[str]) -> Step:
    found = [one for one in files.catalog.evaluations() if one.kind == "verify" and one.dataset_id in ids]
    said = f"{counted(len(found), 'removal')} verified" if found else "See what the model would say without them."
    return Step("Check", bool(found), said, "what-if", "What if")


def _export(files: WorkspaceFiles, dataset: DatasetRecord | None, ids: set[str]) -> Step:
    if dataset is not None and (number := _num_exports(files, dataset, ids)):
        return Step("Export", True, f"{counted(number, 'export')} written", "export", "Export")
    return Step("Export", False, "Write the data without what is excluded.", "export", "Export")


def _num_exports(files: WorkspaceFiles, dataset: DatasetRecord, ids: set[str]) -> int:
    """Frozen versions of a data set, and exports of it that lie in the workspace."""
    frozen = versions(files, dataset.corpus_id)
    found = 0
    for manifest in (files.root / "exports").glob("*/manifest.json"):
        try:
            found += json.loads(manifest.read_text(encoding="utf-8"))["dataset"]["dataset_id"] in ids
        except (OSError, ValueError, KeyError, TypeError):
            continue  # damaged, which `lorif doctor` says
    return max(found, len(frozen))
