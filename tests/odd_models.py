"""Small causal models that use their linear maps in odd ways, all of which real ones do."""

import torch
from torch import Tensor, nn


class Logits:
    def __init__(self, logits: Tensor) -> None:
        self.logits = logits


class OddModel(nn.Module):
    """Embeds tokens, mixes them over time, and predicts; subclasses say how ``self.inner`` is used."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.embed = nn.Embedding(64, 8)
            self.inner, self.other = nn.Linear(8, 8), nn.Linear(8, 8)
            self.head = nn.Linear(8, 64)
        self.double()

    def get_input_embeddings(self) -> nn.Module:
        return self.embed

    def forward(self, input_ids, attention_mask=None, use_cache=False):
        hidden = self.embed(input_ids)
        mixed = hidden.cumsum(1) / torch.arange(1, hidden.shape[1] + 1)[:, None]
        return Logits(self.head(torch.tanh(self.use_inner(mixed)) + hidden))

    def use_inner(self, hidden: Tensor) -> Tensor:
        return self.inner(hidden)


class Keyword(OddModel):
    def use_inner(self, hidden):
        return self.inner(input=hidden)


class WithHeadsBehind(OddModel):
    """(B, T, heads, width)"""

    def use_inner(self, hidden):
        return self.inner(hidden[:, :, None] * torch.tensor([[1.0], [2.0], [-0.5]]).double()).sum(2)


class WithHeadsBefore(OddModel):
    """(B, heads, T, width)"""

    def use_inner(self, hidden):
        return self.inner(hidden[:, None] * torch.tensor([[[1.0]], [[2.0]], [[-0.5]]]).double()).sum(1)


class FlattenedWithHeads(OddModel):
    """(B·T, heads, width)"""

    def use_inner(self, hidden):
        return self.inner(hidden.flatten(0, 1)[:, None].expand(-1, 2, -1)).sum(1).view_as(hidden)


class Packed(OddModel):
    """(1, B·T, width)"""

    def use_inner(self, hidden):
        return self.inner(hidden.flatten(0, 1)[None])[0].view_as(hidden)


class Twins(OddModel):
    """Two modules with one weight and different biases."""

    def __init__(self) -> None:
        super().__init__()
        self.other.weight = self.inner.weight

    def use_inner(self, hidden):
        return self.other(torch.tanh(self.inner(hidden)))


class TupleRouter(nn.Linear):
    def forward(self, hidden):
        scores = super().forward(hidden)
        return scores, scores.softmax(-1)


class Tuples(OddModel):
    def __init__(self) -> None:
        super().__init__()
        self.inner = TupleRouter(8, 8).double()

    def use_inner(self, hidden):
        return self.inner(hidden)[1]


class OwnProduct(nn.Linear):
    """As Falcon's: the product written out, in another dtype."""

    def forward(self, hidden):
        return (hidden.float() @ self.weight.float().T).double() + self.bias


class WrittenOut(OddModel):
    def __init__(self) -> None:
        super().__init__()
        self.inner = OwnProduct(8, 8).double()


class ReadsWeights(OddModel):
    """Multiplies by the weight of a module that it never calls."""

    def use_inner(self, hidden):
        return nn.functional.linear(hidden, self.inner.weight)


class ReadsAsWell(OddModel):
    """Calls a module, and multiplies by its weight beside that."""

    def use_inner(self, hidden):
        return self.inner(hidden) + nn.functional.linear(hidden, self.inner.weight).square()


class TimeFirst(OddModel):
    """Flattens tokens before examples, so that rows look as if they belonged to other examples."""

    def use_inner(self, hidden):
        return self.inner(hidden.transpose(0, 1).flatten(0, 1)).view(*hidden.shape[1::-1], -1).transpose(0, 1)


class Routed(OddModel):
    """Hands only some tokens to a map, as routed experts do."""

    def use_inner(self, hidden):
        flat = torch.zeros_like(hidden.flatten(0, 1))
        flat[::2] = self.inner(hidden.flatten(0, 1)[::2])
        return flat.view_as(hidden)


class Unused(OddModel):
    """Calls a map without effect."""

    def use_inner(self, hidden):
        self.inner(hidden)
        return hidden


RIGHT = [Keyword, WithHeadsBehind, WithHeadsBefore, FlattenedWithHeads, Packed, Twins, Tuples, WrittenOut]
"""Captured as they are."""
