"""A tokenizer and a small GPT-2-shaped model, trained on true texts, then fine-tuned on the sample texts.

Each text is encoded as tokens(prompt) + tokens(completion) + eos, padded on the right. Only the
completion and eos are trained on, so the objective of one text is the sum of their nats.
"""

import json
import random
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch.nn import functional
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

EOS = "<|endoftext|>"
PAD = "<|pad|>"
IGNORED = -100

VOCAB_SIZE = 2000
NUM_POSITIONS = 64
NUM_LAYERS = 4
NUM_HEADS = 4
WIDTH = 128

NUM_EPOCHS = 18
BATCH_SIZE = 32
PEAK_LEARNING_RATE = 1.2e-3
WARM_UP_FRACTION = 0.05
WEIGHT_DECAY = 0.01
MAX_ANSWER_TOKENS = 16


class EncodedText(NamedTuple):
    """Token ids of one text."""

    input_ids: list[int]
    """Prompt, completion and eos."""

    num_prompt_tokens: int
    """How many leading ids are not trained on."""


class Batch(NamedTuple):
    """Right-padded texts."""

    input_ids: torch.Tensor
    """Token ids, (B, T)."""

    attention_mask: torch.Tensor
    """1 on real tokens, (B, T)."""

    labels: torch.Tensor
    """Token ids where trained on, -100 elsewhere, (B, T)."""


def train_tokenizer(texts: Sequence[str]) -> PreTrainedTokenizerFast:
    """Byte-level BPE learnt from the texts."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE,
        special_tokens=[EOS, PAD],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=EOS,
        bos_token=EOS,
        pad_token=PAD,
        padding_side="right",
        model_max_length=NUM_POSITIONS,
        clean_up_tokenization_spaces=False,
    )


def special_id(tokenizer: PreTrainedTokenizerFast, role: str) -> int:
    """Id of the token with that role, eos or pad."""
    return int(getattr(tokenizer, f"{role}_token_id"))


def encode_text(tokenizer: PreTrainedTokenizerFast, prompt: str, completion: str) -> EncodedText:
    """Token ids of one text, prompt and completion encoded apart."""
    prompt_ids = tokenizer.encode(prompt, add_special_tokens=False)
    completion_ids = tokenizer.encode(completion, add_special_tokens=False)
    return EncodedText([*prompt_ids, *completion_ids, special_id(tokenizer, "eos")], len(prompt_ids))


def build_batch(texts: Sequence[EncodedText], pad_id: int) -> Batch:
    """Right-padded tensors of some texts."""
    width = max(len(text.input_ids) for text in texts)
    input_ids = torch.full((len(texts), width), pad_id)
    attention_mask = torch.zeros_like(input_ids)
    labels = torch.full_like(input_ids, IGNORED)
    for row, text in enumerate(texts):
        length = len(text.input_ids)
        input_ids[row, :length] = torch.tensor(text.input_ids)
        attention_mask[row, :length] = 1
        trained = slice(text.num_prompt_tokens, length)
        labels[row, trained] = input_ids[row, trained]
    return Batch(input_ids, attention_mask, labels)


def read_hidden(model: GPT2LMHeadModel, batch: Batch) -> torch.Tensor:
    """Last hidden states, (B, T, width)."""
    return model.transformer(input_ids=batch.input_ids, attention_mask=batch.attention_mask).last_hidden_state


def sum_nats(model: GPT2LMHeadModel, batch: Batch) -> torch.Tensor:
    """Objective in nats, summed over the trained tokens of the batch."""
    targets = batch.labels[:, 1:]  # (B, T-1)
    is_trained = targets != IGNORED
    # Logits of untrained positions would double the cost of a step.
    logits = model.lm_head(read_hidden(model, batch)[:, :-1][is_trained])
    return functional.cross_entropy(logits, targets[is_trained], reduction="sum")


def count_trained_tokens(texts: Sequence[EncodedText]) -> int:
    """Completion and eos tokens of the texts."""
    return sum(len(text.input_ids) - text.num_prompt_tokens for text in texts)


def iter_epoch(texts: Sequence[EncodedText], pad_id: int, rng: random.Random) -> Iterator[Batch]:
    """Batches of one pass over the texts in random order."""
    order = list(range(len(texts)))
    rng.shuffle(order)
    for start in range(0, len(order), BATCH_SIZE):
        yield build_batch([texts[n] for n in order[start : start + BATCH_SIZE]], pad_id)


def build_model(tokenizer: PreTrainedTokenizerFast, seed: int) -> GPT2LMHeadModel:
    """Model with random weights that follow from the seed."""
    config = GPT2Config(
        vocab_size=len(tokenizer),
        n_positions=NUM_POSITIONS,
        n_embd=WIDTH,
        n_layer=NUM_LAYERS,
        n_head=NUM_HEADS,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=special_id(tokenizer, "eos"),
        eos_token_id=special_id(tokenizer, "eos"),
        pad_token_id=special_id(tokenizer, "pad"),
        tie_word_embeddings=True,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return GPT2LMHeadModel(config)


def train_model(model: GPT2LMHeadModel, texts: Sequence[EncodedText], seed: int) -> dict[str, object]:
    """Fit the model in place; the recipe that did it, with the loss it reached."""
    num_steps = NUM_EPOCHS * -(-len(texts) // BATCH_SIZE)
    pad_id = int(model.config.pad_token_id or 0)
    optimiser = torch.optim.AdamW(model.parameters(), lr=PEAK_LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser,
        max_lr=PEAK_LEARNING_RATE,
        total_steps=num_steps,
        pct_start=WARM_UP_FRACTION,
        cycle_momentum=False,
    )
    rng = random.Random(f"{seed}:order")
    started = time.perf_counter()
    model.train()
    for epoch in range(1, NUM_EPOCHS + 1):
        epoch_nats = 0.0
        for batch in iter_epoch(texts, pad_id, rng):
            nats = sum_nats(model, batch)
            optimiser.zero_grad()
            (nats / (batch.labels != IGNORED).sum()).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            epoch_nats += nats.item()
        print(f"epoch {epoch}: {epoch_nats / count_trained_tokens(texts):.4f} nats per token")
    model.eval()
    return {
        **describe_recipe(seed),
        "num_texts": len(texts),
        "num_trained_tokens_per_epoch": count_trained_tokens(texts),
        "num_steps": num_steps,
        "final_loss_nats_per_token": round(measure_loss(model, texts), 4),
        "elapsed_s": round(time.perf_counter() - started, 1),
        "torch": torch.__version__,
    }


def fine_tune(folder: Path) -> GPT2LMHeadModel:
    """The base model of the sample data after its recipe, by the very code with which `lorif verify` repeats it."""
    from lorif_core.data.encoding import Encoder, pad_token
    from lorif_core.data.examples import Example
    from lorif_core.evaluation.recipe import read_recipe
    from lorif_core.evaluation.retraining import load_start, train

    recipe = read_recipe(folder / "recipe.toml")
    start = load_start(recipe, device="cpu")
    encoder = Encoder(start.tokenizer, recipe.max_length)
    rows = [json.loads(line) for line in (folder / "facts.jsonl").read_text(encoding="utf-8").splitlines()]
    texts = [encoder.encode(Example(row["id"], prompt=row["prompt"], completion=row["completion"])) for row in rows]
    losses = train(start.model, texts, recipe, seed=recipe.seed, pad_id=pad_token(start.tokenizer))
    print(f"fine-tuned in {len(losses)} steps, last 50 at {float(losses[-50:].mean()):.4f} nats per token")
    assert isinstance(start.model, GPT2LMHeadModel)
    return start.model


def describe_recipe(seed: int) -> dict[str, object]:
    """Settings of the training run."""
    return {
        "seed": seed,
        "init": "GPT2LMHeadModel(config) after torch.manual_seed(seed): normal, std 0.02",
        "architecture": f"GPT-2, {NUM_LAYERS} layers, width {WIDTH}, {NUM_HEADS} heads, no dropout",
        "encoding": "tokens(prompt) + tokens(completion) + eos, padded on the right",
        "loss": "cross-entropy on completion and eos, mean over the trained tokens of a batch",
        "optimiser": "AdamW, betas 0.9 and 0.999, gradient norm clipped at 1",
        "weight_decay": WEIGHT_DECAY,
        "peak_learning_rate": PEAK_LEARNING_RATE,
        "schedule": f"one cycle, cosine, warm-up over {WARM_UP_FRACTION:.0%} of the steps",
        "order": 'random.Random(f"{seed}:order").shuffle of all rows before each epoch',
        "num_epochs": NUM_EPOCHS,
        "batch_size": BATCH_SIZE,
    }


@torch.no_grad()
def measure_loss(model: GPT2LMHeadModel, texts: Sequence[EncodedText]) -> float:
    """Mean nats per trained token over all texts."""
    pad_id = int(model.config.pad_token_id or 0)
    nats = sum(
        sum_nats(model, build_batch(texts[start : start + 256], pad_id)).item() for start in range(0, len(texts), 256)
    )
    return nats / count_trained_tokens(texts)


@torch.no_grad()
def decode_greedily(model: GPT2LMHeadModel, tokenizer: PreTrainedTokenizerFast, prompts: Sequence[str]) -> list[str]:
    """Most likely completion of each prompt, token by token up to eos."""
    prefixes = [tokenizer.encode(prompt, add_special_tokens=False) for prompt in prompts]
    answers: list[list[int]] = [[] for _ in prompts]
    running = list(range(len(prompts)))
    for _ in range(MAX_ANSWER_TOKENS):
        if not running:
            break
        texts = [EncodedText(prefixes[n] + answers[n], 0) for n in running]
        batch = build_batch(texts, special_id(tokenizer, "pad"))
        hidden = read_hidden(model, batch)
        last = batch.attention_mask.sum(dim=1) - 1  # (B,)
        chosen = model.lm_head(hidden[torch.arange(len(running)), last]).argmax(dim=-1).tolist()
        for n, token in zip(running, chosen, strict=True):
            answers[n].append(token)
        running = [n for n in running if answers[n][-1] != tokenizer.eos_token_id]
    return [str(tokenizer.decode(answer, skip_special_tokens=True)) for answer in answers]


def write_model(model: GPT2LMHeadModel, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Save both in the form that AutoModelForCausalLM and AutoTokenizer read."""
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
