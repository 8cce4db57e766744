"""The frame around every page: navigation, who you are, undo, and news from elsewhere."""

from collections.abc import Callable
from importlib import import_module
from typing import NamedTuple

import streamlit as st

from app import heap, session, signin
from app.components import (
    browser_back,
    context_choice,
    decide_dialog,
    decision_keys,
    home_road,
    home_style,
    jobs_result,
    views_menu,
)
from lorif_core.views.text import visible

POLL_S = 2.0
"""A decision made elsewhere is on screen within twice this time."""


class PageEntry(NamedTuple):
    """One page of the studio."""

    title: str
    url: str
    module: str


PAGES = [
    PageEntry("Home", "home", "app.pages.home_page"),
    PageEntry("Investigate", "investigate", "app.pages.investigate_page"),
    PageEntry("Failures", "failures", "app.pages.failures_page"),
    PageEntry("Compare", "compare", "app.pages.compare_page"),
    PageEntry("Corpus", "corpus", "app.pages.corpus_page"),
    PageEntry("Review", "review", "app.pages.review_page"),
    PageEntry("What-if", "what-if", "app.pages.what_if_page"),
    PageEntry("Export", "export", "app.pages.export_page"),
    PageEntry("History", "history", "app.pages.history_page"),
    PageEntry("Team", "team", "app.pages.team_page"),
    PageEntry("Indexes", "indexes", "app.pages.indexes_page"),
    PageEntry("Jobs", "jobs", "app.pages.jobs_page"),
]
"""Every page, in the order of the navigation; the first is home."""


def run(first: str = "home") -> None:
    """Draw the studio once.

    Args:
        first: Path of the page that is at ``/``; tests without a browser begin on any.
    """
    heap.set_modules_apart()
    st.set_page_config(page_title="LoRIF Studio", page_icon="🔎", layout="wide", menu_items={"About": ABOUT})
    if not signin.passed():
        return
    pages = [_page(entry, is_home=entry.url == first) for entry in PAGES]
    st.session_state["pages"] = {entry.url: page for entry, page in zip(PAGES, pages, strict=True)}
    chosen = st.navigation(pages, position="top")
    st.html(STYLE + home_style.STYLE)
    url = next(entry.url for entry, page in zip(PAGES, pages, strict=True) if page == chosen)
    st.session_state["page"] = url
    _header(url)
    with session.errors():
        session.show_messages()
    decision_keys.forget()
    chosen.run()
    with session.errors():
        home_road.onward(url, session.road())
    with session.errors():
        decide_dialog.draw()
    decision_keys.draw()
    browser_back.keep_steps()
    _watch_journal()


def _page(entry: PageEntry, *, is_home: bool) -> "st.Page":
    def show() -> None:
        with session.errors():
            page: Callable[[], None] = import_module(entry.module).page
            page()

    return st.Page(show, title=entry.title, url_path=entry.url, default=is_home)


def _header(page: str) -> None:
    with st.container(key="studio-header", horizontal=True, vertical_alignment="center"):
        with st.container(key="studio-workspace", width="content"):
            st.text(visible(session.workspace().path.name), width="content")
        with session.errors():
            context_choice.draw()
        with session.errors():
            views_menu.draw(page)
        st.space("stretch")
        unsure = None if signin.is_verified() else UNVERIFIED
        st.text(f"You are {visible(session.actor())}{' (not verified)' if unsure else ''}", help=unsure)
        st.button("Undo", key="studio-undo", on_click=session.undo, help="Take back your latest decision.")
        st.button("Redo", key="studio-redo", on_click=session.redo, help="Bring back what you last undid.")
        if signin.is_needed():
            signin.draw_links()


@st.fragment(run_every=POLL_S)
def _watch_journal() -> None:
    """Draw the page again when somebody decided something elsewhere; say which jobs have ended."""
    jobs_result.toast_ends()
    found = session.workspace().journal.revision()
    if st.session_state.setdefault("seen_revision", found) != found:
        st.session_state["seen_revision"] = found
        st.rerun()


ABOUT = "LoRIF Studio: find the training texts that taught a language model what it says."

UNVERIFIED = "Everybody here signs in with the same password and types a name, which nobody checks."

STYLE = """
<style>
.stMainBlockContainer { padding-top: 4.2rem; padding-bottom: 4rem; max-width: 1760px; }
@media (max-width: 1100px) { .stMainBlockContainer { padding-left: 1.5rem; padding-right: 1.5rem; } }
.st-key-studio-header { padding-bottom: .35rem;
  border-bottom: 1px solid color-mix(in srgb, currentColor 14%, transparent); }
@media (max-width: 1240px) {
  [data-testid="stLayoutWrapper"]:has(> .st-key-studio-workspace) { display: none; }
  .st-key-studio-header { gap: .5rem; } }
.st-key-studio-header [data-testid^="stBaseButton-primary"] kbd { color: inherit !important; opacity: 1; }
[data-testid="stText"] { font-family: inherit; font-size: .875rem; opacity: .8; }
[class*="st-key-elsewhere-"] { padding: .3rem .4rem .3rem .75rem; border-left: 3px solid #b7791f;
  background: color-mix(in srgb, #d69e2e 12%, transparent); border-radius: .25rem; }
[class*="st-key-elsewhere-"] [data-testid="stText"] { font-size: .875rem; }
[class*="st-key-elsewhere-"] button { min-height: 1.9rem; padding: .05rem .7rem; }
.st-key-studio-header button, [class*="st-key-actions-"] button { min-height: 2rem; padding: .1rem .7rem; }
[class*="st-key-actions-"] button p, .st-key-studio-header button p { font-size: .85rem; }
[data-testid="stMetricValue"] { font-size: 1.35rem; line-height: 1.5; }
.stApp [data-testid="stCaptionContainer"] { color: inherit; opacity: .8; }
.stApp [data-testid^="stBaseButton-primary"]:enabled, [data-testid="stMultiSelect"] [data-tag],
[data-testid="stMultiSelect"] [data-tag] * { color: light-dark(#fff, #0b1526); }
[data-testid^="stBaseButton-primary"] kbd { color: inherit !important; opacity: 1; }
[data-testid="stText"] { font-family: inherit; white-space: pre-wrap; overflow-wrap: anywhere; }
.st-key-remarks [data-testid="stText"], .st-key-review-text [data-testid="stText"],
.st-key-count-line [data-testid="stText"],
[class*="st-key-small-"] [data-testid="stText"],
.st-key-selection [data-testid="stText"], .st-key-reader-navigation [data-testid="stText"] {
  font-size: .875rem; opacity: .8; }
[class*="st-key-error-"], .st-key-failed { border-left: 4px solid #c53030 !important; }
[data-lorif-cursor] { scroll-margin: 5rem 0; outline: 2px solid #2f6fde !important; outline-offset: 2px;
  border-radius: .5rem; }
[data-lorif-chosen] { background: color-mix(in srgb, #2f6fde 9%, transparent) !important; }
[data-testid="stToastContainer"] { top: auto !important; bottom: 1rem; pointer-events: none; }  /* not over Undo */
[data-testid="stToast"] { pointer-events: auto; }
.studio-links { display: flex; align-items: center; gap: .75rem; font-size: .85rem; white-space: nowrap; }
.studio-links a { color: inherit; }
.studio-links form { margin: 0; }
.studio-links form button { min-height: 2rem; padding: .1rem .7rem; font: inherit; color: inherit; cursor: pointer;
  background: transparent; border: 1px solid color-mix(in srgb, currentColor 20%, transparent);
  border-radius: .25rem; }
button:focus-visible, .stApp a:focus-visible, [role="option"]:focus-visible,
[data-testid="stMultiSelect"] input:focus-visible {
  outline: 2px solid currentColor !important; outline-offset: 2px; }
[data-testid="stMain"]:focus-visible { outline: 2px solid currentColor; outline-offset: -2px; }
</style>
"""
