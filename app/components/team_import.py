"""Decisions from a file: what would be applied and what is left out, then the button that applies it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath
from tempfile import TemporaryDirectory
from typing import Any

import streamlit as st

from app import session
from lorif_core.views.text import counted, visible
from lorif_core.workspace.curation.decision_files import FoundDecisions

SUFFIXES = ["jsonl", "csv", "tsv", "parquet"]
DONE = {
    "flag": "flag",
    "exclude": "exclude",
    "restore": "keep",
    "note": "comment",
    "label": "label",
    "unlabel": "take the label away",
}


def draw(dataset: str) -> None:
    """The upload, the preview and the button."""
    upload = st.file_uploader(
        "A file of decisions",
        SUFFIXES,
        key="team-decisions",
        max_upload_size=200,
        help="Rows with id or text, and status (kept, flagged, excluded), reason, comment, note or labels; as "
        "`lorif decisions export` writes them, or an export of this studio.",
    )
    if upload is None:
        st.text("Nothing is written before you have seen what the file says.")
        return
    with session.errors():
        with _as_file(upload) as path:
            found = session.workspace().decisions.find_in_file(path, dataset=dataset)
        _preview(found)
        num_texts = len({train_id for one in found.decisions for train_id in one.train_ids})
        texts = counted(num_texts, "text")
        st.button(
            f"Apply to {texts}" if found.decisions else "Nothing to apply",
            key="team-apply",
            type="primary",
            disabled=not found.decisions,
            on_click=_apply,
            args=(upload, dataset),
        )


@contextmanager
def _as_file(upload: Any) -> Iterator[Path]:
    """What was uploaded, as a file under its name for as long as the block runs."""
    with TemporaryDirectory(prefix="lorif-decisions-") as folder:
        path = Path(folder) / (PurePath(upload.name).name or "decisions.jsonl")
        path.write_bytes(upload.getvalue())
        yield path


def _preview(found: FoundDecisions) -> None:
    columns = st.columns(4)
    counts = {
        "Rows": found.num_rows,
        "Match a text": found.num_by_id + found.num_by_text,
        "So already": found.num_already,
        "Left out": found.num_not_found + found.num_ambiguous,
    }
    for column, (label, count) in zip(columns, counts.items(), strict=True):
        column.metric(label, f"{count:,}")
    if found.decisions:
        st.markdown("**What would be applied**")
        st.dataframe(
            {
                "what": [DONE[one.kind] for one in found.decisions],
                "texts": [len(one.train_ids) for one in found.decisions],
                "reason": [one.reason or "" for one in found.decisions],
                "comment or label": [visible(one.text or "") for one in found.decisions],
                "which": [_which(one.train_ids) for one in found.decisions],
            },
            hide_index=True,
            key=session.table_key(
                "team-import-acts", [f"{one.kind}{one.reason}{one.text}" for one in found.decisions]
            ),
            alt="What the file would do to how many texts",
        )
    left_out = {
        "about texts that this data set does not have": (found.num_not_found, found.not_found_lines),
        "whose text is there several times": (found.num_ambiguous, found.ambiguous_lines),
    }
    if found.num_not_found or found.num_ambiguous:
        st.markdown("**What is left out**")
    for why, (count, lines) in left_out.items():
        if count:
            st.text(f"{counted(count, 'row')} {why}: {_lines(lines, count)}.")


def _which(ids: Any) -> str:
    return visible(", ".join(ids[:5])) + (f" and {len(ids) - 5:,} more" if len(ids) > 5 else "")


def _lines(lines: list[int], count: int) -> str:
    rest = f" and {count - len(lines):,} more" if count > len(lines) else ""
    return f"line{'s' if count > 1 else ''} {', '.join(f'{line:,}' for line in lines)}{rest}"


def _apply(upload: Any, dataset: str) -> None:
    write = session.workspace().decisions.import_file
    with session.errors(), _as_file(upload) as path:
        session.act("Decisions applied.", lambda: write(path, actor=session.actor(), dataset=dataset))
