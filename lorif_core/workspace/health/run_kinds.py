"""The kinds of files of training runs that were logged."""

from lorif_core.workspace.health.file_kind import RESTORE, Kind

RUN_KINDS = (
    Kind(
        name="training run",
        place="runs/NAME/run.json, runs/NAME/statistics.json, runs/NAME/member-NN.json, runs/NAME/index.json",
        pattern=r"runs/[^/]+/(run|statistics|index|member-\d+)\.json",
        what="what a training run that was logged is, which members have ended, and what it became",
        source=None,
        check="json",
        meaning="The run cannot be gone on with; indexes that it became do not need it.",
        remedy=f"{RESTORE} Without one, log another run under another name.",
        is_sealed=True,
    ),
    Kind(
        name="rows of a training run",
        place="runs/NAME/rows/MM-RRR-NNNNN.safetensors, runs/NAME/maps/MODULE.safetensors",
        pattern=r"runs/[^/]+/(rows|maps)/[^/]+\.safetensors",
        what="stored gradients of a run that is no index yet, and its maps",
        source=None,
        check="readable",
        meaning="The run's texts of these batches are missing; indexes that are there do not need them.",
        remedy="Delete it; the texts are stored when the run trains on them again, or by `run.finish_missing()`.",
    ),
    Kind(
        name="model of a training run",
        place="runs/NAME/models/MM/",
        pattern=r"runs/[^/]+/models/.+",
        what="the model that a run left, where nobody named a folder for it",
        source=None,
        check="readable",
        meaning="Questions to the run's index are refused until it is back.",
        remedy=RESTORE,
    ),
)
