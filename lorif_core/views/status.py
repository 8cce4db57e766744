"""What a workspace holds, as a terminal shows it."""

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from lorif_core.views.tables import human_bytes, human_seconds, key_value_table, records_table
from lorif_core.views.text import visible

PROMPT_CHARACTERS = 50


def status_view(status: Mapping[str, Any]) -> RenderableType:
    """The values of a ``WorkspaceStatus`` on one screen."""
    facts = {
        "workspace": status["path"],
        "decisions in": status["journal"],
        "you": f"{status['actor']} ({status['role']})",
        "free disk": human_bytes(status["free_bytes"]),
    }
    parts: list[RenderableType] = [key_value_table("", facts)]
    if not status["corpora"]:
        return Group(*parts, _next(f"lorif import {status['path']} FILE"))
    parts.append(_corpora(status["corpora"]))
    if not status["indexes"]:
        return Group(*parts, _next(f"lorif index {status['path']} --model FOLDER"))
    parts.append(_indexes(status["indexes"]))
    parts += [_build(one) for one in status["builds"]]
    if status["latest_queries"]:
        parts.append(_queries(status["num_queries"], status["latest_queries"]))
    else:
        parts.append(_next(f'lorif ask {status["path"]} --prompt "…" --generate'))
    if status["jobs"]:
        parts.append(_jobs(status["jobs"]))
    return Group(*parts)


def _next(command: str) -> Text:
    return Text(visible(f"Next: {command}"), no_wrap=True, overflow="ignore")  # to be copied in one piece


def _corpora(corpora: list[dict[str, Any]]) -> RenderableType:
    columns = ["data set", "version", "id", "texts", "flagged", "excluded", "disagreements", "last decision"]
    rows = []
    for corpus in corpora:
        latest = corpus["versions"][-1]
        counts = [f"{corpus[name]:,}" for name in ("num_flagged", "num_excluded", "num_conflicts")]
        rows.append(
            [
                corpus["name"],
                latest["version"],
                latest["dataset_id"],
                f"{latest['num_examples']:,}",
                *counts,
                corpus["last_decision"] or "never",
            ]
        )
    return records_table("Data", columns, rows)


def _indexes(indexes: list[dict[str, Any]]) -> RenderableType:
    rows = [
        [
            index["index_id"],
            index["dataset_id"],
            index["model_id"],
            index["method"],
            index["status"],
            f"{index['num_examples']:,}",
            human_bytes(index["total_bytes"] or 0),
            "" if index["build_seconds"] is None else human_seconds(index["build_seconds"]),
        ]
        for index in indexes
    ]
    columns = ["index", "data set", "model", "method", "status", "texts", "size", "built in"]
    return records_table("Indexes", columns, rows)


def _build(build: Mapping[str, Any]) -> RenderableType:
    """How far an unfinished index is, and who makes its parts."""
    left = build["seconds_left"]
    title = f"{build['index_id']}: {build['sentence']}"
    if left:
        title += f"; about {human_seconds(left)} left for the parts"
    rows = [
        [
            one["worker"],
            one["device"],
            f"{one['num_parts']:,}",
            "" if one["tokens_per_second"] is None else f"{one['tokens_per_second']:,.0f}",
            f"{human_seconds(one['idle_s'])} ago" + ("" if one["is_at_work"] else ", gone"),
        ]
        for one in build["workers"]
    ]
    return records_table(title, ["worker", "device", "parts", "tokens/s", "last part"], rows)


def _queries(total: int, latest: list[dict[str, Any]]) -> RenderableType:
    rows = [
        [
            query["query_id"],
            query["prompt"][-PROMPT_CHARACTERS:],
            query["completion"][:PROMPT_CHARACTERS],
            query["asked_by"],
        ]
        for query in latest
    ]
    title = f"Questions (latest of {total})" if total > len(latest) else "Questions"
    return records_table(title, ["query", "prompt", "completion", "asked by"], rows)


def _jobs(jobs: list[dict[str, Any]]) -> RenderableType:
    rows = [[job["job_id"], job["kind"], job["status"], _share(job), job["message"] or ""] for job in jobs]
    return records_table("Jobs", ["job", "kind", "status", "done", ""], rows)


def _share(job: dict[str, Any]) -> str:
    return f"{job['done'] / job['total']:.0%}" if job["total"] else ""
