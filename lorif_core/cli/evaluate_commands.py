"""Commands `lorif evaluate …`: how good are the scores?"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tyro.conf import OmitArgPrefixes, Positional

from lorif_core.cli.output import Json, TextArg, console, print_json, progress, say
from lorif_core.config import DEFAULT_REFINE_RATIO, Normalisation, RefineBy
from lorif_core.errors import ConfigError

if TYPE_CHECKING:
    from lorif_core.evaluation.retraining import SubsetChoices
    from lorif_core.workspace.quality.evaluate import Evaluation
    from lorif_core.workspace.quality.sweep_choices import SweepChoices


@dataclass(frozen=True, kw_only=True)
class SweepArgs:
    """What is combined."""

    damping_ratios: tuple[float, ...] = ()
    """Unset: the index's own. Half-whitened indexes have theirs in their maps."""

    subspace_ranks: tuple[int, ...] = ()
    """At most the stored rank. Unset: all of it."""

    query_ranks: tuple[int, ...] = ()
    """Directions kept of each preconditioned question. Unset: all."""

    refine: tuple[int, ...] = (0,)
    """Refining steps of half-whitened indexes."""

    refine_ratios: tuple[float, ...] = (DEFAULT_REFINE_RATIO,)
    """Damping of the refinement over the mean self-influence."""

    normalisations: tuple[Normalisation, ...] = ("none", "tempered", "relatif")
    """none, unit, relatif, tempered."""

    def choices(self) -> "SweepChoices":
        """The same, as ``Evaluation.sweep`` takes it."""
        return {
            "damping_ratios": self.damping_ratios or (None,),
            "subspace_ranks": self.subspace_ranks or (None,),
            "query_ranks": self.query_ranks or (None,),
            "refines": self.refine,
            "refine_ratios": self.refine_ratios,
            "normalisations": self.normalisations,
        }


@dataclass(frozen=True, kw_only=True)
class SubsetArgs:
    """Which subsets are trained on, and how many of them now."""

    subsets: int = 64
    """How many trainings."""

    fraction: float = 0.5
    """Share of the texts in each."""

    seed: int = 0
    """Of the subsets."""

    stop_at: TextArg = None
    """End early and write what is finished: after so many subsets (40), or after a time (90s, 20m, 1.5h).
    The same command without it goes on."""

    def choices(self) -> "SubsetChoices":
        """The same, as ``Evaluation.retrain`` takes it."""
        return {"num_subsets": self.subsets, "fraction": self.fraction, "seed": self.seed}


@dataclass(frozen=True, kw_only=True)
class LdsArgs:
    """What is put side by side."""

    candidates: tuple[str, ...] = ()
    """Index ids and references (ekfac, kfac, both also +head: with the output head; graddot, cosine, repsim), each
    with :RATIO for another damping, e.g. kfac+head:0.003. Unset: every complete index. `tokens` and `bm25` are
    always there."""

    normalisations: tuple[Normalisation, ...] = ("none", "tempered")
    """Each is a line of its own: none, unit, relatif, tempered."""

    refine: tuple[int, ...] = (0,)
    """Refining steps of half-whitened indexes, a line each."""

    refine_by: RefineBy = "codes"
    """Whose curvature refines: that of the codes, or the model's own, whose steps take passes of the model."""

    against: TextArg = None
    """Candidate that the others are compared with. Unset: the best line."""


def lds(
    workspace: Positional[Path],
    /,
    asked: OmitArgPrefixes[LdsArgs] = LdsArgs(),
    subsets: OmitArgPrefixes[SubsetArgs] = SubsetArgs(),
    *,
    queries: Path,
    truth: Path,
    recipe: Path | None = None,
    figure: Path | None = None,
    json: Json = False,
) -> None:
    """Linear datamodelling score: do summed scores predict the losses of really retrained models?

    Puts indexes and uncompressed references side by side, with what they cost. `tokens` knows no model: it counts the
    target tokens that a text shares with the question. The partial score is what a method knows beyond it. What was
    finished, trainings and candidates, is kept: the same command goes on where it was stopped.

    Args:
        workspace: Folder of the workspace.
        asked: What is put side by side.
        subsets: What is trained where --recipe makes the ground truth.
        queries: Data file of questions, in the order of the ground truth.
        truth: .npz with masks (S, N) and losses (S, Q), as `lorif evaluate retrain` writes it.
        recipe: How to train: the ground truth is made first if its file is not there, as by `lorif evaluate retrain`.
        figure: Also draw quality against bytes, as an HTML file.
        json: Print one JSON object instead of a table.
    """
    from lorif_core.views.evaluations import lds_cost_table, lds_figure, lds_table

    evaluation = _open(workspace)
    with progress(json) as on_progress:
        if recipe is not None and not truth.exists():
            evaluation.retrain(
                recipe, queries, truth, stop_at=subsets.stop_at, on_progress=on_progress, **subsets.choices()
            )
        rows = evaluation.lds(
            queries,
            truth,
            candidates=asked.candidates,
            normalisations=asked.normalisations,
            refines=asked.refine,
            refine_by=asked.refine_by,
            against=asked.against,
            on_progress=on_progress,
        )
    plain = [asdict(row) for row in rows]
    if figure is not None:
        lds_figure(plain).write_html(figure, include_plotlyjs=True)
    if json:
        print_json({"rows": plain})
        return
    console().print(lds_table(plain))
    console().print(lds_cost_table(plain))
    if all(row.candidate != "bm25" for row in rows):
        say("Without bm25, which needs the package bm25s: `pip install 'lorif-studio[bm25]'`.")
    if figure is not None:
        say(f"The figure is in {figure}.")


def sweep(
    workspace: Positional[Path],
    /,
    grid: OmitArgPrefixes[SweepArgs] = SweepArgs(),
    *,
    queries: Path,
    truth: Path,
    index: TextArg = None,
    json: Json = False,
) -> None:
    """LDS of one index under every combination of scoring-time choices, best first. Reads no training text again.

    Args:
        workspace: Folder of the workspace.
        grid: What is combined.
        queries: Data file of questions, in the order of the ground truth.
        truth: .npz with masks (S, N) and losses (S, Q).
        index: Name or id of the index; unset: the newest complete one.
        json: Print one JSON object instead of a table.
    """
    from lorif_core.views.evaluations import lds_table

    with progress(json) as on_progress:
        rows = _open(workspace).sweep(queries, truth, index_id=index, on_progress=on_progress, **grid.choices())
    plain = [asdict(row) for row in rows]
    if json:
        print_json({"rows": plain})
        return
    console().print(lds_table(plain))


def fidelity(
    workspace: Positional[Path],
    /,
    *,
    queries: Path,
    reference: str = "ekfac",
    candidates: tuple[str, ...] = (),
    normalisations: tuple[Normalisation, ...] = ("none",),
    k: int = 20,
    json: Json = False,
) -> None:
    """Agreement with an uncompressed reference: rank correlation and top-k overlap. Needs no retraining.

    Args:
        workspace: Folder of the workspace.
        queries: Data file of questions.
        reference: ekfac, kfac, ekfac+head, kfac+head or graddot, with :RATIO for another damping.
        candidates: As in `lorif evaluate lds`.
        normalisations: Each is a line of its own.
        k: Length of the top lists that are compared.
        json: Print one JSON object instead of a table.
    """
    from lorif_core.views.evaluations import fidelity_table

    with progress(json) as on_progress:
        rows = _open(workspace).fidelity(
            queries,
            reference=reference,
            candidates=candidates,
            normalisations=normalisations,
            k=k,
            on_progress=on_progress,
        )
    plain = [asdict(row) for row in rows]
    if json:
        print_json({"rows": plain})
        return
    console().print(fidelity_table(plain, reference, k))


def retrain(
    workspace: Positional[Path],
    /,
    subsets: OmitArgPrefixes[SubsetArgs] = SubsetArgs(),
    *,
    recipe: Path,
    queries: Path,
    out: Path,
    workers: int = 1,
    dataset: TextArg = None,
    json: Json = False,
) -> None:
    """Make a ground truth: train on random subsets and record every question's loss. Resumes when interrupted.

    The recipe is a TOML file: checkpoint, learning_rate, max_length and, if other than their defaults,
    schedule, weight_decay, batch_size, epochs, clip_norm, seed, tuning ("full" or "lora"), lora_rank.

    Args:
        workspace: Folder of the workspace.
        subsets: Which subsets are trained on.
        recipe: How to train.
        queries: Data file of questions.
        out: The .npz to write.
        workers: Processes that train side by side.
        dataset: Name or id of the data set; may be left out when there is only one.
        json: Print one JSON object instead of text.
    """
    with progress(json) as on_progress:
        truth = _open(workspace).retrain(
            recipe,
            queries,
            out,
            workers=workers,
            dataset=dataset,
            stop_at=subsets.stop_at,
            on_progress=on_progress,
            **subsets.choices(),
        )
    num_subsets, num_queries = truth.losses.shape
    planned = truth.planned_subsets
    if json:
        counts = {"num_subsets": num_subsets, "planned_subsets": planned, "num_queries": num_queries}
        print_json({"file": str(out)} | counts)
        return
    of = "" if num_subsets == planned else f" of {planned}"
    say(f"Wrote the losses of {num_queries} questions after {num_subsets}{of} trainings to {out}.")
    if num_subsets < planned:
        say("The same command without --stop-at goes on with the others.")
    say(f"Next: lorif evaluate lds {workspace} --queries {queries} --truth {out}")


def planted(
    workspace: Positional[Path], /, *, key: Path, index: TextArg = None, k: int = 10, json: Json = False
) -> None:
    """Recall of planted texts: asks every prompt of an answer key and looks its planted ids up in the answer.

    Args:
        workspace: Folder of the workspace.
        key: JSON file {"planted": [{"prompt", "wrong", "planted_ids"}, …]}, as in sample_data.
        index: Name or id of the index; unset: the newest complete one.
        k: Length of the answer's list.
        json: Print one JSON object instead of text.
    """
    with progress(json) as on_progress:
        score = _open(workspace).planted(key, index_id=index, k=k, on_progress=on_progress)
    if json:
        print_json(asdict(score))
        return
    say(
        f"recall@{k} {score.recall:.3f}, MRR {score.reciprocal_rank:.3f} over {score.num_facts} planted facts, "
        f"{score.num_wrong} of them answered wrong by the model."
    )


def mislabel(
    workspace: Positional[Path],
    /,
    *,
    column: str,
    queries: Path | None = None,
    index: TextArg = None,
    ks: tuple[int, ...] = (10, 100),
    json: Json = False,
) -> None:
    """Finding corrupted texts: AUC and precision@k of self-influence, and of influence on clean texts.

    Args:
        workspace: Folder of the workspace.
        column: Metadata column that is true on corrupted rows; `lorif evaluate corrupt` makes one.
        queries: Data file of clean held-out texts, for the second score.
        index: Name or id of the index; unset: the newest complete one.
        ks: Precision is reported at each.
        json: Print one JSON object instead of text.
    """
    reports = _open(workspace).mislabel(column, index_id=index, queries=queries, ks=ks)
    if json:
        print_json({name: asdict(report) for name, report in reports.items()})
        return
    for name, report in reports.items():
        precision = ", ".join(f"precision@{k} {value:.2f}" for k, value in report.precision.items())
        say(f"{name}: AUC {report.auc:.3f}, {precision} (random {report.share_corrupted:.2f})")


def corrupt(
    file: Positional[Path], /, *, out: Path, fraction: float = 0.1, seed: int = 0, json: Json = False
) -> None:
    """Make a data file with some completions exchanged, and a column `is_corrupted` that says which.

    Args:
        file: Data file with prompts and completions.
        out: JSONL file to write.
        fraction: Share of the rows whose completions are exchanged.
        seed: Of the choice.
        json: Print one JSON object instead of text.
    """
    from lorif_core.workspace.quality.write_corrupted import write_corrupted

    changed = write_corrupted(file, out, fraction=fraction, seed=seed)
    if json:
        print_json({"file": str(out), "num_corrupted": changed})
        return
    say(f"Wrote {out}: {changed} completions were exchanged; the column is_corrupted marks them.")


def tail_patch(
    workspace: Positional[Path],
    /,
    *,
    recipe: Path,
    queries: Path,
    candidates: tuple[str, ...] = (),
    k: int = 10,
    json: Json = False,
) -> None:
    """One training step on each question's top k: how much likelier does its completion become?

    Args:
        workspace: Folder of the workspace.
        recipe: TOML file; its learning rate is the step's.
        queries: Data file of questions.
        candidates: As in `lorif evaluate lds`.
        k: Texts in the step.
        json: Print one JSON object instead of a table.
    """
    with progress(json) as on_progress:
        results = _open(workspace).tail_patch(recipe, queries, candidates=candidates, k=k, on_progress=on_progress)
    _print_changes(f"Rise of log p after one step on the top {k}", results, json)


def brittleness(
    workspace: Positional[Path],
    /,
    *,
    recipe: Path,
    queries: Path,
    candidates: tuple[str, ...] = (),
    k: int = 10,
    seeds: tuple[int, ...] = (0, 1),
    num_queries: int = 8,
    json: Json = False,
) -> None:
    """Retrain without each question's top k: does its loss rise, does the answer flip? Resumes when interrupted.

    Args:
        workspace: Folder of the workspace.
        recipe: TOML file: how to train.
        queries: Data file of questions.
        candidates: As in `lorif evaluate lds`.
        k: Texts removed per question.
        seeds: Of the retrainings.
        num_queries: The first of the file; each costs a retraining per candidate and seed.
        json: Print one JSON object instead of a table.
    """
    with progress(json) as on_progress:
        results = _open(workspace).brittleness(
            recipe, queries, candidates=candidates, k=k, seeds=seeds, num_queries=num_queries, on_progress=on_progress
        )
    _print_changes(f"Rise of the loss after retraining without the top {k}", results, json)


def results(workspace: Positional[Path], /, *, json: Json = False) -> None:
    """List every evaluation that was made in a workspace.

    Args:
        workspace: Folder of the workspace.
        json: Print one JSON object, with all figures, instead of a table.
    """
    from json import loads

    from lorif_core.views.tables import records_table

    records = _open(workspace).results()
    if json:
        print_json(
            [
                {"id": r.evaluation_id, "kind": r.kind, "created_at": r.created_at.isoformat()}
                | {"settings": loads(r.settings_json), "result": loads(r.result_json)}
                for r in records
            ]
        )
        return
    lines = [[r.evaluation_id, r.kind, f"{r.created_at:%Y-%m-%d %H:%M}", r.settings_json] for r in records]
    console().print(records_table("Evaluations", ["id", "kind", "when (UTC)", "settings"], lines))


COMMANDS = {
    "lds": lds,
    "sweep": sweep,
    "fidelity": fidelity,
    "planted": planted,
    "retrain": retrain,
    "tail-patch": tail_patch,
    "brittleness": brittleness,
    "mislabel": mislabel,
    "corrupt": corrupt,
    "results": results,
}


def _open(workspace: Path) -> "Evaluation":
    from lorif_core.workspace.quality.evaluate import Evaluation
    from lorif_core.workspace.workspace import open_workspace

    return Evaluation(open_workspace(workspace))


def _print_changes(title: str, results: Any, as_json: bool) -> None:
    from lorif_core.views.evaluations import change_table

    plain = [asdict(result) | {"per_query": result.per_query.tolist()} for result in results]
    if as_json:
        print_json({"rows": plain})
        return
    if not plain:
        raise ConfigError("there is nothing to show.")
    console().print(change_table(title, plain))
