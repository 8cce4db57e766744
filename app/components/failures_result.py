"""What taught a set of failures: groups, texts, one failure at a time; decisions, and what they would change."""

from collections.abc import Sequence

import polars as pl
import streamlit as st

from app import session
from app.components import asking_stages, chosen_texts, corpus_groups_decide, decide
from app.components.corpus_tasks import data_tasks, wait
from lorif_core.views.failure_figures import (
    MAX_COLUMNS,
    MAX_LINES,
    MEANING,
    heat_map,
    share_range,
    sum_bars,
    sum_range,
)
from lorif_core.views.text import counted, visible
from lorif_core.workspace.failures.failure_folder import AskedFailure
from lorif_core.workspace.failures.failure_run import FailureGroups, FailureRun

TABS = ["Groups", "Texts", "Failures"]
TOPS = [5, 10, 20, 50]
MAX_TABLE = 300
MAX_TEXTS = 50
MAX_CELL = 240


def draw(run: FailureRun) -> None:
    """The whole result."""
    with st.container(horizontal=True, vertical_alignment="center", key="failures-said"):
        st.text(f"{visible(run.counts)} · index {session.index_name(run.index_id)}")
        _left_out(run)
    with st.container(horizontal=True, vertical_alignment="bottom", key="failures-views"):
        tab = session.tab(TABS)
        by = _way(run) if tab == "Groups" else ""
        k = st.selectbox(
            "Top texts of a failure",
            TOPS,
            index=2,
            key="failures-k",
            width=170,
            help="So many of a failure's strongest texts count as those that taught it.",
        )
    if tab == "Groups":
        _groups(run, by, k)
    elif tab == "Texts":
        _texts(run, k)
    else:
        _failures(run, k)


def _left_out(run: FailureRun) -> None:
    read = run.said["read"]
    skipped, left_out = read["skipped"], read["left_out"]
    if skipped or left_out:
        with st.popover("Why not", type="tertiary"):
            for reason, count in skipped.items():
                st.text(visible(f"{count:,} × {reason}"))
            for one in left_out:
                st.text(visible(f"row {one['line']:,}: {one['reason']}"))


def _way(run: FailureRun) -> str:
    ways = session.workspace().failures.ways_to_group(run.dataset_id)
    return st.selectbox("Group by", ways, key="by", bind="query-params", format_func=visible, width=200)


def _groups(run: FailureRun, by: str, k: int) -> None:
    task = data_tasks().start(["failure groups", run.run_id, by, k], lambda: run.groups(by, k))
    if not task.wait(3.0):
        wait(task, "Adding up the scores of all texts")
        return
    found: FailureGroups = task.result()
    bar = st.container(key="failures-bar")
    table, picture = st.columns([7, 5], gap="medium")
    with table:
        names = _group_table(run, found)
    with picture:
        _pictures(run, found)
    conditions = dict(found.frame.select("group", "condition").iter_rows())
    with bar:
        ids = corpus_groups_decide.draw(
            names,
            lambda part: run.ids_of(found, names, part),
            conditions,
            key="failure-groups",
            dataset=run.dataset_id,
        )
        _without(run, ids)
    st.caption(MEANING)


def _pictures(run: FailureRun, found: FailureGroups) -> None:
    bars, heat = st.tabs(["Groups", "Failures × groups"])
    with bars:
        st.plotly_chart(
            sum_bars(found.frame, found.by),
            key="failure-sums",
            config={"displayModeBar": False},
            alt="Sum of every group over the failures, with its interval; the table has the numbers",
        )
    with heat:
        groups = found.frame["group"].to_list()
        st.plotly_chart(
            heat_map(found.values, [f"row {one.line}" for one in run.questions], groups),
            key="failure-heat",
            config={"displayModeBar": False},
            alt="How much each group speaks for and against each failure",
        )
        if len(run.questions) > MAX_LINES or len(groups) > MAX_COLUMNS:
            st.caption(f"The first {MAX_LINES} failures and the {MAX_COLUMNS} groups with the largest sums.")


def _group_table(run: FailureRun, found: FailureGroups) -> list[str]:
    shown = corpus_groups_decide.strongest(found.frame, MAX_TABLE)
    chosen = st.dataframe(
        {
            "group": [visible(one) for one in shown["group"]],
            "texts": shown["num_texts"],
            "sum": shown["value"],
            "95 %": [sum_range(*row) for row in shown.select("value_low", "value_high").iter_rows()],
            "failures": shown["num_questions"],
            "× chance": shown["fold"],
            "payout": shown["share"] * 100,
            "payout, 95 %": [share_range(*row) for row in shown.select("share_low", "share_high").iter_rows()],
        },
        key=session.table_key("failure-groups", [run.run_id, found.by, str(found.k), *shown["group"]]),
        on_select="rerun",
        selection_mode="multi-row",
        hide_index=True,
        height=min(38 + 35 * len(shown), 420),
        column_config={
            "texts": st.column_config.NumberColumn(format="localized"),
            "sum": st.column_config.NumberColumn(
                "sum, nats", format="%+.4g", help="Over all its texts and all failures."
            ),
            "95 %": st.column_config.TextColumn(help="Of the sum, over failures drawn again and again (bootstrap)."),
            "failures": st.column_config.NumberColumn(help="Failures that have a text of it among their top."),
            "× chance": st.column_config.NumberColumn(
                format="%.1f ×", help="Texts among the failures' top, over what chance puts there."
            ),
            "payout": st.column_config.NumberColumn(
                format="%.1f %%", help="Of all that made the completions likelier."
            ),
        },
        alt="Groups of texts and what they taught these failures",
    )
    return corpus_groups_decide.chosen_names(shown, chosen["selection"]["rows"])


def _texts(run: FailureRun, k: int) -> None:
    which = st.segmented_control(
        "Which texts",
        ["Taught them", "Help some, harm others"],
        default="Taught them",
        required=True,
        key="failures-which",
        label_visibility="collapsed",
    )
    is_mixed = which == "Help some, harm others"
    frame = run.mixed(k, most=MAX_TEXTS) if is_mixed else run.texts(k, most=MAX_TEXTS)
    if not len(frame):
        st.text("No text teaches one of these failures and works against another.")
        return
    if len(frame) == MAX_TEXTS:
        order = "that help and harm most often" if is_mixed else "with the largest sums"
        st.text(f"The {MAX_TEXTS} texts {order}.")
    shown = session.workspace().data.texts(frame["train_id"].to_list(), run.dataset_id)
    columns = {
        "failures": frame["num_top"],
        "works against": frame["num_bottom"],
        "payout": frame["share"] * 100,
        "sum": frame["value"],
    }
    ids = _text_table(frame["train_id"].to_list(), [one.text for one in shown], columns, run, f"texts-{which}-{k}")
    _decide(ids, run, "texts")
    _without(run, ids)
    if is_mixed:
        st.caption("Removing such a text makes some failures less likely and others likelier.")


def _failures(run: FailureRun, k: int) -> None:
    frame = run.to_polars()
    chosen = st.dataframe(
        {
            "row": frame["line"],
            "prompt": [_cell(one) for one in frame["prompt"]],
            "completion": [_cell(one) for one in frame["completion"]],
            "expected": [_cell(one or "") for one in frame["expected"]],
            "why": [visible(one) for one in frame["why"]],
        },
        key=session.table_key("failure-list", [run.run_id, *frame["question_id"]]),
        on_select="rerun",
        selection_mode="single-row",
        hide_index=True,
        height=min(38 + 35 * len(frame), 300),
        column_config={"row": st.column_config.NumberColumn(width=60)},
        alt="The failures that were asked; select one to see what taught it",
    )
    if not (rows := chosen["selection"]["rows"]):
        st.text("Select a failure to see the texts that taught it.")
        return
    asked = run.questions[rows[0]]
    answer = run.answer(asked.question_id, k)
    with st.container(horizontal=True, vertical_alignment="center", key="failure-one"):
        st.text(visible(f"What taught row {asked.line:,}: ▸{asked.completion[:MAX_CELL]}"))
        st.space("stretch")
        st.button(
            "Open in Investigate",
            key="failure-open",
            on_click=_ask,
            args=(run, asked),
            help="Asks this failure by itself: with heat on the words, opposing texts and all other views.",
        )
    if (task_id := st.session_state.pop("failure-asking", None)) is not None:
        st.switch_page(st.session_state["pages"]["investigate"], query_params={"asking": task_id})
    ids = _text_table(
        answer["train_id"].to_list(), answer["text"].to_list(), {"score": answer["score"]}, run, asked.question_id
    )
    _decide(ids, run, "failure")


def _ask(run: FailureRun, asked: AskedFailure) -> None:
    from lorif_core.workspace.failures.ask_failures import question_of

    task = asking_stages.start(question_of(asked, run.index_id, actor=session.actor()))
    st.session_state["failure-asking"] = task.task_id


def _text_table(
    ids: list[str], texts: list[str], columns: dict[str, pl.Series], run: FailureRun, name: str
) -> list[str]:
    """Ids of the texts in the selected rows."""
    chosen = st.dataframe(
        {
            "text": [_cell(one) for one in texts],
            **columns,
            "status": corpus_groups_decide.statuses(ids, run.dataset_id),
            "id": [visible(one) for one in ids],
        },
        key=session.table_key("failure-texts", [run.run_id, name, *ids]),
        on_select="rerun",
        selection_mode="multi-row",
        hide_index=True,
        height=min(38 + 35 * len(ids), 400),
        column_config={
            "id": st.column_config.TextColumn(width=80, pinned=True),  # the keys know a row by it
            "text": st.column_config.TextColumn(width=520),
            "failures": st.column_config.NumberColumn(help="Failures that have it among their top."),
            "works against": st.column_config.NumberColumn(help="Failures that have it among their opposing top."),
            "payout": st.column_config.NumberColumn(
                format="%.2f %%", help="Its part of all that made these completions likelier."
            ),
            "sum": st.column_config.NumberColumn("sum, nats", format="%+.4g"),
            "score": st.column_config.NumberColumn("score, nats", format="%+.4g"),
        },
        alt="Texts that taught these failures",
    )
    selected = [ids[row] for row in chosen["selection"]["rows"]]
    rows = list(zip(ids, corpus_groups_decide.statuses(ids, run.dataset_id), strict=True))
    chosen_texts.offer_table(rows, key="failure-texts", dataset=run.dataset_id, selected=selected)
    return selected


def _decide(ids: Sequence[str], run: FailureRun, key: str) -> None:
    with st.container(horizontal=True, vertical_alignment="center", key=f"selection-{key}"):
        st.text(f"{counted(len(ids), 'text')} selected" if ids else "Select texts to decide about them.")
        status = corpus_groups_decide.status_of(ids, run.dataset_id)
        decide.buttons(ids, status, key=f"failures-{key}", dataset=run.dataset_id)


def _without(run: FailureRun, ids: list[str]) -> None:
    """What removing the chosen texts is predicted to do to all failures."""
    if not ids:
        return
    task = data_tasks().start(["without", run.run_id, ids], lambda: run.without(ids))
    if not task.wait(3.0):
        wait(task, "Predicting what happens without them")
        return
    found = task.result()
    with st.container(border=True, key="failures-without"):
        st.text(f"Without {counted(len(ids), 'text')}: {found.sentence}")
        with st.expander("Failure by failure"):
            st.plotly_chart(
                found.figure(),
                key="failures-without-bars",
                config={"displayModeBar": False},
                alt="Share of each failure's influence that goes with these texts",
            )


def _cell(text: str) -> str:
    return visible(text if len(text) <= MAX_CELL else text[:MAX_CELL] + "…")
