"""What few change about a question: how it is put, how long the lists are, how it is scored, how the model writes."""

from typing import NamedTuple

import streamlit as st

from app.components import chat_form, refine_choice
from lorif_core.config import GenerateConfig, Normalisation, ScoreConfig, Search
from lorif_core.workspace.asking.question import Form

NORMALISATIONS: dict[Normalisation, str] = {
    "unit": "Without a unit: a text against itself is 1 (unit)",
    "none": "Influence in nats, as it is added up (none)",
    "relatif": "Divide by the root of self-influence (RelatIF)",
    "tempered": "Divide by its fourth root",
}
SEARCHES: dict[Search | None, str] = {
    None: "Fast for large indexes, else exact",
    "exact": "Exact: score every text",
    "fast": "Fast: read what matters most",
}
LENGTHS = [10, 20, 50, 100]


class Options(NamedTuple):
    """What the widgets say."""

    form: Form
    k: int
    """Texts per list."""

    scoring: ScoreConfig
    """Its objective is that of a question that is not compared with anything."""

    search: Search | None
    generate: GenerateConfig
    ends: bool
    """Whether the completion is explained with an end token behind it."""


def draw(index_id: str, *, is_of_table: bool = False) -> Options:
    """The options, folded away.

    Args:
        index_id: Which index is asked.
        is_of_table: It holds losses and has no model.
    """
    with st.expander("Options", key="ask-options"):
        form = "raw" if is_of_table else chat_form.choose(index_id)
        k = st.selectbox("Texts per list", LENGTHS, key="ask-k", persist_state="session")
        normalisation = st.selectbox(
            "Scores",
            list(NORMALISATIONS),
            format_func=lambda name: NORMALISATIONS[name],
            key="ask-normalisation",
            persist_state="session",
        )
        search = st.selectbox(
            "Search",
            list(SEARCHES),
            format_func=lambda name: SEARCHES[name],
            key="ask-search",
            persist_state="session",
            help="Percentiles, comparisons and what-ifs need the scores of all texts, which an exact search keeps.",
        )
        refined = {} if is_of_table else refine_choice.draw()
        generate, ends = (GenerateConfig(), False) if is_of_table else (_generation(), _ends())
    return Options(form, int(k), ScoreConfig(normalisation=normalisation, **refined), search, generate, ends)


def _ends() -> bool:
    return st.checkbox(
        "The completion ends there",
        key="ask-ends",
        persist_state="session",
        help="Explain the end token behind a typed completion, too. Without it, exactly what is typed is explained.",
    )


def _generation() -> GenerateConfig:
    length = st.number_input("Longest generation, in tokens", 1, 512, 32, key="ask-length", persist_state="session")
    heat = st.slider(
        "Temperature",
        0.0,
        2.0,
        0.0,
        0.1,
        key="ask-temperature",
        persist_state="session",
        help="0 takes the likeliest token each time; above 0, the seed decides.",
    )
    seed = st.number_input("Seed", 0, 2**31, 0, key="ask-seed", persist_state="session")
    return GenerateConfig(max_new_tokens=int(length), temperature=heat, sampling_seed=int(seed))
