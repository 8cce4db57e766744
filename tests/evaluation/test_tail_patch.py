import pytest
import torch
from retrainings import PAD, fact, recipe, start, texts

from lorif_core.errors import ConfigError
from lorif_core.evaluation.retraining import RetrainingStopped, query_losses
from lorif_core.evaluation.tail_patch import measure_tail_patch
from lorif_core.evaluation.trial import Trial

QUERIES = [fact([10, 11, 12], [20, 21]), fact([30, 31, 32], [40, 41, 42])]
EXAMPLES = [*texts(3), *QUERIES, fact([10, 11, 12], [25, 26]), *texts(3, seed=1)]
OWN = torch.zeros(2, len(EXAMPLES)).scatter_(1, torch.tensor([[3], [4]]), 1.0)


def trial(*, loaded=None, **changes):
    return Trial(loaded or start(), EXAMPLES, QUERIES, recipe(**changes))


def test_a_step_on_the_query_itself_makes_it_likelier_and_more_than_one_at_random():
    own, chance = measure_tail_patch(trial(), {"own": OWN}, k=1)
    assert (own.name, chance.name, own.k) == ("own", "random", 1)
    assert (own.per_query > 0).all()
    assert own.gain > chance.gain
    assert own.gain_low <= own.gain <= own.gain_high
    assert own.gain == pytest.approx(float(own.per_query.mean()))


def test_the_gain_is_the_change_after_one_adamw_step_by_hand():
    """The first step of AdamW moves a weight by lr · g / (|g| + ε)."""
    reference = start().model
    result, _ = measure_tail_patch(trial(clip_norm=1e9), {"own": OWN}, k=1)
    before = query_losses(reference, QUERIES, PAD)[0]
    ids = torch.tensor([QUERIES[0].input_ids])
    logs = reference(ids).logits[0].log_softmax(-1)
    (-(logs[2, 20] + logs[3, 21]) / 2).backward()
    with torch.no_grad():
        for weight in reference.parameters():
            weight -= 3e-3 * weight.grad / (weight.grad.abs() + 1e-8)
    after = query_losses(reference, QUERIES, PAD)[0]
    assert float(result.per_query[0]) == pytest.approx(float(before - after), rel=1e-3)


def test_every_step_starts_from_the_same_weights_and_leaves_them():
    loaded = start()
    before = query_losses(loaded.model, QUERIES, PAD)
    both = measure_tail_patch(trial(loaded=loaded), {"a": OWN, "b": OWN}, k=2)
    assert torch.equal(both[0].per_query, both[1].per_query)
    assert torch.equal(query_losses(loaded.model, QUERIES, PAD), before)


def test_steps_are_counted_and_can_be_stopped():
    seen = []
    measure_tail_patch(trial(), {"a": OWN}, k=1, on_progress=lambda *progress: seen.append(progress))
    assert seen == [("tail-patch", done, 4) for done in (1, 2, 3, 4)]
    with pytest.raises(RetrainingStopped, match="0 of 4"):
        measure_tail_patch(trial(), {"a": OWN}, k=1, should_stop=lambda: True)


@pytest.mark.parametrize("k", [0, 10])
def test_k_beyond_the_examples_is_refused(k):
    with pytest.raises(ConfigError, match="k must be between 1 and the 9"):
        measure_tail_patch(trial(), {}, k=k)
