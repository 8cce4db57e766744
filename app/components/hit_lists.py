"""The ranked texts of an answer: supports, opposes, all, groups; filtered; as cards or as a table."""

import polars as pl
import streamlit as st

from app import session
from app.components import chosen_texts, corpus_groups, decide, hit_filter_form, token_view, verbatim_list
from app.components.answers import Context
from lorif_core.views.decision_words import counted_texts
from lorif_core.views.hit_filters import HitFilter, filter_hits
from lorif_core.views.hits import Hit
from lorif_core.views.score_scale import Side, noise_line
from lorif_core.views.text import visible
from lorif_core.views.tokens import MARKS, card, noise
from lorif_core.workspace.asking.answer import Answer

VERBATIM = "Word for word"
GROUPS = "Groups"
TABS = ["Supports", "Opposes", "All", GROUPS, VERBATIM]


def draw(answer: Answer, context: Context) -> list[Hit]:
    """Tabs with the lists; the hits that are on screen, in their order."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="filters"):
        tab = str(
            st.segmented_control(
                "List",
                TABS,
                default=TABS[0],
                required=True,
                key="tab",
                bind="query-params",
                label_visibility="collapsed",
                width="content",
            )
        )
        is_list = tab not in (VERBATIM, GROUPS)
        chosen = hit_filter_form.draw(answer, context) if is_list else HitFilter()
    if tab == VERBATIM:
        verbatim_list.draw(answer, context)
        return []
    if tab == GROUPS:
        corpus_groups.draw(answer, context.dataset_id)
        return []
    everything = {"Opposes": answer.opposes, "Supports": answer.supports}.get(tab, answer.hits)
    status_of = {one: status for one, (status, _) in context.statuses.items()}
    reason_of = {one: reason for one, (_, reason) in context.statuses.items()}
    shown = filter_hits(everything, chosen, status_of, reason_of)
    rows = [(hit.train_id, context.status(hit.train_id)) for hit in shown]
    chosen_texts.offer(rows, dataset=context.dataset_id, query=answer.query_id)
    with st.container(horizontal=True, vertical_alignment="center", key="count-line"):
        _count(len(shown), len(everything), chosen)
        chosen_texts.exclude_top(rows, dataset=context.dataset_id, query=answer.query_id)
    if not everything:
        st.text(f"No text {tab.lower()} this completion." if tab != "All" else "No text has a score.")
    elif st.session_state.get("view") == "Table":
        _table(answer, shown, context)
    else:
        _cards(answer, shown, context)
    return shown


def _count(num_shown: int, total: int, chosen: HitFilter) -> None:
    st.text(f"{num_shown} of {total}")
    if chosen.is_active:
        st.button("Reset all", key="reset-filters", on_click=hit_filter_form.reset, type="tertiary")
    if st.session_state.get("view") != "Table":
        token_view.legend(key="legend")


def _cards(answer: Answer, shown: list[Hit], context: Context) -> None:
    """The hits as rows; above the first one of each side that is noise, a line that says so and why."""
    has_line = set[str]()
    with st.container(key="hits"):
        for hit in shown:
            side: Side = "supports" if hit.score >= 0 else "opposes"
            if hit.is_noise and side not in has_line:
                has_line.add(side)
                _noise_line(answer, side)
            _card(answer, hit, context)


def _noise_line(answer: Answer, side: Side) -> None:
    told = noise_line(answer.spread, side, has_two_sides=answer.objective == "contrast")
    if told is not None:
        token_view.draw(noise(told), key=f"noise-{side}")


def _card(answer: Answer, hit: Hit, context: Context) -> None:
    key = f"hit-{hit.train_id}"
    payload = card(
        hit,
        scale=context.scale,
        standing=context.standing(hit.score),
        status=context.status(hit.train_id),
        reason=context.reason(hit.train_id),
        marks=[mark for mark in MARKS if st.session_state.get(mark, True)],
    )
    with st.container(horizontal=True, wrap=False, key=f"card-{key}", gap="small"):
        chosen_texts.tick(hit.train_id, key=f"tick-{key}")
        token_view.draw(payload, key=f"{key}-text")
        with st.container(horizontal=True, width="content", gap="xsmall", key=f"actions-{key}"):
            decide.buttons(
                [hit.train_id],
                context.status(hit.train_id),
                key=key,
                dataset=context.dataset_id,
                query=answer.query_id,
            )
            st.button("Read", key=f"{key}-open", on_click=session.set_url, kwargs={"open": hit.train_id})


def _table(answer: Answer, hits: list[Hit], context: Context) -> None:
    ids = [hit.train_id for hit in hits]
    frame = pl.DataFrame(
        {
            "rank": [hit.rank for hit in hits],
            "score": [hit.score for hit in hits],
            "z": [hit.z for hit in hits],
            "of all": [context.standing(hit.score) or "" for hit in hits],
            "status": [context.status(one) for one in ids],
            "source": [visible(hit.source) for hit in hits],
            "text": [visible(hit.text) for hit in hits],
            "id": [visible(one) for one in ids],
        }
    )
    chosen = st.dataframe(
        frame,
        key=session.table_key("hits", ids),
        on_select="rerun",
        selection_mode="multi-row",
        hide_index=True,
        column_config={
            "score": st.column_config.NumberColumn(format="%+.4g"),
            "z": st.column_config.NumberColumn(format="%+.1f"),
            "id": st.column_config.TextColumn(width=80, pinned=True),  # the keys know a row by it
        },
        alt="Ranked training texts",
    )
    selected = [ids[row] for row in chosen["selection"]["rows"]]
    chosen_texts.offer_table(
        [(one, context.status(one)) for one in ids],
        key="hits",
        dataset=context.dataset_id,
        query=answer.query_id,
        selected=selected,
    )
    _decide(selected, answer, context)


def _decide(ids: list[str], answer: Answer, context: Context) -> None:
    """Buttons for the selected rows, by id."""
    statuses = {context.status(one) for one in ids}
    with st.container(horizontal=True, vertical_alignment="center", key="selection"):
        st.text(f"{counted_texts(len(ids))} selected" if ids else "Select rows to decide about their texts.")
        decide.buttons(
            ids,
            statuses.pop() if len(statuses) == 1 else "mixed",
            key="selection",
            dataset=context.dataset_id,
            query=answer.query_id,
        )
        st.button(
            "Read",
            key="selection-open",
            disabled=len(ids) != 1,
            on_click=session.set_url,
            kwargs={"open": ids[0] if ids else None},
        )
