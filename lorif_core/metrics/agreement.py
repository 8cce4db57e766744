"""Do people who judge the same texts agree, and more than chance would make them?

Two people on the same n texts: the share of texts on which they say the same, p, and Cohen's kappa

    κ = (p − e) / (1 − e),    e = Σ_c a_c b_c / n²

where a_c and b_c count how often each of them says c. Several people, not all on every text: Krippendorff's alpha for
nominal values over the texts that two or more judged,

    α = 1 − observed / expected
    observed = Σ_u 2 D_u / (m_u − 1),       D_u the pairs of different values on text u, m_u its number of values
    expected = Σ_{c ≠ k} n_c n_k / (n − 1),  n_c how often c was said on those texts, n = Σ_c n_c

Both are 1 where all agree and 0 where chance would agree as often, and neither is defined where only one value was
ever said. Alpha of two people who judged the same texts is not quite their kappa: it pools what they say.
Source: J. Cohen (1960), doi:10.1177/001316446002000104; K. Krippendorff, Content Analysis (2004), ch. 11.
"""

from collections import Counter
from collections.abc import Hashable, Sequence

from lorif_core.errors import DataError


def percent_agreement(one: Sequence[Hashable], other: Sequence[Hashable]) -> float:
    """Texts on which two people say the same, in % of all that both judged.

    Args:
        one: What the first said, text by text.
        other: What the second said, of the same texts in the same order.

    Raises:
        DataError: There is no text, or they did not judge the same ones.
    """
    _check_pairs(one, other)
    return 100 * sum(a == b for a, b in zip(one, other, strict=True)) / len(one)


def cohen_kappa(one: Sequence[Hashable], other: Sequence[Hashable]) -> float | None:
    """Agreement of two people beyond chance, at most 1; None where both always said one and the same.

    Args and errors as of ``percent_agreement``.
    """
    _check_pairs(one, other)
    counts_one, counts_other, n = Counter(one), Counter(other), len(one)
    by_chance = sum(counts_one[value] * counts_other[value] for value in counts_one)
    if by_chance == n * n:
        return None
    agreed = sum(a == b for a, b in zip(one, other, strict=True))
    return (agreed * n - by_chance) / (n * n - by_chance)


def krippendorff_alpha(judged: Sequence[Sequence[Hashable]]) -> float | None:
    """Agreement of any number of people beyond chance, at most 1; None where it is not defined.

    That is where only one value was ever said, or no text has two.

    Args:
        judged: For every text what was said of it, one value a person; texts with fewer than two are left out.
    """
    units = [Counter(values) for values in judged if len(values) >= 2]
    said = sum(units, Counter[Hashable]())
    n = said.total()
    expected = n * n - sum(count * count for count in said.values())
    if expected == 0:
        return None
    observed = 0.0
    for unit in units:
        m = unit.total()
        observed += (m * m - sum(count * count for count in unit.values())) / (m - 1)
    return 1 - observed * (n - 1) / expected


def _check_pairs(one: Sequence[Hashable], other: Sequence[Hashable]) -> None:
    if len(one) != len(other) or not one:
        raise DataError(
            f"agreement is about texts that both judged, got {len(one):,} and {len(other):,} judgements: compare two "
            "people on the same texts."
        )
