"""Standardised and nearest rows, clusters, the flat picture: against definitions without shortcuts, in float64."""

import itertools

import pytest
import torch

from lorif_core.linalg.alike import leading_directions, nearest_rows, standard_of
from lorif_core.linalg.clusters import fit_centres, nearest_centre
from lorif_core.linalg.flat_map import attraction, flat_map, pulls_of, repulsion


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_rows_are_standardised_over_those_that_are_told_whatever_the_parts():
    rows = drawn(30, 4) * torch.tensor([1.0, 1000.0, 0.01, 1.0]) + torch.tensor([0.0, 5000.0, 1.0, 3.0])
    rows[:, 3] = 7.0  # never changes
    rows[[4, 11]] = 0.0  # stand for nothing
    told = [row for place, row in enumerate(rows.double()) if place not in (4, 11)]
    assert len(told) == 28
    mean = sum(told) / len(told)
    deviation = (sum((row - mean) ** 2 for row in told) / len(told)).sqrt()
    deviation[3] = 1.0
    for size in (1, 7, 30):
        standard = standard_of(rows.split(size))
        found = standard.of(rows).double()
        for place, row in enumerate(rows.double()):
            wanted = (row - mean) / deviation
            wanted = torch.zeros(4) if place in (4, 11) else wanted / wanted.norm()
            assert found[place].tolist() == pytest.approx(wanted.tolist(), abs=2e-3)


def test_nearest_rows_are_those_of_every_pair():
    rows = torch.nn.functional.normalize(drawn(1100, 6), dim=1)  # more than two blocks
    found = nearest_rows(rows, 5)
    for place in (0, 511, 512, 1099):
        alike = {other: float(rows[place].double() @ rows[other].double()) for other in range(1100) if other != place}
        assert found[place].tolist() == sorted(alike, key=lambda other: -alike[other])[:5]


def test_directions_keep_what_any_orthonormal_ones_can():
    rows = drawn(40, 6) * torch.tensor([5.0, 4.0, 3.0, 0.1, 0.1, 0.1])
    directions = leading_directions(rows, 3)
    torch.testing.assert_close(directions.T @ directions, torch.eye(3), rtol=0, atol=1e-5)
    best = torch.linalg.svdvals(rows.double())[:3].square().sum()
    assert float((rows @ directions).square().sum()) == pytest.approx(float(best), rel=1e-5)


def test_groups_that_lie_apart_are_found_largest_first_and_the_same_again():
    sizes, rows = (7, 30, 15), []
    for place, size in enumerate(sizes):
        rows.append(drawn(size, 3, seed=place) * 0.1 + 10 * torch.eye(3)[place])
    rows = torch.cat(rows)
    centres = fit_centres(rows, 3, torch.Generator().manual_seed(4))
    owners = nearest_centre(rows, centres)
    assert owners.tolist() == [2] * 7 + [0] * 30 + [1] * 15
    for number, start, size in ((2, 0, 7), (0, 7, 30), (1, 37, 15)):
        torch.testing.assert_close(centres[number], rows[start : start + size].mean(0))
    assert torch.equal(fit_centres(rows, 3, torch.Generator().manual_seed(4)), centres)


def test_equal_rows_make_one_group():
    assert len(fit_centres(torch.ones(20, 3), 5, torch.Generator().manual_seed(0))) == 1


def exact_repulsion(points):
    forces, total = torch.zeros_like(points), 0.0
    for i, j in itertools.permutations(range(len(points)), 2):
        near = 1 / (1 + float((points[i] - points[j]).square().sum()))
        total += near
        forces[i] += near**2 * (points[i] - points[j])
    return forces / total


@pytest.mark.parametrize(("spread", "error"), [(1e-4, 1e-3), (1.0, 1e-3), (8.0, 0.06)])
def test_repulsion_on_a_grid_is_that_of_every_pair(spread, error):
    points = drawn(250, 2).double() * spread
    wanted = exact_repulsion(points)
    assert float((repulsion(points) - wanted).norm() / wanted.norm()) < error


def test_attraction_is_that_of_every_pair():
    neighbours = torch.tensor([[1, 2], [0, 3], [1, 3], [2, 0]])
    points = drawn(4, 2, seed=3).double()
    pairs = {(i, int(j)) for i in range(4) for j in neighbours[i]}
    both = [((i, j) in pairs) + ((j, i) in pairs) for i in range(4) for j in range(4)]
    wanted = torch.zeros(4, 2, dtype=torch.float64)
    for i, j in itertools.permutations(range(4), 2):
        weight = both[4 * i + j] / sum(both)
        apart = points[i] - points[j]
        wanted[i] += weight * apart / (1 + apart.square().sum())
    torch.testing.assert_close(attraction(pulls_of(neighbours), points), wanted, rtol=1e-6, atol=1e-8)


def test_neighbours_lie_together_in_the_picture_and_a_seeded_start_gives_the_same():
    groups = torch.arange(160) // 40
    rows = torch.nn.functional.normalize(drawn(160, 8) * 0.4 + 2 * torch.eye(8)[groups], dim=1)
    pulls = pulls_of(nearest_rows(rows, 10))
    told = []
    found = flat_map(pulls, rows[:, :2], lambda *steps: told.append(steps))
    assert torch.equal(found, flat_map(pulls, rows[:, :2]))
    assert told[-1] == (600, 600)
    apart = torch.cdist(found, found).fill_diagonal_(torch.inf)
    alike = groups[apart.topk(10, largest=False).indices] == groups[:, None]
    assert float(alike.float().mean()) > 0.97
