"""The numbers of an answer that few need: ids, objective, time, how all scores are spread, what trust rests on."""

import streamlit as st

from app import session
from app.components.answers import Context
from lorif_core.views.hits import SIGN_CONVENTION
from lorif_core.views.score_figures import score_histogram
from lorif_core.views.score_scale import SCALE_NOTE
from lorif_core.views.tables import human_seconds
from lorif_core.views.text import counted, visible
from lorif_core.workspace.asking.answer import Answer
from lorif_core.workspace.indexes.trust import Trust
from lorif_core.workspace.studio import beside_answers as studio

OBJECTIVES = {
    "loss": "loss −log p of the completion: small when the model would say it",
    "margin": "margin log p − log(1 − p) of the completion: above 0 when it is likelier than everything else",
    "contrast": "contrast log p(A) − log p(B): above 0 when the model prefers the first completion",
}
"""What the value of an objective is."""

GONE = "The scores of all texts are gone; ask again"


@st.fragment
def draw(answer: Answer, context: Context, trust: Trust) -> None:
    """A button; what is behind it is drawn once it is open."""
    with st.popover("Details", type="tertiary", key="answer-details", on_change="rerun") as box:
        if box.open:
            with st.container(key="details-body", gap="small"):
                _facts(answer, context)
                _spread(answer, context)
                _trust(answer.index_id, trust)
                st.markdown("**The same in Python**")
                st.code(studio.answer_as_python(session.workspace(), answer), language="python")


def _facts(answer: Answer, context: Context) -> None:
    said = [
        f"question {answer.query_id} · index {session.index_name(answer.index_id)} ({answer.index_id})",
        f"{answer.objective_value:.3f} nats: {OBJECTIVES[answer.objective]}",
        f"{counted(answer.num_scored, 'text')} in {human_seconds(answer.elapsed_s)}",
    ]
    if context.scores is not None:
        share = studio.list_shares(context.scores, answer)
        said.append(f"both lists hold {share:.0%} of the summed sizes of all scores")
    said += [one for one in (answer.members, answer.model_share) if one is not None]
    st.text(visible("\n".join(said)))
    st.text(f"{SIGN_CONVENTION} {SCALE_NOTE}")


def _spread(answer: Answer, context: Context) -> None:
    if context.scores is None:
        is_fast = answer.fast_search is not None
        why = "A fast search does not score all texts; ask exactly" if is_fast else GONE
        st.text(f"{why} to see how they are spread.")
        return
    st.plotly_chart(
        score_histogram(
            context.scores,
            answer.supports[-1].score if answer.supports else None,
            answer.opposes[-1].score if answer.opposes else None,
        ),
        key="score-histogram",
        config={"displayModeBar": False},
    )


def _trust(index_id: str, trust: Trust) -> None:
    """The measurements behind the one word on the scores."""
    st.markdown("**Can these scores be trusted?**")
    if not trust.checks:
        st.text("Nobody has measured yet how good the scores of this index are. A quick check is")
        st.code("lorif evaluate fidelity WORKSPACE --queries FILE", language=None)
    for check in trust.checks:
        mark = "✓" if check.is_passed else "⚠"
        st.text(visible(f"{mark} {check.meaning} (chance: {check.chance:.3g})"))
    has_lds = any(check.kind == "lds" for check in trust.checks)
    if (page := st.session_state.get("pages", {}).get("indexes")) is not None:
        label = "All lines of that evaluation" if has_lds else "Compare them with retrained models"
        st.page_link(page, label=label, query_params={"tab": "Indexes", "index": index_id})
