"""The command `lorif index`."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro
from tyro.conf import OmitArgPrefixes

from lorif_core.cli.output import Json, TextArg, complain, console, print_json, progress, say
from lorif_core.cli.part_commands import say_planned
from lorif_core.cli.worker_commands import say_submitted
from lorif_core.config import BatchConfig, ModelConfig
from lorif_core.errors import ConfigError
from lorif_core.members_config import MembersConfig
from lorif_core.methods.method_settings import IndexConfig
from lorif_core.methods.registry import DEFAULT_METHOD, METHODS, method_entry
from lorif_core.workers_config import ALONE, WorkersConfig

if TYPE_CHECKING:  # the engine imports torch; `lorif --help` must not
    from lorif_core.catalog import IndexRecord
    from lorif_core.workspace.folder.index_members import Members
    from lorif_core.workspace.indexes.estimate import IndexEstimate
    from lorif_core.workspace.indexes.model_share import ModelShare
    from lorif_core.workspace.workspace import Workspace


MOST_LEFT_OUT = 5
"""Modules that are named; a part of a model that texts never reach may have hundreds."""


@dataclass(frozen=True, kw_only=True)
class BuildArgs:
    """Further models whose scores are added, and what is done besides building."""

    members: MembersConfig = field(default_factory=MembersConfig)
    """Further models whose scores are added."""

    workers: OmitArgPrefixes[WorkersConfig] = ALONE
    """Processes that make the parts together."""

    storage: str | None = None
    """Where the files of the index go, such as s3://bucket/prefix, gs://…, az://… or a folder; credentials come from
    the environment. Unset: into the workspace, or where the index already is."""

    list_modules: bool = False
    """Only show every module, whether it is tracked, and why not."""

    dry_run: bool = False
    """Only say what the index would cost."""

    plan_only: bool = False
    """Only take statistics and decide the plan; `lorif index-part` then makes parts on as many machines as there are,
    and the same command without this makes what is missing."""

    as_job: bool = False
    """Let a worker in the background build it; `lorif jobs` shows how far it is."""


MethodArg = Annotated[
    str,
    tyro.conf.arg(
        metavar=f"{{{','.join(METHODS)}}}",
        help="How a gradient is stored and compared; `lorif index --method NAME --help` shows its settings. "
        + " ".join(f"{name}: {entry.summary}" for name, entry in METHODS.items()),
    ),
]


def index_command(method_name: str) -> Callable[..., None]:
    """The command `lorif index` with the settings of a method.

    Raises:
        ConfigError: There is no such method.
    """
    kind = method_entry(method_name).settings

    def index(
        workspace: Annotated[Path | None, tyro.conf.Positional] = None,
        /,
        *,
        model: OmitArgPrefixes[ModelConfig],
        settings: OmitArgPrefixes[kind],  # pyright: ignore[reportInvalidTypeForm] - known when the command is typed
        batches: OmitArgPrefixes[BatchConfig] = BatchConfig(),  # noqa: B008 - frozen
        method: MethodArg = DEFAULT_METHOD,
        dataset: TextArg = None,
        how: OmitArgPrefixes[BuildArgs] = BuildArgs(),
        json: Json = False,
    ) -> None:
        """Build an index: the gradient of every text, factored and stored, and their curvature.

        Says first what it will cost. Interrupted (Ctrl-C, kill, full disk), the same command resumes
        with the parts that are missing. Another rank or damping reuses the stored gradients.

        Further models (--base, --checkpoints) get an index each, and scores are weighted sums over all of them. The
        same command adds them to a finished index, in place of those that it had.

        Args:
            workspace: Folder of the workspace; not needed with --list-modules.
            model: The model and its tracked modules.
            settings: Of the method.
            batches: Sequences, batches and shards.
            method: How a gradient is stored and compared.
            dataset: Name or id of the data set; may be left out when there is only one.
            how: Further models, and what is done besides building.
            json: Print one JSON object instead of tables.
        """
        whole = IndexConfig(model=model, method=settings, batches=batches, members=how.members, storage=how.storage)
        _index(workspace, whole, dataset, how, json=json)

    return index


index = index_command(DEFAULT_METHOD)
"""With the default method's settings."""


def method_among(words: Sequence[str]) -> str:
    """The method that is named behind `lorif index`, the last one as for every option; the default where none is."""
    found = DEFAULT_METHOD
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word == "--method":
            found = following or found
        elif word.startswith("--method="):
            found = word.removeprefix("--method=")
    return found


def _index(workspace: Path | None, settings: IndexConfig, dataset: str | None, how: BuildArgs, *, json: bool) -> None:
    if how.list_modules:
        _print_modules(settings, json)
        return
    if workspace is None:
        raise ConfigError("name the workspace folder: `lorif index WORKSPACE --model FOLDER`.")
    from lorif_core.workspace.indexes.linked_members import members_to_dict
    from lorif_core.workspace.workspace import open_workspace

    opened = open_workspace(workspace)
    if how.dry_run:
        _print_dry_run(opened.indexes.estimate_members(settings, dataset=dataset), json=json)
        return
    if how.plan_only:
        with progress(json) as on_progress:
            planned = opened.indexes.plan(settings, dataset=dataset, on_progress=on_progress)
        say_planned(planned, workspace, json=json)
        return
    if how.as_job:
        _submit(opened, settings, dataset, how.workers, json=json)
        return
    with progress(json) as on_progress:
        record = opened.indexes.build(
            settings,
            dataset=dataset,
            on_estimate=None if json else print_estimate,
            on_progress=on_progress,
            workers=how.workers,
        )
    if json:
        print_json(
            asdict(record)
            | {
                "coverage": opened.indexes.coverage(record.index_id).to_dict(),
                "members": members_to_dict(opened.indexes.members(record.index_id)),
            }
        )
        return
    _report(opened, record, settings)
    say(f'Next: lorif ask {workspace} --prompt "…" --generate')


def _print_dry_run(found: "list[tuple[str, str | None, IndexEstimate]]", *, json: bool) -> None:
    if json:
        told = [{"name": name, "index_id": index_id, "estimate": asdict(one)} for name, index_id, one in found]
        own = {"index_id": told[0]["index_id"], "estimate": told[0]["estimate"]}
        print_json(own if len(told) == 1 else own | {"members": told})
        return
    for _, index_id, estimate in found:
        print_estimate(index_id, estimate)
    if len(found) > 1:
        say(
            f"{len(found)} members ({', '.join(name for name, _, _ in found)}): as many indexes of that size, and as "
            "many times the time of a question."
        )


def _submit(
    opened: "Workspace", settings: IndexConfig, dataset: str | None, workers: WorkersConfig, *, json: bool
) -> None:
    from lorif_core.workspace.folder.actor import current_actor
    from lorif_core.workspace.jobs.requests import index_request
    from lorif_core.workspace.jobs.submit import start_job

    request = index_request(settings, opened.files.choose_dataset(dataset).dataset_id, workers)
    job = start_job(opened.files, request, current_actor(), device=settings.model.device, again=False)
    say_submitted(job, opened.path, json=json)


def _report(opened: "Workspace", record: "IndexRecord", settings: IndexConfig) -> None:
    """Say what was built."""
    from lorif_core.views.tables import human_bytes, human_seconds

    rate = record.total_bytes / record.num_examples if record.total_bytes else 0
    say(
        f"Index {record.index_id} is complete: {record.num_examples} texts, {record.num_modules} modules, "
        f"{human_bytes(record.total_bytes or 0)} on disk ({human_bytes(rate)} per text, everything counted), "
        f"built in {human_seconds(record.build_seconds or 0)}."
    )
    report = opened.indexes.report(record.index_id)
    say(report.kept_energy.sentence)
    say_share(report.model_share)
    say_size(report.settings.get("size_chosen"))
    spent = opened.indexes.budget_share(record.index_id)
    if spent is not None:
        say(spent.sentence)
    where = f"`lorif indexes {opened.path} {record.index_id}`"
    for sentence in report.coverage.sentences(where):
        say(sentence)
    say_members(report.members)


def say_members(members: "Members | None") -> None:
    """What an index's scores are sums over, and what a question costs."""
    if members is not None:
        say(f"{members.sentence[0].upper()}{members.sentence[1:]}; {members.cost}.")


def say_size(chosen: str | None) -> None:
    """Which f and rank were chosen and why, where nobody said them."""
    if chosen is not None:
        say(f"Chosen by itself: {chosen}.")


def say_share(seen: "ModelShare | None") -> None:
    """Which share of the model an index sees, and what a trial left out of it."""
    if seen is None:
        return
    say(f"{seen.sentence[0].upper()}{seen.sentence[1:]}; `lorif index --list-modules` names the rest.")
    shown = list(seen.left_out.items())[:MOST_LEFT_OUT]
    for name, reason in shown:
        say(f"Left out: {name} ({reason}).")
    if len(seen.left_out) > len(shown):
        say(f"Left out as well: {len(seen.left_out) - len(shown)} more modules.")


def _print_modules(settings: IndexConfig, as_json: bool) -> None:
    from lorif_core.models.adapter_report import coverage_of
    from lorif_core.views.tables import records_table
    from lorif_core.workspace.indexes.all_indexes import list_model_modules
    from lorif_core.workspace.indexes.model_share import share_of

    entries, engine = list_model_modules(settings)
    adapter = coverage_of(engine.loaded, entries)
    projected = {module.name: (module.d_in, module.d_out) for module in engine.modules}
    if as_json:
        print_json(
            {
                "modules": [
                    asdict(e) | {"is_tracked": e.is_tracked, "projected": projected.get(e.name)} for e in entries
                ],
                "adapter": None if adapter is None else asdict(adapter),
                "seen_share": share_of(engine).share,
            }
        )
        return
    rows = []
    for entry in entries:
        d_in, d_out = projected.get(entry.name, ("", ""))
        widths = [entry.in_features or "", entry.out_features or "", d_in, d_out]
        rows.append([entry.name, entry.kind, *widths, "tracked" if entry.is_tracked else entry.reason])
    console().print(
        records_table(
            f"Modules of {settings.model.model}", ["module", "kind", "in", "out", "d_in", "d_out", ""], rows
        )
    )
    told = f"{share_of(engine).sentence}." if adapter is None else adapter.sentence()
    say(f"{len(projected)} of {len(entries)} modules are tracked: {told}")


def _modules_left_out(estimate: "IndexEstimate") -> str:
    """What the modules leave out, and what single experts cost, where there is any to speak of."""
    found = ""
    if estimate.model_share.left_out:
        count = len(estimate.model_share.left_out)
        found += f"; {count} modules are left out after a trial, as they would not be right"
    if estimate.num_expert_modules:
        found += f"; {estimate.num_expert_modules} of the modules are matrices of single experts"
    return found


def print_estimate(index_id: str | None, estimate: "IndexEstimate") -> None:
    """Say what a build will cost, before it starts."""
    from lorif_core.views.tables import human_bytes, key_value_table

    gradients = f"{human_bytes(estimate.shard_bytes)} gradients ({human_bytes(estimate.bytes_per_example)} per text)"
    if estimate.expert_bytes_per_example:
        gradients += f", {human_bytes(estimate.expert_bytes_per_example)} of them for single experts"
    parts = {
        "maps": estimate.maps_bytes,
        "statistics": estimate.statistics_bytes,
        "curvature": estimate.subspace_bytes,
    }
    further = "".join(f" + {human_bytes(size)} {what}" for what, size in parts.items() if size)
    rows = {
        "texts": f"{estimate.num_examples} ({estimate.num_left} to do)",
        "modules": f"{estimate.num_modules}, total projected dimension {estimate.total_dim}",
        "share": estimate.model_share.sentence + _modules_left_out(estimate),
        "disk": f"{gradients}{further} = {human_bytes(estimate.disk_bytes)}; {_room(estimate)}",
        "time": _time_row(estimate),
        "memory": f"about {human_bytes(estimate.memory_bytes)}; {human_bytes(estimate.free_memory_bytes)} free now",
    }
    further_rows = {
        "passes": _passes_row(estimate),
        "size": estimate.size,
        "budget": estimate.term_costs,
        "adapter": estimate.adapter,
        "unknown": estimate.untold,
    }
    rows |= {name: said for name, said in further_rows.items() if said is not None}
    title = "An index" if index_id is None else f"Index {index_id}"
    console(stderr=True).print(key_value_table(title, rows))
    if estimate.warning is not None:
        complain(estimate.warning)


def _room(estimate: "IndexEstimate") -> str:
    from lorif_core.views.tables import human_bytes

    free = f"{human_bytes(estimate.free_bytes)} free"
    return free if estimate.storage is None else f"all but the statistics in {estimate.storage}, {free} here"


def _time_row(estimate: "IndexEstimate") -> str:
    from lorif_core.views.tables import human_seconds

    algebra = f"{human_seconds(estimate.decomposition_seconds)} for roots and eigenvectors"
    if estimate.seconds is None:
        return f"{algebra}; the rest is unknown without weights"
    said = f"about {human_seconds(estimate.seconds)}"
    if estimate.tokens_per_second is not None:
        said += f" ({estimate.tokens_per_second:.0f} tokens/s measured)"
    if estimate.statistics_seconds:
        said += f", of these {human_seconds(estimate.statistics_seconds)} for statistics"
    return f"{said}, {algebra}" if estimate.decomposition_seconds >= 1 else said


def _passes_row(estimate: "IndexEstimate") -> str | None:
    """In how many groups of layers statistics are taken; nothing where one pass does."""
    if estimate.num_passes <= 1:
        return None
    return f"{estimate.num_passes} over the sample of the statistics, a group of layers in each"
