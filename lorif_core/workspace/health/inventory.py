"""Every kind of file that a workspace holds: where it lies, what it is made from, how it is checked, what repairs it.

One row per kind. A file belongs to the first row whose pattern its path below the workspace fits; a file that fits
none is not LoRIF's and is never touched. ``docs/reference/files.md`` is this table for people.
"""

import re
from dataclasses import dataclass
from typing import Literal

from lorif_core.workspace.health.findings import Finding, Repair, Severity

Check = Literal[
    "nothing",
    "readable",
    "json",
    "lines",
    "states",
    "password",
    "upload",
    "statistics",
    "row",
    "view",
    "memory",
    "starting",
    "elsewhere",
]
"""How one file is checked by itself; ``elsewhere``: with what names it, in the checks of its folder."""

RESTORE = "Restore it from a backup: `lorif restore-backup`."
INDEX_AGAIN = "Run the same `lorif index` command again: it makes what is missing, with the same bytes."


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of file."""

    name: str
    place: str
    """Where it lies, for people."""

    pattern: str
    """Of the path below the workspace, with `/`; the whole of it fits."""

    what: str
    source: str | None
    """What it can be made from again; None: nothing else holds what it says."""

    check: Check
    meaning: str
    """What it means for answers if it is damaged or gone."""

    remedy: str
    repair: Repair | None = None
    left: str = ""
    """What a person still has to do after the repair; empty: nothing."""

    is_sealed: bool = False
    """Whether it has room for a seal, so that one without is worth a note."""

    def finding(
        self, path: str, problem: str, severity: Severity = "broken", *, artefact: str | None = None
    ) -> Finding:
        """What is wrong with a file of this kind."""
        return Finding(artefact or path, problem, severity, path, self.meaning, self.remedy, self.repair, self.left)


_NO_ANSWER = "Questions to this index are refused until then."

KINDS = (
    Kind(
        name="lock",
        place="*.lock",
        pattern=r"(.*/)?([^/]+)?\.lock",
        what="turns of processes at a file; empty, and left where it is",
        source="nothing",
        check="nothing",
        meaning="",
        remedy="",
    ),
    Kind(
        name="leftover",
        place=".*.partial, .*.unfinished, datasets/.incoming-*/, exports/.*.exporting/",
        pattern=r"(.*/)?\.[^/]+(\.partial(\.wal|-wal|-journal|-shm)?|\.unfinished|\.turn|\.[0-9a-f]{32})|uploads/\.[0-9a-f]{32}"
        r"|datasets/\.incoming-[0-9a-f]{32}/.*|exports/(.*/)?\.[^/]+\.exporting/.*",
        what="what a writer had begun when it was killed",
        source="nothing",
        check="elsewhere",
        meaning="It takes space; no answer depends on it.",
        remedy="`lorif doctor WORKSPACE --repair` sets it aside.",
        repair="set aside",
    ),
    Kind(
        name="workspace",
        place="workspace.json",
        pattern=r"workspace\.json",
        what="that the folder is a workspace, and where its journal is",
        source=None,
        check="json",
        meaning="The workspace cannot be opened.",
        remedy=RESTORE,
        is_sealed=True,
    ),
    Kind(
        name="catalog",
        place="catalog.duckdb",
        pattern=r"catalog\.duckdb(\.wal)?",
        what="facts: data sets, models, indexes, questions with their lists, measurements",
        source=None,
        check="elsewhere",
        meaning="The workspace cannot be opened; data, indexes and decisions are in files of their own.",
        remedy=RESTORE,
    ),
    Kind(
        name="catalog that was given up",
        place="catalog.given-up-TIME.duckdb",
        pattern=r"catalog\.given-up-[^/]+\.duckdb(\.wal)?",
        what="the catalog that `lorif catalog --start-anew` moved aside",
        source=None,
        check="readable",
        meaning="None: the workspace goes on with another one.",
        remedy="None is needed.",
    ),
    Kind(
        name="memory of the catalog",
        place="catalog.duckdb.last-seen.json",
        pattern=r"catalog\.duckdb\.last-seen\.json",
        what="which catalog the workspace saw last, and how often it had been written",
        source="the catalog",
        check="readable",
        meaning="A catalog that was set back to an earlier state would go unseen until it is written again.",
        remedy="The next write of the catalog makes it again.",
    ),
    Kind(
        name="journal",
        place="journal.sqlite",
        pattern=r"journal\.sqlite(-wal|-shm)?",
        what="people's decisions, and jobs",
        source=None,
        check="elsewhere",
        meaning="Decisions cannot be relied on: what was excluded may come back into an export.",
        remedy=RESTORE,
    ),
    Kind(
        name="journal that was given up",
        place="journal.given-up-TIME.sqlite",
        pattern=r"journal\.given-up-[^/]+\.sqlite(-wal|-shm)?",
        what="the journal that `lorif journal --start-anew` moved aside",
        source=None,
        check="readable",
        meaning="None: the workspace goes on with another one.",
        remedy="None is needed.",
    ),
    Kind(
        name="identity",
        place="workspace-id.json",
        pattern=r"workspace-id\.json",
        what="what tells the workspace from others; the journal knows it by this",
        source=None,
        check="json",
        meaning="The journal cannot be told to be the workspace's own, so it is not opened.",
        remedy=RESTORE,
        is_sealed=True,
    ),
    Kind(
        name="memory of the journal",
        place="last-seen.json",
        pattern=r"last-seen\.json",
        what="which journal the workspace saw last, and how far it had come",
        source="the journal, where it knows the workspace",
        check="memory",
        meaning="A journal that was set back to an earlier state would go unseen until it is written again.",
        remedy="See in `lorif history` whether the latest decisions are there; the next command writes it again.",
    ),
    Kind(
        name="starting worker",
        place="worker-DEVICE.starting",
        pattern=r"worker-[^/]+\.starting",
        what="that a worker was started and has not taken its place yet",
        source="nothing",
        check="starting",
        meaning="No answer depends on it.",
        remedy="`lorif doctor WORKSPACE --repair` sets it aside.",
        repair="set aside",
        is_sealed=True,
    ),
    Kind(
        name="password",
        place="studio-password",
        pattern=r"studio-password",
        what="the hash of the password that all share (`lorif app --auth shared`)",
        source=None,
        check="password",
        meaning="Nobody can sign in with the shared password; no answer depends on it.",
        remedy="Choose a password anew: `lorif app WORKSPACE --set-password`.",
    ),
    Kind(
        name="examples",
        place="datasets/ID/examples.parquet",
        pattern=r"datasets/[^/]+/examples\.parquet",
        what="the imported texts with their columns",
        source=None,
        check="elsewhere",
        meaning="Nothing can be asked, browsed or exported of this data set.",
        remedy=f"{RESTORE} Without one, import the same files again: the same texts come back.",
        is_sealed=True,
    ),
    Kind(
        name="search index",
        place="datasets/ID/search.sqlite",
        pattern=r"datasets/[^/]+/search\.sqlite",
        what="the words of the texts",
        source="the examples",
        check="elsewhere",
        meaning="Searching for words waits until it is built again; no score depends on it.",
        remedy="`lorif doctor WORKSPACE --repair` builds it again; so does the next search.",
        repair="search",
    ),
    Kind(
        name="changes",
        place="datasets/ID/changes.parquet",
        pattern=r"datasets/[^/]+/changes\.parquet",
        what="the ids that a version of a data set brought, changed and lost",
        source="the examples of both versions",
        check="elsewhere",
        meaning="What a new version changed cannot be listed; no score depends on it.",
        remedy="`lorif doctor WORKSPACE --repair` compares the versions again.",
        repair="changes",
        is_sealed=True,
    ),
    Kind(
        name="rejects",
        place="rejects/NAME.jsonl, rejects/NAME.decided.jsonl",
        pattern=r"rejects/[^/]+\.jsonl",
        what="rows that an import could not use, and decided texts that a version lacks",
        source="the imported files",
        check="lines",
        meaning="The list of an import's rejects is incomplete; the imported texts are not touched by it.",
        remedy="Import the same files again: the list is written anew.",
        repair="set aside",
        left="Import the same files again to have the list written anew.",
    ),
    Kind(
        name="upload",
        place="uploads/CHECKSUM/NAME",
        pattern=r"uploads/[0-9a-f]{12}/[^/]+",
        what="a file that was uploaded in the studio; its folder is named by its checksum",
        source=None,
        check="upload",
        meaning="Exports can no longer copy its lines, and a replay refuses it; the imported texts are whole.",
        remedy=f"{RESTORE} Or upload the file again.",
    ),
    Kind(
        name="plan",
        place="indexes/ID/plan.json",
        pattern=r"indexes/[^/]+/plan\.json",
        what="what an index is built from, and in which parts",
        source="the manifest",
        check="elsewhere",
        meaning="The index answers as long as its manifest is whole; a build cannot go on.",
        remedy="`lorif doctor WORKSPACE --repair` writes it from the manifest, where that is whole.",
        repair="plan",
        is_sealed=True,
    ),
    Kind(
        name="manifest",
        place="indexes/ID/manifest.json",
        pattern=r"indexes/[^/]+/manifest\.json",
        what="the plan, all parts and the fitted curvature of an index, with checksums",
        source="the plan and the entries of the parts",
        check="elsewhere",
        meaning=_NO_ANSWER,
        remedy="`lorif doctor WORKSPACE --repair` makes it from the parts' entries and fits the curvature again.",
        repair="manifest",
        is_sealed=True,
    ),
    Kind(
        name="model share",
        place="indexes/ID/coverage.json",
        pattern=r"indexes/[^/]+/coverage\.json",
        what="which share of the model an index sees; for people, nothing is computed from it",
        source="the index and its model",
        check="json",
        meaning="Answers do not say what share of the model they rest on; no score depends on it.",
        remedy="`lorif doctor WORKSPACE --repair` sets it aside; the share is counted from the modules then.",
        repair="set aside",
        is_sealed=True,
    ),
    Kind(
        name="entry of a part",
        place="indexes/ID/parts/NUMBER.json",
        pattern=r"indexes/[^/]+/parts/\d+\.json",
        what="that a part is finished, with the checksum of its tensors",
        source="the manifest, or the texts and the model",
        check="elsewhere",
        meaning="The index answers as long as its manifest is whole; a build cannot go on.",
        remedy="`lorif doctor WORKSPACE --repair` writes it from the manifest, or sets it aside: `lorif index` makes "
        "the part again.",
        repair="entry",
        is_sealed=True,
    ),
    Kind(
        name="part",
        place="indexes/ID/parts/NUMBER-CHECKSUM.safetensors",
        pattern=r"indexes/[^/]+/(parts/\d+-[0-9a-f]{32}|shards/[^/]+)\.safetensors",
        what="stored gradients of some texts",
        source="the texts and the model",
        check="elsewhere",
        meaning=f"The scores of its texts cannot be computed. {_NO_ANSWER}",
        remedy=f"`lorif doctor WORKSPACE --repair` sets it aside. {INDEX_AGAIN}",
        repair="part",
        left="Run the same `lorif index` command again: it makes the part, with the same bytes on equal hardware.",
    ),
    Kind(
        name="half-whitening map",
        place="indexes/ID/maps/MODULE.safetensors",
        pattern=r"indexes/[^/]+/maps(/[^/]+)?\.safetensors",
        what="how the gradients of a module were projected",
        source="the statistics and the model",
        check="elsewhere",
        meaning=f"No question can be projected as the texts were. {_NO_ANSWER}",
        remedy="`lorif doctor WORKSPACE --repair` makes it from the statistics, if these are there. Else restore it "
        "from a backup, or move the index's folder away and run the same `lorif index` command again.",
        repair="maps",
    ),
    Kind(
        name="fitted curvature",
        place="indexes/ID/subspace/, indexes/ID/self_influence/",
        pattern=r"indexes/[^/]+/(subspace|self_influence)/\d+\.safetensors",
        what="the preconditioner, and every text's score against itself",
        source="the parts",
        check="elsewhere",
        meaning=_NO_ANSWER,
        remedy="`lorif doctor WORKSPACE --repair` fits it again from the parts.",
        repair="fit",
    ),
    Kind(
        name="statistics",
        place="statistics/HASH.safetensors",
        pattern=r"statistics/[0-9a-f]{12}\.safetensors",
        what="second moments behind half-whitening maps",
        source="the texts and the model",
        check="statistics",
        meaning="No score depends on it; the spectra of its indexes cannot be drawn, and a new index takes it again.",
        remedy="`lorif doctor WORKSPACE --repair` sets it aside; the next index that needs it takes it again.",
        repair="set aside",
        left="Nothing at once: the next index that needs it takes it again.",
        is_sealed=True,
    ),
    Kind(
        name="map",
        place="maps/ID.parquet",
        pattern=r"maps/[^/]+\.parquet",
        what="the texts of an index as points in a plane",
        source="the parts",
        check="elsewhere",
        meaning="The map is not drawn; no score depends on it.",
        remedy="`lorif doctor WORKSPACE --repair` sets it aside; `lorif map` computes it again.",
        repair="set aside",
        left="Compute it again with `lorif map`.",
        is_sealed=True,
    ),
    Kind(
        name="kept scores",
        place="scores/HASH.parquet",
        pattern=r"scores/[^/]+\.parquet",
        what="every text's score on a question",
        source="the index and its model",
        check="elsewhere",
        meaning="The question's lists stay; rules, what-ifs and histograms over all its scores are refused.",
        remedy="`lorif doctor WORKSPACE --repair` sets it aside; ask the question again.",
        repair="set aside",
        left="Ask the question again, or do without rules, what-ifs and histograms over all its scores.",
        is_sealed=True,
    ),
    Kind(
        name="states",
        place="states/HASH.states",
        pattern=r"states/[0-9a-f]{16}\.states",
        what="a copy of where every text stands",
        source="the journal",
        check="states",
        meaning="None: the journal is read from its beginning instead, which takes longer.",
        remedy="`lorif doctor WORKSPACE --repair` sets it aside; it is written anew.",
        repair="set aside",
    ),
    Kind(
        name="retraining",
        place="evaluations/brittleness/HASH.json",
        pattern=r"evaluations/brittleness/[0-9a-f]{32}\.json",
        what="the outcome of one training of `lorif evaluate brittleness`",
        source="the recipe and the texts",
        check="json",
        meaning="The same measurement is refused; what was measured is in the catalog.",
        remedy="`lorif doctor WORKSPACE --repair` sets it aside; the same command trains this one again.",
        repair="set aside",
        left="Nothing at once: the same `lorif evaluate brittleness` trains this one again.",
        is_sealed=True,
    ),
    Kind(
        name="scores of a candidate",
        place="evaluations/scores/HASH.safetensors",
        pattern=r"evaluations/scores/[0-9a-f]{32}\.safetensors",
        what="what `lorif evaluate` compares: every text's score on every query; it goes on with them when stopped",
        source="the index, or the model and the texts",
        check="row",
        meaning="The same measurement is refused; what was measured is in the catalog.",
        remedy="`lorif doctor WORKSPACE --repair` sets it aside; the same command computes it again. It may go.",
        repair="set aside",
        left="Nothing at once: the same `lorif evaluate` computes it again.",
        is_sealed=True,
    ),
    Kind(
        name="view",
        place="views/HASH.json",
        pattern=r"views/[0-9a-f]{16}\.json",
        what="a page of the studio that somebody named",
        source=None,
        check="view",
        meaning="The studio shows no saved views while one cannot be read; no score depends on it.",
        remedy=f"{RESTORE} Or let `--repair` set it aside and save the view again: the others are shown then.",
        repair="set aside",
        left="Save the view again, or bring it back from a backup.",
        is_sealed=True,
    ),
    Kind(
        name="log",
        place="logs/JOB.log",
        pattern=r"logs/[^/]+\.log(\.old)?",
        what="what a worker or a job printed, and who signed in",
        source=None,
        check="readable",
        meaning="None.",
        remedy="None is needed.",
    ),
    Kind(
        name="frozen version",
        place="exports/versions/NAME.json",
        pattern=r"exports/versions/[^/]+\.json",
        what="that an export was frozen under a name, with its checksum",
        source=None,
        check="elsewhere",
        meaning="The frozen version cannot be told from a changed one.",
        remedy=RESTORE,
        is_sealed=True,
    ),
    Kind(
        name="copy of a version's record",
        place="exports/ID/frozen/NAME.json",
        pattern=r"exports/[^/]+/frozen/[^/]+\.json",
        what="that an export was frozen under a name: should the record be lost, this says that there was one",
        source="the frozen version's record",
        check="elsewhere",
        meaning="None, as long as the record itself is there.",
        remedy="Copy the record of the same name from exports/versions to its place.",
        is_sealed=True,
    ),
    Kind(
        name="export",
        place="exports/ID/",
        pattern=r"exports/.+",
        what="curated data with manifest, recipe and lists",
        source="the examples and the decisions of then",
        check="elsewhere",
        meaning="The export is not what was written; do not train on it.",
        remedy=f"{RESTORE} Where the decisions are still those, `lorif export --force` writes it again.",
    ),
)

_COMPILED = [(re.compile(kind.pattern), kind) for kind in KINDS]
_NAMED = {kind.name: kind for kind in KINDS}


def kind_of(path: str) -> Kind | None:
    """The kind of a file by its path below the workspace; None for a file that is not LoRIF's."""
    return next((kind for pattern, kind in _COMPILED if pattern.fullmatch(path)), None)


def kind_named(name: str) -> Kind:
    """A row by its name."""
    return _NAMED[name]
