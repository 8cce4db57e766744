import time

import numpy as np
import pytest
import torch
from retrainings import PAD, recipe, start, texts

from lorif_core.errors import ConfigError, DataError, FingerprintMismatch, LorifError
from lorif_core.evaluation.retraining import RetrainingStopped, draw_subsets, query_losses
from lorif_core.evaluation.stop_at import StopAt, parse_stop_at
from lorif_core.evaluation.trial import Trial
from lorif_core.evaluation.truth import GroundTruth, build_truth, load_truth

EXAMPLES, QUERIES = texts(10), texts(3, seed=1)
MASKS = draw_subsets(10, num_subsets=4, fraction=0.5, seed=0)


def build(folder, *, masks=MASKS, examples=EXAMPLES, settings=None, **options):
    trial = Trial(start(), examples, QUERIES, settings or recipe())
    return build_truth(trial, masks, folder, device="cpu", **options)


def test_every_subset_starts_from_the_same_weights(tmp_path):
    """The subset that comes last has the losses that it would have alone."""
    whole = build(tmp_path / "whole")
    twins = build(tmp_path / "twins", masks=MASKS[[3, 3, 3, 3]])
    assert whole.losses.shape == (4, 3)
    assert torch.equal(whole.losses[3], twins.losses[3])
    assert not torch.equal(whole.losses[0], whole.losses[1])


def test_a_subset_is_trained_on_its_own_examples_only(tmp_path):
    """Texts outside of a subset can be anything."""
    masks = MASKS[:1].expand(2, -1)
    other = [
        example if kept else changed
        for example, changed, kept in zip(EXAMPLES, texts(10, seed=9), MASKS[0], strict=True)
    ]
    assert torch.equal(
        build(tmp_path / "a", masks=masks).losses, build(tmp_path / "b", masks=masks, examples=other).losses
    )


def test_losses_are_those_after_training_and_the_start_is_put_back(tmp_path):
    model = start()
    before = query_losses(model.model, QUERIES, PAD)
    truth = build_truth(Trial(model, EXAMPLES, QUERIES, recipe()), MASKS, tmp_path, device="cpu")
    assert torch.equal(before, query_losses(model.model, QUERIES, PAD))
    assert not torch.isclose(truth.losses, before).any()


def test_a_stopped_run_resumes_and_ends_with_the_same_numbers(tmp_path):
    whole = build(tmp_path / "whole")
    steps = iter(range(100))
    with pytest.raises(RetrainingStopped):
        build(tmp_path / "parts", should_stop=lambda: next(steps) > 11)  # 4 steps each: in the middle of the fourth
    assert len(list((tmp_path / "parts").glob("subset-*.npz"))) == 3
    seen = []
    parts = build(tmp_path / "parts", on_progress=lambda *progress: seen.append(progress))
    assert seen == [("retraining", 3, 4), ("retraining", 4, 4)]
    assert torch.equal(whole.losses, parts.losses)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_run_that_ends_early_is_the_truth_of_what_is_finished_and_goes_on(tmp_path, workers):
    whole = build(tmp_path / "whole")
    part = build(tmp_path / "parts", stop_at=StopAt(subsets=2), workers=workers)
    places = [int(path.stem.split("-")[1]) for path in sorted((tmp_path / "parts").glob("subset-*.npz"))]
    assert len(places) >= 2  # two workers may finish more before they are told
    assert torch.equal(part.masks, MASKS[places])
    assert torch.equal(part.losses, whole.losses[places])
    assert part.planned_subsets == 4
    again = build(tmp_path / "parts")
    assert torch.equal(again.losses, whole.losses)
    assert again.planned_subsets == len(again.masks) == 4


def test_a_run_ends_after_a_time_in_the_middle_of_a_subset(tmp_path, monkeypatch):
    seconds = iter(range(100))
    monkeypatch.setattr(time, "monotonic", lambda: next(seconds))
    # The clock is read when the run begins, once before it, and before every step: 4 steps a subset.
    part = build(tmp_path, stop_at=StopAt(seconds=9))
    assert len(part.masks) == 1
    with pytest.raises(RetrainingStopped):
        build(tmp_path, stop_at=StopAt(seconds=60), should_stop=lambda: True)


def test_enough_subsets_of_before_are_taken_without_training(tmp_path):
    build(tmp_path, stop_at=StopAt(subsets=3))
    seen = []
    again = build(tmp_path, stop_at=StopAt(subsets=2), on_progress=lambda *progress: seen.append(progress))
    assert seen == [("retraining", 3, 4)]
    assert len(again.masks) == 3


def test_a_run_that_finished_nothing_is_refused(tmp_path):
    with pytest.raises(RetrainingStopped, match="none of 4 subsets was finished"):
        build(tmp_path, stop_at=StopAt(seconds=1e-9))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("40", StopAt(subsets=40)),
        ("90s", StopAt(seconds=90)),
        ("20m", StopAt(seconds=1200)),
        ("1.5h", StopAt(seconds=5400)),
    ],
)
def test_a_run_stops_at_a_number_or_after_a_time(text, expected):
    assert parse_stop_at(text) == expected


@pytest.mark.parametrize("text", ["", "0", "0m", "-3", "1.5", "20 minutes", "m"])
def test_what_is_neither_a_number_nor_a_time_is_refused(text):
    with pytest.raises(ConfigError, match="such as 40, or after a time"):
        parse_stop_at(text)


def test_two_workers_give_the_numbers_of_one(tmp_path):
    seen = []
    alone = build(tmp_path / "one")
    together = build(tmp_path / "two", workers=2, on_progress=lambda *progress: seen.append(progress))
    assert torch.equal(alone.losses, together.losses)
    assert seen[0] == ("retraining", 0, 4)
    assert seen[-1] == ("retraining", 4, 4)


def test_stopped_workers_leave_no_process_and_no_half_file(tmp_path):
    with pytest.raises(RetrainingStopped, match="of 4 subsets"):
        build(tmp_path, workers=2, should_stop=lambda: True)
    assert not list(tmp_path.glob("*.partial"))
    assert not list(tmp_path.glob("subset-*.npz"))  # ended, not waited for


def test_a_worker_says_what_went_wrong(tmp_path):
    gone = recipe(checkpoint=str(tmp_path / "gone"))
    with pytest.raises(LorifError, match="neither a folder nor"):
        build(tmp_path / "runs", settings=gone, workers=2)


@pytest.mark.parametrize(
    "change",
    [
        {"settings": recipe(learning_rate=1e-4)},
        {"masks": draw_subsets(10, num_subsets=4, fraction=0.5, seed=1)},
        {"examples": texts(10, seed=2)},
    ],
)
def test_a_folder_of_other_inputs_is_refused(tmp_path, change):
    build(tmp_path)
    with pytest.raises(FingerprintMismatch, match="choose an empty folder"):
        build(tmp_path, **change)


def test_a_damaged_subset_is_refused(tmp_path):
    build(tmp_path)
    (tmp_path / "subset-0001.npz").write_bytes(b"damage")
    with pytest.raises(DataError, match="cannot be read as an"):
        build(tmp_path)


def test_masks_of_other_examples_are_refused(tmp_path):
    with pytest.raises(DataError, match="10 train examples"):
        build(tmp_path, masks=MASKS[:, 1:])


def test_no_worker_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="workers must be at least 1"):
        build(tmp_path, workers=0)


def test_a_ground_truth_comes_back_as_it_was_saved(tmp_path):
    truth = GroundTruth(MASKS, torch.rand(4, 3, dtype=torch.float64), 7)
    truth.save(tmp_path / "truth.npz")
    again = load_truth(tmp_path / "truth.npz")
    assert torch.equal(again.masks, truth.masks)
    assert torch.equal(again.losses, truth.losses)
    assert again.planned_subsets == 7


GOOD = {"masks": np.ones((4, 5), bool), "losses": np.ones((4, 3), np.float32)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"masks": np.ones((4, 5))}, "must be true or false .* got float64"),
        ({"losses": np.ones((3, 3))}, r"of shape \(4 subsets, queries\), got float64 \(3, 3\)"),
        ({"losses": np.ones((4, 3), int)}, "must be float32 or float64"),
        ({"losses": np.full((4, 3), np.nan)}, "12 are not"),
        ({"losses": np.ones((4, 0))}, "a query, got none"),
        ({"planned_subsets": np.array(3)}, "must be a number from 4 on, got 3"),
        ({"planned_subsets": np.array("4")}, "must be a number from 4 on"),
        ({"losses": np.array([{}])}, "cannot be read as an .npz"),
    ],
)
def test_a_bad_ground_truth_is_refused(tmp_path, change, message):
    np.savez(tmp_path / "truth.npz", **{**GOOD, **change})
    with pytest.raises(DataError, match=message):
        load_truth(tmp_path / "truth.npz")


def test_a_ground_truth_without_losses_is_refused(tmp_path):
    np.savez(tmp_path / "truth.npz", masks=GOOD["masks"])
    with pytest.raises(DataError, match="losses is not there"):
        load_truth(tmp_path / "truth.npz")


@pytest.mark.parametrize("content", [None, b"", b"text"])
def test_a_file_that_is_no_ground_truth_is_refused(tmp_path, content):
    if content is not None:
        (tmp_path / "truth.npz").write_bytes(content)
    with pytest.raises(DataError, match="cannot be read as an"):
        load_truth(tmp_path / "truth.npz")
