"""Commands that show what a workspace holds: status, browse, facets, duplicates, queries and their answers."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro
from tyro.conf import OmitArgPrefixes, Positional

from lorif_core.cli.ids import LINES, IdForm, write_ids
from lorif_core.cli.output import Json, TextArg, console, print_json, say
from lorif_core.config import Alike, Search
from lorif_core.errors import ConfigError

if TYPE_CHECKING:  # the workspace imports torch; `lorif --help` must not
    from polars import DataFrame

    from lorif_core.catalog import QueryRecord
    from lorif_core.corpus.browse import Page
    from lorif_core.corpus.facets import Facet
    from lorif_core.corpus.highlighting import Snippet
    from lorif_core.workspace.asking.break_down import Breakdown
    from lorif_core.workspace.datasets.datasets import Datasets
    from lorif_core.workspace.datasets.view import View

MAX_VALUES_SHOWN = 8
MAX_GROUPS_SHOWN = 20
CELL_CHARACTERS = 80
BAR_WIDTH = 20


@dataclass(frozen=True, kw_only=True)
class ViewArgs:
    """Which training texts to see."""

    where: TextArg = None
    """A condition such as `source = forum and status = kept`; docs/reference/rules.md tells the language."""

    search: TextArg = None
    """Text to look for."""

    mode: Literal["words", "contains", "regex"] = "words"
    """words: all words, "phrases" and prefixes*, without accents; contains: the characters, in either case; regex:
    an RE2 expression. Texts are compared in one Unicode form; what is found is marked."""

    status: tuple[str, ...] = ()
    """Only kept, flagged or excluded ones."""

    cluster: tuple[int, ...] = ()
    """Only texts of these clusters, by the numbers that `lorif map` lists."""


@dataclass(frozen=True, kw_only=True)
class PageArgs:
    """Which of them to show, in which order."""

    sort: tuple[str, ...] = ()
    """Columns, fields such as meta.year, or score:QUERY, in order of importance; a leading - puts the largest first
    (write --sort=-year). A column called row, relevance, -x or score:x is data.row and so on."""

    page: int = 1
    """Number of the page, from 1; negative numbers count from the last one."""

    limit: int = 20
    """Texts on a page."""


def status(workspace: Positional[Path], /, *, json: Json = False) -> None:
    """Show on one screen what a workspace holds: data, models, indexes, questions, decisions, jobs.

    Args:
        workspace: Folder of the workspace.
        json: Print one JSON object instead of tables.
    """
    from lorif_core.views.status import status_view
    from lorif_core.workspace.folder.workspace_files import open_files
    from lorif_core.workspace.folder.workspace_status import describe_workspace

    described = describe_workspace(open_files(workspace))
    if json:
        print_json(asdict(described))
    else:
        console().print(status_view(asdict(described)), crop=False)  # the next command may be long


def browse(
    workspace: Positional[Path],
    /,
    view: OmitArgPrefixes[ViewArgs] = ViewArgs(),
    shown: OmitArgPrefixes[PageArgs] = PageArgs(),
    form: OmitArgPrefixes[IdForm] = LINES,
    *,
    ids: bool = False,
    dataset: TextArg = None,
    json: Json = False,
) -> None:
    """Page through training texts: filter, search, sort.

    Example: lorif browse WORKSPACE --where "source = forum" --search sydney --sort -year

    Args:
        workspace: Folder of the workspace.
        view: Which texts to see.
        shown: Which of them to show, in which order.
        form: How `--ids` prints them.
        ids: Print the ids of all texts found, one a line, for `lorif exclude WORKSPACE -`; with -0 or
            --json-lines here and there also those that hold line breaks.
        dataset: Name or id of the data set; may be left out when there is only one.
        json: Print one JSON object instead of a table.
    """
    from lorif_core.views.shown_values import shown_frame
    from lorif_core.workspace.datasets.view import offset_of_page, read_view

    opened, chosen, limit = _data(workspace), _view(view, shown.sort), shown.limit
    if ids:
        record = opened.files.choose_dataset(dataset)
        wanted, beside = read_view(opened.files, record, chosen)
        found_ids = opened.corpus(record.dataset_id).ids(wanted, beside=beside)
        print_json({"ids": found_ids}) if json else write_ids(found_ids, form)
        return
    if form != LINES:
        raise ConfigError("`--null` (-0) and `--json-lines` say how `--ids` prints ids: pass `--ids` with them.")
    offset = offset_of_page(shown.page, limit, lambda: opened.count(chosen, dataset=dataset))
    found = opened.browse(chosen, offset=offset, limit=limit, dataset=dataset)
    passages = opened.passages(chosen, found, dataset=dataset)
    frame = shown_frame(found.frame, opened.types(dataset))
    if json:
        printed = {"total": found.total, "offset": found.offset, "examples": frame.to_dicts()}
        print_json(printed | ({"found": [asdict(passage) for passage in passages]} if chosen.search else {}))
    else:
        _print_page(found, frame, limit, passages)


def facets(
    workspace: Positional[Path],
    /,
    view: OmitArgPrefixes[ViewArgs] = ViewArgs(),
    *,
    dataset: TextArg = None,
    json: Json = False,
) -> None:
    """Count the values of every metadata column, or draw a histogram of its numbers.

    Args:
        workspace: Folder of the workspace.
        view: Which texts to count.
        dataset: Name or id of the data set; may be left out when there is only one.
        json: Print one JSON object instead of tables.
    """
    found = _data(workspace).facets(_view(view, ()), dataset=dataset)
    if json:
        print_json({"facets": [asdict(facet) for facet in found]})
        return
    for facet in found:
        _print_facet(facet)


def duplicates(
    workspace: Positional[Path],
    /,
    *,
    threshold: float = 0.8,
    exact: bool = False,
    dataset: TextArg = None,
    json: Json = False,
) -> None:
    """Find groups of texts that say the same in the same or nearly the same words.

    Args:
        workspace: Folder of the workspace.
        threshold: Lowest similarity of a pair: shared word triples over all word triples of both.
        exact: Only texts that are equal but for case, spacing and punctuation at the ends.
        dataset: Name or id of the data set; may be left out when there is only one.
        json: Print one JSON object instead of a table.
    """
    from lorif_core.views.tables import records_table

    found = _data(workspace).duplicates(threshold=None if exact else threshold, dataset=dataset)
    if json:
        print_json({"duplicates": found.to_dicts()})
        return
    groups = found.group_by("group", maintain_order=True).all()
    rows = [
        [row["group"], len(row["train_id"]), row["kind"][-1], ", ".join(row["train_id"][:6])]
        for row in groups.head(MAX_GROUPS_SHOWN).to_dicts()
    ]
    if rows:
        console().print(records_table("Largest groups", ["group", "texts", "kind", "ids"], rows))
    say(f"{len(groups):,} groups with {len(found):,} texts.")


def queries(workspace: Positional[Path], /, *, json: Json = False) -> None:
    """List the questions that were asked and kept; `lorif reopen` shows an answer again.

    Args:
        workspace: Folder of the workspace.
        json: Print one JSON object instead of a table.
    """
    from lorif_core.views.tables import records_table
    from lorif_core.workspace.asking.conventions import objective_value_of
    from lorif_core.workspace.folder.kept_scores import search_of
    from lorif_core.workspace.folder.workspace_files import open_files

    def told(query: "QueryRecord") -> dict[str, Any]:
        return asdict(query) | {"objective_value": objective_value_of(query), "search": search_of(query)}

    found = open_files(workspace).catalog.queries()
    if json:
        print_json({"queries": [told(one) for one in found]})
        return
    rows = [
        [
            query.query_id,
            query.prompt[-CELL_CHARACTERS:],
            query.completion[:CELL_CHARACTERS],
            query.objective,
            f"{objective_value_of(query):.3f}",
            search_of(query),
            query.index_id,
            query.asked_by,
            f"{query.created_at:%Y-%m-%d %H:%M}",
        ]
        for query in found
    ]
    columns = ["query", "prompt", "completion", "objective", "nats", "search", "index", "asked by", "when (UTC)"]
    console().print(records_table("Questions", columns, rows))


def reopen(workspace: Positional[Path], query: Positional[str], /, *, json: Json = False) -> None:
    """Show the answer to a question that was asked before; needs no model.

    Args:
        workspace: Folder of the workspace.
        query: Id of the question, see `lorif queries`.
        json: Print one JSON object instead of tables.
    """
    from lorif_core.workspace.workspace import open_workspace

    answer = open_workspace(workspace).reopen(query)
    if json:
        print_json(answer.to_dict())
    else:
        console().print(answer)


def compare(
    workspace: Positional[Path],
    query_a: Positional[str],
    query_b: Positional[str],
    /,
    *,
    side: Literal["supports", "opposes"] = "supports",
    k: Annotated[int, tyro.conf.arg(aliases=["-k"])] = 20,
    json: Json = False,
) -> None:
    """Put two questions side by side: which texts both bring up, how their ranks change; needs no model.

    They may differ in prompt, completion, index or method, and must be about the same data.

    Args:
        workspace: Folder of the workspace.
        query_a: Id of a question, see `lorif queries`.
        query_b: Id of the other one.
        side: Which end of the rankings is compared.
        k: Length of the lists.
        json: Print one JSON object instead of tables.
    """
    from lorif_core.views.comparisons import comparison_view
    from lorif_core.workspace.workspace import open_workspace

    found = open_workspace(workspace).compare(query_a, query_b, side=side, k=k).to_dict()
    if json:
        print_json(found)
    else:
        console().print(comparison_view(found))


def breakdown(
    workspace: Positional[Path],
    query: Positional[str],
    id: Positional[str],
    /,
    *,
    model: TextArg = None,
    json: Json = False,
) -> None:
    """Split a text's score on a question over the modules of the model, and over the question's own tokens.

    Each of both adds up to the score. A token's part is that of reading it to predict what follows.

    Args:
        workspace: Folder of the workspace.
        query: Id of the question, see `lorif queries`.
        id: Id of the text.
        model: Where the model is now, if it was moved since the index was built.
        json: Print one JSON object instead of a table.
    """
    from lorif_core.views.tables import records_table
    from lorif_core.workspace.workspace import open_workspace

    found = open_workspace(workspace).questions.breakdown(query, id, model=model)
    if json:
        print_json(found.to_dict())
        return
    ordered = sorted(found.parts.items(), key=lambda item: -abs(item[1]))
    rows = [_part_row(name, part, found.score) for name, part in ordered]
    console().print(records_table(f"Score {found.score:+.4g} of {id}", ["module", "part", "of the score"], rows))
    if found.members:
        rows = [_part_row(name, part, found.score) for name, part in found.members.items()]
        console().print(records_table("Members of the index", ["member", "part", "of the score"], rows))
    _print_tokens(found)


def _part_row(name: str, part: float, score: float) -> list[str]:
    return [name, f"{part:+.4g}", f"{part / score:.1%}" if score else "–"]


def _print_tokens(found: "Breakdown") -> None:
    from lorif_core.views.tables import records_table

    if found.no_tokens is not None:
        say(f"No parts of tokens: {found.no_tokens}")
        return
    for title, tokens in (("The question's tokens", found.tokens), ("Behind the contrast", found.contrast_tokens)):
        rows = [_part_row(repr(token.text), token.part, found.score) for token in tokens]
        if rows:
            console().print(records_table(title, ["token", "part", "of the score"], rows))


def neighbours(
    workspace: Positional[Path],
    id: Positional[str],
    /,
    *,
    k: Annotated[int, tyro.conf.arg(aliases=["-k"])] = 10,
    by: Alike = "gradient",
    index: TextArg = None,
    search: Search | None = None,
    json: Json = False,
) -> None:
    """Find the texts most like a text: those that teach alike, or that mean the same to the model; needs no model.

    Args:
        workspace: Folder of the workspace.
        id: Id of the text.
        k: How many to find.
        by: gradient: cosine of the stored gradients. meaning: cosine of the standardised mean hidden states, which
            `lorif map` computes.
        index: Name or id of the index; unset: the newest complete one.
        search: By gradient only. exact: compare every text. fast: read a part of what is stored; what may be
            missing is said. Unset: exact below 100,000 texts, else fast.
        json: Print one JSON object instead of a table.
    """
    from lorif_core.views.tables import records_table
    from lorif_core.workspace.workspace import open_workspace

    found = open_workspace(workspace).indexes.neighbours(id, k, by=by, index_id=index, search=search)
    if json:
        print_json(found.to_dict())
        return
    rows = [
        [str(rank), f"{cosine:.4f}", train_id, text[:CELL_CHARACTERS]]
        for rank, train_id, cosine, text in found.texts.iter_rows()
    ]
    console().print(records_table(f"Nearest to {id} by {found.by}", ["#", "cosine", "id", "text"], rows))
    if found.fast_search is not None:
        say("  ·  ".join(found.fast_search.sentences()))


def outliers(
    workspace: Positional[Path],
    /,
    *,
    k: Annotated[int, tyro.conf.arg(aliases=["-k"])] = 20,
    smallest: bool = False,
    index: TextArg = None,
    json: Json = False,
) -> None:
    """List the texts with the largest self-influence: odd, wrong or rare ones, which nothing else teaches.

    Args:
        workspace: Folder of the workspace.
        k: How many to list.
        smallest: List the smallest ones instead, the last rank first.
        index: Name or id of the index; unset: the newest complete one.
        json: Print one JSON object instead of a table.
    """
    from lorif_core.views.tables import records_table
    from lorif_core.workspace.workspace import open_workspace

    if k < 1:
        raise ConfigError(f"k must be at least 1, got {k}.")
    found = open_workspace(workspace).indexes.outliers(index)
    shown = found.reverse().head(k) if smallest else found.head(k)
    if json:
        print_json({"num_texts": len(found), "outliers": shown.to_dicts()})
        return
    rows = [[f"{rank:,}", f"{own:.4g}", train_id] for rank, train_id, own in shown.iter_rows()]
    console().print(records_table("Texts by self-influence", ["rank", "self-influence", "id"], rows))


def _data(workspace: Path) -> "Datasets":
    from lorif_core.workspace.datasets.datasets import Datasets
    from lorif_core.workspace.folder.workspace_files import open_files

    return Datasets(open_files(workspace), None)  # a whole Workspace would load torch


def _view(args: ViewArgs, sort: tuple[str, ...]) -> "View":
    from lorif_core.workspace.datasets.view import View

    return View(
        where=args.where,
        search=args.search,
        mode=args.mode,
        statuses=args.status,
        sort=sort,
        clusters=args.cluster,
    )


def _print_page(page: "Page", shown: "DataFrame", limit: int, passages: "list[Snippet]") -> None:
    from lorif_core.views.shown_values import cell_text
    from lorif_core.views.tables import marked_passage, records_table

    shown = shown.drop("source_line", strict=False)
    if not page.decided("reason").count():
        shown = shown.drop(page.decision_names["reason"])
    if not page.decided("has_conflict").any():
        shown = shown.drop(page.decision_names["has_conflict"])
    rows = [["" if value is None else cell_text(value)[:CELL_CHARACTERS] for value in row] for row in shown.rows()]
    columns = [*shown.columns, *(["found"] if passages else [])]
    marked = [[marked_passage(passage)] for passage in passages] or [[] for _ in rows]
    cells = [[*row, *found] for row, found in zip(rows, marked, strict=True)]
    console().print(records_table("", columns, cells))
    last = -(-page.total // limit) if limit else 0
    first = page.offset + 1 if rows else 0
    say(f"{first:,} to {page.offset + len(rows):,} of {page.total:,}, page {page.offset // limit + 1:,} of {last:,}.")


def _print_facet(facet: "Facet") -> None:
    from lorif_core.corpus.facets import HistogramFacet
    from lorif_core.views.shown_values import bin_text, cell_text
    from lorif_core.views.tables import records_table

    if isinstance(facet, HistogramFacet):
        counts = [(bin_text(facet, bin), bin.count) for bin in facet.bins]
        others = [("not a number", facet.num_nan), ("infinite", facet.num_infinite)]
    else:
        counts = [(cell_text(value.value), value.count) for value in facet.values[:MAX_VALUES_SHOWN]]
        hidden = facet.values[MAX_VALUES_SHOWN:]
        num_hidden = facet.num_other_values + len(hidden)
        others = [(f"{num_hidden:,} other values", facet.num_others + sum(value.count for value in hidden))]
    counts += [row for row in [*others, ("(missing)", facet.num_missing)] if row[1]]
    largest = max((count for _, count in counts), default=1) or 1
    rows = [
        [name[:CELL_CHARACTERS], f"{count:,}", "█" * round(BAR_WIDTH * count / largest)] for name, count in counts
    ]
    console().print(records_table(facet.column, ["value", "texts", ""], rows))
