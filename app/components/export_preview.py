"""What an export would hold, and rules that change it, each shown before it is applied."""

from collections.abc import Callable, Sequence

import streamlit as st

from app import session
from lorif_core.journal.entries import Batch
from lorif_core.views.text import counted, visible
from lorif_core.workspace.curation.decisions import RulePreview
from lorif_core.workspace.curation.export_records import ExportPreview, Tally

MAX_TALLIES = 200
MAX_OPEN_LOSSES = 5
"""More sentences than these are folded away."""
COUNTS = ("kept", "flagged", "excluded", "all")
RULES_HELP = """
One rule a line, with a verb, a condition and a reason:

`exclude where source = forum and score in the top 1 % for query 7 because misinformation: "dump"`

`flag where text contains "click here" because spam`

`restore where decided by bot`

All of it: `docs/reference/rules.md`.
"""


def counts(found: ExportPreview) -> None:
    """The dry run: how many texts, and what the format cannot hold of them."""
    with st.container(horizontal=True, gap="large", key="export-counts"):
        st.metric("Texts in the data", f"{found.num_input:,}", width="content")
        st.metric("In the export", f"{found.num_kept:,}", width="content")
        st.metric("Left out", f"{found.num_excluded:,}", width="content")
        st.metric("Flagged", f"{found.num_flagged:,}", width="content")
        st.metric(
            "Disagreements",
            f"{found.num_conflicts:,}",
            width="content",
            help="Texts on which people decided differently.",
        )
    if found.num_unknown:
        verb = "concerns a text" if found.num_unknown == 1 else "concern texts"
        st.text(f"{counted(found.num_unknown, 'decision')} {verb} that this version does not hold.")
    losses(found.losses)


def choose_column(columns: Sequence[str]) -> str | None:
    """The column by which texts are counted, ``source`` at first; None without any."""
    place = columns.index("source") if "source" in columns else None
    return st.selectbox("Count by", columns, index=place, key="by", bind="query-params", width=200)


def tallies(found: ExportPreview) -> None:
    """Texts by the value of the chosen column and by the reason of what was decided, side by side."""
    by_value, by_reason = st.columns(2, gap="large")
    with by_value:
        if found.count_by is not None:
            _tallies(found.by_value, visible(found.count_by), "export-by-value")
    with by_reason:
        if found.by_reason:
            _tallies(found.by_reason, "reason", "export-by-reason")
        else:
            st.text("Nothing is flagged or excluded.")


def losses(found: Sequence[str]) -> None:
    """What the chosen format does not hold of the data; nothing when it holds all."""
    if found:
        with st.expander(f"What this format cannot hold ({len(found):,})", expanded=len(found) <= MAX_OPEN_LOSSES):
            for sentence in found[:MAX_TALLIES]:
                st.text(visible(f"• {sentence}"))
            if len(found) > MAX_TALLIES:
                st.text(f"• and {len(found) - MAX_TALLIES:,} more")


def rules(dataset: str) -> None:
    """A box for rules: preview what they would change, then apply them."""
    with st.expander("Rules", expanded=bool(st.session_state.get("export-rules-shown"))):
        typed = st.text_area("Rules, one a line", key="export-rules", height=110, max_chars=50_000, help=RULES_HELP)
        lines = [line.strip() for line in typed.splitlines() if line.strip() and not line.strip().startswith("#")]
        if st.button("Preview the rules", key="export-preview-rules", disabled=not lines):
            st.session_state["export-rules-shown"] = lines
        if lines and st.session_state.get("export-rules-shown") == lines:
            with session.errors():
                found = [
                    session.workspace().decisions.preview(line, dataset=dataset, zone=session.zone())
                    for line in lines
                ]
                _rules(found, dataset)


def _rules(found: Sequence[RulePreview], dataset: str) -> None:
    for place, preview in enumerate(found):
        st.text(visible(preview.rule))
        before = ", ".join(f"{count:,} {status}" for status, count in preview.by_status.items()) or "none"
        matching = counted(preview.num_matching, "text")
        st.text(f"Matches {matching}, would change {len(preview.train_ids):,} (now: {before}).")
        sample = preview.train_ids[:5]
        if sample:
            texts = session.workspace().data.texts(sample, dataset)
            st.dataframe(
                {"id": [visible(one.train_id) for one in texts], "text": [visible(one.text[:300]) for one in texts]},
                hide_index=True,
                key=session.table_key(f"export-sample-{place}", sample),
                alt="Some of the texts that the rule would change",
            )
    if len(found) > 1:
        st.caption("Each rule is counted as if it were the only one.")
    changing = [preview for preview in found if preview.train_ids]
    total = sum(len(preview.train_ids) for preview in changing)
    about = [dataset, *(preview.rule for preview in changing), str(total)]
    sure = session.table_key("export-rules-sure", about)  # a yes to these rules and so many texts is none to others
    is_sure = st.checkbox(f"Yes, change {counted(total, 'text')}", key=sure, disabled=not total)
    requests = [session.request_id(f"rule-{preview.rule}", preview.train_ids) for preview in changing]
    st.button(
        "Apply the rules",
        key="export-apply-rules",
        type="primary",
        disabled=not (total and is_sure),
        on_click=_apply,
        args=([preview.rule for preview in changing], requests, dataset),
    )


def _apply(rules: list[str], requests: list[str], dataset: str) -> None:
    apply = session.workspace().decisions.apply
    for rule, request in zip(rules, requests, strict=True):
        write = _writing(apply, rule, request, dataset)
        if session.act("Rules applied; each can be undone.", write) is None:
            return
    st.session_state["export-rules-shown"] = None


def _writing(apply: Callable[..., Batch], rule: str, request: str, dataset: str) -> Callable[[], Batch]:
    return lambda: apply(rule, actor=session.actor(), client_id=request, dataset=dataset)


def _tallies(tallies: Sequence[Tally], name: str, key: str) -> None:
    if len(tallies) > MAX_TALLIES:
        st.text(f"The first {MAX_TALLIES} of {len(tallies):,} values.")
    tallies = tallies[:MAX_TALLIES]
    names = ["(none)" if one.value is None else visible(str(one.value)) for one in tallies]
    st.dataframe(
        {
            name: names,
            "kept": [one.kept for one in tallies],
            "flagged": [one.flagged for one in tallies],
            "excluded": [one.excluded for one in tallies],
            "all": [one.total for one in tallies],
        },
        hide_index=True,
        column_config={kind: st.column_config.NumberColumn(format="localized") for kind in COUNTS},
        key=session.table_key(key, names),
        alt="Texts of each kind by status",
    )
