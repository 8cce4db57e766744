"""The file beside an index of losses: which models they are under, and the questions that came with a table.

It decides no stored number: these are the manifest's. It is there for who asks, and needs no torch to be read.
"""

from dataclasses import asdict, dataclass
from pathlib import Path

from lorif_core.catalog import IndexRecord
from lorif_core.errors import ArtefactError
from lorif_core.files import fingerprint_of_value, read_json, write_json
from lorif_core.methods.method_settings import DaunceConfig

LOSSES_FILE = "losses.json"


@dataclass(frozen=True)
class LossModel:
    """One model whose losses an index compares."""

    name: str
    folder: str | None
    """Where it lies; None: its losses came with a table."""

    fingerprint: str | None
    """Of its weights."""


@dataclass(frozen=True)
class KeptQuestion:
    """A question whose losses came with a table."""

    question_id: str
    prompt: str
    completion: str
    losses: tuple[float, ...]
    """In nats, in the order of the models."""


@dataclass(frozen=True)
class IndexLosses:
    """What is known of an index of losses beside its numbers."""

    models: tuple[LossModel, ...]
    """In the order of the stored numbers."""

    own_fingerprint: str | None = None
    """Of the index's own model, which speaks and tokenises; None: there is none."""

    questions: tuple[KeptQuestion, ...] = ()

    num_left_out: int = 0
    """Texts that lacked a loss; they are stored as zero and never come up."""

    @property
    def names(self) -> tuple[str, ...]:
        """Of the models."""
        return tuple(one.name for one in self.models)

    @property
    def fingerprint(self) -> str:
        """Of all models together; what the plan of an index that took their losses calls its model's."""
        return fingerprint_of_value([self.own_fingerprint, [[one.name, one.fingerprint] for one in self.models]])

    @property
    def is_imported(self) -> bool:
        """Whether the losses came with a table."""
        return self.own_fingerprint is None

    @property
    def sentence(self) -> str:
        """What an answer rests on, in words."""
        told = f"scores are covariances of losses over {len(self.models)} models; no gradient was taken"
        if self.is_imported:
            told += ", and the loss that is shown is the mean over the models"
        if not self.num_left_out:
            return told
        texts = "text lacks" if self.num_left_out == 1 else "texts lack"
        return f"{told}; {self.num_left_out:,} {texts} a loss and never come up"

    def question(self, question_id: str) -> KeptQuestion | None:
        """The question with that id; None: there is none."""
        return next((one for one in self.questions if one.question_id == question_id), None)

    def question_that_says(self, prompt: str, completion: str) -> KeptQuestion | None:
        """The first question with that prompt and completion; None: there is none."""
        return next((one for one in self.questions if (one.prompt, one.completion) == (prompt, completion)), None)


def knows_only_losses(record: IndexRecord) -> bool:
    """Whether an index holds losses instead of gradients."""
    return record.method == DaunceConfig.name


def write_losses(folder: Path, losses: IndexLosses) -> None:
    """Write it into an index's folder, atomically, in place of what was there."""
    write_json(folder / LOSSES_FILE, {"index_id": folder.name, **asdict(losses)})


def read_index_losses(folder: Path) -> IndexLosses | None:
    """What is known of an index of losses; None for an index of gradients.

    Raises:
        ArtefactError: The file is not what was written, or of another index.
    """
    path = folder / LOSSES_FILE
    if not path.is_file():
        return None
    kept = read_json(path, "index_id", "models", "own_fingerprint", "questions", "num_left_out")
    try:
        found = IndexLosses(
            tuple(LossModel(**one) for one in kept["models"]),
            kept["own_fingerprint"],
            tuple(KeptQuestion(**{**one, "losses": tuple(one["losses"])}) for one in kept["questions"]),
            int(kept["num_left_out"]),
        )
    except (TypeError, KeyError, ValueError) as error:
        raise ArtefactError(
            f"{str(path)!r} does not say which models the losses of an index are under. Import the table again, or "
            "run the same `lorif index` command again."
        ) from error
    if kept["index_id"] != folder.name:
        raise ArtefactError(f"{str(path)!r} is of index {kept['index_id']!r}. Restore the file of this one.")
    return found
