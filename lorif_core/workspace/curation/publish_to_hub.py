"""Put an export into a data set of the Hugging Face hub: data, card and records, in one commit or not at all.

The token is the one that ``huggingface_hub`` finds: ``HF_TOKEN``, or that of ``hf auth login``. It is neither
stored nor shown here.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from lorif_core.catalog import DatasetRecord
from lorif_core.data.export_places import MANIFEST_FILE
from lorif_core.errors import ConfigError, DataError
from lorif_core.export_config import ExportConfig, HubConfig
from lorif_core.workspace.curation.export_recipe import EXCLUDED_FILE, KEPT_FILE, RECIPE_FILE
from lorif_core.workspace.curation.export_records import ExportPreview, ExportResult
from lorif_core.workspace.curation.hub_card import (
    CardFacts,
    card_of,
    data_file_of,
    records_folder_of,
    write_records,
)

CARD_FILE = "README.md"
NO_TOKEN, NO_RIGHT, NOT_THERE, CHANGED = 401, 403, 404, 412
MADE_BY_THE_HUB = (".gitattributes",)


@dataclass(frozen=True)
class HubPlan:
    """What would be put into the hub."""

    repository: str
    """OWNER/NAME of the data set."""

    card: str
    """README.md."""

    files: list[str]
    """Paths in the repository."""

    preview: ExportPreview
    """What the export would hold."""

    def to_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class HubResult:
    """What was put into the hub."""

    repository: str
    """OWNER/NAME of the data set."""

    url: str
    """Its page."""

    commit_url: str
    """The commit that holds this export."""

    files: list[str]
    """Paths in the repository."""

    export: ExportResult
    """The same export in the workspace."""

    def to_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        return asdict(self) | {"export": self.export.to_dict()}


def hub_settings(hub: HubConfig, settings: ExportConfig) -> ExportConfig:
    """The settings of the export that goes to the hub, which is Parquet.

    Raises:
        ConfigError: No repository is named, or another format is asked for.
    """
    if hub.to_hub is None:
        raise ConfigError("an export goes to a data set of the hub: name it as OWNER/NAME with `--to-hub`.")
    if settings.format not in (None, "parquet"):
        raise ConfigError(
            f"the hub shows and loads Parquet, so an export to it is Parquet, got `--format {settings.format}`: "
            "leave it out."
        )
    return replace(settings, format="parquet")


def plan_of(hub: HubConfig, dataset: DatasetRecord, preview: ExportPreview) -> HubPlan:
    """Card and files that an export would put into the hub; asks nobody."""
    return HubPlan(hub.to_hub or "", card_of(CardFacts(hub, dataset, preview)), _files_of(hub), preview)


def publish(
    hub: HubConfig, dataset: DatasetRecord, preview: ExportPreview, result: ExportResult, *, overwrites: bool = False
) -> HubResult:
    """Put a finished export into the hub, as one commit.

    Args:
        hub: Repository, split, and what is said about people.
        dataset: The data set that was exported.
        preview: What the export holds.
        result: The export, Parquet in the workspace.
        overwrites: Whether files of the repository that no export put there may be replaced.

    Raises:
        DataError: There is no token or no right, the hub cannot be reached, or the repository holds other files.
    """
    from huggingface_hub import CommitOperationAdd, HfApi

    assert hub.to_hub is not None  # `hub_settings` asked for it
    assert result.about is not None  # it lies in the workspace
    api = HfApi()
    with tempfile.TemporaryDirectory() as name, _refusals_named(hub.to_hub):
        present = _present_files(api, hub.to_hub)
        if present is not None:
            _refuse_unfit(api, hub, present, overwrites)
        write_records(result.about, Path(name), with_names=hub.with_names)
        card = card_of(CardFacts(hub, dataset, preview, _other_splits(present or [])))
        contents: dict[str, bytes | str] = {CARD_FILE: card.encode(), data_file_of(hub.split): str(result.path)}
        contents |= {path: str(Path(name) / Path(path).name) for path in _record_files(hub)}
        if present is None:
            api.create_repo(hub.to_hub, repo_type="dataset", private=hub.private, exist_ok=True)
        commit = api.create_commit(
            hub.to_hub,
            [CommitOperationAdd(path, content) for path, content in contents.items()],
            commit_message=hub.commit_message or f"Export {result.export_id} by LoRIF Studio",
            repo_type="dataset",
        )
    url = f"{api.endpoint}/datasets/{hub.to_hub}"
    return HubResult(hub.to_hub, url, commit.commit_url, list(contents), result)


def _files_of(hub: HubConfig) -> list[str]:
    return [CARD_FILE, data_file_of(hub.split), *_record_files(hub)]


def _record_files(hub: HubConfig) -> list[str]:
    names = (MANIFEST_FILE, RECIPE_FILE, KEPT_FILE, EXCLUDED_FILE)
    return [f"{records_folder_of(hub.split)}/{name}" for name in names]


def _present_files(api: Any, repository: str) -> list[str] | None:
    """Files of the repository; None: there is none of this name that we may see."""
    from huggingface_hub.errors import RepositoryNotFoundError

    try:
        return api.list_repo_files(repository, repo_type="dataset")
    except RepositoryNotFoundError as error:
        if error.response.status_code == NO_TOKEN:
            api.whoami()  # with a token, it is a repository that is not there, or not for us
        return None


def _refuse_unfit(api: Any, hub: HubConfig, present: list[str], overwrites: bool) -> None:
    """Refuse a repository with files of others, or with readers who should not see the export."""
    is_ours = any(path.startswith("lorif/") and path.endswith(f"/{MANIFEST_FILE}") for path in present)
    other = [path for path in present if path not in MADE_BY_THE_HUB]
    if other and not is_ours and not overwrites:
        raise DataError(
            f"an export may not replace what others put into the hub, and {hub.to_hub} holds {len(other):,} files "
            f"such as {other[0]!r}: name another repository, or pass `--force` to add a commit there."
        )
    if hub.private and not api.dataset_info(hub.to_hub).private:
        raise DataError(
            f"`--private` is for new data sets of the hub, and {hub.to_hub} is there already and public: make it "
            "private on its page, or name another. Nothing was uploaded."
        )


def _other_splits(present: list[str]) -> list[str]:
    names = [Path(path).name.split("-")[0] for path in present if path.startswith("data/")]
    return [split for split in names if data_file_of(split) in present]


@contextmanager
def _refusals_named(repository: str) -> Iterator[None]:
    """What the hub or the network refuses, in one sentence."""
    from huggingface_hub.errors import (
        HfHubHTTPError,
        HTTPError,  # pyright: ignore[reportPrivateImportUsage]
        LocalTokenNotFoundError,
        OfflineModeIsEnabled,
    )

    try:
        yield
    except LocalTokenNotFoundError as error:
        raise DataError(_no_token(repository)) from error
    except OfflineModeIsEnabled as error:
        raise DataError(
            f"{repository} cannot be reached, because `HF_HUB_OFFLINE` is set: unset it, and run the same command "
            "again. Nothing was uploaded."
        ) from error
    except HfHubHTTPError as error:
        raise DataError(_refusal(repository, error)) from error
    except (HTTPError, OSError) as error:
        said = " ".join(str(error).split())[:200].rstrip(".")
        raise DataError(
            f"the hub cannot be reached ({said}), so nothing was uploaded to {repository}: run the same command "
            "again when it can. The export itself is kept in the workspace."
        ) from error


def _refusal(repository: str, error: Any) -> str:
    status = error.response.status_code
    if status == NO_TOKEN:
        return _no_token(repository)
    if status == NO_RIGHT:
        return (
            f"your token may not write to {repository}: use one with the right to write, or an owner that you belong "
            "to. Nothing was uploaded."
        )
    if status == CHANGED:
        return f"{repository} got another commit meanwhile: run the same command again. Nothing was uploaded."
    said = " ".join(str(error.server_message or f"status {status}").split())[:200].rstrip(".")
    return (
        f"the hub refused the upload to {repository} ({said}): nothing of it was added. See its page, and try again."
    )


def _no_token(repository: str) -> str:
    return (
        f"writing to {repository} needs a token of the hub, none that it takes was found: run `hf auth login`, or "
        "set `HF_TOKEN`. Nothing was uploaded."
    )
