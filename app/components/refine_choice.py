"""Whether a question is refined, by whose curvature, and what that costs."""

from typing import Any, Literal

import streamlit as st

from lorif_core.config import ScoreConfig

Choice = Literal["no", "codes", "model"]

CHOICES: dict[Choice, str] = {
    "no": "No: plain scores, the fastest",
    "codes": "By what the stored texts share",
    "model": "By the model's own curvature",
}
USUAL_STEPS: dict[Choice, int] = {"codes": 2, "model": 2}

COSTS: dict[Choice, str] = {
    "codes": "Each step reads every stored text. For indexes of the default method.",
    "model": "Each step takes three passes of the model over these training texts: seconds with a small model, "
    "minutes with a large one. Nothing is stored. For indexes of the default method.",
}


def draw() -> dict[str, Any]:
    """Settings of ``ScoreConfig`` that differ from those of a plain question."""
    choice = st.selectbox(
        "Refine the question",
        list(CHOICES),
        format_func=lambda name: CHOICES[name],
        key="ask-refine",
        persist_state="session",
        help="Scores take a question's curvature as a product of two small matrices per module. Refining it solves "
        "for the rest, over all modules together.",
    )
    if choice == "no":
        return {}
    steps = st.number_input(
        "Steps", 1, 100, USUAL_STEPS[choice], key=f"ask-refine-steps-{choice}", persist_state="session"
    )
    chosen: dict[str, Any] = {"refine": int(steps)}
    if choice == "model":
        batch = st.number_input(
            "Training texts", 1, 100_000, ScoreConfig().batch, key="ask-refine-batch", persist_state="session"
        )
        chosen |= {"refine_by": "model", "batch": int(batch)}
    st.caption(COSTS[choice])
    return chosen
