"""From a registered index to its method. Imports torch, which reading its settings does not."""

from typing import TYPE_CHECKING

from lorif_core.catalog import IndexRecord
from lorif_core.workspace.indexes.index_settings import read_index_settings

if TYPE_CHECKING:
    from lorif_core.methods.protocol import AttributionMethod


def method_of_index(record: IndexRecord) -> "AttributionMethod":
    """The method that an index is registered with, at its settings."""
    from lorif_core.methods.make_method import make_method

    return make_method(read_index_settings(record.settings_json).method)
