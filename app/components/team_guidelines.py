"""Guidelines: beside Review, and on the Team page where an admin writes them."""

import streamlit as st

from app import session
from lorif_core.journal.team_records import MAX_GUIDELINES_LENGTH, Guidelines
from lorif_core.views.guidelines_html import guidelines_html
from lorif_core.views.text import visible

DRAFT = "team-guidelines-draft"
SEEN = "team-guidelines-seen"
"""In the session, both of a data set: what is being written, and the page that it began with."""

STYLE = """
<style>
.studio-guidelines { font-size: .92rem; overflow-wrap: anywhere; }
.studio-guidelines :is(h1, h2, h3, h4, h5, h6) { font-size: 1rem; font-weight: 600; padding: 0;
  margin: .7rem 0 .2rem; }
.studio-guidelines :is(h1, h2) { font-size: 1.1rem; }
.studio-guidelines :is(p, ul, ol, blockquote, pre, table) { margin: 0 0 .45rem; }
.studio-guidelines :is(pre, code) { white-space: pre-wrap; }
.studio-guidelines blockquote { border-left: 3px solid color-mix(in srgb, currentColor 25%, transparent);
  padding-left: .7rem; }
.studio-guidelines :is(th, td) { border: 1px solid color-mix(in srgb, currentColor 20%, transparent);
  padding: .15rem .5rem; text-align: left; }
</style>
"""

EXAMPLE = "# What we keep\n\n- facts with a source\n\n# What we exclude\n\n- adverts: `spam`\n"


def beside(dataset: str) -> None:
    """The guidelines of a data set, folded into one line, where people review; nothing if there are none."""
    found = session.workspace().team.guidelines(dataset=dataset)
    if found is not None and found.markdown.strip():
        with st.expander("Guidelines", key="guidelines", expanded=True):
            _page(found.markdown)
            session.small_text(_written(found), key="guidelines-by-1")


def edit(dataset: str, *, is_admin: bool) -> None:
    """The page, and for an admin the box in which it is written."""
    versions = session.workspace().team.guidelines_history(dataset=dataset)
    now = versions[0] if versions else None
    if not is_admin:
        if now is None or not now.markdown.strip():
            st.text("There are no guidelines yet. An admin can write them here.")
        else:
            _shown(now.markdown)
            session.small_text(_written(now), key="guidelines-by-2")
        return
    draft_key = _begin(now, dataset)
    writing, reading = st.columns(2, gap="large")
    with writing:
        draft = st.text_area(
            "Guidelines in Markdown",
            key=draft_key,
            height=380,
            max_chars=MAX_GUIDELINES_LENGTH,
            placeholder=EXAMPLE,
            persist_state="session",
            help="Shown beside Review. Headings, lists, tables, bold and code are drawn; HTML, images and links "
            "stay text. Ctrl+Enter shows it on the right.",
        )
        if now is not None and st.session_state[f"{SEEN}-{dataset}"][0] != now.revision:
            st.text(visible(f"{now.by} wrote another version since you began: saving yours takes its place."))
        with st.container(horizontal=True, vertical_alignment="center"):
            st.button(
                "Save the guidelines",
                key="team-guidelines-save",
                type="primary",
                on_click=_save,
                args=(dataset,),
            )
            if now is not None:
                session.small_text(_written(now), key="guidelines-by-3")
    with reading:
        st.caption("As it is shown beside Review")
        _shown(draft) if draft.strip() else st.text("Nothing yet.")
    _earlier(versions[1:], dataset)


def _shown(markdown: str) -> None:
    with st.container(border=True, key="team-guidelines-page"):
        _page(markdown)


def _page(markdown: str) -> None:
    st.html(f'{STYLE}<div class="studio-guidelines">{guidelines_html(visible(markdown))}</div>')


def _written(found: Guidelines) -> str:
    return visible(f"Written by {found.by}, {found.at:%Y-%m-%d %H:%M} UTC")


def _earlier(versions: list[Guidelines], dataset: str) -> None:
    if not versions:
        return
    with st.expander(f"Earlier versions: {len(versions):,}", key="team-guidelines-earlier"):
        chosen = st.selectbox(
            "Version", range(len(versions)), format_func=lambda place: _written(versions[place]), key="team-version"
        )
        st.text(visible(versions[chosen].markdown) or "An empty page.")
        st.button(
            "Put it in the box",
            key="team-guidelines-back",
            on_click=_put_back,
            args=(versions[chosen].markdown, dataset),
        )


def _begin(now: Guidelines | None, dataset: str) -> str:
    """Key of the box: it begins with the page as it is, and follows it while nobody has written in it."""
    draft, seen = f"{DRAFT}-{dataset}", f"{SEEN}-{dataset}"
    page = (0, "") if now is None else (now.revision, now.markdown)
    if draft not in st.session_state or st.session_state[draft] == st.session_state[seen][1]:
        st.session_state[draft], st.session_state[seen] = page[1], page
    return draft


def _put_back(markdown: str, dataset: str) -> None:
    st.session_state[f"{DRAFT}-{dataset}"] = markdown


def _save(dataset: str) -> None:
    # Read here: a click right after typing comes with the text, not after it.
    markdown: str = st.session_state[f"{DRAFT}-{dataset}"]
    team = session.workspace().team

    def write() -> bool:
        team.write_guidelines(markdown, actor=session.actor(), dataset=dataset)
        return True

    if session.act("Guidelines saved.", write):
        now = team.guidelines_history(dataset=dataset)[0]
        st.session_state[f"{SEEN}-{dataset}"] = (now.revision, now.markdown)
