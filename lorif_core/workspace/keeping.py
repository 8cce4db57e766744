"""The part of a workspace that reports on its indexes and keeps what people name: versions and views."""

from lorif_core.views.index_figures import Spectrum
from lorif_core.workspace.curating import Curator
from lorif_core.workspace.index_report import IndexReport, report_index, spectra_of


class Keeper(Curator):
    """The part of a workspace that reports on its indexes."""

    def index_report(self, index_id: str | None = None) -> IndexReport:
        """Settings of an index, every byte it takes on disk, and what its codes keep.

        ``views.index_figures.energy_map(report.explained_energy)`` draws the latter.

        Args:
            index_id: None: the newest complete one.

        Raises:
            CatalogError: There is no such index.
            ArtefactError: Its build has written nothing yet, or a file is missing.
        """
        return report_index(self.files, index_id)

    def spectra(self, module: str, index_id: str | None = None) -> list[Spectrum]:
        """Eigenvalues of a module's curvature beside the damping; ``views.index_figures.spectrum_lines`` draws them.

        Args:
            module: Name of one of the index's modules.
            index_id: None: the newest complete one.

        Raises:
            CatalogError: There is no such index or module.
            ArtefactError: The index is not complete, or its statistics are gone.
        """
        return spectra_of(self.files, index_id, module)
