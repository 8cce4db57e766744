"""How a question is put unless it says so. Loads no torch."""

from lorif_core.data.examples import ExampleTable
from lorif_core.workspace.asking.question import Form


def usual_form(examples: ExampleTable) -> Form:
    """How a question to an index is put unless it says so: as a chat to an index of chats, else raw."""
    return "raw" if next(examples.iter_examples(0, 1)).messages is None else "chat"
