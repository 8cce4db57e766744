"""The groups of an answer: what all texts of a source add up to, against chance; decided as a whole."""

import streamlit as st

from app import session
from app.components import corpus_groups_decide
from app.components.corpus_tasks import data_tasks, wait
from lorif_core.views.text import visible
from lorif_core.views.tokens import signed
from lorif_core.workspace.asking.answer import Answer
from lorif_core.workspace.failures.question_groups import CorpusGroups

MAX_TABLE = 500
TOPS = {0: "The top 1 %", 10: "The top 10", 50: "The top 50", 200: "The top 200"}


def draw(answer: Answer, dataset: str) -> None:
    """Bars, a table with a row per group, and what to do with the chosen ones.

    Args:
        answer: A kept one.
        dataset: Id of the data set whose texts it ranks.
    """
    if answer.fast_search is not None:
        st.text(
            "A fast search keeps the scores of some texts only, and a group is a sum over all of them: ask again "
            "with the exact search."
        )
        return
    assert answer.query_id is not None  # the page shows kept questions
    found = _found(answer.query_id, dataset)
    if found is None:
        return
    names = _table(found, answer.query_id)
    conditions = dict(found.frame.select("group", "condition").iter_rows())
    corpus_groups_decide.draw(
        names,
        lambda part: found.ids_of(names, part),
        conditions,
        key="groups",
        dataset=dataset,
        query=answer.query_id,
    )
    with st.expander("As a picture", expanded=True):
        st.plotly_chart(
            found.figure(),
            key="groups-bars",
            config={"displayModeBar": False},
            alt="Sum of the scores of every group",
        )
    notes = [f"{note[0].upper()}{note[1:]}." for note in found.notes]
    session.small_text(" ".join([found.sentence, *notes]), key="groups-about")


def _found(query_id: str, dataset: str) -> CorpusGroups | None:
    workspace = session.workspace()
    with st.container(horizontal=True, vertical_alignment="bottom", key="groups-choice"):
        ways = workspace.failures.ways_to_group(dataset)
        by = st.selectbox("Group by", ways, key="by", bind="query-params", format_func=visible, width=240)
        top = st.selectbox(
            "Compared with", list(TOPS), format_func=lambda one: TOPS[one], key="groups-top", width=180
        )
    task = data_tasks().start(
        ["groups", query_id, by, top], lambda: workspace.failures.groups(query_id, by, k=top or None)
    )
    if not task.wait(3.0):
        wait(task, "Adding up the scores of all texts")
        return None
    return task.result()


def _table(found: CorpusGroups, query_id: str) -> list[str]:
    """Names of the groups in the selected rows."""
    shown = corpus_groups_decide.strongest(found.frame, MAX_TABLE)
    chosen = st.dataframe(
        {
            "group": [visible(one) for one in shown["group"]],
            "texts": shown["num_texts"],
            "sum": shown["sum"],
            "share": shown["share"] * 100,
            "in the top": shown["num_top"],
            "by chance": [f"{low} to {high}" for low, high in shown.select("chance_low", "chance_high").iter_rows()],
            "against chance": [_against(*row) for row in shown.select("fold", "stands_out").iter_rows()],
            "mean, 95 %": [_range(*row) for row in shown.select("mean", "mean_low", "mean_high").iter_rows()],
        },
        key=session.table_key("groups", [query_id, found.by, str(found.k), *shown["group"]]),
        on_select="rerun",
        selection_mode="multi-row",
        hide_index=True,
        height=min(38 + 35 * len(shown), 420),
        column_config={
            "texts": st.column_config.NumberColumn(format="localized"),
            "sum": st.column_config.NumberColumn(
                f"sum, {found.unit}", format="%+.4g", help="Over all texts of the group, not over the listed ones."
            ),
            "share": st.column_config.ProgressColumn(
                "share", format="%.1f %%", min_value=0, max_value=100, help="Of all that supports the completion."
            ),
            "in the top": st.column_config.NumberColumn(f"in top {found.k:,}"),
            "by chance": st.column_config.TextColumn(help="Where 95 of 100 random draws of the top lie."),
        },
        alt="Groups of all texts on this question",
    )
    return corpus_groups_decide.chosen_names(shown, chosen["selection"]["rows"])


def _range(mean: float, low: float | None, high: float | None) -> str:
    ends = "" if low is None or high is None else f" ({signed(low, 2)} … {signed(high, 2)})"
    return signed(mean, 2) + ends


def _against(fold: float, stands_out: str) -> str:
    return f"{fold:.1f} ×, {stands_out}"
