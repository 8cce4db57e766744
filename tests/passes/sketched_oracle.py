"""FactGraSS, GraSS and TRAK written out in float64: every gradient, mask, hash and inverse is a matrix.

Only what was drawn (which places, which buckets, which signs) is taken from the maps; scales are counted here.
"""

import torch
from oracles import example_loss, weight_gradients


def one_hot_columns(places, width):
    """(width, d): column j is the unit vector of the j-th place; the identity without places."""
    if places is None:
        return torch.eye(width, dtype=torch.float64)
    matrix = torch.zeros(width, len(places), dtype=torch.float64)
    for column, place in enumerate(places.tolist()):
        matrix[place, column] = 1
    return matrix


def hash_matrix(buckets, signs, width):
    """(m, k): row j has its sign in its bucket."""
    matrix = torch.zeros(len(buckets), width, dtype=torch.float64)
    for row, (bucket, sign) in enumerate(zip(buckets.tolist(), signs.tolist(), strict=True)):
        assert sign in (1, -1)
        matrix[row, bucket] += sign
    return matrix


def masked_vector(gradient, maps, width):
    """FactGraSS: √(io ÷ i'o') Sᵀ vec(M_inᵀ G M_out)."""
    sides = [None if side is None else side.places for side in (maps.input_map, maps.output_map)]
    left, right = (one_hot_columns(*pair) for pair in zip(sides, gradient.shape, strict=True))
    kept = left.T @ gradient @ right
    scale = (gradient.numel() / kept.numel()) ** 0.5
    return scale * kept.reshape(-1) @ hash_matrix(maps.sketch.buckets, maps.sketch.signs, width)


def entries_vector(gradient, maps, width):
    """GraSS: √(io ÷ m) Sᵀ of m entries of G."""
    pairs = list(zip(maps.input_map.places.tolist(), maps.output_map.places.tolist(), strict=True))
    assert len(set(pairs)) == len(pairs)
    kept = torch.stack([gradient[row, column] for row, column in pairs])
    scale = (gradient.numel() / len(pairs)) ** 0.5
    return scale * kept @ hash_matrix(maps.sketch.buckets, maps.sketch.signs, width)


def projected_vector(gradient, maps, width):
    """TRAK: Sᵀ vec(P_inᵀ G P_out) of random signs."""
    sides = [
        torch.eye(count, dtype=torch.float64) if side is None else side.double()
        for side, count in zip((maps.input_map, maps.output_map), gradient.shape, strict=True)
    ]
    kept = sides[0].T @ gradient @ sides[1]
    return kept.reshape(-1) @ hash_matrix(maps.sketch.buckets, maps.sketch.signs, width)


VECTORS = {"factgrass": masked_vector, "grass": entries_vector, "trak": projected_vector}


def features(name, model, maps, examples, objective, widths):
    """Per module, or of all modules together, the vectors of all examples, (n, k)."""
    rows = []
    for one in examples:
        gradients = weight_gradients(model, maps, one.input_ids, one.is_target, objective)
        rows.append({key: VECTORS[name](gradients[key], maps[key], widths[key]) for key in maps})
    blocks = [torch.stack([row[key] for row in rows]) for key in maps]
    return blocks if name == "factgrass" else [sum(blocks)]


def inverse_products(queries, trains, damping_of):
    """Σ over blocks of q (ZᵀZ + λI)⁻¹ z, (Q, N)."""
    total = 0
    for asked, stored in zip(queries, trains, strict=True):
        gram = stored.T @ stored
        damped = gram + damping_of(gram) * torch.eye(len(gram), dtype=torch.float64)
        total = total + asked @ torch.linalg.inv(damped) @ stored.T
    return total


def one_minus_p(model, examples):
    """1 - p of the targets of each example, (n,)."""
    with torch.no_grad():
        return torch.stack([1 - torch.exp(-example_loss(model, one.input_ids, one.is_target)) for one in examples])
