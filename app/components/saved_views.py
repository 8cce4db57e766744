"""Named views in the header: open one, keep what is on screen under a name, forget one."""

import streamlit as st

from app import session
from lorif_core.views.text import visible
from lorif_core.workspace.saved_views import SavedView


def draw(page: str) -> None:
    """The menu.

    Args:
        page: Path of the page on screen.
    """
    with st.popover("Views", key="studio-views", help="Pages with their filters, kept under a name."):
        found = {view.name: view for view in session.workspace().saved_views()}
        if found:
            _open(found)
        else:
            st.text("No view is kept yet: give what is on screen a name.")
        name = st.text_input("Name for what is on screen", key="views-name", max_chars=80)
        st.button("Keep", key="views-keep", disabled=not name.strip(), on_click=_keep, args=(name, page))


def _open(found: dict[str, SavedView]) -> None:
    chosen = st.selectbox("Kept views", list(found), index=None, key="views-chosen", format_func=visible)
    with st.container(horizontal=True):
        target = None if chosen is None else st.session_state["pages"].get(found[chosen].page)
        is_clicked = st.button("Open", key="views-open", type="primary", disabled=target is None)
        if is_clicked and chosen is not None and target is not None:
            _leave_widgets()
            st.switch_page(target, query_params=found[chosen].query)
        st.button("Forget", key="views-forget", disabled=chosen is None, on_click=_forget, args=(chosen,))


def _leave_widgets() -> None:
    """Forget what the widgets of the page say, or they would go before the address of the view."""
    for key in st.query_params:
        st.session_state.pop(key, None)


def _keep(name: str, page: str) -> None:
    query = [(key, value) for key in st.query_params for value in st.query_params.get_all(key)]
    workspace = session.workspace()
    session.act("The view is kept.", lambda: workspace.save_view(name, page, query, actor=session.actor()))


def _forget(name: str) -> None:
    workspace = session.workspace()
    session.act("The view is forgotten; what it showed is untouched.", lambda: workspace.forget_view(name))
