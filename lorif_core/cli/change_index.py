"""What `lorif indexes` does to one index besides copying it: call it by a name, or delete it."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from lorif_core.cli.output import TextArg, print_json, require_yes, say
from lorif_core.errors import ConfigError

if TYPE_CHECKING:
    from lorif_core.workspace.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class ChangeArgs:
    """Its name, or that it goes."""

    rename: TextArg = None
    """Call the index so from now on; an empty name takes the given one back."""

    description: TextArg = None
    """What to remember of the index, shown beside its name."""

    delete: bool = False
    """Delete the index, its questions with their answers and scores, and measurements of it alone."""

    yes: bool = False
    """With --delete: do not ask."""

    @property
    def names_any(self) -> bool:
        """Whether anything is to be changed."""
        return self.rename is not None or self.description is not None or self.delete


UNCHANGED = ChangeArgs()


def change_index(opened: "Workspace", index: str | None, change: ChangeArgs, *, json: bool) -> None:
    """Name or delete one index.

    Raises:
        ConfigError: No index is named, or both is asked for.
    """
    if index is None:
        raise ConfigError(
            "name one index: `lorif indexes WORKSPACE INDEX --rename NAME`, or `--delete`; `lorif indexes WORKSPACE` "
            "lists them."
        )
    if change.delete and (change.rename is not None or change.description is not None):
        raise ConfigError(
            "an index is either named or deleted: leave out `--rename` and `--description`, or `--delete`."
        )
    if change.delete:
        _delete(opened, index, asks=not change.yes, json=json)
        return
    known = opened.indexes.named().get(index)
    name = change.rename if change.rename is not None else known.name if known is not None and known.is_given else ""
    given = opened.indexes.rename(index, name, description=change.description)
    if json:
        print_json({"index_id": index} | asdict(given))
        return
    say(f"Index {index} is called {opened.indexes.named()[index].name!r}.")


def _delete(opened: "Workspace", index: str, *, asks: bool, json: bool) -> None:
    if asks:
        loss = opened.indexes.loss(index)
        require_yes(f"Index {loss.name!r} ({loss.line}) will be deleted. {loss.sentence}")
    loss = opened.indexes.delete(index)
    if json:
        print_json(asdict(loss))
        return
    say(f"Index {loss.name!r} is deleted.")
