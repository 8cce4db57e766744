"""From a registered index to its method. Imports torch, which reading its settings does not."""

from lorif_core.catalog import IndexRecord
from lorif_core.methods.make_method import make_method
from lorif_core.methods.protocol import AttributionMethod
from lorif_core.workspace.indexes.index_settings import read_index_settings


def method_of_index(record: IndexRecord) -> AttributionMethod:
    """The method that an index is registered with, at its settings."""
    return make_method(read_index_settings(record.settings_json).method)
