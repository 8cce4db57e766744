"""Groups of texts that say the same: found beside the script, shown by group, all but the first excluded."""

import polars as pl
import streamlit as st

from app import session
from app.components import corpus_bulk
from app.components.corpus_tasks import data_tasks, wait
from lorif_core.views.text import counted, visible

THRESHOLDS = {"exactly alike": None, "90 % alike": 0.9, "80 % alike": 0.8, "70 % alike": 0.7, "50 % alike": 0.5}
SHORT_WAIT_S = 0.6
MAX_GROUPS = 500
MAX_MEMBERS = 100


def draw(dataset: str) -> None:
    """The search for duplicates and its groups."""
    label = st.segmented_control(
        "How much alike", list(THRESHOLDS), default="80 % alike", required=True, key="alike", bind="query-params"
    )
    threshold = THRESHOLDS[label or "80 % alike"]
    workspace = session.workspace()
    task = data_tasks().start(
        ["duplicates", dataset, threshold], lambda: workspace.data.duplicates(threshold=threshold, dataset=dataset)
    )
    if not task.wait(SHORT_WAIT_S):
        wait(task, "Comparing all texts with each other")
    elif not task.result().is_empty():
        _groups(task.result(), dataset)
    else:
        _looser(label or "80 % alike", dataset)


def _looser(label: str, dataset: str) -> None:
    """Say that a level has nothing, and look for the next looser one that has something."""
    workspace, names = session.workspace(), list(THRESHOLDS)
    for name in names[names.index(label) + 1 :]:
        threshold = THRESHOLDS[name]
        task = data_tasks().start(
            ["duplicates", dataset, threshold],
            lambda threshold=threshold: workspace.data.duplicates(threshold=threshold, dataset=dataset),
        )
        if not task.wait(SHORT_WAIT_S):
            wait(task, f"Nothing is {label}. Looking for texts that are {name}")
            return
        found: pl.DataFrame = task.result()
        if not found.is_empty():
            with st.container(horizontal=True, vertical_alignment="center", key="corpus-looser"):
                num_groups = found["group"].n_unique()
                verb = "is" if num_groups == 1 else "are"
                st.text(f"No texts are {label}. {counted(num_groups, 'group')} {verb} {name}.")
                st.button(f"Show {name}", key="corpus-show-looser", on_click=_choose, args=(name,))
            return
    st.text(f"No two texts are {names[-1]}, the loosest level. There is nothing to decide.")


def _choose(name: str) -> None:
    st.session_state["alike"] = name


def _groups(found: pl.DataFrame, dataset: str) -> None:
    groups = found.group_by("group", maintain_order=True).agg(
        pl.col("train_id"), pl.len().alias("texts"), pl.col("similarity").min()
    )
    rest = [train_id for ids in groups["train_id"] for train_id in ids.to_list()[1:]]
    holds = "holds" if len(groups) == 1 else "hold"
    said = f"{counted(len(groups), 'group')} {holds} {len(found):,} texts"
    st.text(f"{said}. Without {len(rest):,} of them each is said once.")
    if len(groups) > MAX_GROUPS:
        st.text(f"The table has the {MAX_GROUPS} largest groups.")
    shown = groups.sort(["texts", "group"], descending=[True, False]).head(MAX_GROUPS)
    firsts = [ids[0] for ids in shown["train_id"]]
    texts = session.workspace().data.texts(firsts, dataset)
    chosen = st.dataframe(
        {
            "texts": shown["texts"].to_list(),
            "least alike": [f"{value:.0%}" for value in shown["similarity"]],
            "first id": [visible(one) for one in firsts],
            "first text": [visible(one.text[:300]) for one in texts],
        },
        hide_index=True,
        height=330,
        key=session.table_key("corpus-groups", firsts),
        on_select="rerun",
        selection_mode="multi-row",
        alt="Groups of texts that are alike; select some to see their members",
    )
    rows = chosen["selection"]["rows"]
    _decide(rest, [train_id for row in rows for train_id in shown["train_id"][row].to_list()[1:]], dataset)
    if rows:
        _members(shown["train_id"][rows[0]].to_list(), dataset)


def _decide(rest: list[str], chosen: list[str], dataset: str) -> None:
    with st.container(horizontal=True, key="corpus-duplicates"):
        for label, ids, key in (
            (f"Exclude {len(chosen):,}: all but the first of the selected groups…", chosen, "some"),
            (f"Exclude {len(rest):,}: all but the first of every group…", rest, "all"),
        ):
            st.button(
                label,
                key=f"corpus-duplicates-{key}",
                disabled=not ids,
                on_click=corpus_bulk.ask,
                args=(ids, dataset, "exclude", "duplicate"),
            )


def _members(ids: list[str], dataset: str) -> None:
    first = f" (the first {MAX_MEMBERS} of {len(ids):,})" if len(ids) > MAX_MEMBERS else ""
    st.text(f"The members of the first selected group{first}; the first one would stay:")
    ids = ids[:MAX_MEMBERS]
    statuses = dict(session.workspace().decisions.states(dataset=dataset).select("train_id", "status").iter_rows())
    members = session.workspace().data.texts(ids, dataset)
    st.dataframe(
        {
            "id": [visible(one.train_id) for one in members],
            "status": [statuses.get(one.train_id, "kept") for one in members],
            "text": [visible(one.text[:300]) for one in members],
        },
        hide_index=True,
        key=session.table_key("corpus-members", ids),
        alt="Texts of one group",
    )
