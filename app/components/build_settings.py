"""What a method is told before it builds, field by field, as its settings class declares them."""

from typing import Any

import streamlit as st

from lorif_core.methods.method_settings import MethodSettings
from lorif_core.methods.registry import METHODS
from lorif_core.views.method_rows import method_row, sentence
from lorif_core.views.setting_fields import SettingField, setting_fields

LABELS = {
    "alpha": "Damping α of the codes",
    "damping": "Damping, absolute",
    "damping_ratio": "Damping ratio",
    "damping_rule": "Damping is relative to",
    "f": "Projection divisor f",
    "factor_rank": "Rank of the codes",
    "head_columns": "Columns of the output head",
    "models": "Models that are compared",
    "stats_examples": "Texts for the statistics",
    "subspace_rank": "Directions of the curvature",
}
"""Names of settings for people; others are called what they are."""

BUDGET = "budget"
"""Asked for beside the model, for it decides what most of the others are."""

NOT_TYPED = ("is_imported",)
"""What `lorif import-losses` says by itself."""

CHOSEN_BY_BUDGET = ("factor_rank", "f", "head_columns")
"""What a number of bytes per text decides; f only where nothing is typed."""

SHOWN = ("Method", "What it is", "Needs", "Stores per text", "When to use it")
"""Of the methods side by side; docs/reference/methods.md has the rest."""

METHOD_HELP = "  \n".join(f"**{name}**: {entry.summary}" for name, entry in METHODS.items())


def card(name: str) -> None:
    """What the chosen method is for, in a sentence, and all of them side by side."""
    entry = METHODS[name]
    with st.container(border=True, key="method-card", gap="xsmall"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"**{name}** · {sentence(entry)}")
            if st.button("All methods", type="tertiary", key="methods"):
                _side_by_side()
        st.caption(f"Needs {entry.inputs} · {entry.passes} · stores {entry.stores} · {entry.when}")


@st.dialog("Methods", width="large")
def _side_by_side() -> None:
    rows = [method_row(one) for one in METHODS.values()]
    st.table({column: [row[column] for row in rows] for column in SHOWN}, hide_index=True)


def further(own: MethodSettings, budget: str) -> dict[str, Any]:
    """What was typed of the method's settings; what is left empty is its own."""
    found: dict[str, Any] = {BUDGET: budget} if budget else {}
    rest = [one for one in setting_fields(type(own)) if one.name not in (BUDGET, *NOT_TYPED)]
    for column, some in zip(st.columns(2, gap="large"), (rest[::2], rest[1::2]), strict=True):
        with column:
            found |= {one.name: _draw(one, budget) for one in some}
    return {name: value for name, value in found.items() if value is not None}


def _draw(field: SettingField, budget: str) -> Any:
    """One setting; None where nothing is typed."""
    label, key = LABELS.get(field.name, field.name.replace("_", " ").capitalize()), f"build-{field.name}"
    is_bought = bool(budget) and field.name in CHOSEN_BY_BUDGET
    own = "chosen by the method" if field.usual is None else f"the method's own: {_told(field.usual)}"
    usual = "chosen by the bytes per text" if is_bought else own
    is_locked = is_bought and field.name != "f"
    if field.choices:
        return st.selectbox(label, field.choices, index=None, placeholder=usual, key=key, help=field.meaning)
    if field.kind is bool:
        return st.checkbox(label, bool(field.usual), key=key, help=field.meaning)
    if field.kind is str:
        return st.text_input(label, key=key, placeholder=usual, max_chars=4000, help=field.meaning).strip() or None
    if field.kind is tuple:
        typed = st.text_input(label, key=key, placeholder=usual, max_chars=4000, help=field.meaning)
        return tuple(typed.split()) or None
    is_whole = field.kind is int
    typed = st.number_input(
        label,
        value=None,
        min_value=0 if is_whole else 0.0,
        step=1 if is_whole else None,
        format=None if is_whole else "%.4g",
        key=key,
        placeholder=usual,
        disabled=is_locked,
        help=field.meaning,
    )
    return None if is_locked or typed is None else field.kind(typed)


def _told(usual: Any) -> str:
    if usual == ():
        return "none"
    return f"{usual:,}" if isinstance(usual, int) and not isinstance(usual, bool) else f"{usual}"
