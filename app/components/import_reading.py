"""How data files are read, as far as their names leave it open: what a text is, which part, what separates cells."""

from pathlib import Path
from typing import Any

import streamlit as st

from lorif_core.config import TextUnit
from lorif_core.data.source_files import formats_of

TEXT_UNITS: dict[str, TextUnit] = {"the file": "file", "a line": "line"}
AS_FOUND = "as the first rows say"
SEPARATORS = {"comma": ",", "semicolon": ";", "tab": "tab", "vertical bar": "|"}
"""Title → what the settings call it; another character is typed."""

USUAL_ENCODING = "UTF-8"
ENCODINGS = (USUAL_ENCODING, "cp1252", "latin-1", "utf-16", "gb18030", "shift_jis", "euc_kr")
"""Others are typed."""

TEXT_FORMATS = {"CSV", "JSONL", "JSON", "text"}


def choose(path: str) -> dict[str, Any]:
    """Ask what the files at a path leave open; the settings of an import that say it."""
    place = Path(path)
    formats = formats_of(place.iterdir() if place.is_dir() else [place])
    said: dict[str, Any] = {}
    if formats == ["text"]:
        said["txt"] = TEXT_UNITS[st.radio("A text is", list(TEXT_UNITS), key="import-txt", horizontal=True)]
    elif not place.is_file():
        said |= _part()
    parts = [
        *(["separator", "decimal commas"] if "CSV" in formats else []),
        *(["encoding"] if TEXT_FORMATS.intersection(formats) else []),
        "a column for the file",
    ]
    title = ", ".join(parts)
    with st.expander(title[0].upper() + title[1:]):
        with st.container(horizontal=True, vertical_alignment="bottom", key="import-reading"):
            if "CSV" in formats:
                said |= _cells()
            if TEXT_FORMATS.intersection(formats):
                said["encoding"] = _encoding()
            column = st.text_input(
                "Column for the file",
                key="import-file-column",
                placeholder="none is added",
                max_chars=200,
                width=200,
                help="Name of a column to add, which says for every text from which file it is.",
            )
        said["file_column"] = column.strip() or None
    return said


def _part() -> dict[str, Any]:
    """Which part of a data set that has parts."""
    with st.container(horizontal=True, key="import-part"):
        split = st.text_input(
            "Split",
            key="import-split",
            placeholder="train",
            width=200,
            help="Which part: of a folder of shards that has several, or of a hub data set. Several with commas "
            "between them, or all, are one data set with a column that says which.",
        )
        subset = st.text_input(
            "Subset", key="import-subset", width=200, help="Configuration of a hub data set that has several."
        )
    return {"split": split.strip() or None, "subset": subset.strip() or None}


def _cells() -> dict[str, Any]:
    """What separates the cells of CSV files, and how numbers are written in them."""
    said = st.selectbox(
        "Cells are separated by",
        [AS_FOUND, *SEPARATORS],
        key="import-delimiter",
        accept_new_options=True,
        width=200,
        help="Another character can be typed.",
    )
    has_comma = st.toggle(
        "Decimal commas", key="import-comma", help="Numbers are written as 1.234,56; without it such cells are text."
    )
    return {"delimiter": None if said == AS_FOUND else SEPARATORS.get(said, said), "decimal_comma": has_comma}


def _encoding() -> str | None:
    said = st.selectbox(
        "Encoding",
        ENCODINGS,
        key="import-encoding",
        accept_new_options=True,
        width=160,
        help="UTF-16 is found by its mark. Another one can be typed.",
    )
    return None if said == USUAL_ENCODING else said
