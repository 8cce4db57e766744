"""What a byte budget buys: terms of factors, columns of the output head, and what is left of it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lorif_core.linalg.codecs import ColumnCodec
from lorif_core.passes.budget import ENERGY_EXAMPLES, MAX_COLUMNS, MAX_RANK, most_terms
from lorif_core.shapes import ModuleShape
from lorif_core.store.blocks import term_bytes
from lorif_core.store.manifest import Manifest
from lorif_core.workspace.indexes.index_job import OVERHEAD_BYTES


@dataclass(frozen=True)
class BudgetShare:
    """How a budget was spent on the modules of an index."""

    budget_bytes: int
    f: int
    codec: str
    num_terms: int
    """Rank-one terms of factors, over all modules."""

    num_columns: int
    """Columns of the output head."""

    modules_by_terms: Mapping[int, int]
    """How many modules have that many terms."""

    unused_bytes: int
    """What nothing could be bought for."""

    is_capped: bool
    """Whether that is because every module has the most terms that it may have."""

    @property
    def sentence(self) -> str:
        """All of it in words."""
        counted = sorted(self.modules_by_terms.items())
        shares = ", ".join(f"{rank} in {count} module{'s' if count > 1 else ''}" for rank, count in counted)
        bought = [f"{self.num_terms} rank-one terms ({shares})"] if self.num_terms else []
        if self.num_columns:
            bought.append(f"{self.num_columns} columns of the output head")
        said = (
            f"The budget of {self.budget_bytes:,} bytes bought {' and '.join(bought)} in {self.codec} codes at "
            f"f = {self.f}, where a byte holds most energy; modules without a term are left out."
        )
        if self.is_capped:
            said += (
                f" {self.unused_bytes:,} bytes of it are left: no module takes more than {MAX_RANK} terms and no head"
                f" more than {MAX_COLUMNS} columns, because more were measured to add nothing."
            )
        return said


def share_of_budget(manifest: Manifest) -> BudgetShare | None:
    """How the budget of an index was spent; None for one without a budget."""
    if manifest.budget_bytes is None or manifest.ranks is None:
        return None
    ranks, codec = manifest.ranks, manifest.column_codec
    spent = sum(ranks[module.name] * term_bytes(codec, module) for module in manifest.modules)
    factored = [ranks[module.name] for module in manifest.modules if module.form == "factors"]
    return BudgetShare(
        budget_bytes=manifest.budget_bytes,
        f=manifest.f,
        codec=manifest.codec,
        num_terms=sum(factored),
        num_columns=sum(ranks.values()) - sum(factored),
        modules_by_terms=Counter(factored),
        unused_bytes=manifest.budget_bytes - OVERHEAD_BYTES - spent,
        is_capped=all(ranks[module.name] == most_terms(module) for module in manifest.modules),
    )


def costs_of_terms(modules: Sequence[ModuleShape], codec: ColumnCodec) -> str:
    """What a budget can be spent on, in words, before anything is measured."""
    factored = [term_bytes(codec, module) for module in modules if module.form == "factors"]
    columns = [term_bytes(codec, module) for module in modules if module.form == "columns"]
    said = [f"a term of a module costs {min(factored):,} to {max(factored):,} bytes"] if factored else []
    said += [f"a column of the output head {columns[0]:,}"] if columns else []
    return f"{', '.join(said)}; which are bought is decided by energy per byte on {ENERGY_EXAMPLES} texts"
