"""Who gets which texts of a queue: equal shares, some texts for two people, the same for the same queue."""

from collections.abc import Sequence

from lorif_core.errors import DataError
from lorif_core.files import fingerprint_of_value


def share_out(train_ids: Sequence[str], people: Sequence[str], overlap_percent: float = 0.0) -> dict[str, list[str]]:
    """Deal a queue out: everybody gets as many texts as the others, within one, and so it is with the second readers.

    Texts are dealt in the order of a hash of their ids, so that nobody gets the strongest ones alone, and lie in each
    share in the order of the queue. The first of the dealt ones, as many as ``overlap_percent`` asks for, rounded to
    whole texts, are dealt once more, to another person; every pair of people comes up in turn.

    Args:
        train_ids: The queue.
        people: Who shares it.
        overlap_percent: Texts that two people see, in % of the queue, from 0 to 100.

    Raises:
        DataError: Nobody or somebody twice is named, one person is to overlap, or the queue is empty.
    """
    ids, names = list(dict.fromkeys(train_ids)), list(people)
    if not ids:
        raise DataError("there is nothing to share out: the queue is empty. Choose another one.")
    if not names:
        raise DataError("a queue is shared out among people, nobody was named: name one or more.")
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise DataError(f"everybody is named once, got {twice!r} several times: leave out all but one.")
    if not 0 <= overlap_percent <= 100:
        raise DataError(f"an overlap is 0 to 100 %, got {overlap_percent:g}.")
    if overlap_percent and len(names) == 1:
        raise DataError("an overlap needs two people, got one: name another, or share out without one.")
    dealt = sorted(ids, key=lambda train_id: (fingerprint_of_value(["round", train_id]), train_id))
    readers: dict[str, list[str]] = {}
    for place, train_id in enumerate(dealt):
        readers[train_id] = [names[place % len(names)]]
    for place, train_id in enumerate(dealt[: round(len(ids) * overlap_percent / 100)]):
        step = 1 + place // len(names) % (len(names) - 1)
        readers[train_id].append(names[(place + step) % len(names)])
    return {name: [train_id for train_id in ids if name in readers[train_id]] for name in names}
