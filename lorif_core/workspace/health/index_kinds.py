"""Files beside an index that say what people call it, and that it is being deleted."""

from lorif_core.workspace.health.file_kind import Kind

INDEX_KINDS = (
    Kind(
        name="name of an index",
        place="indexes/ID/name.json",
        pattern=r"indexes/[^/]+/name\.json",
        what="what people call an index, and what they wrote about it",
        source=None,
        check="json",
        meaning="The index is called by its method and model; no score depends on it.",
        remedy="`lorif doctor WORKSPACE --repair` sets it aside; name the index again.",
        repair="set aside",
        left="Name the index again with `lorif indexes WORKSPACE ID --rename NAME`.",
        is_sealed=True,
    ),
    Kind(
        name="deletion",
        place="indexes/ID/deleting.json",
        pattern=r"indexes/[^/]+/deleting\.json",
        what="that an index is being deleted, and what goes with it",
        source="nothing",
        check="json",
        meaning="Files of an index that the catalog has forgotten may be left; no answer depends on it.",
        remedy="`lorif doctor WORKSPACE --repair` sets it aside; delete the rest of the index's folder by hand.",
        repair="set aside",
        is_sealed=True,
    ),
)
"""Rows of the inventory, see there."""
