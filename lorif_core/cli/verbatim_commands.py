"""The command that looks for texts word for word: verbatim."""

from pathlib import Path
from typing import Annotated

import tyro
from tyro.conf import Positional

from lorif_core.cli.output import Json, TextArg, console, print_json
from lorif_core.errors import ConfigError


def verbatim(
    workspace: Positional[Path],
    said: Positional[str] = "",
    /,
    *,
    query: TextArg = None,
    k: Annotated[int, tyro.conf.arg(aliases=["-k"])] = 20,
    dataset: TextArg = None,
    json: Json = False,
) -> None:
    """List the training texts in which a text stands word for word, the longest spans first, influential or not.

    Every text is looked at. A span counts from 5 words and 24 characters on, or from 40 characters; all that was said
    counts however short it is. Case, accents, white space and punctuation make no difference.

    \b
      lorif verbatim demo_workspace "The old lighthouse keeper counted seven ships that night."
      lorif verbatim demo_workspace --query 1

    Args:
        workspace: Folder of the workspace.
        said: What to look for.
        query: Id of a kept question instead, whose completion is looked for.
        k: Length of the list.
        dataset: Name or id of the data set; may be left out when there is only one, or with `--query`.
        json: Print one JSON object instead of a table.
    """
    from lorif_core.workspace.workspace import open_workspace

    if bool(said) == (query is not None):
        raise ConfigError("give either the text to look for, or `--query ID` of a kept question: one of the two.")
    opened = open_workspace(workspace)
    if query is not None:
        record = opened.files.catalog.query(query)
        said, dataset = record.completion, dataset or record.dataset_id
    found = opened.data.verbatim(said, k, dataset=dataset)
    print_json(found.to_dict()) if json else console().print(found)
