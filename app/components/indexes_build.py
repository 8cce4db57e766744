"""Say what an index will cost, build it as a job, watch it."""

from typing import Any, get_args

import streamlit as st

from app import background, session
from app.components import jobs_progress
from lorif_core.config import (
    BatchConfig,
    Codec,
    CurvatureConfig,
    FactorConfig,
    IndexConfig,
    Method,
    ModelConfig,
    WhiteningConfig,
)
from lorif_core.views.tables import human_bytes, human_seconds
from lorif_core.workspace.indexes.estimate import IndexEstimate
from lorif_core.workspace.studio.beside_answers.starting import start_index, suggested_model

METHODS = get_args(Method)
CODECS = get_args(Codec)
METHOD_HELP = """
**kronecker**: half-whitened factors, one bit per number; the default. **lorif**: the paper's random projection with a
subspace of the curvature. **graddot**: the same without curvature. **logra**: whole gradients, for small models.
"""


def draw() -> None:
    """The form, the estimate, and the jobs."""
    if not session.datasets():
        session.empty_of_data()
        return
    dataset = session.dataset_id()
    with session.errors():
        settings = _settings()
        if settings is None:
            st.text("Name the model that was trained on the texts: a folder on the server, or a hub name.")
        else:
            _actions(settings, dataset)
    st.subheader("Builds", anchor=False)
    jobs_progress.follow("index", "No build was asked for yet.")


def _settings() -> IndexConfig | None:
    with st.container(horizontal=True, vertical_alignment="bottom", key="build-first"):
        model = st.text_input(
            "Model",
            value=suggested_model(session.workspace()),
            key="model",
            bind="query-params",
            max_chars=4000,
            width=460,
            help="Folder or Hugging Face hub name of a causal language model in safetensors.",
        )
        method = st.selectbox("Method", METHODS, key="method", bind="query-params", width=150, help=METHOD_HELP)
        budget = st.text_input(
            "Bytes per text",
            key="budget",
            bind="query-params",
            placeholder="no limit",
            width=140,
            help="A budget such as 1KB: modules get rank-one terms where a byte holds most energy.",
        )
        length = st.number_input(
            "Longest text, in tokens", 2, 1 << 20, 512, key="length", bind="query-params", width=190
        )
    chosen = _further(method or METHODS[0], has_budget=bool(budget.strip()))
    if not model.strip():
        return None
    return IndexConfig(
        model=ModelConfig(model=model.strip(), **chosen["model"]),
        method=method or METHODS[0],
        factors=FactorConfig(**chosen["factors"]),
        curvature=CurvatureConfig(**chosen["curvature"]),
        whitening=WhiteningConfig(**chosen["whitening"]),
        batches=BatchConfig(max_length=int(length), **chosen["batches"]),
        budget=budget.strip() or None,
    )


def _further(method: Method, *, has_budget: bool) -> dict[str, dict[str, Any]]:
    """Settings that few people change; what is left empty is the method's own."""
    with st.expander("Further settings"):
        one, two, three = st.columns(3, gap="large")
        with one:
            rank = _number("Rank of the codes", "rank", 1, disabled=has_budget or method == "logra")
            divisor = _number("Projection divisor f", "f", 1)
            codec = st.selectbox("Codec", CODECS, index=None, placeholder="the method's own", key="build-codec")
        with two:
            alpha = st.number_input("Damping α of the codes", 1e-6, 1.0, 0.003, format="%.4g", key="build-alpha",
                                    disabled=method != "kronecker")  # fmt: skip
            sample = _number("Texts for the statistics", "sample", 2048, disabled=method != "kronecker")
            subspace = _number(
                "Directions of the curvature", "subspace", 256, least=0, disabled=method == "kronecker"
            )
        with three:
            tokens = _number("Tokens per batch", "tokens", 4096)
            include = st.text_input("Only modules like", key="build-include", placeholder="*.mlp.* *.attn.*")
            exclude = st.text_input("Not modules like", key="build-exclude", placeholder="*.c_proj")
            device = st.text_input("Device", "auto", key="build-device", help="auto, cpu, cuda or cuda:1")
    given = {"factor_rank": None if has_budget else rank, "f": divisor, "codec": codec}
    return {
        "model": {"include": tuple(include.split()), "exclude": tuple(exclude.split()), "device": device.strip()},
        "factors": {name: value for name, value in given.items() if value is not None},
        "curvature": {} if subspace is None or method == "kronecker" else {"subspace_rank": subspace},
        "whitening": {"alpha": alpha} | ({} if sample is None else {"stats_examples": sample}),
        "batches": {} if tokens is None else {"tokens_per_batch": tokens},
    }


def _number(label: str, name: str, usual: int, *, least: int = 1, disabled: bool = False) -> int | None:
    typed = st.number_input(
        label,
        min_value=least,
        value=None,
        step=1,
        key=f"build-{name}",
        placeholder=f"the method's own, such as {usual:,}",
        disabled=disabled,
    )
    return None if typed is None or disabled else int(typed)


def _actions(settings: IndexConfig, dataset: str) -> None:
    with st.container(horizontal=True, key="build-actions"):
        if st.button("Estimate", key="build-estimate", help="Loads the model and times a few batches."):
            st.session_state["build-asked"] = repr(settings)
        if st.button("Build", key="build-start", type="primary"):
            _start(settings, dataset)
            st.rerun()
    if st.session_state.get("build-asked") != repr(settings):
        st.caption(
            "An estimate says bytes, time and memory before anything is built. A build can be cancelled and resumed."
        )
        return
    workspace = session.workspace()
    task = background.tasks().start(
        ["estimate", dataset, repr(settings)], lambda: workspace.estimate(settings, dataset=dataset)
    )
    if not task.is_done:
        st.text("Loading the model and timing a few batches…")
        background.watch(task.task_id)
        return
    index_id, estimate = task.result()
    _estimate(index_id, estimate)


def _estimate(index_id: str, found: IndexEstimate) -> None:
    total = found.shard_bytes + found.subspace_bytes
    with st.container(border=True, key="build-cost"):
        with st.container(horizontal=True):
            st.metric("Disk", human_bytes(total), help=f"{human_bytes(found.free_bytes)} are free.")
            st.metric("Per text", human_bytes(total / max(found.num_examples, 1)))
            st.metric("Time", f"about {human_seconds(found.seconds)}")
            st.metric("Memory", f"about {human_bytes(found.memory_bytes)}")
            st.metric("Modules", f"{found.num_modules:,}")
        st.text(
            f"{index_id}: {found.num_left:,} of {found.num_examples:,} texts to do, {human_bytes(found.shard_bytes)} "
            f"of gradients ({human_bytes(found.bytes_per_example)} per text) and {human_bytes(found.subspace_bytes)} "
            f"of curvature; {found.tokens_per_second:,.0f} tokens per second measured."
        )
        if total > found.free_bytes:
            st.text("⚠ The disk has less space than that: set a budget of bytes per text.")


def _start(settings: IndexConfig, dataset: str) -> None:
    workspace = session.workspace()

    def start() -> Any:
        return start_index(workspace, settings, dataset, session.actor())

    session.act("The build waits for its worker.", start)
