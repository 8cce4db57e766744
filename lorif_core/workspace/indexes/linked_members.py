"""An index and the further members of its scores: linked, checked, and named by what decides their scores."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lorif_core.catalog import IndexRecord, utc_now
from lorif_core.errors import ArtefactError, FingerprintMismatch
from lorif_core.workspace.folder.index_members import MEMBERS, LinkedMember, Members, read_members, write_members
from lorif_core.workspace.folder.workspace_files import WorkspaceFiles
from lorif_core.workspace.indexes.index_settings import read_index_settings, write_index_settings
from lorif_core.workspace.indexes.name_members import config_of

if TYPE_CHECKING:  # loads torch, which deciding and browsing do without
    from lorif_core.store.manifest import Manifest

AGAIN = "Run the `lorif index` command that named the members again, or `lorif index` with `--alone`."


def members_of(files: WorkspaceFiles, record: IndexRecord) -> Members | None:
    """What an index answers with beside its own model; None where it is alone.

    Raises:
        ArtefactError: The file that says so is damaged, or gone although the catalog knows of members.
    """
    found = read_members(files.index_folder(record.index_id))
    if found is None and read_index_settings(record.settings_json).members.names_any:
        raise ArtefactError(
            f"index {record.index_id!r} has further members, and {MEMBERS} in its folder, which names them, is "
            f"missing. {AGAIN}"
        )
    return found


def link_members(files: WorkspaceFiles, record: IndexRecord, members: Members | None) -> IndexRecord:
    """Let an index answer with these members from now on; None: alone.

    The catalog is told first: should the process end in between, the index is refused and not asked without them.

    Raises:
        LorifError: A member is not complete, or does not fit the index.
    """
    if members is None and not read_index_settings(record.settings_json).members.names_any:
        return record
    for one in members.others if members is not None else ():
        check_member(files, record, one)
    settings = replace(read_index_settings(record.settings_json), members=config_of(members))
    # The newest from now on, since what it answers is.
    record = replace(record, settings_json=write_index_settings(settings), updated_at=utc_now())
    folder = files.index_folder(record.index_id)
    if members is not None:
        files.catalog.put_index(record)
        write_members(folder, members)
    else:
        (folder / MEMBERS).unlink(missing_ok=True)
        files.catalog.put_index(record)
    return record


def check_member(files: WorkspaceFiles, record: IndexRecord, linked: LinkedMember) -> IndexRecord:
    """Refuse a member whose scores cannot be added to an index's; its own record.

    Raises:
        ArtefactError: It is not complete, or built with other settings.
        FingerprintMismatch: It is of other texts, or of another tokenizer.
    """
    return check_member_among(files, files.catalog.indexes(), record, linked)


def check_member_among(
    files: WorkspaceFiles, known: Sequence[IndexRecord], record: IndexRecord, linked: LinkedMember
) -> IndexRecord:
    """As ``check_member``, with the records of whoever does not ask the catalog itself."""
    named = f"member {linked.name!r} of index {record.index_id!r}"
    other = next((one for one in known if one.index_id == linked.index_id), None)
    if other is None:
        raise ArtefactError(f"{named} is index {linked.index_id!r}, which the workspace does not have. {AGAIN}")
    if other.storage is None and not _is_there(files.index_folder(linked.index_id)):
        raise ArtefactError(f"{named} is index {linked.index_id!r}, whose folder is gone. {AGAIN}")
    theirs = files.open_index(linked.index_id)
    try:
        theirs.require_complete()
    except ArtefactError as error:
        raise ArtefactError(f"{named} cannot be asked: {error}") from error
    own = files.index_manifest(record.index_id)
    for what, was, now in (
        ("texts", own.parents.dataset, theirs.manifest.parents.dataset),
        ("a tokenizer", own.parents.tokenizer, theirs.manifest.parents.tokenizer),
    ):
        if was != now:
            raise FingerprintMismatch(
                f"{named} was built from {what} with fingerprint {now[:8]}…, the index from {was[:8]}…: their scores "
                f"cannot be added. {AGAIN}"
            )
    for what, was, now in _choices(record, own, other, theirs.manifest):
        if was != now:
            raise ArtefactError(f"{named} has another {what} than the index: their scores cannot be added. {AGAIN}")
    return other


def members_fingerprint(files: WorkspaceFiles, record: IndexRecord) -> list[list[Any]] | None:
    """What of further members decides an answer; None for an index that is alone.

    Raises:
        LorifError: A member is missing or does not fit.
    """
    members = members_of(files, record)
    if members is None:
        return None
    theirs = [[one.index_id, check_member(files, record, one).fingerprint, one.weight] for one in members.others]
    how = [] if members.training is None else [[asdict(members.training)]]
    return [[record.index_id, record.fingerprint, members.weight], *theirs, *how]


def readable_members(files: WorkspaceFiles, record: IndexRecord) -> Members | None:
    """As ``members_of``, but None where the file is damaged or gone, too: who asks the index is told."""
    with suppress(ArtefactError):
        return members_of(files, record)
    return None


def all_members(files: WorkspaceFiles) -> dict[str, Members]:
    """Per index that is not alone, what its scores are sums over; see ``readable_members``."""
    known = ((record.index_id, readable_members(files, record)) for record in files.catalog.indexes())
    return {index_id: members for index_id, members in known if members is not None}


def all_members_told(files: WorkspaceFiles) -> dict[str, str]:
    """The same in words."""
    return {index_id: members.sentence for index_id, members in all_members(files).items()}


def _is_there(folder: Path) -> bool:
    return folder.is_dir() and any(folder.iterdir())


def _choices(
    record: IndexRecord, own: "Manifest", other: IndexRecord, theirs: "Manifest"
) -> list[tuple[str, Any, Any]]:
    """What has to agree beside texts and tokenizer: name, the index's, the member's."""
    first, second = read_index_settings(record.settings_json), read_index_settings(other.settings_json)
    return [
        ("method", first.method, second.method),
        ("curvature", [own.subspace_rank, own.curvature], [theirs.subspace_rank, theirs.curvature]),
        ("longest sequence", [own.max_length, own.stride], [theirs.max_length, theirs.stride]),
        (
            "number of texts per shard",
            [(one.start, one.num_examples) for one in own.shards],
            [(one.start, one.num_examples) for one in theirs.shards],
        ),
    ]


def members_to_dict(members: Members | None) -> dict[str, Any] | None:
    """As JSON-serialisable values."""
    return None if members is None else asdict(members) | {"sentence": members.sentence, "cost": members.cost}
