"""Keep, flag and exclude, for one text or for many: always at the same place, always by id."""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, TypedDict

import streamlit as st

from app import session
from lorif_core.journal.entries import Batch, Reason
from lorif_core.views.decision_words import counted_texts

MANY = 50
"""More texts than this at once want a confirmation."""

LABEL = "needs-review"
MAX_KEYS = 9
OTHER_REASON = "e"

Action = Literal["keep", "flag", "exclude", "review"]

ACTS: dict[str, Action] = {
    "keep": "keep",
    "flag": "flag",
    "exclude": "exclude",
    "exclude-why": "exclude",
    "needs-review": "review",
}
"""What the browser calls an act → what it is."""


class Words(NamedTuple):
    """How an action is named."""

    button: str
    done: str
    title: str
    sure: str


WORDS: dict[Action, Words] = {
    "keep": Words("Keep", "Kept", "Keep in the data", "Yes, keep all {:,}"),
    "flag": Words("Flag", "Flagged", "Flag as suspicious", "Yes, flag all {:,}"),
    "exclude": Words("Exclude", "Excluded", "Exclude from the data", "Yes, exclude all {:,}"),
    "review": Words("Needs review", "Marked for review:", "Mark for review", "Yes, mark all {:,} for review"),
}


class Options(TypedDict):
    """Where a decision belongs."""

    dataset: str
    query: str | None


class Shortcuts(NamedTuple):
    """Bare letters that press the buttons, unless a text box has the focus."""

    flag: str | None = None
    exclude: str | None = None
    restore: str | None = None


NO_SHORTCUTS = Shortcuts()


def buttons(
    ids: Sequence[str],
    status: str,
    *,
    key: str,
    dataset: str,
    query: str | None = None,
    shortcuts: Shortcuts = NO_SHORTCUTS,
) -> None:
    """Three buttons in a row; those that would change nothing are disabled but keep their place.

    Args:
        ids: Train ids that a click decides about.
        status: kept, flagged, excluded, or mixed.
        key: Unique on the page.
        dataset: Id of the data set.
        query: Id of the question that led here.
        shortcuts: Keys for the three; for one place of a page only.
    """
    options, reason = Options(dataset=dataset, query=query), last_reason()
    why = f"As {reason}, the last reason; the key E chooses another." if reason else "Leave it out of every export."
    rows: list[tuple[str, Action, str, str | None, str, str]] = [
        ("flag", "flag", "Flag", shortcuts.flag, "flagged", "Mark as suspicious; it stays in the data."),
        ("exclude", "exclude", "Exclude" if reason else "Exclude…", shortcuts.exclude, "excluded", why),
        ("restore", "keep", "Keep", shortcuts.restore, "kept", "Keep it, whatever was decided before."),
    ]
    for name, action, label, letter, already, explanation in rows:
        st.button(
            label,
            key=f"{key}-{name}",
            on_click=act_on,
            args=(list(ids), action, session.request_id(action, ids), options),
            disabled=status == already or not ids,
            shortcut=letter,
            help=explanation,
        )
    if reason and shortcuts.exclude:
        other_reason(ids, options, key=key, is_off=status == "excluded" or not ids)


def other_reason(
    ids: Sequence[str],
    options: Options,
    *,
    key: str,
    is_off: bool = False,
    then: Callable[[Batch], None] | None = None,
) -> None:
    """The button that asks for a reason although one is remembered; for one place of a page only."""
    st.button(
        "Other reason…",
        key=f"{key}-exclude-why",
        on_click=act_on,
        args=(list(ids), "exclude", session.request_id("exclude-why", ids), options),
        kwargs={"asks": True, "then": then},
        disabled=is_off,
        shortcut=OTHER_REASON,
        help="Exclude with another reason than the last.",
    )


def last_reason() -> str | None:
    """The reason that was given last in this tab, which the next exclusion takes."""
    return st.session_state.get("last-reason")


def act_on(
    ids: list[str],
    action: Action,
    request: str,
    options: Options,
    *,
    asks: bool = False,
    then: Callable[[Batch], None] | None = None,
) -> None:
    """Decide, or ask first: for a reason that is not known yet, or because there are many. For callbacks.

    Args:
        ids: The texts.
        action: What to do.
        request: Names the request, so that the same one again is no second act.
        options: Data set and question.
        asks: Ask for a reason although one is known.
        then: Called with the act once it is written, also by the dialog.
    """
    if len(ids) > MANY or (action == "exclude" and (asks or last_reason() is None)):
        ask(ids, action, options, then=then)
        return
    done = write(ids, action, request, options, last_reason() if action == "exclude" else None)
    if done is not None and then is not None:
        then(done)


def write(
    ids: list[str], action: Action, request: str, options: Options, reason: str | None, comment: str | None = None
) -> Batch | None:
    """Write a decision and say so; None if it was refused."""
    workspace, why = session.workspace(), {"actor": session.actor(), "client_id": request}
    said = f"{WORDS[action].done} {counted_texts(len(ids))}" + (f" as {reason}." if reason else ".")
    if action == "review":
        label = workspace.decisions.label
        return session.act(said, lambda: label(ids, LABEL, dataset=options["dataset"], **why))
    do = {"keep": workspace.restore, "flag": workspace.flag, "exclude": workspace.exclude}[action]
    batch = session.act(said, lambda: do(ids, reason=reason, text=comment, **why, **options))
    if batch is not None and action == "exclude":
        st.session_state["last-reason"] = reason
    return batch


def reasons_offered(dataset: str) -> list[Reason]:
    """Every reason, the one that this person gave last first."""
    known, last = session.workspace().journal.reasons(), last_reason()
    if last is None:
        mine = session.workspace().decisions.history(actor=session.actor(), kind="exclude", limit=1, dataset=dataset)
        last = mine[0].batch.reason if mine else None
    return sorted(known, key=lambda reason: reason.name != last)


def ask(
    ids: list[str],
    action: Action,
    options: Options,
    *,
    top: int | None = None,
    then: Callable[[Batch], None] | None = None,
) -> None:
    """Open the dialog on the next run; texts that are asked about already stay in it. For callbacks.

    Args:
        ids: The texts.
        action: What to do with them.
        options: Data set and question.
        top: How many of them at first, where the dialog asks how many of the first.
        then: Called with the act once it is written.
    """
    earlier = st.session_state.get("excluding")
    if earlier is not None and (earlier["action"], earlier["options"], earlier["top"]) == (action, options, top):
        ids = list(dict.fromkeys([*earlier["ids"], *ids]))
    st.session_state["excluding"] = {
        "ids": ids,
        "action": action,
        "options": options,
        "top": top,
        "then": then,
    }


def is_asking() -> bool:
    """Whether a decision waits for its reason or its confirmation; a page opens no other dialog then."""
    return "excluding" in st.session_state
