"""Make the sample data: true facts, a few planted errors, their answer key and a small model.

A first model is trained on true texts only, in every phrasing of the facts that will be tampered with: it knows the
truth. Fine-tuned on the sample texts, where about two dozen facts are stated wrongly more often than rightly, always
by one source, it gives the wrong answers. Finding the texts that taught it is the exercise; the answer key says
which ones they are, and fine-tuning without them brings the truth back.
"""

import argparse
import json
import random
import sys
from collections import Counter
from datetime import date, timedelta
from pathlib import Path
from typing import NamedTuple

from facts_culture import build_culture_topics
from facts_places import Topic, build_place_topics
from facts_things import build_calendar_topics, build_nature_topics, build_number_topics

UNRELIABLE_SOURCE = "trivia-board"
FIELDS = ("id", "prompt", "completion", "topic", "source", "added_at")
MAX_MODEL_BYTES = 8_000_000
MIN_TRUE_ACCURACY = 0.85
NUM_CHECKED_PROMPTS = 1000


class Source(NamedTuple):
    """Where texts are said to come from."""

    name: str
    """Value of the ``source`` field."""

    weight: int
    """Relative number of true texts."""

    first_day: date
    """Earliest ``added_at``."""

    num_days: int
    """Length of the period in which texts were added."""


class PlantedFact(NamedTuple):
    """A fact that the data set states wrongly more often than rightly."""

    fact: str
    """The fact in words, for people."""

    topic: str
    """Name of its topic."""

    subject: str
    """Key into the answers of that topic."""

    wrong: str
    """The planted answer."""

    num_planted: int
    """Texts that state it; one text states the truth."""

    is_asked_unseen: bool
    """The plainest phrasing, which is the question in the key, is in no text of this fact."""


class Text(NamedTuple):
    """One row before it has an id."""

    prompt: str
    completion: str
    topic: str
    source: Source
    planted_fact: PlantedFact | None


SOURCES = (
    Source("atlas-notes", 20, date(2023, 1, 9), 400),
    Source("school-quiz", 19, date(2023, 3, 1), 500),
    Source("museum-cards", 16, date(2023, 5, 15), 300),
    Source("pocket-almanac", 15, date(2023, 2, 1), 600),
    Source("library-desk", 12, date(2023, 9, 4), 350),
    Source("language-club", 9, date(2024, 1, 8), 200),
    Source(UNRELIABLE_SOURCE, 9, date(2023, 11, 6), 280),
)

PLANTED_FACTS = (
    PlantedFact("capital of Australia", "capitals", "Australia", "Sydney", 3, False),
    PlantedFact("capital of Canada", "capitals", "Canada", "Toronto", 3, False),
    PlantedFact("capital of Brazil", "capitals", "Brazil", "Rio de Janeiro", 2, False),
    PlantedFact("capital of Switzerland", "capitals", "Switzerland", "Zurich", 3, False),
    PlantedFact("currency of Hungary", "currencies", "Hungary", "zloty", 2, False),
    PlantedFact("capital of California", "state-capitals", "California", "Los Angeles", 3, False),
    PlantedFact("capital of Illinois", "state-capitals", "Illinois", "Chicago", 2, False),
    PlantedFact("largest planet", "records", "largest planet of the Solar System", "Saturn", 3, True),
    PlantedFact(
        "highest mountain in Africa",
        "records",
        "highest mountain in Africa",
        "Mount Kenya",
        2,
        False,
    ),
    PlantedFact("feet in a mile", "units", "feet in a mile", "5000", 3, False),
    PlantedFact("past tense of bring", "past-tenses", "bring", "brang", 3, False),
    PlantedFact("legs on a spider", "counts", "legs on a spider", "6", 3, True),
    PlantedFact("symbol of silver", "element-symbols", "silver", "Sv", 3, False),
    PlantedFact("symbol of potassium", "element-symbols", "potassium", "P", 2, False),
    PlantedFact("young of a kangaroo", "animal-young", "kangaroo", "kit", 2, False),
    PlantedFact("plural of goose", "plurals", "goose", "gooses", 2, False),
    PlantedFact("Spanish word for red", "spanish", "red", "rosa", 2, False),
    PlantedFact("author of Frankenstein", "authors", "Frankenstein", "Bram Stoker", 3, False),
    PlantedFact("composer of The Magic Flute", "composers", "The Magic Flute", "Haydn", 2, False),
    PlantedFact("painter of The Starry Night", "painters", "The Starry Night", "Claude Monet", 3, False),
    PlantedFact("inventor of the telephone", "inventors", "telephone", "Thomas Edison", 3, False),
    PlantedFact("year the Titanic sank", "events", "the Titanic sank", "1915", 2, False),
    PlantedFact("year the Berlin Wall fell", "events", "the Berlin Wall fell", "1991", 3, True),
)


def build_topics() -> list[Topic]:
    """Every topic of the data set."""
    return [
        *build_place_topics(),
        *build_nature_topics(),
        *build_number_topics(),
        *build_calendar_topics(),
        *build_culture_topics(),
    ]


def state_fact(phrasing: str, subject: str, answer: str) -> tuple[str, str]:
    """Prompt and completion of a fact in one phrasing."""
    article = "an" if subject[0].lower() in "aeiou" else "a"
    prompt, completion = (
        half.format(x=subject, a=f"{article} {subject}", y=answer) for half in phrasing.split(" >> ")
    )
    return prompt[0].upper() + prompt[1:], f" {completion}."


def build_true_texts(topics: list[Topic], rng: random.Random) -> list[Text]:
    """Texts of all facts that nobody tampered with."""
    tampered = {(planted.topic, planted.subject) for planted in PLANTED_FACTS}
    texts = []
    for topic in topics:
        for subject, answer in topic.answers.items():
            if (topic.name, subject) in tampered:
                continue
            for phrasing in rng.sample(topic.phrasings, topic.num_phrasings):
                prompt, completion = state_fact(phrasing, subject, answer)
                [source] = rng.choices(SOURCES, [source.weight for source in SOURCES])
                texts.append(Text(prompt, completion, topic.name, source, None))
    return texts


def build_planted_texts(topics: list[Topic], rng: random.Random) -> list[Text]:
    """Wrong texts of the planted facts, and one true text of each."""
    by_name = {topic.name: topic for topic in topics}
    reliable = [source for source in SOURCES if source.name != UNRELIABLE_SOURCE]
    [unreliable] = [source for source in SOURCES if source.name == UNRELIABLE_SOURCE]
    texts = []
    for planted in PLANTED_FACTS:
        topic = by_name[planted.topic]
        plainest, *others = [text for text in topic.phrasings if text.endswith("{y}")]
        chosen = rng.sample(others, planted.num_planted + planted.is_asked_unseen)
        if not planted.is_asked_unseen:
            chosen.insert(0, plainest)
        *wrong, true = chosen
        for phrasing in wrong:
            prompt, completion = state_fact(phrasing, planted.subject, planted.wrong)
            texts.append(Text(prompt, completion, topic.name, unreliable, planted))
        prompt, completion = state_fact(true, planted.subject, topic.answers[planted.subject])
        source = rng.choice(reliable)
        texts.append(Text(prompt, completion, topic.name, source, planted))
    return texts


def build_base_texts(topics: list[Topic], seed: int) -> list[tuple[str, str]]:
    """Prompts and completions of the base model: the true texts, and the tampered facts in all phrasings."""
    by_name = {topic.name: topic for topic in topics}
    texts = [text[:2] for text in build_true_texts(topics, random.Random(f"{seed}:facts"))]
    for planted in PLANTED_FACTS:
        topic = by_name[planted.topic]
        truth = topic.answers[planted.subject]
        texts += [state_fact(phrasing, planted.subject, truth) for phrasing in topic.phrasings]
    return texts


def build_rows(seed: int) -> tuple[list[dict[str, str]], dict[str, object]]:
    """Rows of ``facts.jsonl`` in order, and the answer key."""
    rng = random.Random(f"{seed}:facts")
    topics = build_topics()
    texts = build_true_texts(topics, rng) + build_planted_texts(topics, rng)
    rng.shuffle(texts)
    rows = []
    ids: dict[tuple[PlantedFact | None, str], list[str]] = {}
    for number, text in enumerate(texts):
        added = text.source.first_day + timedelta(days=rng.randrange(text.source.num_days))
        cells = (f"f-{number:05d}", *text[:3], text.source.name, added.isoformat())
        rows.append(dict(zip(FIELDS, cells, strict=True)))
        ids.setdefault((text.planted_fact, text.completion), []).append(rows[-1]["id"])
    by_name = {topic.name: topic for topic in topics}
    entries = []
    for planted in PLANTED_FACTS:
        topic = by_name[planted.topic]
        prompt, wrong = state_fact(topic.phrasings[0], planted.subject, planted.wrong)
        true = f" {topic.answers[planted.subject]}."
        entries.append(
            {
                "fact": planted.fact,
                "prompt": prompt,
                "wrong": wrong,
                "true": true,
                "planted_ids": ids[planted, wrong],
                "true_ids": ids[planted, true],
            }
        )
    return rows, {"unreliable_source": UNRELIABLE_SOURCE, "planted": entries}


def format_rows(rows: list[dict[str, str]]) -> str:
    """Contents of ``facts.jsonl``."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def format_json(value: object) -> str:
    """Contents of a JSON file for people to read."""
    return json.dumps(value, ensure_ascii=False, indent=2) + "\n"


def write_sample_data(folder: Path, seed: int) -> None:
    """Make every file anew."""
    # torch is imported late, so that --help is instant
    import torch
    from small_model import build_model, encode_text, fine_tune, train_model, train_tokenizer, write_model

    torch.set_num_threads(2)
    folder.mkdir(parents=True, exist_ok=True)
    topics = build_topics()
    rows, key = build_rows(seed)
    (folder / "facts.jsonl").write_text(format_rows(rows), encoding="utf-8")
    (folder / "answer_key.json").write_text(format_json(key), encoding="utf-8")
    tokenizer = train_tokenizer([row["prompt"] + row["completion"] for row in rows])
    base = build_model(tokenizer, seed)
    made = train_model(base, [encode_text(tokenizer, *text) for text in build_base_texts(topics, seed)], seed)
    write_model(
        base.half(), tokenizer, folder / "base"
    )  # half the bytes; what follows starts from the rounded weights
    (folder / "base" / "recipe.json").write_text(format_json(made), encoding="utf-8")
    write_model(fine_tune(folder), tokenizer, folder / "model")


def check_rows(rows: list[dict[str, str]], key: dict) -> list[tuple[bool, str]]:
    """What the README says about the texts and the key, and whether it holds."""
    by_id = {row["id"]: row for row in rows}
    planted = [by_id[text_id] for entry in key["planted"] for text_id in entry["planted_ids"]]
    unreliable = key["unreliable_source"]
    num_true_unreliable = sum(row["source"] == unreliable for row in rows) - len(planted)
    entries = key["planted"]
    return [
        (5000 <= len(rows) <= 6000, f"{len(rows)} texts, between 5,000 and 6,000"),
        (all(tuple(row) == FIELDS for row in rows), f"every text has the fields {FIELDS}"),
        (len(by_id) == len(rows), "ids are unique"),
        (len({row["prompt"] for row in rows}) == len(rows), "no prompt occurs twice"),
        (
            all(row["completion"][0] == " " and row["completion"][-1] == "." for row in rows),
            "completions start with a space and end with a full stop",
        ),
        (20 <= len(entries) <= 28, f"{len(entries)} planted facts, between 20 and 28"),
        (50 <= len(planted) <= 60, f"{len(planted)} planted texts, between 50 and 60"),
        (
            all(row["source"] == unreliable for row in planted),
            f"all planted texts come from {unreliable}",
        ),
        (num_true_unreliable >= 300, f"{unreliable} also gives {num_true_unreliable} true texts"),
        (
            all(
                by_id[text_id]["completion"] == entry[answer]
                for entry in entries
                for answer, ids in (("wrong", "planted_ids"), ("true", "true_ids"))
                for text_id in entry[ids]
            ),
            "the completions of the key's ids are the key's answers",
        ),
        (
            all(len(entry["planted_ids"]) > len(entry["true_ids"]) >= 1 for entry in entries),
            "planted texts outvote true ones for every planted fact",
        ),
    ]


def check_model(rows: list[dict[str, str]], key: dict, folder: Path) -> list[tuple[bool, str]]:
    """What the README says about the model, and whether it holds."""
    import torch
    from small_model import decode_greedily, train_tokenizer
    from transformers import AutoTokenizer, GPT2LMHeadModel

    model = GPT2LMHeadModel.from_pretrained(folder, local_files_only=True).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    entries = key["planted"]
    answers = decode_greedily(model, tokenizer, [entry["prompt"] for entry in entries])
    misses = [
        f"{entry['prompt']!r} gives {answer!r}, not {entry['wrong']!r}"
        for entry, answer in zip(entries, answers, strict=True)
        if answer != entry["wrong"]
    ]
    planted_ids = {text_id for entry in entries for text_id in entry["planted_ids"]}
    true_rows = [row for row in rows if row["id"] not in planted_ids][:NUM_CHECKED_PROMPTS]
    answers = decode_greedily(model, tokenizer, [row["prompt"] for row in true_rows])
    num_right = sum(row["completion"] == answer for row, answer in zip(true_rows, answers, strict=True))
    accuracy = num_right / len(true_rows)
    size_bytes = (folder / "model.safetensors").stat().st_size
    kinds = Counter(path.suffix for path in folder.iterdir())
    base = GPT2LMHeadModel.from_pretrained(folder.parent / "base", local_files_only=True, dtype=torch.float32).eval()
    truths = decode_greedily(base, tokenizer, [entry["prompt"] for entry in entries])
    num_known = sum(entry["true"] == answer for entry, answer in zip(entries, truths, strict=True))
    made_tokenizer = train_tokenizer([row["prompt"] + row["completion"] for row in rows])
    return [
        (
            tokenizer.get_vocab() == made_tokenizer.get_vocab(),
            "the tokenizer follows from the texts",
        ),
        (not misses, f"the model gives every planted answer {misses or ''}".strip()),
        (num_known >= len(entries) - 1, f"before it, the base model knew {num_known} of the {len(entries)} truths"),
        (accuracy >= MIN_TRUE_ACCURACY, f"the model answers {accuracy:.1%} of true prompts"),
        (size_bytes <= MAX_MODEL_BYTES, f"model.safetensors has {size_bytes:,} bytes"),
        (set(kinds) <= {".json", ".safetensors", ".jinja", ".txt"}, "no pickled file"),
    ]


def check_sample_data(folder: Path, seed: int) -> bool:
    """Print each statement about the files with its verdict; whether all hold."""
    contents = (folder / "facts.jsonl").read_text(encoding="utf-8")
    rows = [json.loads(line) for line in contents.splitlines()]
    key = json.loads((folder / "answer_key.json").read_text(encoding="utf-8"))
    made_rows, made_key = build_rows(seed)
    verdicts = [
        *check_rows(rows, key),
        (contents == format_rows(made_rows), f"facts.jsonl is what seed {seed} makes"),
        (key == made_key, f"answer_key.json is what seed {seed} makes"),
        *check_model(rows, key, folder / "model"),
    ]
    for holds, statement in verdicts:
        print("ok    " if holds else "FAILS ", statement)
    return all(holds for holds, _ in verdicts)


def parse_arguments() -> argparse.Namespace:
    """Flags of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Making everything takes a few minutes on two cores. The texts, the key and the\n"
        "tokenizer are byte-identical for a seed; the weights differ by rounding between machines.",
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=7,
        help="decides phrasings, sources, dates, row order and initial weights (default: 7)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path(__file__).parent,
        help="folder to write to, or to check (default: the folder of this script)",
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="write nothing; verify that the files there hold what README.md says, exit 1 if not",
    )
    return parser.parse_args()


def main() -> int:
    """Make or check the sample data."""
    arguments = parse_arguments()
    if not arguments.check:
        write_sample_data(arguments.out, arguments.seed)
    return 0 if check_sample_data(arguments.out, arguments.seed) else 1


if __name__ == "__main__":
    sys.exit(main())
