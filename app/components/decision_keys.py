"""The keys of the studio, the bar under a list with selected texts, and the toast with its Undo.

One component at the foot of every page hears keys, draws the bar and the toast, and sends what was decided, by id. A
page says with ``chosen_texts.offer`` which texts are on screen; Python writes the decision, so that roles, reasons
and confirmations are checked where they always are. Keys of a page's own buttons are letters of ``KEYS``, too.
"""

from importlib.resources import files
from typing import Any, Literal, NamedTuple

import streamlit as st
from streamlit.components import v2

from app import session
from app.components import decide

KEY = "decision-keys"

KEEP, FLAG, EXCLUDE, REVIEW, SKIP = "a", "f", "x", "n", "s"
UNDO, NEXT, PREVIOUS, COMMENT, NEAR = "u", "j", "k", "m", "t"
"""Letters of buttons; A for keep as in Prodigy, because K moves up."""

KEYS = (
    ("J K", "Next text, previous text"),
    ("Space", "Select the text under the cursor"),
    ("Enter", "Read it in full"),
    ("A", "Keep"),
    ("F", "Flag"),
    ("X", "Exclude, with the last reason if there is one"),
    ("E", "Exclude with another reason"),
    ("N", "Needs review"),
    ("U", "Undo your latest decision"),
    ("1 … 9", "Choose a reason, where reasons are shown"),
    ("S", "Skip, in Review"),
    ("T", "Decide about the near texts, too, in Review"),
    ("M", "Write a comment, in Review"),
    ("Esc", "Clear the selection, or close what is open"),
    ("?", "Show or hide this list"),
)
"""What each key does; the same on every page."""


class Desk(NamedTuple):
    """What the keys of a page are about."""

    rows: list[tuple[str, str, str]]
    """Train id, status and the id as it is shown, in the order of the screen."""

    dataset: str | None
    query: str | None
    frame: str | None = None
    """Part of the class of a table whose cells show the ids; None: rows have checkboxes of ``chosen_texts.tick``."""

    selected: tuple[str, ...] = ()
    """Ids of the table's rows that are selected."""

    row_height: int = 35
    header: int = 35

    is_quiet: bool = False
    """The page has buttons with letters of its own; only ? is heard here."""


NOTHING = Desk([], None, None)

_SOURCE = files("app.components")
_mount = v2.component(
    "lorif_decision_keys",
    js=_SOURCE.joinpath("decision_keys.js").read_text(encoding="utf-8"),
    css=_SOURCE.joinpath("decision_keys.css").read_text(encoding="utf-8"),
)


def mount(data: dict[str, Any], key: str, *, width: int | Literal["stretch"] = "stretch") -> None:
    """Draw a checkbox or texts of a dialog; modes are told in ``decision_keys.js``."""
    _mount(data=data, key=key, width=width)


def forget() -> None:
    """Forget what an earlier run put on the desk; the shell calls it before the page."""
    st.session_state["desk"] = NOTHING


def draw() -> None:
    """Hear the keys and draw the foot of the page; the shell calls it after the page."""
    desk: Desk = st.session_state.get("desk", NOTHING)
    _mount(
        key=KEY,
        height=0,
        data={
            "mode": "desk",
            "tab": session.tab_id(),
            "rows": desk.rows,
            "of": {"dataset": desk.dataset, "query": desk.query},
            "frame": desk.frame,
            "selected": list(desk.selected),
            "rowHeight": desk.row_height,
            "header": desk.header,
            "isQuiet": desk.is_quiet,
            "reason": decide.last_reason(),
            "keys": KEYS,
            "toast": session.toast(),
        },
        default={"acts": []},
        on_acts_change=_hear,
    )


def _hear() -> None:
    acts = st.session_state[KEY]["acts"] or []
    seen = st.session_state.get("acts-heard", 0)
    for act in acts:
        # After a restart of the server the browser sends what an earlier session did already once more.
        if act["n"] > seen and act.get("tab") == session.tab_id():
            st.session_state["acts-heard"] = act["n"]
            _do(act)


def _do(act: dict[str, Any]) -> None:
    """One act of the browser; what it may do is judged by the workspace, as for every other."""
    name, ids = act["act"], list(act["ids"])
    if name == "undo":
        session.take_back(act.get("batch"), act.get("dataset"))
    elif name == "open" and ids:
        session.set_url(open=ids[0])
    elif ids and name in decide.ACTS:
        options = decide.Options(dataset=act["dataset"], query=act["query"])
        request = session.request_id(f"key-{act['n']}", ids)
        decide.act_on(ids, decide.ACTS[name], request, options, asks=name == "exclude-why")
