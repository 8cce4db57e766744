"""A run as its folder says it: of which data set, with which settings, and which members have ended."""

import json
from dataclasses import asdict, dataclass
from typing import Any

import torch
import xxhash
from torch import nn

from lorif_core.catalog import DatasetRecord
from lorif_core.config import BatchConfig, ModelConfig
from lorif_core.data.examples import ExampleTable
from lorif_core.errors import ArtefactError, ConfigError
from lorif_core.files import fingerprint_of_value
from lorif_core.linalg.maps import ModuleMaps
from lorif_core.methods.method_settings import IndexConfig
from lorif_core.settings_json import settings_to_json
from lorif_core.store.json_files import put_json_at, read_json_at
from lorif_core.store.local_place import LocalPlace
from lorif_core.store.reader import StoreReader
from lorif_core.weights import output_head
from lorif_core.workspace.folder.workspace_files import WorkspaceFiles
from lorif_core.workspace.runs.loop_model import LoopModel
from lorif_core.workspace.runs.row_files import RUN, run_folder

STATISTICS, RESULT = "statistics.json", "index.json"


@dataclass(frozen=True)
class EndedMember:
    """A member whose training is over."""

    name: str
    model: str
    """Folder of its model; of one that transformers cannot load, what it is called."""


@dataclass(frozen=True)
class RunFiles:
    """A run that is begun."""

    files: WorkspaceFiles
    dataset: DatasetRecord
    name: str
    loop: LoopModel
    max_length: int
    members: str | None
    """``epoch``: a text that comes again begins another member."""

    maps_of: str | None
    """Index whose maps are taken."""

    tokenizer: Any = None
    """Saved beside a model that is saved here."""

    @property
    def place(self) -> LocalPlace:
        """Its folder."""
        return LocalPlace(run_folder(self.files, self.name))

    @property
    def examples(self) -> ExampleTable:
        """The data set's texts."""
        return self.files.examples(self.dataset.dataset_id)

    @property
    def member(self) -> int:
        """Number of the member that is trained now."""
        return len(self.ended())

    @property
    def can_be_loaded(self) -> bool:
        """Whether transformers saves and loads the model, as a language model that questions can be put to."""
        return hasattr(self.loop.outer, "save_pretrained") and output_head(self.loop.model) is not None

    def settings(self, model: str) -> IndexConfig:
        """The settings of an index of the run."""
        return IndexConfig(
            model=ModelConfig(model=model, include=tuple(self.loop.names)),
            method=self.loop.settings,
            batches=BatchConfig(max_length=self.max_length, windows="off"),
        )

    def begin(self) -> None:
        """Write down what the run is, or find that it is what was begun.

        Raises:
            ArtefactError: A run of this name was begun with something else, or is over.
        """
        if self.place.has(RESULT):
            raise ArtefactError(
                f"run {self.name!r} is over, and its index is {self.index_ids()[0]!r}. Choose another name."
            )
        wanted = {
            "dataset": self.dataset.fingerprint,
            "settings": settings_to_json(self.settings("")),
            "modules": [asdict(module) for module in self.loop.modules],
            "in_bfloat16": self.loop.in_bfloat16,
            "members": self.members,
            "maps_of": self.maps_of,
        }
        found = put_json_at(self.place, RUN, wanted)
        differing = [name for name, value in json.loads(json.dumps(wanted)).items() if found.get(name) != value]
        if differing:
            raise ArtefactError(
                f"run {self.name!r} was begun with other {' and '.join(differing)}, and its rows are there. Choose "
                f"another name, or delete {self.place.told()!r} to start again."
            )

    def maps_to_take(self) -> dict[str, ModuleMaps]:
        """The maps of the index that was named for them; none where none was.

        Raises:
            ConfigError: They are not of these modules.
        """
        if self.maps_of is None:
            return {}
        reader = StoreReader(self.files.index_place(self.files.catalog.index(self.maps_of)))
        theirs = {one.name: one for one in reader.modules}
        found = reader.maps()
        if found is None or any(theirs.get(one.name) != one for one in self.loop.modules):
            raise ConfigError(
                f"maps_of must be an index with half-whitening maps of the modules that the run tracks, and index "
                f"{self.maps_of!r} is none: leave it out, and the first batches are taken for the statistics."
            )
        return {name: found[name] for name in self.loop.names}

    def write_statistics(self, num_examples: int, num_tokens: int) -> None:
        """Keep what the maps were made from."""
        put_json_at(self.place, STATISTICS, {"num_examples": num_examples, "num_tokens": num_tokens})

    def statistics(self) -> dict[str, Any] | None:
        """What the maps were made from; None for random maps."""
        if self.maps_of is not None:
            return {"maps_of": self.maps_of}
        return read_json_at(self.place, STATISTICS) if self.place.has(STATISTICS) else None

    def end_member(self, number: int, name: str | None, model: str | None) -> EndedMember:
        """Write down that a member's training is over, and where its model lies; saves it where nobody did."""
        if model is None:
            own = f"{type(self.loop.model).__name__} of run {self.name}"
            model = self._save_model(number) if self.can_be_loaded else own
        told = {"name": name or f"member {number + 1}", "model": model}
        return EndedMember(**put_json_at(self.place, _member_file(number), told))

    def _save_model(self, number: int) -> str:
        folder = self.place.folder / "models" / f"{number:02d}"
        model: Any = self.loop.outer
        model.save_pretrained(folder)
        if self.tokenizer is not None:
            self.tokenizer.save_pretrained(folder)
        return str(folder.resolve())

    def ended(self) -> list[EndedMember]:
        """Members whose training is over, in their order."""
        found: list[EndedMember] = []
        while self.place.has(_member_file(len(found))):
            kept = read_json_at(self.place, _member_file(len(found)))
            found.append(EndedMember(kept["name"], kept["model"]))
        return found

    def write_result(self, index_ids: list[str]) -> None:
        """Say that the run is over, and what it became: the index that is asked, then its further members."""
        put_json_at(self.place, RESULT, {"index_ids": index_ids})

    def index_ids(self) -> list[str]:
        """What the run became; the first is asked.

        Raises:
            ArtefactError: It is not over.
        """
        return result_of(self.files, self.name)


def result_of(files: WorkspaceFiles, name: str) -> list[str]:
    """The indexes that a run became; the first is asked.

    Raises:
        ArtefactError: There is no such run, or it is not over.
    """
    place = LocalPlace(run_folder(files, name))
    if not place.has(RUN):
        known = sorted(path.parent.name for path in (files.root / "runs").glob(f"*/{RUN}"))
        raise ArtefactError(f"there is no run {name!r}; known are {', '.join(known) or 'none'}.")
    if not place.has(RESULT):
        raise ArtefactError(
            f"run {name!r} has not become an index yet: go on with `lf.log` under the same name, and end it with "
            "`run.finish`."
        )
    return list(read_json_at(place, RESULT)["index_ids"])


def fingerprint_of_module(model: nn.Module) -> str:
    """Hash of everything that a module holds."""
    digest = xxhash.xxh3_128()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return fingerprint_of_value(digest.hexdigest())


def _member_file(number: int) -> str:
    return f"member-{number:02d}.json"
