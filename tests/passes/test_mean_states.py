"""Mean hidden states are those of one text at a time, without padding, in float64."""

import pytest
import torch
from torch import nn
from transformers import GPT2Config, GPT2LMHeadModel

from lorif_core.data.sequences import EncodedExample, cut_windows
from lorif_core.errors import ModelError, NumericalError
from lorif_core.passes.mean_states import mean_states


@pytest.fixture
def model():
    torch.manual_seed(0)
    return GPT2LMHeadModel(GPT2Config(vocab_size=60, n_positions=40, n_embd=16, n_layer=2, n_head=2)).double()


def encoded(ids):
    return EncodedExample(ids, [place > 0 for place in range(len(ids))], len(ids))


def drawn(length, seed):
    return torch.randint(60, (length,), generator=torch.Generator().manual_seed(seed)).tolist()


def slow(model, ids):
    """The last hidden states of one sequence, as the transformer itself returns them."""
    model.eval()
    with torch.no_grad():
        return model.transformer(torch.tensor([ids])).last_hidden_state[0]


def test_states_are_those_of_every_text_alone(model):
    texts = [drawn(length, length) for length in (3, 17, 1, 40, 9, 17)]
    model.train()
    told = []
    for tokens_per_batch in (1, 60, 10_000):
        found = mean_states(
            model,
            [encoded(ids) for ids in texts],
            pad_id=5,
            tokens_per_batch=tokens_per_batch,
            on_texts=told.append,
        )
        wanted = torch.stack([slow(model, ids).mean(0) for ids in texts])
        model.train()
        torch.testing.assert_close(found.double(), wanted, rtol=1e-5, atol=1e-5)
        assert sum(told) == len(texts)
        told.clear()
    assert model.training


def test_a_token_that_windows_share_counts_where_it_is_read_first(model):
    ids = drawn(70, 1)
    windows = cut_windows(ids, [True] * 70, 40, 25)
    assert len(windows) > 2
    states = {}
    for one in windows:
        for place, state in zip(one.places, slow(model, one.input_ids), strict=True):
            states.setdefault(place, state)
    assert sorted(states) == list(range(70))
    found = mean_states(model, [windows, encoded(ids[:5])], pad_id=0, tokens_per_batch=90)
    torch.testing.assert_close(found[0].double(), torch.stack(list(states.values())).mean(0), rtol=1e-5, atol=1e-5)


def test_a_text_without_tokens_is_zeros(model):
    found = mean_states(model, [(), encoded(drawn(4, 2))], pad_id=0, tokens_per_batch=50)
    assert not found[0].any()
    assert found[1].any()
    assert mean_states(model, [()], pad_id=0, tokens_per_batch=50).shape == (1, 16)


def test_a_model_without_a_head_is_refused_and_infinite_states_are(model):
    class Headless(nn.Module):
        pass

    with pytest.raises(ModelError, match="names no output head"):
        mean_states(Headless(), [encoded([1, 2])], pad_id=0, tokens_per_batch=50)
    with torch.no_grad():
        model.transformer.ln_f.weight.fill_(torch.inf)
    with pytest.raises(NumericalError, match="not finite, of row 0"):
        mean_states(model, [encoded([1, 2])], pad_id=0, tokens_per_batch=50)
