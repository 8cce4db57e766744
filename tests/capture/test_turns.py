"""One thread at a time on a model, whoever uses it and however."""

import gc
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from captures import captured, maps_of, state_of
from tiny_models import random_examples, tiny_model, tiny_tokenizer

from lorif_core.capture.hooks import capture_gradients, evaluate_objective, frozen
from lorif_core.capture.objectives import summed_cross_entropy
from lorif_core.data.batches import pad_batch
from lorif_core.evaluation.recipe import Recipe
from lorif_core.evaluation.retraining import make_optimiser, restored, take_step, train, without_dropout
from lorif_core.models.load import LoadedModel
from lorif_core.passes.uncompressed import TrainPass, last_states
from lorif_core.turns import turn_on

PAD = 1
EXAMPLES = random_examples([7, 4])
BATCH = pad_batch(EXAMPLES, PAD)
RECIPE = Recipe(checkpoint="none", learning_rate=1e-3, epochs=1, batch_size=2, max_length=16)
PATIENCE_S = 60

WAIT_S = 0.5
"""How long a thread is given to do what it may not; a few milliseconds would do."""


def generated(model):
    loaded = LoadedModel(model, tiny_tokenizer(), "tiny", "", "")
    return loaded.generate(torch.tensor([[2, 3]]), max_new_tokens=2, do_sample=False, pad_token_id=PAD)


def stepped(model):
    return take_step(model, EXAMPLES, make_optimiser(list(model.parameters()), RECIPE), RECIPE, PAD)


BLOCKS = {"frozen": frozen, "without_dropout": without_dropout, "restored": restored}
"""What changes a model until its block ends."""

CALLS = {
    "capture_gradients": lambda model: capture_gradients(
        model, maps_of(model, 4), BATCH, summed_cross_entropy, lambda name, gradient: None
    ),
    "evaluate_objective": lambda model: evaluate_objective(model, BATCH, summed_cross_entropy),
    "generate": generated,
    "take_step": stepped,
    "train": lambda model: train(model, EXAMPLES, RECIPE, seed=0, pad_id=PAD),
    "last_states": lambda model: last_states(TrainPass(model, PAD, 64), EXAMPLES),
}
"""What runs a model."""


def starts_while_somebody_has(model, call):
    """Whether a call on another thread runs or changes the model although this one has its turn."""
    reached = threading.Event()
    hook = model.register_forward_pre_hook(lambda *_: reached.set())
    before = state_of(model)
    with turn_on(model):
        caller = threading.Thread(target=call, daemon=True)
        caller.start()
        caller.join(WAIT_S)
        started = reached.is_set() or not caller.is_alive() or state_of(model) != before
    caller.join(PATIENCE_S)
    hook.remove()
    assert not caller.is_alive()
    return started


@pytest.mark.parametrize("name", CALLS)
def test_what_runs_a_model_waits_for_its_turn(name):
    model = tiny_model("gpt2", dtype=torch.float32)
    assert not starts_while_somebody_has(model, lambda: CALLS[name](model))


@pytest.mark.parametrize("name", BLOCKS)
def test_what_changes_a_model_waits_for_its_turn_and_keeps_it(name):
    model = tiny_model("gpt2", dtype=torch.float32)
    entered = threading.Event()

    def enter():
        with BLOCKS[name](model):
            entered.set()

    with turn_on(model):
        waiting = threading.Thread(target=enter, daemon=True)
        waiting.start()
        assert not entered.wait(WAIT_S)
    waiting.join(PATIENCE_S)
    assert entered.is_set()
    with BLOCKS[name](model):
        assert is_taken(model)
    assert not is_taken(model)


def is_taken(model):
    """Whether another thread would have to wait for the model."""
    got = threading.Event()

    def take():
        with turn_on(model):
            got.set()

    taker = threading.Thread(target=take, daemon=True)
    taker.start()
    return not got.wait(WAIT_S)


def test_the_turn_lasts_while_gradients_are_handed_over():
    model, taken = tiny_model("gpt2"), {}

    def sink(name, gradient):
        taken[name] = is_taken(model)

    maps = dict(list(maps_of(model, 4).items())[:2])
    capture_gradients(model, maps, BATCH, summed_cross_entropy, sink)
    assert taken == dict.fromkeys(maps, True)


def test_the_turn_lasts_until_the_weights_have_moved():
    model, taken = tiny_model("gpt2", dtype=torch.float32), []
    optimiser = make_optimiser(list(model.parameters()), RECIPE)
    optimiser.register_step_post_hook(lambda *_: taken.append(is_taken(model)))
    take_step(model, EXAMPLES, optimiser, RECIPE, PAD)
    assert taken == [True]


def test_captures_of_several_threads_give_the_numbers_of_one(hasty_threads):
    model = tiny_model("llama")
    maps = maps_of(model, 4)
    texts = [random_examples([5, 3 + number], seed=number) for number in range(4)]
    wanted = [captured(model, maps, examples) for examples in texts]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda number: captured(model, maps, texts[number % 4]), range(40)))
    assert len(found) == 40
    for number, gradients in enumerate(found):
        assert gradients.keys() == wanted[number % 4].keys()
        assert all(torch.equal(gradients[name], wanted[number % 4][name]) for name in maps)


def test_flags_and_parameters_are_as_they_were_after_several_threads(hasty_threads):
    model = tiny_model("gpt2", dtype=torch.float32).train()

    def freeze(_):
        with frozen(model):
            return any(parameter.requires_grad for parameter in model.parameters()), model.training

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(freeze, range(200))) == {(False, False)}
    assert model.training
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_the_thread_that_has_the_turn_takes_it_again():
    model = tiny_model("gpt2", dtype=torch.float32)
    wanted = captured(model, maps_of(model, 4), EXAMPLES)
    with turn_on(model), frozen(model), frozen(model):
        found = captured(model, maps_of(model, 4), EXAMPLES)
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)


def test_an_adapter_and_the_model_under_it_have_one_turn():
    wrapper = tiny_model("llama_lora")
    base = wrapper.get_base_model()
    assert base is not wrapper
    for held, other in ((wrapper, base), (base, wrapper)):
        with turn_on(held):
            assert is_taken(other)


def test_two_models_do_not_wait_for_each_other():
    with turn_on(tiny_model("gpt2")):
        assert not is_taken(tiny_model("gpt2"))


def test_an_error_gives_the_turn_back():
    model = tiny_model("gpt2")
    with pytest.raises(KeyError), turn_on(model):
        raise KeyError("failed")
    assert not is_taken(model)


class SlowlyFound(torch.nn.Linear):
    """Lets other threads run whenever it is looked up in a dictionary."""

    def __hash__(self):
        time.sleep(0.01)
        return id(self)


def test_threads_that_come_first_at_once_get_the_same_lock():
    model, barrier, inside, most = SlowlyFound(1, 1), threading.Barrier(4), [], []

    def enter(number):
        barrier.wait(PATIENCE_S)
        with turn_on(model):
            inside.append(number)
            time.sleep(0.01)
            most.append(len(inside))
            inside.remove(number)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(enter, range(4)))
    assert most == [1] * 4


def test_a_turn_keeps_no_model_alive_and_writes_nothing_onto_it():
    model = torch.nn.Linear(1, 1)
    before = sorted(vars(model))
    with turn_on(model):
        assert sorted(vars(model)) == before
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None
