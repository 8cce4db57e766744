"""Nearest examples and parts of a score, against loops over gradients rebuilt from the store."""

import pytest
import torch
from indexes import FULL, LOGRA, QUERIES, TRAIN, disk_index, fitted, scores_of, source_of
from oracles import close

from lorif_core.capture.hooks import frozen
from lorif_core.config import CurvatureConfig, ScoreConfig
from lorif_core.linalg.codecs import column_codec
from lorif_core.methods.lorif import Lorif
from lorif_core.methods.method_settings import LorifConfig
from lorif_core.passes import cascade, cascade_plan
from lorif_core.passes.nearest import nearest_examples, search_nearest
from lorif_core.passes.queries import capture_queries
from lorif_core.passes.scoring import plan_scoring, split_over_modules

ABSOLUTE = CurvatureConfig(subspace_rank=4, damping_rule="absolute", damping=2.0)
METHODS = {
    "rank 1": Lorif(LorifConfig(factor_rank=1, subspace_rank=4)),
    "rank 2": Lorif(LorifConfig(factor_rank=2, subspace_rank=4)),
    "full": FULL,
    "logra": LOGRA,
}


@pytest.fixture(scope="module", params=METHODS)
def reader(request, tmp_path_factory):
    """An index of ten examples in three shards."""
    return disk_index(tmp_path_factory.mktemp("near"), METHODS[request.param], ABSOLUTE, "int8")


def whole_gradients(reader):
    """Every example's stored gradients of all modules as one vector, float64."""
    shards = list(reader.iter_shards())
    columns = [
        torch.cat([shard.block(one).dense().flatten(1) for shard in shards]).double() for one in reader.modules
    ]
    return torch.cat(columns, 1)


@pytest.mark.parametrize("position", [0, 5, 9])
def test_neighbours_are_those_of_the_rebuilt_gradients(reader, position):
    rows = torch.nn.functional.normalize(whole_gradients(reader), dim=1)
    cosines = [float(rows[position] @ row) for row in rows]
    order = sorted((one for one in range(len(TRAIN)) if one != position), key=lambda one: -cosines[one])
    positions, found = nearest_examples(reader, position, 4)
    assert positions.tolist() == order[:4]
    close(found, torch.tensor([cosines[one] for one in order[:4]]), relative=1e-4)


@pytest.mark.parametrize("position", [0, 5, 9])
def test_a_search_by_a_cascade_gives_the_cosines_of_the_rebuilt_gradients(reader, position, monkeypatch):
    monkeypatch.setattr(cascade_plan, "SMALLEST_SAMPLE", 5)
    monkeypatch.setattr(cascade, "FEWEST_CEILINGS", 2)
    rows = torch.nn.functional.normalize(whole_gradients(reader), dim=1)
    cosines = rows @ rows[position]
    positions, found, report = search_nearest(reader, position, 2)
    assert position not in positions
    close(found.double(), cosines[positions], relative=1e-4)
    assert report.sample_size == 5
    both = search_nearest(reader, position, 2, [reader])[1]  # the mean over two members that are the same
    close(both, found, relative=1e-4)


def test_asking_for_more_neighbours_than_there_are_gives_all_others(reader):
    positions, cosines = nearest_examples(reader, 3, 99)
    assert sorted(positions.tolist()) == [one for one in range(len(TRAIN)) if one != 3]
    assert cosines.tolist() == sorted(cosines.tolist(), reverse=True)


@pytest.mark.parametrize("normalisation", ["none", "unit", "relatif", "tempered"])
def test_the_parts_of_the_modules_add_up_to_the_score(reader, normalisation):
    asked = ScoreConfig(normalisation=normalisation)
    scores = scores_of(reader, ABSOLUTE, asked)
    source = source_of(reader.method, column_codec("int8"))
    with frozen(source.model):
        plan = plan_scoring(fitted(reader, ABSOLUTE), capture_queries(source, QUERIES, asked), asked)
    assert scores.shape == (3, 10)
    for position in range(len(TRAIN)):
        parts = split_over_modules(plan, position)
        assert list(parts) == [module.name for module in reader.modules]
        close(torch.stack(list(parts.values())).sum(0), scores[:, position], relative=1e-4)


def test_a_part_is_the_module_s_own_inner_product(reader):
    source = source_of(reader.method, column_codec("int8"))
    with frozen(source.model):
        gradients = capture_queries(source, QUERIES[:1], ScoreConfig())
    plan = plan_scoring(fitted(reader, ABSOLUTE), gradients, ScoreConfig())
    rows = torch.split(whole_gradients(reader)[7], [module.dim for module in reader.modules])
    parts = split_over_modules(plan, 7)
    assert len(parts) == 7
    for module, row in zip(reader.modules, rows, strict=True):
        wanted = plan.matrices[module.name][0].flatten().double() @ row
        close(parts[module.name][0], wanted, relative=1e-4)
