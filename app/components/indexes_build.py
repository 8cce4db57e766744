"""Say what an index will cost, build it as a job, watch it."""

from typing import TYPE_CHECKING, Any

import streamlit as st

from app import background, session
from app.components import build_settings, further_models, jobs_progress
from lorif_core.config import BatchConfig, ModelConfig, Windows
from lorif_core.methods.method_settings import IndexConfig, MethodSettings
from lorif_core.methods.registry import DEFAULT_METHOD, METHODS, method_settings
from lorif_core.views.tables import human_bytes, human_seconds
from lorif_core.views.text import counted, visible
from lorif_core.workspace.jobs.requests import index_request
from lorif_core.workspace.jobs.submit import start_job
from lorif_core.workspace.studio.suggestions import suggested_model

if TYPE_CHECKING:
    from lorif_core.workspace.indexes.estimate import IndexEstimate

WINDOWS: dict[str, Windows] = {
    "read in windows, plain texts only": "text",
    "read in windows, all of them": "all",
    "cut": "off",
}
WINDOWS_HELP = (
    "What is longer than the longest text: windows overlap, every token is a target once, and a text's score is the "
    "sum over its windows. Prompts with completions and chats are cut unless all are read in windows."
)


def draw() -> None:
    """The form, the estimate, and the jobs."""
    if not session.datasets():
        session.empty_of_data()
        return
    dataset = session.dataset_id()
    record = session.datasets()[dataset]
    _suggest(dataset)
    with session.errors():
        st.text(visible(f"An index of {record.name} v{record.version}: {counted(record.num_examples, 'text')}."))
        _actions(_settings(), dataset)
    st.subheader("Builds", anchor=False)
    jobs_progress.follow("index", "No build was asked for yet.")


def _suggest(dataset: str) -> None:
    """Another data set has another model: what stands in the box for the one before must not stay."""
    before = st.session_state.get("build-dataset")
    st.session_state["build-dataset"] = dataset
    is_first = before is None and not {"model"} & {*st.session_state, *st.query_params}
    if is_first or before not in (None, dataset):
        st.session_state["model"] = suggested_model(session.workspace(), dataset)


def _settings() -> IndexConfig | None:
    with st.container(horizontal=True, vertical_alignment="bottom", key="build-first"):
        model = st.text_input(
            "Model that was trained on these texts",
            key="model",
            bind="query-params",
            max_chars=4000,
            width=460,
            placeholder="/models/my-fine-tuned-model",
            on_change="ignore",
            help="Folder or Hugging Face hub name of a causal language model in safetensors: the fine-tuned one.",
        )
        method = st.selectbox(
            "Method", list(METHODS), key="method", bind="query-params", width=150, help=build_settings.METHOD_HELP
        )
        own = method_settings(method or DEFAULT_METHOD)
        budget = st.text_input(
            "Bytes per text",
            key="budget",
            bind="query-params",
            placeholder="no limit",
            width=140,
            disabled=not hasattr(own, "budget"),
            help="A budget such as 1KB: it buys terms and columns where a byte holds most energy.",
        )
        length = st.number_input(
            "Longest text, in tokens", 2, 1 << 20, 512, key="length", bind="query-params", width=190
        )
    build_settings.card(own.name)
    chosen = _further(own, budget.strip() if hasattr(own, "budget") else "")
    members = further_models.draw(own)
    if not model.strip():
        return None
    return IndexConfig(
        model=ModelConfig(model=model.strip(), **chosen["model"]),
        method=method_settings(own.name, **chosen["method"]),
        batches=BatchConfig(max_length=int(length), **chosen["batches"]),
        members=members,
    )


def _further(own: MethodSettings, budget: str) -> dict[str, dict[str, Any]]:
    """Settings that few people change; what is left empty is the method's own."""
    with st.expander("Further settings"):
        left, right = st.columns([2, 1], gap="large")
        with left:
            given = build_settings.further(own, budget)
        with right:
            tokens = _number("Tokens per batch", "tokens", "as the device asks for")
            windows = st.selectbox("Longer texts are", list(WINDOWS), key="build-windows", help=WINDOWS_HELP)
            stride = _number("Tokens from window to window", "stride", "three quarters of a window")
            include = st.text_input("Only modules like", key="build-include", placeholder="*.mlp.* *.attn.*")
            exclude = st.text_input("Not modules like", key="build-exclude", placeholder="*.c_proj")
            device = st.text_input("Device", "auto", key="build-device", help="auto, cpu, cuda or cuda:1")
    return {
        "model": {"include": tuple(include.split()), "exclude": tuple(exclude.split()), "device": device.strip()},
        "method": given,
        "batches": _typed({"windows": WINDOWS[windows], "stride": stride, "tokens_per_batch": tokens}),
    }


def _typed(settings: dict[str, Any]) -> dict[str, Any]:
    """Those that are not left empty."""
    return {name: value for name, value in settings.items() if value is not None}


def _number(label: str, name: str, usual: str) -> int | None:
    typed = st.number_input(label, min_value=1, value=None, step=1, key=f"build-{name}", placeholder=usual)
    return None if typed is None else int(typed)


def _actions(settings: IndexConfig | None, dataset: str) -> None:
    with st.container(horizontal=True, key="build-actions"):
        is_started = st.button("Build", key="build-start", type="primary")
        is_asked = st.button("Estimate", key="build-estimate", help="Loads the model and times a few batches.")
    if settings is None:
        if is_started or is_asked:
            st.text("Name the model that was trained on the texts first: a folder on the server, or a hub name.")
        return
    about = [dataset, repr(settings)]
    if is_asked:
        # Asked before a build does: an estimate loads whatever model of the server is named.
        session.workspace().journal.require_role(session.actor(), "curator", "estimate what an index costs")
        st.session_state["build-asked"] = about
    if is_started:
        _start(settings, dataset)
        st.rerun()
    if st.session_state.get("build-asked") != about:
        st.caption(
            "An estimate says bytes, time and memory before anything is built. A build can be cancelled and resumed."
        )
        return
    workspace = session.workspace()
    task = background.tasks().start(
        ["estimate", dataset, repr(settings)], lambda: workspace.indexes.estimate(settings, dataset=dataset)
    )
    if not task.is_done:
        st.text("Loading the model and timing a few batches…")
        background.watch(task.task_id)
        return
    index_id, estimate = task.result()
    _estimate(index_id, estimate)


def _estimate(index_id: str, found: "IndexEstimate") -> None:
    total = found.disk_bytes
    with st.container(border=True, key="build-cost"):
        with st.container(horizontal=True):
            st.metric("Disk", human_bytes(total), help=f"{human_bytes(found.free_bytes)} are free.")
            st.metric("Per text", human_bytes(total / max(found.num_examples, 1)))
            st.metric("Time", "unknown" if found.seconds is None else f"about {human_seconds(found.seconds)}")
            st.metric("Memory", f"about {human_bytes(found.memory_bytes)}")
            st.metric("Modules", f"{found.num_modules:,}")
        st.text(
            f"{index_id}: {found.num_left:,} of {found.num_examples:,} texts to do, {human_bytes(found.shard_bytes)} "
            f"of gradients ({human_bytes(found.bytes_per_example)} per text), {human_bytes(found.maps_bytes)} of "
            f"maps, {human_bytes(found.statistics_bytes)} of statistics and {human_bytes(found.subspace_bytes)} of "
            f"curvature{_rate(found)}."
        )
        for said in (found.size, found.warning):
            if said is not None:
                st.text(said)
        if found.adapter is not None:
            st.text(found.adapter)
        if total > found.free_bytes:
            st.text("⚠ The disk has less space than that: set a budget of bytes per text.")


def _rate(found: "IndexEstimate") -> str:
    rate = found.tokens_per_second
    return "" if rate is None else f"; {rate:,.0f} tokens per second measured"


def _start(settings: IndexConfig, dataset: str) -> None:
    workspace = session.workspace()

    def start() -> Any:
        request = index_request(settings, dataset)
        return start_job(workspace.files, request, session.actor(), device=settings.model.device)

    session.act("The build waits for its worker.", start)
