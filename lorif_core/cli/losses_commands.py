"""Commands for losses instead of gradients: import-losses, perturb."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro
from tyro.conf import OmitArgPrefixes, Positional

from lorif_core.cli.output import Json, TextArg, print_json, progress, say
from lorif_core.config import Codec, ModelConfig
from lorif_core.evaluation.perturbation import PerturbConfig

if TYPE_CHECKING:
    from lorif_core.workspace.indexes.import_losses import ImportedLosses

MOST_NAMED = 5


def import_losses(
    workspace: Positional[Path],
    file: Positional[Path],
    /,
    *,
    name: Annotated[str, tyro.conf.arg(help="What the index is called from now on: its id in every other command.")],
    dataset: TextArg = None,
    codec: Codec = "bf16",
    leave_out: bool = False,
    json: Json = False,
) -> None:
    """Make an index of a table of losses, for models that tell losses and no gradients.

    All that is needed is what each of some models loses on every text, in nats: models that were trained on random
    parts of the data, or fine-tuned with noise, behind whatever interface. A score is the covariance of two losses
    over the models (Daunce, arXiv:2505.23223); the more models, the less noise: 16 are few, 64 are good.

    The table is CSV, JSONL or Parquet, with the columns id, model and loss (a row per text and model), or id and a
    column per model. The ids are those of the imported data. A row with any other id is a question; it may have a
    prompt and a completion, which are shown, and is asked by its id, without any model:

    \b
      lorif import-losses WORKSPACE losses.csv --name api
      lorif ask WORKSPACE --index api --question q1
      lorif ask WORKSPACE --index api --prompt "…" --completion "…" --losses losses-of-it.csv

    docs/how-to/losses-only.md shows how to make such a table. The same name with the same losses of the texts
    replaces the questions. Whatever is not in order is refused before anything is written.

    Args:
        workspace: Folder of the workspace.
        file: The table.
        name: What the index is called.
        dataset: Name or id of the data set; may be left out when there is only one.
        codec: How a stored loss is encoded; bf16 takes 2 bytes per text and model.
        leave_out: Leave out texts that lack a loss under some model; else they are refused.
        json: Print one JSON object instead of text.
    """
    from lorif_core.workspace.workspace import open_workspace

    opened = open_workspace(workspace)
    with progress(json) as on_progress:
        found = opened.indexes.import_losses(
            file, name, dataset=dataset, codec=codec, leaves_out=leave_out, on_progress=on_progress
        )
    if json:
        print_json(found.to_dict())
        return
    _say_losses(workspace, found)


def _say_losses(workspace: Path, found: "ImportedLosses") -> None:
    from lorif_core.views.tables import human_bytes

    record = found.record
    per_text = (record.total_bytes or 0) / max(record.num_examples, 1)
    say(
        f"Index {record.index_id} is complete: losses of {record.num_examples:,} texts under {found.num_models} "
        f"models, {human_bytes(record.total_bytes or 0)} on disk ({human_bytes(per_text)} per text, everything "
        "counted)."
    )
    if found.num_left_out:
        say(f"Left out, as the table lacks a loss of them: {found.num_left_out:,} texts, which never come up.")
    if found.question_ids:
        named = ", ".join(found.question_ids[:MOST_NAMED])
        more = len(found.question_ids) - MOST_NAMED
        further = f" and {more:,} more" if more > 0 else ""
        say(f"Questions, as their ids are no texts of the data set: {named}{further}.")
        say(f"Next: lorif ask {workspace} --index {record.index_id} --question {found.question_ids[0]}")
    else:
        say(f"Next: lorif ask {workspace} --index {record.index_id} --prompt … --completion … --losses FILE")


def perturb(
    workspace: Positional[Path],
    /,
    settings: OmitArgPrefixes[PerturbConfig] = PerturbConfig(),  # noqa: B008 - frozen
    *,
    model: str,
    out: Path,
    dataset: TextArg = None,
    device: str = "auto",
    json: Json = False,
) -> None:
    """Make models that differ a little, for an index of their losses (Daunce, arXiv:2505.23223).

    Each model starts where MODEL is and is fine-tuned a little on the workspace's texts: it goes on saying what
    MODEL says, and is pulled up or down on every text by a random sign. What it ends with fluctuates as the inverse
    of the model's curvature allows, so the covariance of two texts' losses over the models is their influence.

    \b
      lorif perturb WORKSPACE --model MODEL --out perturbed --count 32
      lorif index WORKSPACE --method daunce --model MODEL --models 'perturbed/*/'
      lorif ask WORKSPACE --prompt "…" --generate

    With --kind subsets models are trained again by --recipe on random halves of the texts instead (datamodels).
    --tuning lora keeps a small adapter per model instead of all weights. Interrupted, the same command goes on with
    the models that are missing, and a larger --count adds some.

    Args:
        workspace: Folder of the workspace, whose texts are learnt from.
        settings: How many, and what makes them differ.
        model: Folder or Hugging Face hub name of the model.
        out: Folder of the models, one folder each.
        dataset: Name or id of the data set; may be left out when there is only one.
        device: auto, cpu, cuda or cuda:N.
        json: Print one JSON object instead of text.
    """
    from lorif_core.workspace.quality.make_models import make_models
    from lorif_core.workspace.workspace import open_workspace

    opened = open_workspace(workspace)
    with progress(json) as on_progress:
        made = make_models(
            opened,
            ModelConfig(model=model, device=device),
            settings,
            out,
            dataset=dataset,
            on_progress=on_progress,
        )
    if json:
        print_json({"folders": [str(folder) for folder in made.folders], "num_new": made.num_new})
        return
    say(f"{len(made.folders)} models are in {out}, {made.num_new} of them new.")
    say(f"Next: lorif index {workspace} --method daunce --model {model} --models '{out}/{settings.kind}-*/'")
