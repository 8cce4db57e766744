"""By which convention the figures of a kept question are, and what they are by today's."""

import json

from lorif_core.catalog import QueryRecord
from lorif_core.config import Normalisation
from lorif_core.data.columns import Columns
from lorif_core.workspace.folder.kept_scores import SAID

CONVENTION = "convention"
"""Key beside a kept question's settings: by which convention its figures are. Version 0.1 wrote none."""

UNIT = "unit"
"""Key beside a kept question's settings: what its scores count. Version 0.1 wrote none, as all of them were nats."""

BESIDE = (CONVENTION, UNIT, SAID)
"""Keys beside a kept question's settings that are no settings."""

AS_SAID = 3
"""Only what was said is explained. In 2, an end token was put behind every completion. Since 2, objectives are shown
as they are defined, and ``unit`` divides by both sides' norms in the method's own metric; 0.1 did neither."""


def weights_note(columns: Columns, normalisation: Normalisation) -> str | None:
    """What a reader has to know of scores on texts with weights; None: every text weighs 1.

    Args:
        columns: Of the data set.
        normalisation: Of the scores.
    """
    if columns.weight is None:
        return None
    if normalisation == "none":
        return f"`{columns.weight}` weighs every text's gradient, and so its score"
    return (
        f"`{columns.weight}` weighs every text's gradient; with {normalisation} scores only its sign shows, "
        "`--normalisation none` shows its size"
    )


def joined_notes(*notes: str | None) -> str | None:
    """Notes as one; None where there is none."""
    return "; ".join(note for note in notes if note is not None) or None


def is_of_0_1(record: QueryRecord) -> bool:
    """Whether version 0.1 kept the question."""
    return CONVENTION not in json.loads(record.settings_json)


def explains_an_end_token(record: QueryRecord) -> bool:
    """Whether the question was kept when an end token was put behind every completion."""
    return int(json.loads(record.settings_json).get(CONVENTION, 1)) < AS_SAID


def members_told(record: QueryRecord) -> str | None:
    """What the scores of a kept answer are sums over, in words; None: they are of one model."""
    return json.loads(record.settings_json).get(SAID, {}).get("members")


def unit_of(record: QueryRecord) -> str:
    """What the scores of a kept question count, by the method that its index had when it answered."""
    return json.loads(record.settings_json).get(UNIT, "nats")


def objective_value_of(record: QueryRecord) -> float:
    """The objective of a kept question as it is defined; 0.1 kept margins and contrasts with the sign of a loss."""
    is_turned = is_of_0_1(record) and record.objective != "loss"
    return -record.objective_value if is_turned else record.objective_value
