"""How good the scores of an index are: what its latest LDS evaluation said, beside words and the other candidates."""

import streamlit as st

from app import session
from lorif_core.views.text import visible
from lorif_core.workspace.studio.results import lds_of

HOW = "lorif evaluate lds {workspace} --queries FILE --truth TRUTH.npz"


def draw(index_id: str) -> None:
    """The table of that evaluation, or how to make one."""
    st.subheader("How good its scores are", anchor=False)
    found = lds_of(session.workspace(), index_id)
    if found is None:
        st.text(
            "Nobody has compared its scores with models that were really trained again. The truth comes from "
            "lorif evaluate retrain, once per data set and recipe."
        )
        with st.expander("The command that compares them"):
            st.code(HOW.replace("{workspace}", session.workspace_path()), language=None)
        return
    rows = found["rows"]
    st.dataframe(
        {
            "candidate": [visible(row["candidate"]) for row in rows],
            "method": [visible(row["label"]) for row in rows],
            "normalisation": [row["normalisation"] for row in rows],
            "LDS": [row["lds"] for row in rows],
            "95 % over subsets": [f"{row['subsets_low']:.3f} to {row['subsets_high']:.3f}" for row in rows],
            "beyond shared tokens": [row.get("partial") for row in rows],
        },
        hide_index=True,
        column_config={
            name: st.column_config.NumberColumn(format="%.3f") for name in ("LDS", "beyond shared tokens")
        },
        key=session.table_key("indexes-lds", [f"{row['candidate']} {row['normalisation']}" for row in rows]),
        alt="Linear datamodelling score of the index and of what it was compared with, best first",
    )
    st.text(
        f"Measured {found['created_at']:%Y-%m-%d %H:%M} UTC ({found['evaluation_id']}). LDS is the rank correlation "
        "of summed scores with the losses of retrained models; the last column is what is left of it once the target "
        "tokens that texts share with a question are taken out. The line tokens is that score alone, without a model."
    )
