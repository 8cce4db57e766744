"""The header's data set and index: what every page is about, kept in the address; and what an answer says of it."""

import streamlit as st

from app import session
from lorif_core.views.text import literal, visible


def draw() -> None:
    """Data set · model · index, to choose from."""
    known = session.datasets()
    if not known:
        return
    _follow_address()
    names = {key: visible(f"{record.name} v{record.version}") for key, record in known.items()}
    _choice("Data set", "dataset", names, session.dataset_id(), 150)
    found, named = session.indexes(), session.index_names()
    if not found:
        st.page_link(
            st.session_state["pages"]["indexes"], label="No index yet: build one", query_params={"tab": "Build"}
        )
        return
    chosen = session.index_id()
    st.text(visible(named[chosen].model), width="content")
    labels = {key: visible(_label(key)) for key in found}
    _choice("Index", "index", labels, chosen, 190, help=_help(chosen))


def _label(index_id: str) -> str:
    """The name of an index, with the version of the data where that is not the newest."""
    record, name = session.indexes()[index_id], session.index_names()[index_id].name
    if record.dataset_id == session.dataset_id():
        return name
    return f"{name} (of version {session.all_datasets()[record.dataset_id].version})"


def _help(index_id: str) -> str:
    """What an index is, for a tooltip."""
    return literal(session.index_names()[index_id].line)


def _choice(label: str, key: str, names: dict[str, str], chosen: str, width: int, *, help: str | None = None) -> None:
    """A box that is in the address as soon as there is a choice, also while nobody chose."""
    is_choice = len(names) > 1
    last = f"{key}-label"  # the browser keeps the label that it was sent: after a new name it is told again
    is_renamed = st.session_state.get(last) not in (None, names[chosen])
    st.session_state[last] = names[chosen]
    if is_choice or is_renamed or st.session_state.get(key) not in (None, chosen):
        st.session_state[key] = chosen
    st.selectbox(
        label,
        list(names),
        index=None if is_choice else 0,
        required=True,
        format_func=lambda one: names[one],
        key=key,
        bind="query-params",
        label_visibility="collapsed",
        width=width,
        help=help,
        on_change=_leave_texts if key == "dataset" else None,
    )


def _leave_texts() -> None:
    """Forget which texts of the former data set were chosen or open."""
    session.set_url(page=None, pick=None, cluster=None, open=None)


def _follow_address() -> None:
    """Take from an address what is new in it, once, and say what of it is not there.

    A box keeps in the address what it shows, the name; links of the studio's own pages hold ids. Both are understood.
    What stood there before is left out: whoever chooses another data set has the index of the former one there still.
    """
    dataset, index = _news("dataset"), _news("index")
    if dataset is not None:
        if (known := _dataset_named(dataset)) is not None:
            st.session_state["dataset"] = known
        else:
            st.toast("The link names data that is not in this workspace. The header says which is used.")
    if index is None:
        return
    if (found := _index_named(index)) in session.complete_indexes():
        session.use_index(found)
    else:
        what = "that is not in this workspace" if found is None else "that is not complete"
        st.toast(f"The link names an index {what}. The header says which one is used.")


def _news(key: str) -> str | None:
    """What the address says of a box, unless it said so at the run before, or the box shows it already."""
    now, before = st.query_params.get(key), f"{key}-address"
    known = (st.session_state.get(before), st.session_state.get(f"{key}-label"))
    st.session_state[before] = now
    return None if now in known else now


def _dataset_named(named: str) -> str | None:
    """The newest version of the data set of which a version has that id or that name."""
    every = session.all_datasets().items()
    corpus = next(
        (one.corpus_id for key, one in every if named in (key, visible(f"{one.name} v{one.version}"))), None
    )
    return next((key for key, one in session.datasets().items() if one.corpus_id == corpus), None)


def _index_named(named: str) -> str | None:
    """The index with that id, or with that name; of several, one of the data set on screen."""
    if named in session.index_names():
        return named
    labels = {_label(key): key for key in session.indexes()}
    others = {one.name: key for key, one in session.index_names().items()}
    return {visible(label): key for label, key in {**others, **labels}.items()}.get(named)


def notice(index_id: str, *, key: str) -> bool:
    """One line above an answer that is of another data set, model or index than the header names.

    Args:
        index_id: Of the index that answered.
        key: Unique on the page.

    Returns:
        Whether it was needed.
    """
    if session.is_of_context(index_id):
        return False
    named = session.index_names().get(index_id)
    with st.container(horizontal=True, vertical_alignment="center", key=f"elsewhere-{key}", gap="small"):
        if named is None:
            st.text("The index of this answer is no longer in the workspace.")
            return True
        st.text(visible(f"Answered by another index: {named.name} ({named.data} · {named.model})."), width="content")
        st.button("Switch to it", key=f"switch-{key}", on_click=session.use_index, args=(index_id,))
    return True
