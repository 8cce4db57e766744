"""J and G of the Gauss–Newton matrix written out in float64, and its dense solutions."""

import torch
from oracles import leaf_of


def explicit(source, texts):
    """Wᵀ H W as one matrix over all modules, (D, D): every logit of every target token differentiated by itself."""
    model = source.model
    for one in source.modules:
        if one.form == "columns":  # its own use alone, and not that of an embedding that shares the parameter
            head = model.get_submodule(one.name)
            head._parameters["weight"] = torch.nn.Parameter(head.weight.detach().clone())
    found = {one.name: leaf_of(model, one.name) for one in source.modules}
    leaves = [leaf.requires_grad_(True) for leaf, _, _ in found.values()]
    whole, num_tokens = 0.0, 0
    for text in texts:
        num_tokens += len(text.input_ids)
        logits = model(input_ids=torch.tensor([text.input_ids])).logits[0]
        for place in [place for place, is_target in enumerate(text.is_target) if is_target]:
            rows = []
            for logit in logits[place - 1]:
                gradients = torch.autograd.grad(logit, leaves, retain_graph=True, allow_unused=True)
                rows.append(torch.cat([_row(source, *one) for one in zip(found.items(), gradients, strict=True)]))
            jacobian, shares = torch.stack(rows), logits[place - 1].detach().double().softmax(0)
            fisher = torch.diag(shares) - torch.outer(shares, shares)
            whole = whole + abs(text.weight) * jacobian.T @ fisher @ jacobian
    return whole / num_tokens


def _row(source, named, gradient):
    """A logit's gradient by one weight, in the coordinates of its maps, flattened."""
    name, (leaf, expert, is_out_first) = named
    gradient = torch.zeros_like(leaf) if gradient is None else gradient
    gradient = gradient if expert is None else gradient[expert]
    gradient = (gradient.T if is_out_first else gradient).double()
    maps = source.maps[name]
    out = torch.diag(maps.output_map) if maps.output_map.ndim == 1 else maps.output_map
    return (maps.input_map.T @ gradient @ out).flatten()


def flat(vectors):
    return torch.cat([rows.flatten(1) for rows in vectors.values()], 1).double()


def dense_solutions(matrix, vectors, damping):
    """Of every query."""
    return torch.linalg.solve(matrix + damping * torch.eye(len(matrix), dtype=torch.float64), flat(vectors).T).T
