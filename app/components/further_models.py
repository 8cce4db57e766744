"""Further models whose scores are added to an index's own: what of ``MembersConfig`` belongs to the chosen method."""

from collections.abc import Callable
from typing import Any, TypeVar, get_args

import streamlit as st

from lorif_core.errors import ConfigError
from lorif_core.members_config import MembersConfig, MemberWeights, TrainedBy
from lorif_core.methods.method_settings import MethodSettings
from lorif_core.views.setting_fields import setting_fields

CHECKPOINTS_HELP = "A folder or a pattern of folders on each line, on the server."
MEANINGS = {one.name: one.meaning.removeprefix("--method source: ") for one in setting_fields(MembersConfig)}

Number = TypeVar("Number", int, float)


def draw(own: MethodSettings) -> MembersConfig:
    """The form; open where the method has no answer without checkpoints.

    Raises:
        ConfigError: What was typed cannot be.
    """
    with st.expander("Further models", expanded=own.unrolls_training, key=f"build-models-{own.unrolls_training}"):
        if own.unrolls_training:
            st.caption(
                "The checkpoints of the training, the model above the last of them: an index is built of each."
            )
            return MembersConfig(checkpoints=_checkpoints(), **_training())
        st.caption("Scores can be sums over several models, with an index each: checkpoints of a training, its base.")
        base = st.text_input("Base model", key="build-base", max_chars=4000, placeholder="none").strip()
        return MembersConfig(base=base or None, checkpoints=_checkpoints(), member_weights=_weights())


def _checkpoints() -> tuple[str, ...]:
    patterns = st.text_area(
        "Checkpoints", key="build-checkpoints", height=68, placeholder="out/checkpoint-*/", help=CHECKPOINTS_HELP
    )
    return tuple(line.strip() for line in patterns.splitlines() if line.strip())


def _weights() -> MemberWeights | None:
    return st.selectbox(
        "They weigh",
        get_args(MemberWeights),
        index=None,
        placeholder="as much as each other",
        key="build-weights",
        help=MEANINGS["member_weights"],
    )


def _training() -> dict[str, Any]:
    """How the model was trained, where nothing is typed as its trainer wrote down."""
    usual = "as trainer_state.json says"
    one, two = st.columns(2, gap="large")
    with one:
        segments = st.number_input(
            "Segments", 1, value=None, step=1, key="build-segments", placeholder="3", help=MEANINGS["segments"]
        )
        steps = st.text_input("Steps", key="build-steps", placeholder=usual, help=MEANINGS["steps"])
        texts = st.number_input(
            "Texts per step",
            1.0,
            value=None,
            key="build-texts-per-step",
            placeholder=usual,
            help=MEANINGS["texts_per_step"],
        )
    with two:
        trained_by = st.selectbox(
            "Trained by",
            get_args(TrainedBy),
            index=None,
            placeholder="adamw",
            key="build-trained-by",
            help=MEANINGS["trained_by"],
        )
        rates = st.text_input("Learning rates", key="build-rates", placeholder=usual, help=MEANINGS["learning_rates"])
    return {
        "segments": None if segments is None else int(segments),
        "steps": _numbers("Steps", steps, int),
        "learning_rates": _numbers("Learning rates", rates, float),
        "trained_by": trained_by,
        "texts_per_step": texts,
    }


def _numbers(name: str, typed: str, kind: Callable[[str], Number]) -> tuple[Number, ...]:
    try:
        return tuple(kind(one) for one in typed.split())
    except ValueError as error:
        raise ConfigError(f"{name} are numbers with a space between them, got {typed!r}. Type them again.") from error
