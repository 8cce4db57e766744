"""Settings of an export and of publishing one on the Hugging Face hub."""

import re
from dataclasses import dataclass

from lorif_core.config import require

EXPORT_FORMATS = ("jsonl", "parquet", "csv", "hf")
FORMULA_CHOICES = ("guard", "keep")
HUB_NAME = r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9_][\w.-]{0,95}"


@dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """What of a curated data set is written, and how."""

    format: str | None = None
    """`jsonl`, `parquet`, `csv`, or `hf`: a folder that `datasets.load_from_disk` reads. Unset: what the suffix
    of `--out` says; jsonl without `--out`."""

    drop_flagged: bool = False
    """Leave out flagged texts too. Excluded ones are always left out."""

    with_decisions: bool = False
    """Add two columns: whether the text was kept or flagged, and the reason given."""

    status_column: str = "decision"
    """Name of the first added column."""

    reason_column: str = "decision_reason"
    """Name of the second added column."""

    count_by: str | None = None
    """Metadata column by which examples are counted. Unset: `source`, if the data have it."""

    formulas: str = "guard"
    """CSV cells that a spreadsheet would run as formulas, such as `- milk`: `guard` puts an apostrophe in front and
    says how many got one; `keep` writes them as they are, for programs that read the file back."""

    def __post_init__(self) -> None:
        """Check the format and the names of the added columns."""
        require(
            self.format is None or self.format in EXPORT_FORMATS,
            f"an export is written as one of {', '.join(EXPORT_FORMATS)}, got {self.format!r}. Pass one of them as "
            "`--format`.",
        )
        require(
            bool(self.status_column and self.reason_column) and self.status_column != self.reason_column,
            f"the added columns need two different names, got {self.status_column!r} and {self.reason_column!r}. "
            "Change `--status-column` or `--reason-column`.",
        )
        require(
            self.formulas in FORMULA_CHOICES,
            f"formulas in CSV are treated as one of {', '.join(FORMULA_CHOICES)}, got {self.formulas!r}. Pass one of "
            "them as `--formulas`.",
        )

    @property
    def guards_formulas(self) -> bool:
        """Whether cells that a spreadsheet would run get an apostrophe."""
        return self.formulas == "guard"


@dataclass(frozen=True, kw_only=True)
class HubConfig:
    """Where on the Hugging Face hub an export goes, and what is told there."""

    to_hub: str | None = None
    """OWNER/NAME of a data set of the Hugging Face hub that gets the export as Parquet, with a card that says what
    was left out and why. The token is that of `hf auth login`, or `HF_TOKEN`."""

    private: bool = False
    """Make the data set of the hub for its owner only, if it is new."""

    split: str = "train"
    """Name of the split on the hub."""

    commit_message: str | None = None
    """What the commit on the hub says. Unset: the export's id."""

    with_names: bool = False
    """Tell the hub who decided, when, by which rules, and what they wrote beside it. Otherwise no person is named."""

    def __post_init__(self) -> None:
        """Check the names."""
        require(
            self.to_hub is None or re.fullmatch(HUB_NAME, self.to_hub) is not None,
            f"a data set of the hub is named OWNER/NAME, with letters, digits, dots, hyphens and underscores, got "
            f"{self.to_hub!r}. Change `--to-hub`.",
        )
        require(
            re.fullmatch(r"\w+(\.\w+)*", self.split) is not None,
            f"the name of a split has letters, digits, dots and underscores, got {self.split!r}. Change `--split`.",
        )
