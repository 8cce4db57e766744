"""From a plan to a folder that holds an attribution problem and what retraining says about it.

    plan.json                   what the folder is for; another plan is refused
    train.jsonl, query.jsonl    id, prompt, completion
    base/, recipe.toml, model/  the model before fine-tuning, how it is fine-tuned, and after it on all texts
    truth.parts/                finished retrainings
    truth.npz                   masks (S, N) and losses (S, Q) of those; written again after every one
    about.json                  sizes, seconds, and what shared tokens alone predict

Every stage that is finished is kept: the same command goes on after an interruption.
"""

import json
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from benchmarks.truths.base_models import build_model, start_alike, train_tokenizer
from benchmarks.truths.text_pools import read_pools, read_rows
from benchmarks.truths.truth_plans import BASE, TruthPlan
from lorif_core.data.encoding import Encoder, pad_token
from lorif_core.data.example import Example
from lorif_core.data.sequences import EncodedText, sequences_of
from lorif_core.errors import ConfigError, DataError, FingerprintMismatch
from lorif_core.evaluation.recipe import Recipe, read_recipe
from lorif_core.evaluation.retraining import RetrainingStopped, ShouldStop, draw_subsets, load_start, train
from lorif_core.evaluation.trial import Trial
from lorif_core.evaluation.truth import GroundTruth, build_truth
from lorif_core.files import read_json, write_json
from lorif_core.methods.references.shared_tokens import shared_token_scores
from lorif_core.metrics.correlation import lds_intervals

MOST_SUBSETS = 256
"""All are drawn, so that a truth can be gone on with for more of them."""

REPORTS_PER_TRAINING = 10

UNCUT = 1_000_000
"""Tokens; longer than any text."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Session:
    """One run of the command."""

    folder: Path
    plan: TruthPlan
    say: Say
    should_stop: ShouldStop

    def path(self, name: str) -> Path:
        """Of a file or folder of the truth."""
        return self.folder / name


def make_truth(session: Session, *, data: Path | None, num_subsets: int) -> GroundTruth:
    """Make what is missing of a truth.

    Args:
        session: Plan, folder and so on.
        data: Files that the texts are read from, if they are.
        num_subsets: Retrainings in all, with those that are there.

    Raises:
        ConfigError: ``num_subsets`` is out of range, or the data do not belong to the plan.
        DataError: The data cannot be read, or are too few.
        FingerprintMismatch: The folder holds another truth.
        RetrainingStopped: ``should_stop`` said so before there was a retrained model.
    """
    if not 1 <= num_subsets <= MOST_SUBSETS:
        raise ConfigError(f"subsets must be 1 to {MOST_SUBSETS}, got {num_subsets}.")
    _claim(session)
    if not session.path(BASE).exists():
        _make_base(session, data)
    _write_recipe(session.path("recipe.toml"), session.plan.tuning)
    if not session.path("model").exists():
        _make_model(session)
    return _retrain(session, num_subsets)


def copy_problem(source: Path, session: Session) -> None:
    """Take texts and models from a truth that differs in nothing but its subsets.

    Raises:
        FingerprintMismatch: It differs in more.
    """
    if _problem_of(session.plan) != read_json(source / "plan.json")["problem"]:
        raise FingerprintMismatch(
            f"{str(source)!r} holds other texts or models than this truth asks for: leave `--like` out to make them."
        )
    _claim(session)
    for name in ("train.jsonl", "query.jsonl"):
        shutil.copyfile(source / name, session.path(name))
    for name in ("model", BASE):
        if not session.path(name).exists():
            shutil.copytree(source / name, session.path(f"{name}.unfinished"), dirs_exist_ok=True)
            session.path(f"{name}.unfinished").rename(session.path(name))


def _problem_of(plan: TruthPlan) -> dict[str, Any]:
    """What texts and models follow from."""
    values = asdict(plan)
    for name in ("summary", "num_subsets", "fraction"):
        del values[name]
    return values


def _claim(session: Session) -> None:
    path = session.path("plan.json")
    wanted = {"problem": _problem_of(session.plan), "fraction": session.plan.fraction}
    if not path.exists():
        session.folder.mkdir(parents=True, exist_ok=True)
        write_json(path, {**wanted, "versions": _versions()})
    there = read_json(path)
    if any(there[name] != value for name, value in wanted.items()):
        raise FingerprintMismatch(
            f"{str(session.folder)!r} holds another truth, or this one from other settings: choose an empty folder."
        )


def _versions() -> dict[str, str]:
    return {"python": sys.version.split()[0], "torch": torch.__version__}


def _make_base(session: Session, data: Path | None) -> None:
    plan = session.plan
    pools = read_pools(plan.source, data, plan.seed)
    written = (f"{text.prompt}{text.completion}" for text in (*pools.train, *(pools.base or [])))
    tokenizer = train_tokenizer(written, plan.shape.vocabulary)
    chosen = _take_fitting(pools.train, plan.num_train, tokenizer, plan)
    _write_texts(session.path("train.jsonl"), chosen)
    _write_texts(session.path("query.jsonl"), _take_fitting(pools.held_out, plan.num_queries, tokenizer, plan))
    taken = {text.train_id for text in chosen}
    left = [text for text in pools.train if text.train_id not in taken] if pools.base is None else pools.base
    others = left[: plan.num_base]
    session.say(f"base model: {len(others):,} texts, {len(tokenizer):,} tokens in the vocabulary")
    model = build_model(plan.shape, num_ids=len(tokenizer), num_positions=plan.pretraining.max_length, seed=plan.seed)
    if plan.source == "capitals":
        start_alike(model, tokenizer)
    encoder = Encoder(tokenizer, plan.pretraining.max_length)
    # Behind an empty prompt the whole text is a target: the base model learns prompts as well.
    whole = [text._replace(prompt="", completion=f"{text.prompt}{text.completion}") for text in others]
    _train(session, "base model", model, tokenizer, whole, plan.pretraining, encoder)
    save_model(session.path(BASE), model, tokenizer)


def _take_fitting(
    texts: Sequence[Example], count: int, tokenizer: PreTrainedTokenizerBase, plan: TruthPlan
) -> list[Example]:
    """The first texts that training does not cut.

    Raises:
        DataError: There are too few.
    """
    encoder = Encoder(tokenizer, UNCUT)
    longest = plan.tuning.max_length
    fitting = [text for text in texts if len(encoder.encode(text).input_ids) <= longest]
    if len(fitting) < count:
        raise DataError(f"{len(fitting)} of {len(texts)} texts have at most {longest} tokens, {count} are needed.")
    return fitting[:count]


def _make_model(session: Session) -> None:
    recipe = read_recipe(session.path("recipe.toml"))
    start = load_start(recipe, device="cpu")
    encoder = Encoder(start.tokenizer, recipe.max_length)
    texts = read_texts(session.path("train.jsonl"))
    _train(session, "model", start.model, start.tokenizer, texts, recipe, encoder)
    save_model(session.path("model"), start.model, start.tokenizer)


def _train(
    session: Session,
    name: str,
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[Example],
    recipe: Recipe,
    encoder: Encoder,
) -> None:
    started = time.perf_counter()

    def on_step(done: int, total: int) -> None:
        if done * REPORTS_PER_TRAINING // total > (done - 1) * REPORTS_PER_TRAINING // total:
            session.say(f"{name}: step {done:,} of {total:,}, {time.perf_counter() - started:.0f} s")

    encoded = [encoder.encode(text) for text in texts]
    losses = train(
        model,
        encoded,
        recipe,
        seed=recipe.seed,
        pad_id=pad_token(tokenizer),
        on_step=on_step,
        should_stop=session.should_stop,
    )
    tenth = max(1, len(losses) // REPORTS_PER_TRAINING)
    first, last = float(losses[:tenth].mean()), float(losses[-tenth:].mean())
    session.say(f"{name}: {first:.2f} nats per target token at the beginning, {last:.2f} at the end")


def _retrain(session: Session, num_subsets: int) -> GroundTruth:
    recipe = read_recipe(session.path("recipe.toml"))
    start = load_start(recipe, device="cpu")
    encoder = Encoder(start.tokenizer, recipe.max_length)
    texts, queries = (
        [encoder.encode(text) for text in read_texts(session.path(f"{name}.jsonl"))] for name in ("train", "query")
    )
    trial = Trial(start, texts, queries, recipe)
    plan = session.plan
    masks = draw_subsets(len(texts), num_subsets=MOST_SUBSETS, fraction=plan.fraction, seed=plan.seed)
    clock = _Clock(session, num_subsets)
    try:
        build_truth(
            trial,
            masks,
            session.path("truth.parts"),
            device="cpu",
            on_progress=lambda _, done, total: clock.on_subset(masks, done),
            should_stop=lambda: clock.done >= num_subsets or session.should_stop(),
        )
    except RetrainingStopped:
        pass  # what is finished is read below
    truth = read_finished(session.path("truth.parts"), masks, num_subsets)
    _write_about(session, trial, truth, clock.cpu_seconds_each)
    return truth


class _Clock:
    """Counts finished subsets, says so, and keeps truth.npz as complete as they are."""

    def __init__(self, session: Session, num_subsets: int) -> None:
        self.session, self.num_subsets = session, num_subsets
        self.first, self.done = -1, 0
        self.started, self.started_cpu = time.perf_counter(), time.process_time()

    @property
    def num_made(self) -> int:
        """Retrainings of this session."""
        return self.done - self.first if self.first >= 0 else 0

    @property
    def cpu_seconds_each(self) -> float | None:
        """Time of the processor, which says the same on a busy machine; None before the first."""
        return (time.process_time() - self.started_cpu) / self.num_made if self.num_made else None

    def on_subset(self, masks: Tensor, done: int) -> None:
        """Take note of so many finished subsets."""
        if self.first < 0:
            self.first = done
        self.done = done
        if done:
            read_finished(self.session.path("truth.parts"), masks, self.num_subsets).save(
                self.session.path("truth.npz")
            )
        if self.num_made:
            each = (time.perf_counter() - self.started) / self.num_made
            left = max(0, self.num_subsets - done) * each / 60
            self.session.say(f"subset {done} of {self.num_subsets}, {each:.1f} s each, {left:.0f} min left")


def read_finished(folder: Path, masks: Tensor, num_subsets: int) -> GroundTruth:
    """What the finished subsets say, of so many that there are to be.

    Raises:
        RetrainingStopped: None is finished.
    """
    finished = [row for row in range(len(masks)) if (folder / f"subset-{row:04d}.npz").exists()]
    if not finished:
        raise RetrainingStopped("no subset is finished yet; the same command goes on.")
    losses = [np.load(folder / f"subset-{row:04d}.npz")["losses"] for row in finished]
    planned = max(num_subsets, len(finished))
    return GroundTruth(masks[finished], torch.from_numpy(np.stack(losses)), planned)


def _write_about(session: Session, trial: Trial, truth: GroundTruth, cpu_seconds_each: float | None) -> None:
    path = session.path("about.json")
    before = read_json(path) if path.exists() else {}
    about = {
        "num_subsets": len(truth.masks),
        "num_train": len(trial.examples),
        "num_queries": len(trial.queries),
        "vocabulary": len(trial.start.tokenizer),
        "parameters": sum(one.numel() for one in trial.start.model.parameters()),
        "mean_target_tokens": mean_targets(trial.examples),
        "mean_query_target_tokens": mean_targets(trial.queries),
        "cpu_seconds_per_retraining": cpu_seconds_each or before.get("cpu_seconds_per_retraining"),
        "mean_loss": float(truth.losses.mean()),
    }
    if len(truth.masks) > 1:
        words = lds_intervals(shared_token_scores(trial.queries, trial.examples), truth.masks, truth.losses)
        about["mean_spread_of_a_loss"] = float(truth.losses.std(0).mean())
        about["lds_of_shared_tokens"] = [words.mean, words.subsets_low, words.subsets_high]
    write_json(path, about)
    session.say(json.dumps(about))


def mean_targets(texts: Sequence[EncodedText]) -> float:
    """Target tokens per text."""
    return sum(sum(one.is_target) for text in texts for one in sequences_of(text)) / len(texts)


def _write_recipe(path: Path, recipe: Recipe) -> None:
    values = {name: value for name, value in asdict(recipe).items() if value is not None}
    path.write_text("".join(f"{name} = {json.dumps(value)}\n" for name, value in values.items()), encoding="utf-8")


def _write_texts(path: Path, texts: Sequence[Example]) -> None:
    rows = ({"id": text.train_id, "prompt": text.prompt, "completion": text.completion} for text in texts)
    path.write_text("".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows), encoding="utf-8")


def read_texts(path: Path) -> list[Example]:
    """The texts of a truth's file."""
    return [Example(row["id"], prompt=row["prompt"], completion=row["completion"]) for row in read_rows(path)]


def save_model(folder: Path, model: Any, tokenizer: PreTrainedTokenizerBase) -> None:
    """A model and its tokenizer, as Auto classes read them; the folder has its name when it is complete."""
    unfinished = folder.with_name(f"{folder.name}.unfinished")
    model.save_pretrained(unfinished)
    tokenizer.save_pretrained(unfinished)
    unfinished.rename(folder)
