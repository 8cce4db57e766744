"""The token renderer as a Streamlit component; the renderer itself is shared with notebooks."""

from collections.abc import Sequence

import streamlit as st
from streamlit.components import v2

from lorif_core.views import tokens as payloads
from lorif_core.views.hits import TokenPart

_SCRIPT, _STYLE = payloads.renderer_source()
_ENTRY = """
export default ({ parentElement, data, setStateValue }) => render(parentElement, data, setStateValue);
"""
_mount = v2.component("lorif_tokens", js=_SCRIPT + _ENTRY, css=_STYLE)


def draw(payload: payloads.Payload, *, key: str) -> None:
    """Draw a value of ``lorif_core.views.tokens``."""
    _mount(data=payload, key=key)


def text(content: str, *, key: str, found: Sequence[tuple[int, int]] = ()) -> None:
    """Show a text of the data literally, whatever it contains; what a search found in it is framed."""
    draw(payloads.text(content, found), key=key)


def legend(*, key: str) -> None:
    """What the marks in texts mean."""
    draw({"mode": "legend"}, key=key)


def picker(tokens: Sequence[TokenPart], selected: Sequence[int], *, key: str) -> list[int]:
    """Places of the tokens that are chosen, in order; none means all.

    Args:
        tokens: With their log-probabilities.
        selected: What is chosen before the first click.
        key: Another one for other tokens: it holds the choice.
    """
    known = st.session_state.get(key)
    now = list(known["selected"] or []) if known else list(selected)
    found = _mount(
        data=payloads.strip(tokens, now),
        key=key,
        default={"selected": list(selected)},
        on_selected_change=lambda: None,
    )
    return sorted(place for place in found.selected or [] if 0 <= place < len(tokens))
