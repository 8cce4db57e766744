"""Every index, and one of them in numbers and figures."""

import json
from typing import TYPE_CHECKING

import streamlit as st

from app import session
from app.components import index_quality, indexes_named
from app.components.corpus_tasks import data_tasks, wait
from lorif_core.views.index_figures import energy_map, spectrum_lines
from lorif_core.views.tables import human_bytes
from lorif_core.views.text import counted, visible

if TYPE_CHECKING:
    from lorif_core.workspace.indexes.index_report import IndexReport


def draw() -> None:
    """Every index with its name, and the numbers of the one that the URL names."""
    if not session.datasets():
        session.empty_of_data()
        return
    records = session.workspace().indexes.records()[::-1]
    if not records:
        session.empty_of_indexes()
        return
    indexes_named.draw(records)
    ids = [record.index_id for record in records]
    names = {index_id: session.index_name(index_id) for index_id in ids}
    st.subheader("One index in numbers", anchor=False)
    shown = session.index_id() if session.indexes() else ids[0]
    chosen = st.selectbox(
        "Look at",
        ids,
        index=ids.index(shown),
        format_func=lambda one: names[one],
        key="ix",
        bind="query-params",
        width=320,
        label_visibility="collapsed",
    )
    with session.errors():
        report = session.workspace().indexes.report(chosen)
        _facts(report)
        if report.status == "complete":
            index_quality.draw(chosen)
        with st.expander("Details: bytes, energy kept, spectrum, settings"):
            left, right = st.columns([6, 5], gap="large")
            with left:
                _bytes(report)
            with right:
                _energy(report)
            if report.status == "complete":
                _spectrum(report)
            _settings(report)


def _facts(report: "IndexReport") -> None:
    count = max(report.record.num_examples, 1)
    with st.container(horizontal=True, key="indexes-facts"):
        st.metric("Status", report.record.status)
        st.metric("Texts stored", f"{report.num_stored:,} of {count:,}")
        st.metric("On disk", human_bytes(report.total_bytes), help="Everything, statistics included.")
        st.metric("Per text", human_bytes(report.total_bytes / count), help="All bytes divided by all texts.")
        st.metric("Energy kept", f"{report.kept_energy.share:.1%}", help=report.kept_energy.sentence)
        if report.record.num_truncated:
            st.metric("Cut texts", f"{report.record.num_truncated:,}", help="Longer than the longest sequence.")
    for sentence in report.coverage.sentences("`lorif indexes` in a terminal"):
        st.text(sentence)
    if report.statistics is not None:
        st.text(report.statistics)
    if report.members is not None:
        st.text(visible(f"{report.members.sentence[0].upper()}{report.members.sentence[1:]}; {report.members.cost}."))
    if report.model_share is not None:
        sentence = report.model_share.sentence
        st.text(f"{sentence[0].upper()}{sentence[1:]}.")
        if report.model_share.left_out:
            with st.expander(f"Left out after a trial: {counted(len(report.model_share.left_out), 'module')}"):
                for name, reason in report.model_share.left_out.items():
                    st.text(f"{name}: {reason}")
    if report.status != "complete":
        st.text("The build was interrupted or still runs: resume its job under Build; finished parts are kept.")


def _bytes(report: "IndexReport") -> None:
    st.subheader("Bytes on disk", anchor=False)
    parts = report.parts
    st.dataframe(
        {
            "kind": [part.kind for part in parts],
            "share": [part.size_bytes / report.total_bytes for part in parts],
            "bytes": [part.size_bytes for part in parts],
            "per text": [part.per_example for part in parts],
            "what": [part.what for part in parts],
        },
        hide_index=True,
        column_config={
            "kind": st.column_config.TextColumn(width=110),
            "share": st.column_config.ProgressColumn(format="percent", max_value=1.0, width=90),
            "bytes": st.column_config.NumberColumn(format="localized", width=100),
            "per text": st.column_config.NumberColumn(format="%.1f", width=80),
        },
        key=session.table_key("indexes-bytes", [f"{part.kind} {part.size_bytes}" for part in parts]),
        alt="Bytes of each kind of file of the index",
    )
    st.text(
        f"Together {report.total_bytes:,} bytes, of which {report.index_bytes:,} in the index's own folder. Codes, "
        "scales and numbers grow with the number of texts, the rest does not."
    )


def _energy(report: "IndexReport") -> None:
    how = "before rounding" if report.kept_energy.as_stored is None else "as stored"
    st.subheader(f"Energy kept of each module, {how}", anchor=False)
    if not report.explained_energy:
        st.text("No gradient is stored yet.")
        return
    st.plotly_chart(
        energy_map(report.explained_energy),
        key="indexes-energy",
        config={"displayModeBar": False},
        alt=f"Share of the squared gradient norm that the codes keep {how}, by kind of module and layer",
    )


def _spectrum(report: "IndexReport") -> None:
    st.subheader("Spectrum of the curvature", anchor=False)
    worst = min(report.explained_energy, key=lambda name: report.explained_energy[name])
    names = list(report.explained_energy)
    module = st.selectbox(
        "Module",
        names,
        index=names.index(worst),
        key="module",
        bind="query-params",
        format_func=visible,
        width=420,
        help="First shown: the one that keeps least.",
    )
    workspace, index_id = session.workspace(), report.record.index_id
    task = data_tasks().start(["spectra", index_id, module], lambda: workspace.indexes.spectra(module, index_id))
    if not task.wait(1.0):
        wait(task, "Taking the eigenvalues")
        return
    spectra = task.result()
    if not spectra:
        st.text("This index keeps no direction of the curvature: its scores are plain inner products.")
        return
    st.plotly_chart(
        spectrum_lines(spectra),
        key="indexes-spectrum",
        config={"displayModeBar": False},
        alt="Eigenvalues by rank beside the damping",
    )
    said = [f"{one.effective_dim:,.1f} of {one.dim:,} directions of the {one.what}" for one in spectra]
    st.text(f"The data outweighs the damping in {' and '.join(said)} (sum of s / (s + damping)).")


def _settings(report: "IndexReport") -> None:
    left, right = st.columns(2, gap="large")
    with left:
        st.subheader("Settings", anchor=False)
        st.code(visible(json.dumps(report.settings, indent=1, ensure_ascii=False)), language="json")
    with right:
        st.subheader("The same in Python", anchor=False)
        path, index_id = session.workspace_path(), report.record.index_id
        lines = [
            "import lorif_core as lf",
            "",
            f"ws = lf.open_workspace({path!r})",
            f"ws.indexes.report({index_id!r})",
        ]
        st.code("\n".join(lines), language="python")
