"""The part of a workspace that reports on its indexes and keeps what people name: versions and views."""

from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import polars as pl

from lorif_core.config import ImportConfig
from lorif_core.data.previewing import ImportPreview, preview_files
from lorif_core.views.index_figures import Spectrum
from lorif_core.workspace.curating import Curator
from lorif_core.workspace.explaining import find_neighbours
from lorif_core.workspace.importing import keep_upload, read_rejects
from lorif_core.workspace.index_report import IndexReport, report_index, spectra_of
from lorif_core.workspace.trust import Trust, trust_in


class Keeper(Curator):
    """The part of a workspace that reports on its indexes and on what an import would bring."""

    def preview_import(self, paths: Sequence[str | Path], settings: ImportConfig | None = None) -> ImportPreview:
        """Columns, first rows and rejects of data files; reads some thousand rows, writes nothing.

        Raises:
            DataError: A file cannot be read.
        """
        return preview_files([Path(path) for path in paths], settings or ImportConfig())

    def stamp_of(self, path: str | Path) -> list[int]:
        """Size and time of a file, so that a preview of it is made anew when it changes; empty if it is none."""
        place = Path(path)
        return [place.stat().st_size, place.stat().st_mtime_ns] if place.is_file() else []

    def rejects(self, *, dataset: str | None = None, limit: int = 1000) -> list[dict[str, Any]]:
        """The first rows that the latest import of a data set could not use: file, line, reason, detail, row."""
        return read_rejects(self.files, self.files.choose_dataset(dataset).name, limit)

    def keep_upload(self, name: str, content: IO[bytes]) -> Path:
        """Keep a file that was uploaded, under its name; the path that `import_data` takes."""
        return keep_upload(self.files, name, content)

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

    def neighbours(self, train_id: str, k: int = 10, *, index_id: str | None = None) -> pl.DataFrame:
        """Texts whose stored gradients are most like those of a text: rank, train_id, cosine, text. Needs no model.

        Args:
            train_id: The text.
            k: How many.
            index_id: None: the newest complete one.

        Raises:
            LorifError: The text is unknown, or the index cannot be read.
        """
        return find_neighbours(self.files, train_id, k, index_id)

    def trust(self, index_id: str | None = None) -> Trust:
        """What was measured of an index's scores so far, each measurement beside what chance would give.

        Args:
            index_id: None: the newest complete one.

        Raises:
            CatalogError: There is no such index.
        """
        return trust_in(self.files, self.files.choose_index(index_id).index_id)
