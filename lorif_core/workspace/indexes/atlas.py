"""The map of an index: the texts as a picture in which near means alike to the model, and clusters with names.

Texts are compared by the states that ``text_states`` keeps, standardised and reduced to ``NUM_DIRECTIONS``. Clusters
are of every text; the picture is of at most ``MOST_PLACED`` of them, an even sample that a seed draws. Memory grows
with the number of texts by the reduced states only: 200 bytes a text.
"""

import json
import math
from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from lorif_core.corpus.cluster_names import cluster_names, count_words
from lorif_core.errors import ArtefactError, ConfigError
from lorif_core.files import BLANK_SEAL, SEAL, replace_sealed
from lorif_core.linalg.alike import is_told, leading_directions, nearest_rows, of_norm_one, standard_of
from lorif_core.linalg.clusters import fit_centres, nearest_centre
from lorif_core.linalg.flat_map import NUM_NEIGHBOURS, flat_map, pulls_of
from lorif_core.workspace.folder.kept_map import CLUSTERS, FINGERPRINT, POINTS, SEED, Atlas, Cluster, read_atlas
from lorif_core.workspace.folder.progress import ProgressSink, no_progress
from lorif_core.workspace.folder.workspace_files import WorkspaceFiles
from lorif_core.workspace.indexes.text_states import TextStates, build_states

STAGE = "map"
NUM_DIRECTIONS = 50
FEWEST_TO_PLACE = 5
MOST_FITTED = 20_000
"""Texts from which the directions are taken."""

MOST_PLACED = 100_000
"""Texts of the picture, and texts from which the clusters are fitted."""

MOST_NAMED = 50_000
"""Texts whose words name the clusters."""

MOST_CLUSTERS = 1_000


def usual_clusters(num_texts: int) -> int:
    """How many clusters where nobody says: a third of the square root of the number of texts, from 2 to 40."""
    return max(2, min(40, round(math.sqrt(num_texts) / 3)))


def build_atlas(
    files: WorkspaceFiles,
    index_id: str | None,
    *,
    seed: int = 0,
    num_clusters: int | None = None,
    on_progress: ProgressSink = no_progress,
) -> Atlas:
    """Compute the map of a complete index and keep it, unless it is there already with the same settings.

    Args:
        files: The workspace.
        index_id: None: the newest complete one.
        seed: Of the sample, the first centres and the first points; the same one gives the same map.
        num_clusters: None: as a kept map has, else ``usual_clusters``.
        on_progress: Receives ("states", texts read, all), then ("map", steps done, all).

    Raises:
        ConfigError: There cannot be so many clusters, or the index has no model.
        LorifError: The index is not complete, or damaged.
    """
    record = files.choose_index(index_id)
    files.open_index(record.index_id).require_complete()
    if num_clusters is not None and not 1 <= num_clusters <= MOST_CLUSTERS:
        raise ConfigError(f"a map has 1 to {MOST_CLUSTERS:,} clusters, got {num_clusters}.")
    try:
        known = read_atlas(files, record.index_id)
    except ArtefactError:
        known = None
    if known is not None and known.seed == seed and num_clusters in (None, len(known.clusters)):
        return known
    states = build_states(files, record, on_progress)
    rows, told = _reduced(states, seed)
    generator = torch.Generator().manual_seed(seed)
    places = _sample(told, MOST_PLACED, generator)
    points = _picture(rows[places], generator, on_progress)
    owners, clusters = _clusters(files, record.dataset_id, rows, told, num_clusters, generator)
    facts = {
        FINGERPRINT: (record.fingerprint or "").encode(),
        SEED: str(seed).encode(),
        CLUSTERS: json.dumps([vars(one) for one in clusters]).encode(),
        SEAL.encode(): BLANK_SEAL.encode(),
    }
    path = files.map_file(record.index_id)
    path.parent.mkdir(exist_ok=True)
    with replace_sealed(path) as partial:
        pq.write_table(_table(places, points, owners, told).replace_schema_metadata(facts), partial)
    return read_atlas(files, record.index_id)


def _reduced(states: TextStates, seed: int) -> tuple[Tensor, Tensor]:
    """Standardised states of all texts in their leading directions, of norm 1, (N, r); and which texts have one."""
    standard = standard_of(states.iter_parts())
    told = torch.cat([is_told(part) for part in states.iter_parts()])
    chosen = torch.zeros(len(told), dtype=torch.bool)
    chosen[_sample(told, MOST_FITTED, torch.Generator().manual_seed(seed))] = True
    fitted, first = list[Tensor](), 0
    for part in states.iter_parts():
        fitted.append(standard.of(part[chosen[first : first + len(part)]]))
        first += len(part)
    directions = leading_directions(torch.cat(fitted), NUM_DIRECTIONS)
    return torch.cat([of_norm_one(standard.of(part) @ directions) for part in states.iter_parts()]), told


def _sample(told: Tensor, most: int, generator: torch.Generator) -> Tensor:
    """Rows that have a state, ascending; an even sample where there are more than ``most``."""
    rows = told.nonzero().flatten()
    if len(rows) <= most:
        return rows
    return rows[torch.randperm(len(rows), generator=generator)[:most]].sort().values


def _picture(rows: Tensor, generator: torch.Generator, on_progress: ProgressSink) -> Tensor:
    """Points of the sampled texts; in a circle where they are too few for neighbours."""
    if len(rows) < FEWEST_TO_PLACE:
        angles = torch.arange(len(rows)) * (2 * math.pi / max(1, len(rows)))
        return torch.stack([angles.cos(), angles.sin()], 1)
    start = rows[:, :2] if rows.shape[1] > 1 else torch.cat([rows, rows], 1)
    # A little noise, so that equal texts do not lie on one point for ever.
    start = start + 1e-3 * torch.randn(start.shape, generator=generator)
    neighbours = nearest_rows(rows, min(NUM_NEIGHBOURS, len(rows) - 1))
    return flat_map(pulls_of(neighbours), start, lambda done, total: on_progress(STAGE, done, total))


def _clusters(
    files: WorkspaceFiles,
    dataset_id: str,
    rows: Tensor,
    told: Tensor,
    num_clusters: int | None,
    generator: torch.Generator,
) -> tuple[Tensor, list[Cluster]]:
    """Place of the cluster of every text, and the clusters."""
    fitted = rows[_sample(told, MOST_PLACED, generator)]
    if not len(fitted):
        return torch.zeros(len(rows), dtype=torch.long), []
    centres = fit_centres(fitted, num_clusters or usual_clusters(len(fitted)), generator)
    owners = nearest_centre(rows, centres)
    named = _sample(told, MOST_NAMED, generator)
    texts = files.examples(dataset_id)

    def iter_named() -> Iterator[tuple[int, str]]:
        for part in named.split(1000):
            found: Sequence[int] = part.tolist()
            for row, example in zip(found, texts.examples_at(found), strict=True):
                yield int(owners[row]), example.plain_text

    names = cluster_names(*count_words(iter_named(), len(centres)))
    sizes = torch.bincount(owners[told], minlength=len(centres)).tolist()
    return owners, [Cluster(place + 1, name, sizes[place]) for place, name in enumerate(names)]


def _table(places: Tensor, points: Tensor, owners: Tensor, told: Tensor) -> pa.Table:
    whole = torch.full((len(told), 2), torch.nan)
    whole[places] = points.float()
    columns = [pa.array(whole[:, axis].numpy(), from_pandas=True) for axis in (0, 1)]
    cluster = pa.array((owners + 1).int().numpy(), mask=~told.numpy())
    return pa.Table.from_arrays([*columns, cluster], schema=POINTS)
