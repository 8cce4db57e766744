"""Groups of texts that are the same, or nearly.

Two texts are **exact** duplicates when their normalised forms are equal: the comparable form of
every search (``normalising``), runs of white space made one space, and white space and punctuation
(Unicode category P) stripped at both ends. Forms are compared by their 128-bit BLAKE2b hash.

They are **near** duplicates when the Jaccard similarity |A ∩ B| / |A ∪ B| of their sets of word
3-shingles reaches a threshold. Words are what white space separates in the normalised form, each
stripped of punctuation at its ends, and the characters of scripts without spaces; a text of
fewer than three words is the set of its words. (At
thresholds above 2/3 no pair is lost where the two kinds of set meet.) Groups are connected
components: a member is similar to some other member, not always to the first.

Candidates come from MinHash signatures (datasketch) cut into bands, so that two texts meet when
all values of a band agree. The bands are the longest with which a pair of similarity s = threshold
is missed with probability (1 - s^rows)^bands of at most ``MISS``; more similar pairs are missed
more rarely. Every candidate is then compared by its shingles (64-bit hashes of them), so no pair
below the threshold is ever linked.

datasketch's own index (``MinHashLSH``) is not used: with 21 bands it took 69 MB for 10,000 texts, the
array of band keys takes 1.7 MB.
"""

import hashlib
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np
import polars as pl
import xxhash
from datasketch import MinHash
from numpy.typing import NDArray

from lorif_core.corpus.normalising import comparable, set_apart
from lorif_core.errors import ConfigError

Batch = tuple[list[str], list[str]]
"""Ids and texts of consecutive examples, of equal length."""

SHINGLE_WORDS = 3
"""Words of a shingle."""

MISS = 0.01
"""Highest probability that a pair exactly at the threshold is never compared."""

SCHEMA = pl.Schema({"group": pl.Int64, "train_id": pl.String, "kind": pl.String, "similarity": pl.Float64})
"""Columns of a result: ``group`` counts from 1, ``kind`` is ``exact`` or ``near``."""


def normalised(text: str) -> str:
    """The form in which texts are compared: comparable, single spaces, no punctuation at the ends."""
    return _stripped(" ".join(comparable(text).split()))


def _stripped(text: str) -> str:
    start, end = 0, len(text)
    while start < end and _is_edge(text[start]):
        start += 1
    while start < end and _is_edge(text[end - 1]):
        end -= 1
    return text[start:end]


def _is_edge(character: str) -> bool:
    return not character.isalnum() and (character.isspace() or unicodedata.category(character).startswith("P"))


def shingles(text: str) -> set[str]:
    """Word 3-shingles of a text's normalised form, or its words when it has fewer than three."""
    return set(_shingles_of_form(normalised(text)))


def _shingles_of_form(form: str) -> list[str]:
    words = [word for part in set_apart(form).split() if (word := _stripped(part))]
    if len(words) < SHINGLE_WORDS:
        return words
    return [" ".join(words[start : start + SHINGLE_WORDS]) for start in range(len(words) - SHINGLE_WORDS + 1)]


def _shingle_hashes(form: str) -> NDArray[np.uint64]:
    """Hashes of the distinct shingles, ascending."""
    hashes = {xxhash.xxh3_64_intdigest(_bytes(shingle)) for shingle in _shingles_of_form(form)}
    return np.array(sorted(hashes), np.uint64)


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogatepass")


def exact_groups(batches: Iterable[Batch]) -> pl.DataFrame:
    """Groups of examples whose normalised texts are equal.

    Streams; what grows is the id and a 16-byte hash per example.

    Returns:
        Columns ``group, train_id, kind, similarity`` for every example of a group of two or more;
        the largest group first, then by first member, members in the order of the data.
    """
    rows = _numbered([_hashed(ids, list(map(normalised, texts))) for ids, texts in batches])
    first_rows = _first_rows(rows)
    return _grouped(rows, first_rows, np.ones(len(rows)), is_exact=np.ones(len(rows), bool))


def near_groups(
    read_batches: Callable[[], Iterable[Batch]], *, threshold: float = 0.8, num_perm: int = 128, seed: int = 0
) -> pl.DataFrame:
    """Groups of examples with equal or similar texts; the same seed gives the same groups.

    Reads the data twice: for signatures, then for the shingles of texts that met another. What
    grows is, per example, the id, a 16-byte hash and 8 bytes a band (21 bands by default), and 8
    bytes per shingle of a text that met another. Time grows with the square of the number of texts
    that all resemble each other just below the threshold, such as one long template filled in.

    Args:
        read_batches: Starts reading the data from its beginning, the same each time.
        threshold: Lowest Jaccard similarity of a pair, in (0, 1].
        num_perm: Values of a signature: with more, bands are longer and fewer texts meet by chance.
        seed: Draws the permutations, from 0 to 2³² - 1.

    Returns:
        As ``exact_groups``; ``kind`` is ``exact`` where the normalised text is the first member's,
        and ``similarity`` is the Jaccard similarity to the first member.

    Raises:
        ConfigError: A setting is out of range.
    """
    if not 0 <= seed < 2**32:
        raise ConfigError(f"the seed is a whole number from 0 to 2³² - 1, got {seed}.")
    bands = choose_bands(threshold, num_perm)
    rows, keys = _read_signatures(read_batches(), bands, MinHash(num_perm, seed, hashfunc=int))
    first_rows = _first_rows(rows)
    distinct = np.unique(first_rows)
    keys = keys[distinct]
    sets = _read_sets(read_batches(), distinct[_have_met(keys)])
    parents = np.arange(len(rows))
    for bucket in _buckets(keys):
        _link(distinct[bucket], sets, parents, threshold)
    roots = _roots(parents, first_rows)
    similarities = np.ones(len(rows))
    for row in np.flatnonzero(roots != first_rows):
        similarities[row] = _jaccard(sets.of(first_rows[row]), sets.of(roots[row]))
    return _grouped(rows, roots, similarities, is_exact=roots == first_rows)


class Bands(NamedTuple):
    """How a signature is cut."""

    count: int
    """Bands of a signature."""

    rows: int
    """Values of a band; all agree where two texts meet."""


def choose_bands(threshold: float, num_perm: int) -> Bands:
    """The longest bands that miss a pair at the threshold with probability at most ``MISS``.

    Raises:
        ConfigError: The threshold is not in (0, 1], or there are not enough values for it.
    """
    if not 0 < threshold <= 1:
        raise ConfigError(f"the similarity of near duplicates is in (0, 1], got {threshold}: 0.8 is usual.")
    for length in range(num_perm, 0, -1):
        if (1 - threshold**length) ** (num_perm // length) <= MISS:
            return Bands(num_perm // length, length)
    raise ConfigError(
        f"{num_perm} signature values miss more than {MISS:.0%} of pairs with similarity {threshold}: use "
        "more values or a higher similarity."
    )


def _hashed(ids: list[str], forms: list[str]) -> pl.DataFrame:
    digests = np.frombuffer(b"".join(_digest(form) for form in forms), np.uint64).reshape(-1, 2)
    return pl.DataFrame(
        {"train_id": ids, "high": digests[:, 0], "low": digests[:, 1]},
        schema={"train_id": pl.String, "high": pl.UInt64, "low": pl.UInt64},
    )


def _digest(form: str) -> bytes:
    return hashlib.blake2b(_bytes(form), digest_size=16).digest()


def _numbered(frames: list[pl.DataFrame]) -> pl.DataFrame:
    return pl.concat([_hashed([], []), *frames]).with_row_index("row")


def _first_rows(rows: pl.DataFrame) -> NDArray[np.int64]:
    """For each row, the first row with the same normalised text."""
    return rows.select(pl.col("row").cast(pl.Int64).min().over("high", "low"))["row"].to_numpy()


def _read_signatures(
    batches: Iterable[Batch], bands: Bands, signer: MinHash
) -> tuple[pl.DataFrame, NDArray[np.uint64]]:
    """Ids and text hashes of all rows, and their band keys, (N, bands)."""
    # Texts meet when their keys are equal; keys of different bands that collide only cost a comparison.
    multipliers = np.random.default_rng(signer.seed).integers(1, 2**63, bands.rows, np.uint64)
    frames, keys = [], [np.empty((0, bands.count), np.uint64)]
    for ids, texts in batches:
        forms = list(map(normalised, texts))
        frames.append(_hashed(ids, forms))
        signatures = np.array([_signature(form, signer) for form in forms], np.uint64).reshape(-1, signer.num_perm)
        cut = signatures[:, : bands.count * bands.rows].reshape(-1, bands.count, bands.rows)
        keys.append((cut * multipliers).sum(axis=2))
    return _numbered(frames), np.concatenate(keys)


def _signature(form: str, signer: MinHash) -> NDArray[np.uint32]:
    sketch = signer.copy()
    sketch.update_batch((_shingle_hashes(form) & np.uint64(2**32 - 1)).tolist())
    return sketch.hashvalues


def _buckets(keys: NDArray[np.uint64]) -> Iterator[NDArray[np.int64]]:
    """Rows of ``keys`` that agree in a band, ascending, for each band."""
    for band in keys.T:
        order = np.argsort(band, kind="stable")
        starts = np.append(0, np.flatnonzero(np.diff(band[order])) + 1)
        ends = np.append(starts[1:], len(order))
        is_shared = ends - starts > 1
        for start, end in zip(starts[is_shared], ends[is_shared], strict=True):
            yield order[start:end]


def _have_met(keys: NDArray[np.uint64]) -> NDArray[np.bool_]:
    have_met = np.zeros(len(keys), bool)
    for bucket in _buckets(keys):
        have_met[bucket] = True
    return have_met


class _Sets(NamedTuple):
    """Shingle hashes of some rows, one after the other."""

    rows: NDArray[np.int64]
    starts: NDArray[np.int64]
    hashes: NDArray[np.uint64]

    def of(self, row: int | np.int64) -> NDArray[np.uint64]:
        at = np.searchsorted(self.rows, row)
        return self.hashes[self.starts[at] : self.starts[at + 1]]


def _read_sets(batches: Iterable[Batch], wanted: NDArray[np.int64]) -> _Sets:
    row, at = 0, 0
    parts, sizes = [np.empty(0, np.uint64)], [0]
    for _, texts in batches:
        upto = int(np.searchsorted(wanted, row + len(texts)))
        found = [_shingle_hashes(normalised(texts[place - row])) for place in wanted[at:upto].tolist()]
        sizes += map(len, found)
        parts.append(np.concatenate([parts[0], *found]))
        row, at = row + len(texts), upto
    return _Sets(wanted, np.cumsum(sizes), np.concatenate(parts))


def _link(rows: NDArray[np.int64], sets: _Sets, parents: NDArray[np.int64], threshold: float) -> None:
    """Join the rows whose sets are similar; ``parents`` is a forest whose roots are the first rows."""
    roots = _roots(parents, rows)
    if (roots == roots[0]).all():  # most buckets repeat one of an earlier band
        return
    members = [sets.of(row) for row in rows]
    sizes = np.array(list(map(len, members)))
    starts = np.cumsum(sizes) - sizes
    known, codes = np.unique(np.concatenate(members), return_inverse=True)
    for place in range(len(rows)):
        is_apart = roots != roots[place]
        if not is_apart.any():
            return
        is_own = np.zeros(len(known), bool)
        is_own[codes[starts[place] : starts[place] + sizes[place]]] = True
        shared = np.add.reduceat(is_own[codes], starts, dtype=np.int64)
        is_similar = shared / (sizes + sizes[place] - shared) >= threshold
        joined = np.append(roots[is_apart & is_similar], roots[place])
        parents[joined] = joined.min()
        roots = _roots(parents, rows)


def _roots(parents: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    roots = parents[rows]
    while not np.array_equal(above := parents[roots], roots):
        roots = above
    parents[rows] = roots
    return roots


def _jaccard(one: NDArray[np.uint64], other: NDArray[np.uint64]) -> float:
    shared = len(np.intersect1d(one, other, assume_unique=True))
    return shared / (len(one) + len(other) - shared)


def _grouped(
    rows: pl.DataFrame, roots: NDArray[np.int64], similarities: NDArray[np.float64], *, is_exact: NDArray[np.bool_]
) -> pl.DataFrame:
    """The groups of two or more; ``roots`` names each row's group by its first row."""
    frame = rows.select(
        "row",
        "train_id",
        pl.Series("root", roots),
        pl.Series("kind", is_exact).replace_strict({True: "exact", False: "near"}, return_dtype=pl.String),
        pl.Series("similarity", similarities),
    )
    large = frame.with_columns(size=pl.len().over("root")).filter(pl.col("size") > 1)
    ordered = large.sort(pl.col("size"), "root", "row", descending=[True, False, False])
    return ordered.select(pl.col("root").rle_id().add(1).alias("group"), "train_id", "kind", "similarity").cast(
        SCHEMA
    )
