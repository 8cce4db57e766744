"""The way Data → Index → Ask → Decide → Check → Export on Home, and the next step at the end of every page."""

from collections.abc import Sequence

import streamlit as st

from lorif_core.views.text import visible
from lorif_core.workspace.studio.road import Step, next_step

ONWARD = {
    "investigate": ("review", "Decide about what was found", {}),
    "compare": ("review", "Decide about what was found", {}),
    "failures": ("review", "Decide about what was found", {}),
    "corpus": ("investigate", "Ask why the model said something", {}),
    "review": ("what-if", "See what the model would say without them", {}),
    "what-if": ("export", "Export the data without them", {}),
    "history": ("export", "Export the data as it stands now", {}),
    "team": ("review", "Go on reviewing", {}),
    "export": ("indexes", "Trained on the export? Index the new model", {"tab": "Build"}),
    "indexes": ("investigate", "Ask a question", {}),
    "jobs": ("indexes", "See the indexes", {}),
}
"""By page: where its work leads, unless an earlier step is missing."""

EARLY = ("Data", "Index")
"""Steps without which no other page has anything to show."""


def draw(steps: Sequence[Step]) -> None:
    """Six steps beside each other: a mark for what is done, and a button for what comes next."""
    following = next_step(list(steps))
    with st.container(horizontal=True, key="road", gap="small"):
        for number, step in enumerate(steps, 1):
            state = "done" if step.is_done else "next" if step is following else "later"
            with st.container(border=True, key=f"road-{state}-{step.name.lower()}", gap="xsmall"):
                mark = "✓" if step.is_done else str(number)
                st.markdown(f"**{mark} · {step.name}**")
                st.text(visible(step.said))
                link(step.page, step.label, step.query)


def link(page: str, label: str, query: dict[str, str] | None = None) -> None:
    """A link to a page; nothing where pages are not known, as in tests of one page."""
    target = st.session_state.get("pages", {}).get(page)
    if target is not None:
        st.page_link(target, label=label, query_params=query or None)


def onward(page: str, steps: Sequence[Step]) -> None:
    """The last line of a page: where its work leads."""
    if page not in ONWARD:
        return
    missing = next((step for step in steps if step.name in EARLY and not step.is_done), None)
    target, label, query = ONWARD[page] if missing is None else (missing.page, missing.label, missing.query)
    if target == page and dict(query) == {key: st.query_params.get(key) for key in query}:
        return
    with st.container(horizontal=True, horizontal_alignment="right", key="onward"):
        link(target, f"Next: {label} →", query)
