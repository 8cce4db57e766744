"""The plan of an index: what is built, from what, and in which parts. Written once, before the first part.

Everything that decides a stored gradient is in it, so workers that read the same plan make the same parts. It holds
no clock time and names no machine.
"""

import math
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Literal

from lorif_core.errors import ArtefactError, FingerprintMismatch
from lorif_core.files import fingerprint_of_value
from lorif_core.shapes import ModuleShape
from lorif_core.store.json_files import Folder, place_at, put_json_at, read_json_at

if TYPE_CHECKING:
    from lorif_core.linalg.codecs import ColumnCodec, Scales

FORMAT_VERSION = 2
PLAN = "plan.json"

Layout = Literal["factors", "dense"]

ONE_MODEL = ("model",)
"""The members of an index over a single model."""


@dataclass(frozen=True)
class Parents:
    """Fingerprints of what an index was built from."""

    dataset: str
    model: str
    tokenizer: str


@dataclass(frozen=True)
class FileEntry:
    """A file of the index and what it must contain."""

    file: str
    """Path below the index folder."""

    size_bytes: int
    checksum: str
    """XXH3-128 of the file."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What decides an index's stored gradients, and how its examples are divided into parts."""

    layout: Layout
    """``factors``: left and right factors per module; ``dense``: whole projected gradients."""

    codec: str
    factor_rank: int
    f: int
    seed: int

    max_length: int
    """Tokens at which examples are cut: as asked for, or fewer where the model reads fewer."""

    parents: Parents
    modules: list[ModuleShape]
    maps_digest: str
    """Of random maps, which are redrawn from the seed."""

    num_examples: int

    shard_examples: int
    """Examples of every part but the last, which may have fewer."""

    members: tuple[str, ...] = ONE_MODEL
    """The models that are differentiated (docs/explanation/design.md §3)."""

    whitening: dict[str, Any] | None = None
    """Settings of the statistics behind half-whitening maps; None for random maps."""

    maps: list[FileEntry] | None = None
    """Files of the half-whitening maps; None for random maps, and while half-whitening ones are not yet made."""

    budget_bytes: int | None = None
    """Bytes per example that were to be spent; None where every module has the rank ``factor_rank``."""

    ranks: dict[str, int] | None = None
    """Factor rank per module, where a budget decided it; a module without any is not in ``modules``."""

    stride: int | None = None
    """Tokens from one window of a long example to the next; None: long examples are cut."""

    precision: Literal["bfloat16"] | None = None
    """What a CPU multiplies in; None: float32, as in all indexes from before there was a choice."""

    captured: list[ModuleShape] | None = None
    """The modules that are differentiated, where their vectors are added up to the only one of ``modules``; None:
    they are ``modules``."""

    objective: Literal["margin"] | None = None
    """What is differentiated of a text; shards hold 1 - p of each beside it then. None: the loss."""

    scales: "Scales" = None
    """What has a scale: a term, or, as in all indexes from before there was a choice, each factor; None too where
    nothing is scaled."""

    logged: dict[str, Any] | None = None
    """The run of a training loop whose gradients these are, of the weights as they were then, and what its maps were
    made from; None: of one model, as in all indexes from before there were runs."""

    @property
    def column_codec(self) -> "ColumnCodec":
        """How factors become bytes."""
        from lorif_core.linalg.codecs import column_codec

        return column_codec(self.codec, self.scales)

    @property
    def num_parts(self) -> int:
        """How many parts the examples are divided into."""
        return math.ceil(self.num_examples / self.shard_examples)

    def rows_of(self, number: int) -> range:
        """Store positions of a part's examples."""
        start = number * self.shard_examples
        return range(start, min(start + self.shard_examples, self.num_examples))


def write_plan(folder: Folder, plan: Plan) -> None:
    """Write the plan of an index, unless it is there already.

    Raises:
        FingerprintMismatch: Another plan is there; names what differs.
    """
    place = place_at(folder)
    raw = put_json_at(place, PLAN, {"format": FORMAT_VERSION, **values_to_keep(plan)})
    found = plan_from_json(place.told(PLAN), raw)
    differing = [field.name for field in fields(Plan) if getattr(found, field.name) != getattr(plan, field.name)]
    if differing:
        raise FingerprintMismatch(
            f"{place.told(PLAN)!r} is another plan: it differs in {', '.join(differing)}, and the parts beside it "
            "were made by it. Run the same command again to go on with that plan, or delete the index folder."
        )


def read_plan(folder: Folder) -> Plan:
    """Plan of an index folder.

    Raises:
        ArtefactError: It is missing, unreadable or of another format.
    """
    place = place_at(folder)
    return plan_from_json(place.told(PLAN), read_json_at(place, PLAN))


def values_to_keep(plan: Plan) -> dict[str, Any]:
    """A plan, or what extends one, as JSON values; what is as it always was before there was another is not said:
    modules stored as factors, and the fields ``_LATER``."""
    values = asdict(plan)
    for module in values["modules"]:
        if module["form"] == "factors":
            module.pop("form")
    for name in _LATER:
        if values[name] is None:
            values.pop(name)
    return values


_LATER = ("precision", "scales", "captured", "objective", "logged")
"""Fields that are left out where an index is as all were before there were others, so that it keeps its hashes."""


def plan_from_json(told: str, raw: dict[str, Any]) -> Plan:
    """The plan that a JSON object stands for; ``told`` is named where it does not stand for any."""
    check_format(told, raw, (FORMAT_VERSION,))
    try:
        return Plan(**plan_values({name: value for name, value in raw.items() if name != "format"}))
    except (KeyError, TypeError) as error:
        raise ArtefactError(f"{told!r} is incomplete ({error}): build the index again.") from error


def plan_values(raw: dict[str, Any]) -> dict[str, Any]:
    """A JSON object with the values of a plan as the types of ``Plan``."""
    maps, captured = raw.get("maps"), raw.get("captured")
    return raw | {
        "parents": Parents(**raw["parents"]),
        "modules": [ModuleShape(**module) for module in raw["modules"]],
        "captured": None if captured is None else [ModuleShape(**module) for module in captured],
        "members": tuple(raw.get("members", ONE_MODEL)),
        "maps": None if maps is None else [FileEntry(**entry) for entry in maps],
    }


def check_format(told: str, raw: dict[str, Any], readable: tuple[int, ...]) -> int:
    """The format that a JSON object says it has.

    Raises:
        ArtefactError: It is not among the readable ones.
    """
    version = raw.get("format")
    if version not in readable:
        raise ArtefactError(
            f"{told!r} has format {version}, this version of LoRIF Studio reads "
            f"{' and '.join(map(str, readable))}. Update LoRIF Studio, or build the index again."
        )
    return version


def fingerprint_of_plan(plan: Plan) -> str:
    """Hash of a plan; every part names the one that it was made by. Plans from before windows keep theirs."""
    values = values_to_keep(plan)
    if plan.stride is None:
        values.pop("stride")
    return fingerprint_of_value(values)
