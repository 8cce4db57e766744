"""Runs of loops that are no plain one: a table, several texts in a row, failures, kills, epochs as members, what is
refused and what is said."""

import copy
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from test_logged_runs import METHODS, batches_of, decoded, encoded, labels_of, loaded_model, settings_of, train
from tiny_workspace import copy_of, done, imported, lorif, write_rows
from torch import nn

import lorif_core as lf
from lorif_core.errors import (
    ArtefactError,
    CaptureError,
    ConfigError,
    DataError,
    FingerprintMismatch,
    ModelError,
    NumericalError,
)

HERE = Path(__file__).parent


@pytest.fixture
def workspace(tmp_path):
    return lf.open_workspace(copy_of(imported(), tmp_path))


@pytest.fixture
def table(tmp_path):
    """Rows of numbers, of which the workspace knows ids and words."""
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(60, 6, generator=generator)
    labels = (values[:, 0] + values[:, 1] > 0).long()
    rows = [{"id": f"row{number}", "text": f"row number {number}"} for number in range(60)]
    done("import", tmp_path / "ws", write_rows(tmp_path / "rows.jsonl", rows))
    return lf.open_workspace(tmp_path / "ws"), values, labels


def small_net(seed=0, widths=(6, 16, 2)):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(widths[0], widths[1]), nn.ReLU(), nn.Linear(widths[1], widths[2]))


def fit(table, model, *, name="table", method="kronecker", epochs=2, rate=0.1, **options):
    workspace, values, labels = table
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    with lf.log(workspace, model, name=name, method=settings_of(method), precision="float32", **options) as run:
        for epoch in range(epochs):
            order = random.Random(epoch).sample(range(60), 60)
            for start in range(0, 60, 10):
                chosen = order[start : start + 10]
                with run.batch([f"row{number}" for number in chosen], targets=10):
                    nn.functional.cross_entropy(model(values[chosen]), labels[chosen]).backward()
                optimizer.step()
                optimizer.zero_grad()
    return run


@pytest.mark.parametrize("method", METHODS)
def test_a_table_is_logged_and_its_rows_are_ranked_for_a_loss(method, table):
    workspace, values, labels = table
    model = small_net()
    fit(table, model, method=method)
    logged = workspace.logged("table")
    place = 7
    found = logged.ask(model, lambda: nn.functional.cross_entropy(model(values[[place]]), labels[[place]]), k=60)
    assert found.columns == ["rank", "train_id", "score"]
    assert found["rank"].to_list() == list(range(1, 61))
    scores = dict(zip(found["train_id"], found["score"], strict=True))
    alike, unlike = labels == labels[place], labels != labels[place]

    def mean(chosen):
        return sum(scores[f"row{number}"] for number in chosen.nonzero()[:, 0].tolist()) / int(chosen.sum())

    assert mean(alike) > mean(unlike)
    one = logged.score(
        model,
        lambda net, batch: nn.functional.cross_entropy(net(batch[0]), batch[1]),
        (values[[place]], labels[[place]]),
    )
    assert one["train_id"].to_list() == [f"row{number}" for number in range(60)]
    assert dict(zip(one["train_id"], one["score"], strict=True)) == scores
    assert lorif("doctor", workspace.path, "--json").json["workspace"]["is_whole"]


def test_a_module_that_moved_on_is_refused_and_so_is_lorif_ask(table):
    workspace, values, _ = table
    model = small_net()
    run = fit(table, model)
    other = copy.deepcopy(model)
    with torch.no_grad():
        other[0].weight.add_(1e-3)
    with pytest.raises(FingerprintMismatch, match="as it was when the run ended"):
        workspace.logged("table").ask(other, lambda: other(values[:1]).sum())
    with pytest.raises(CaptureError, match="no tracked layer"):
        workspace.logged("table").ask(model, lambda: (model[0].bias * 1.0).sum())
    asked = lorif("ask", workspace.path, "--index", run.index_id, "--prompt", "a", "--completion", "b")
    assert asked.code == 2
    assert "ws.logged('table')" in asked.err


def test_a_batch_that_raises_leaves_nothing_and_the_run_goes_on(table):
    workspace, values, labels = table
    model = small_net()
    with lf.log(workspace, model, name="t", method=settings_of("graddot")) as run:
        with pytest.raises(ZeroDivisionError), run.batch(["row0"], targets=1):  # noqa: PT012 - it is what is tested
            nn.functional.cross_entropy(model(values[:1]), labels[:1]).backward()
            raise ZeroDivisionError
        assert run.num_stored == 0
        for start in range(0, 60, 20):
            with run.batch([f"row{number}" for number in range(start, start + 20)], targets=20):
                nn.functional.cross_entropy(model(values[start : start + 20]), labels[start : start + 20]).backward()
            model.zero_grad()
        assert run.num_stored == 60
    assert run.index_id is not None


def test_texts_that_never_came_are_said_and_no_index_is_made(workspace):
    model, tokenizer = loaded_model()
    ids, texts = encoded(workspace, tokenizer)
    with pytest.warns(UserWarning, match=r"113 of 121 were not stored.*finish_missing"):
        run = log_one(workspace, model, tokenizer, next(iter(batches_of(ids, texts, 8, 0))))
    assert run.index_id is None
    assert len(run.missing) == 113
    with pytest.raises(ArtefactError, match="has not become an index yet"):
        workspace.logged("r")
    with lf.log(workspace, model, name="r", tokenizer=tokenizer, method=settings_of("graddot")) as again:
        assert again.num_stored == 8
        assert again.finish_missing() == 113
    whole = train(workspace, settings_of("graddot"), name="whole")
    wanted, found = decoded(workspace, whole.index_id), decoded(workspace, again.index_id)
    assert len(wanted) > 0
    for module, matrix in wanted.items():
        assert float((found[module] - matrix).norm()) < 0.01 * float(matrix.norm()), module


def log_one(workspace, model, tokenizer, chosen_batch):
    """A run of a single batch."""
    chosen, batch = chosen_batch
    labels = labels_of(batch)
    with lf.log(workspace, model, name="r", tokenizer=tokenizer, method=settings_of("graddot")) as run:
        with run.batch(chosen, targets=int((labels[:, 1:] != -100).sum())):
            model(input_ids=batch.input_ids, attention_mask=batch.attention_mask, labels=labels).loss.backward()
        model.zero_grad()
        assert len(run.missing_ids) == 121  # what is not on the disk yet counts as missing
    return run


def test_every_epoch_may_be_a_member_and_the_last_answers_with_all(workspace):
    run = train(workspace, settings_of("graddot"), epochs=2, rate=0.05, members="epoch")
    members = workspace.indexes.members(run.index_id)
    assert members is not None
    assert [members.name, *(one.name for one in members.others)] == ["final", "member 1"]
    answer = workspace.ask("The river of Arlen is", " castle Brook.", index_id=run.index_id, keeps=False)
    assert len(answer.ids) == 10
    first, last = (decoded(workspace, one) for one in (members.others[0].index_id, run.index_id))
    assert any(
        float((first[name] - last[name]).norm()) > 0.01 * float(last[name].norm()) for name in ["lm_head", *last][1:]
    )
    assert lorif("doctor", workspace.path, "--json").json["workspace"]["is_whole"]


KILLED = """
import os, signal, sys
import torch
import lorif_core as lf
import lorif_core.workspace.runs.row_files as row_files
from test_loops_of_all_kinds import small_net
from test_logged_runs import settings_of
row_files.FILE_BYTES = 1
workspace, model, place = lf.open_workspace(sys.argv[1]), small_net(), int(sys.argv[2])
with lf.log(workspace, model, name="killed", method=settings_of("graddot")) as run:
    for start in range(0, 60, 10):
        with run.batch([f"row{n}" for n in range(start, start + 10)], targets=10):
            model(torch.ones(10, 6)).sum().div(10).backward()
        model.zero_grad()
        if start == place:
            os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_run_that_is_killed_goes_on_with_what_was_written(table):
    workspace, _, _ = table
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(workspace.path), "30"],
        env=os.environ
        | {"PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parent), os.environ.get("PYTHONPATH", "")])},
        capture_output=True,
        timeout=300,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    assert lorif("doctor", workspace.path, "--json").json["workspace"]["is_whole"]
    model = small_net()
    with lf.log(workspace, model, name="killed", method=settings_of("graddot")) as run:
        assert run.num_stored in (30, 40)
        missing = run.missing_ids
        assert missing[-20:] == [f"row{number}" for number in range(40, 60)]
        with run.batch(missing, targets=len(missing)):
            model(torch.ones(len(missing), 6)).sum().div(len(missing)).backward()
    assert run.index_id is not None
    with (
        pytest.raises(ArtefactError, match=f"is over, and its index is '{run.index_id}'"),
        lf.log(workspace, model, name="killed", method=settings_of("graddot")),
    ):
        pass


@pytest.mark.parametrize(
    ("change", "error", "refusal"),
    [
        ({"ids": ["row0", "unknown"]}, DataError, "1 of the batch's 2 are not, such as 'unknown'"),
        ({"targets": 0}, DataError, "must be above 0"),
        ({"targets": [1.0]}, DataError, r"got the shape \(1,\) for 2|must be one number"),
    ],
)
def test_what_a_batch_says_wrongly_is_refused(change, error, refusal, table):
    workspace, values, labels = table
    model = small_net()
    said = {"ids": ["row0", "row1"], "targets": 2, **change}
    if said["targets"] == [1.0]:
        said["targets"] = torch.ones(1, 3)
    with (
        lf.log_quietly(workspace, model)
        if False
        else lf.log(workspace, model, name="t", method=settings_of("graddot")) as run
    ):
        with pytest.raises(error, match=refusal), run.batch(**said):
            nn.functional.cross_entropy(model(values[:2]), labels[:2]).backward()
        run.index_id = ""  # nothing is to be made of it


def test_packed_rows_leave_what_single_rows_leave(workspace):
    whole = train(workspace, settings_of("graddot"), name="single")
    model, tokenizer = loaded_model()
    ids, texts = encoded(workspace, tokenizer)
    model.set_attn_implementation("eager")
    with lf.log(
        workspace, model, name="packed", tokenizer=tokenizer, method=settings_of("graddot"), precision="float32"
    ) as run:
        for start in range(0, len(ids), 2):
            pair = [text[0] for text in texts[start : start + 2]]
            numbers = torch.tensor([[place for place, one in enumerate(pair) for _ in one.input_ids]])
            own = (numbers[:, :, None] == numbers[:, None, :]) & torch.ones(
                len(numbers[0]), len(numbers[0])
            ).tril().bool()
            mask = torch.zeros(1, 1, *own.shape[1:]).masked_fill(~own[:, None], torch.finfo(torch.float32).min)
            targets = torch.tensor([[flag for one in pair for flag in one.is_target]])
            row = torch.tensor([[token for one in pair for token in one.input_ids]])
            positions = torch.tensor([[place for one in pair for place in range(len(one.input_ids))]])
            with run.batch([ids[start : start + 2]], targets=int(targets.sum()), segments=numbers):
                logits = model(input_ids=row, attention_mask=mask, position_ids=positions, use_cache=False).logits
                labels = row.masked_fill(~targets, -100)[:, 1:]
                nn.functional.cross_entropy(logits[0, :-1], labels[0]).backward()
            model.zero_grad()
    wanted, found = decoded(workspace, whole.index_id), decoded(workspace, run.index_id)
    assert len(wanted) > 0
    for module, matrix in wanted.items():
        assert float((found[module] - matrix).norm()) < 0.01 * float(matrix.norm()), module


def test_a_text_that_is_twice_in_a_batch_has_the_sum(table):
    workspace, values, labels = table
    model, (once, twice) = small_net(), (0, 1)

    def logged(name, rows, divisors):
        with lf.log(workspace, model, name=name, method=settings_of("graddot"), precision="float32") as run:
            for start in range(0, 60, 20):
                chosen = [*range(start, start + 20), *(rows if start == 0 else [])]
                with run.batch([f"row{number}" for number in chosen], targets=1):
                    nn.functional.cross_entropy(model(values[chosen]), labels[chosen], reduction="sum").backward()
                model.zero_grad()
        return decoded(workspace, run.index_id)

    plain, doubled = logged("a", [], 1), logged("b", [twice], 1)
    assert len(plain) == 2
    for name in plain:
        torch.testing.assert_close(doubled[name][twice], 2 * plain[name][twice], rtol=0.02, atol=1e-4)
        torch.testing.assert_close(doubled[name][once], plain[name][once], rtol=0.02, atol=1e-4)


def test_steps_that_a_scaler_skips_are_not_stored_and_counted(table):
    workspace, values, labels = table
    model = small_net()
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    with lf.log(workspace, model, name="t", method=settings_of("graddot")) as run:
        with run.batch(["row0"], targets=1, scaler=scaler):
            scaler.scale(model(values[:1]).sum() * float("inf")).backward()
        assert (run.num_stored, run.num_overflowed) == (0, 1)
        model.zero_grad()
        with pytest.raises(NumericalError, match="text 'row0' is not finite"), run.batch(["row0"], targets=1):
            (model(values[:1]).sum() * float("inf")).backward()
        model.zero_grad()
        for start in range(0, 60, 20):
            with run.batch([f"row{number}" for number in range(start, start + 20)], targets=20, scaler=scaler):
                loss = nn.functional.cross_entropy(model(values[start : start + 20]), labels[start : start + 20])
                scaler.scale(loss).backward()
            model.zero_grad()
    plain = fit(table, small_net(), method="graddot", name="plain", epochs=1, rate=0.0)
    wanted, found = decoded(workspace, plain.index_id), decoded(workspace, run.index_id)
    assert len(wanted) == 2
    for name, matrix in wanted.items():
        torch.testing.assert_close(found[name], matrix, rtol=0.02, atol=1e-4)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_compiled_model_is_refused_with_the_way_on(table):
    workspace, _, _ = table
    with (
        pytest.raises(CaptureError, match="before it is compiled"),
        lf.log(workspace, torch.compile(small_net()), name="t"),
    ):
        pass


def test_frozen_layers_are_not_tracked(table):
    workspace, _, _ = table
    model = small_net()
    model[0].weight.requires_grad_(False)
    run = fit(table, model, method="graddot")
    assert list(decoded(workspace, run.index_id)) == ["2"]


def test_a_weight_that_is_used_where_no_hook_sees_it_is_named(table):
    workspace, values, _ = table

    class Hidden(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(6, 4), nn.Linear(4, 2)

        def forward(self, rows):
            return self.second(rows @ self.first.weight.mT)

    model = Hidden()
    with lf.log(workspace, model, name="t", method=settings_of("graddot")) as run:
        with (
            pytest.raises(CaptureError, match=r"none of module 'first'.*exclude=\('first',\)"),
            run.batch(["row0"], targets=1),
        ):
            model(values[:1]).sum().backward()
        run.index_id = ""  # nothing is to be made of it


@pytest.mark.parametrize(
    ("options", "error", "refusal"),
    [
        ({"name": "../up"}, ConfigError, "a run's name"),
        ({"members": "epoch"}, ConfigError, "no language model"),
        ({"method": lf.method_settings("lorif", budget="1KB")}, ConfigError, "budget"),
        ({"method": lf.method_settings("trak")}, ConfigError, "stores something else of a text"),
        ({"method": lf.method_settings("daunce")}, ConfigError, "stores something else of a text"),
        ({"exclude": ("nothing",)}, ModelError, "no module matches 'nothing'"),
        ({"maps_of": "ix-nothing"}, Exception, "ix-nothing"),
    ],
)
def test_what_a_run_is_told_wrongly_is_refused(options, error, refusal, table):
    workspace, _, _ = table
    with pytest.raises(error, match=refusal), lf.log(workspace, small_net(), **{"name": "t", **options}):
        pass


def test_the_maps_of_an_index_are_taken_instead_of_statistics(workspace):
    first = train(workspace, settings_of("kronecker"), name="first", epochs=2)
    second = train(workspace, settings_of("kronecker"), name="second", epochs=1, maps_of=first.index_id)
    wanted, found = decoded(workspace, first.index_id), decoded(workspace, second.index_id)
    assert len(wanted) > 0
    for module, matrix in wanted.items():
        assert float((found[module] - matrix).norm()) < 0.02 * float(matrix.norm()), module
