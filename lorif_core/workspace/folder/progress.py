"""How long work says how far it is."""

from collections.abc import Callable

ProgressSink = Callable[[str, int, int], None]
"""(stage, done, total): `statistics` and `gradients` count examples, `roots` and `curvature` modules,
`self-influence` shards."""


class Cancelled(Exception):
    """What a sink raises to end work that nobody waits for any more; no error."""


def no_progress(stage: str, done: int, total: int) -> None:
    """Ignore progress."""
