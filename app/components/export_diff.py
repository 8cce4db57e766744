"""How what is kept differs from the version before: counts, bars and a table by source, topic or length."""

import streamlit as st

from app import session
from lorif_core.views.diff_figures import diff_bars
from lorif_core.views.text import counted, literal, visible
from lorif_core.workspace.curation.versions import VersionDiff

MAX_ROWS = 200
COUNTS = ("before", "after", "added", "removed")


def draw(found: VersionDiff, *, key: str) -> None:
    """The whole difference.

    Args:
        found: The difference.
        key: Distinguishes it from others on the page.
    """
    of = "everything that was imported" if found.parent is None else f"version {found.parent}"
    if not found.num_came and not found.num_went:
        st.text(f"No different from {of}: {counted(found.num_after, 'text')}.")
        return
    st.text(
        f"Compared with {of}: {found.num_before:,} texts before, {found.num_after:,} after; "
        f"{found.num_came:,} added, {found.num_went:,} removed."
    )
    names = list(found.by)
    by = st.segmented_control(
        "Break down by", names, default=names[0], required=True, key=f"{key}-by", format_func=literal, width="content"
    )
    groups = found.by[by or names[0]]
    changed = [one for one in groups if one.came or one.went]
    left, right = st.columns(2, gap="large")
    with left:
        st.plotly_chart(
            diff_bars([one.value for one in changed], [one.came for one in changed], [one.went for one in changed]),
            key=f"{key}-bars",
            config={"displayModeBar": False},
            alt="Texts added and removed by kind; the table beside it has the numbers",
        )
    with right:
        shown = groups[:MAX_ROWS]
        if len(groups) > MAX_ROWS:
            st.text(f"The first {MAX_ROWS} of {len(groups):,} values.")
        values = ["(none)" if one.value is None else visible(str(one.value)) for one in shown]
        st.dataframe(
            {
                "value": values,
                "before": [one.before for one in shown],
                "after": [one.after for one in shown],
                "added": [one.came for one in shown],
                "removed": [one.went for one in shown],
            },
            hide_index=True,
            column_config={kind: st.column_config.NumberColumn(format="localized") for kind in COUNTS},
            height=min(40 + 36 * len(shown), 330),
            key=session.table_key(f"{key}-diff", values),
            alt="Texts before, after, added and removed, by kind",
        )
