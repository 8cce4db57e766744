"""Where the second moments behind half-whitened codes lie, and those behind an index that is there."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from lorif_core.capture.precision import Recorded
from lorif_core.errors import ArtefactError
from lorif_core.files import fingerprint_of_value
from lorif_core.linalg.whitening import Moments
from lorif_core.methods.kronecker import STATS_TOKENS_PER_DIMENSION
from lorif_core.methods.protocol import StatisticsSample
from lorif_core.passes.layer_groups import families
from lorif_core.shapes import ModuleShape
from lorif_core.store.manifest import Manifest
from lorif_core.store.plan import Parents
from lorif_core.store.statistics import read_module_moments, read_num_tokens
from lorif_core.weights import family_of
from lorif_core.workspace.folder.workspace_files import WorkspaceFiles


def statistics_file(
    files: WorkspaceFiles,
    parents: Parents,
    modules: Sequence[ModuleShape],
    cut: tuple[int, int | None],
    sample: StatisticsSample,
    precision: Recorded,
) -> Path:
    """Where the moments lie that these decide: the file is named by all of them.

    Args:
        files: The workspace.
        parents: Fingerprints of texts, model and tokenizer.
        modules: All that the file holds: a family, or, in earlier versions, everything that an index tracked.
        cut: The longest sequence in tokens, and the stride of windows, if there are any.
        sample: The texts.
        precision: In which the model was run.
    """
    max_length, stride = cut
    identity: dict[str, object] = {
        "parents": [parents.dataset, parents.model, parents.tokenizer],
        "modules": [_identity_of(module) for module in modules],
        "max_length": max_length,
        "seed": sample.seed,
        "stats_examples": sample.num_examples,
    }
    if sample.num_tokens:
        identity["stats_tokens"] = sample.num_tokens
    identity |= {name: value for name, value in (("stride", stride), ("precision", precision)) if value is not None}
    return files.root / "statistics" / f"{fingerprint_of_value(identity)[:12]}.safetensors"


def statistics_behind(files: WorkspaceFiles, manifest: Manifest) -> Mapping[Path, Sequence[ModuleShape]]:
    """The files of statistics behind an index's maps that are there, and the modules of each."""
    found = {_file_of(files, manifest, family): family for family in families(manifest.modules)}
    found[_file_of(files, manifest, manifest.modules)] = manifest.modules  # as earlier versions kept them
    return {path: modules for path, modules in found.items() if path.is_file()}


def moments_behind(files: WorkspaceFiles, manifest: Manifest, module: ModuleShape) -> dict[str, Moments]:
    """The moments behind one module's maps, and those of the other experts of its layer.

    Raises:
        ArtefactError: They are not there.
        DamagedArtefact: They cannot be read.
    """
    for path, modules in statistics_behind(files, manifest).items():
        names = [one.name for one in modules]
        if module.name in names:
            family = [name for name in names if family_of(name) == family_of(module.name)]
            return {name: read_module_moments(path, names, name) for name in family}
    raise ArtefactError(
        f"the statistics of module {module.name!r} are not among the workspace's files: a budget left out experts of "
        "its layer that they hold, or somebody deleted them. The scores do not need them."
    )


def statistics_sentence(files: WorkspaceFiles, manifest: Manifest) -> str | None:
    """How many tokens the statistics behind an index's maps hold, in words; None where they are not there."""
    found = {
        one.moment_width: read_num_tokens(path)
        for path, modules in statistics_behind(files, manifest).items()
        for one in modules
    }
    if not found:
        return None
    widest = max(found)
    per_dimension = found[widest] / widest
    said = (
        f"Its statistics are over {found[widest]:,} tokens, {per_dimension:,.0f} per dimension of the widest module."
    )
    if per_dimension < STATS_TOKENS_PER_DIMENSION:
        said += (
            f" Fewer than {STATS_TOKENS_PER_DIMENSION} were measured to cost quality: scores of a data set with more "
            "text can be trusted more."
        )
    return said


def _file_of(files: WorkspaceFiles, manifest: Manifest, modules: Sequence[ModuleShape]) -> Path:
    whitening = manifest.whitening or {}
    sample = StatisticsSample(whitening.get("stats_examples", 0), manifest.seed, whitening.get("stats_tokens", 0))
    return statistics_file(
        files, manifest.parents, modules, (manifest.max_length, manifest.stride), sample, manifest.precision
    )


def _identity_of(module: ModuleShape) -> list[object]:
    whole: list[object] = [module.name, module.in_features, module.out_features]
    return whole if module.form == "factors" else [*whole, module.form]
