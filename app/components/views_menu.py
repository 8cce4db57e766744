"""Named views in the header: open one, keep what is on screen under a name, remove one."""

from collections.abc import Sequence

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from app import session
from lorif_core.views.text import visible
from lorif_core.workspace.studio.saved_views import SavedView, forget_view, save_view, saved_views


def draw(page: str) -> None:
    """The menu.

    Args:
        page: Path of the page on screen.
    """
    with st.popover("Views", key="studio-views", help="Pages with their filters, kept under a name."):
        found = {view.name: view for view in saved_views(session.workspace().files)}
        if found:
            _open(found)
        else:
            st.text("No view is kept yet: give what is on screen a name.")
        name = st.text_input("Name for what is on screen", key="views-name", max_chars=80)
        st.button("Keep", key="views-keep", disabled=not name.strip(), on_click=_keep, args=(page,))
        if found:
            chosen = st.selectbox("Remove a view", list(found), index=None, key="views-removed", format_func=visible)
            st.button("Remove", key="views-remove", disabled=chosen is None, on_click=_remove)


def _open(found: dict[str, SavedView]) -> None:
    st.selectbox("Open a view", list(found), index=None, key="views-chosen", format_func=visible, on_change=_choose)
    view = found.get(st.session_state.pop("views-go", ""))
    target = None if view is None else st.session_state["pages"].get(view.page)
    if view is not None and target is not None:
        _leave_widgets([name for name, _ in view.query])
        st.switch_page(target, query_params=view.query)


def _choose() -> None:
    """Note which view to open, and let the box be empty again: it must not open the view a second time."""
    st.session_state["views-go"] = st.session_state["views-chosen"]
    st.session_state["views-chosen"] = None


def _leave_widgets(named: Sequence[str]) -> None:
    """Forget what widgets say that share a name with the view: they would go before its address, or stay in it.

    Streamlit refuses to set a parameter that a widget of the page on screen is bound to, and has no public way to let
    it go: without the second half a view opens from every page but its own.
    """
    names = {*st.query_params, *named, "tab"}
    for name in names:
        st.session_state.pop(name, None)
    context = get_script_run_ctx()
    if context is None:
        return
    with context.session_state.query_params() as parameters:
        bindings = [parameters.get_binding_for_param(name) for name in names]
        for binding in bindings:
            if binding is not None:
                parameters.unbind_widget(binding.widget_id)


def _keep(page: str) -> None:
    workspace, query, name = session.workspace(), session.url_items(), st.session_state["views-name"]
    session.act("The view is kept.", lambda: save_view(workspace.files, name, page, query, session.actor()))


def _remove() -> None:
    workspace, name = session.workspace(), st.session_state["views-removed"]
    session.act("The view is removed.", lambda: forget_view(workspace.files, name, session.actor()))
    st.session_state["views-removed"] = None
