"""Copy a complete index to another place, and read it from there from then on.

Every file is compared with what the manifest says of it when it is read, and with what lies there already. The
manifest is written last, so a copy that was interrupted is no index yet; the same command goes on with it.
"""

from collections.abc import Iterator, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

from lorif_core.catalog import IndexRecord
from lorif_core.errors import ArtefactError, ConfigError, FingerprintMismatch
from lorif_core.files import start_hash
from lorif_core.storage_location import plain_location
from lorif_core.store.json_files import read_json_at
from lorif_core.store.manifest import Manifest, read_manifest, write_manifest
from lorif_core.store.parts import PART_FOLDER
from lorif_core.store.place import Place
from lorif_core.store.plan import PLAN
from lorif_core.workspace.folder.progress import ProgressSink, no_progress
from lorif_core.workspace.folder.workspace_files import WorkspaceFiles
from lorif_core.workspace.indexes.fit_index import only_builder
from lorif_core.workspace.indexes.index_settings import read_index_settings, write_index_settings

STAGE = "copy"
FILES_AT_ONCE = 4
"""That are in memory at once, of about 32 MB each."""


@dataclass(frozen=True)
class CopiedIndex:
    """What a copy did."""

    record: IndexRecord
    """Of the index, which is read from the copy from now on."""

    source: str
    """Where it lay, and where its files still lie."""

    target: str
    """Where it lies now."""

    num_files: int
    num_copied: int
    """Of these, those that were not there yet."""

    size_bytes: int
    """Of all of them."""


@dataclass(frozen=True)
class _File:
    """A file of an index."""

    name: str
    size_bytes: int
    checksum: str | None
    """None: it is JSON with a seal."""


def copy_index(files: WorkspaceFiles, index_id: str, to: str, on_progress: ProgressSink = no_progress) -> CopiedIndex:
    """Copy an index, compare every byte, and let the catalog say that it lies there.

    Args:
        files: The workspace.
        index_id: Of a complete index.
        to: A location such as s3://bucket/prefix, or a folder; the index gets a folder of its own below it. The
            workspace's own `indexes` brings it back.
        on_progress: Receives ("copy", bytes done, all).

    Raises:
        ArtefactError: The index is not complete, or the other place holds another one.
        DamagedArtefact: A file is not what was written; names it.
        ConfigError: The index lies there already, or the location cannot be used.
    """
    record = files.catalog.index(index_id)
    location = plain_location(to)
    storage = None if location == plain_location(str(files.root / "indexes")) else location
    if storage == record.storage:
        raise ConfigError(f"index {index_id!r} lies in {location!r} already: name another place with `--copy-to`.")
    source, target = files.index_place(record), files.place_in(storage, index_id)
    with only_builder(files.index_folder(index_id)):
        manifest = read_manifest(source)
        if manifest.status != "complete":
            raise ArtefactError(
                f"a complete index is copied, and {index_id!r} is not: finish it with the same `lorif index` command."
            )
        wanted = list(_files_of(source, manifest))
        num_copied = _copy_all(source, target, wanted, on_progress)
        write_manifest(target, manifest)
        settings = replace(read_index_settings(record.settings_json), storage=storage)
        record = replace(record, settings_json=write_index_settings(settings))
        files.catalog.put_index(record)
    size = sum(one.size_bytes for one in wanted)
    return CopiedIndex(record, source.told(), target.told(), len(wanted) + 1, num_copied, size)


def _files_of(source: Place, manifest: Manifest) -> Iterator[_File]:
    """Every file of an index but the manifest, in the order in which a build makes them."""
    listed = source.listed()
    if PLAN in listed:
        yield _File(PLAN, listed[PLAN].size_bytes, None)
    for entry in manifest.entries:
        yield _File(entry.file, entry.size_bytes, entry.checksum)
    for number in range(len(manifest.shards)):
        name = f"{PART_FOLDER}/{number:05d}.json"
        if name in listed:
            yield _File(name, listed[name].size_bytes, None)


def _copy_all(source: Place, target: Place, wanted: Sequence[_File], on_progress: ProgressSink) -> int:
    """Copy files that are not there; how many there were."""
    there, total, done, num_copied = target.listed(), sum(one.size_bytes for one in wanted), 0, 0
    with ThreadPoolExecutor(FILES_AT_ONCE, thread_name_prefix="copy") as pool:
        try:
            copy = partial(_copy_one, source, target, there.keys())
            for one, is_new in zip(wanted, pool.map(copy, wanted), strict=True):
                done, num_copied = done + one.size_bytes, num_copied + is_new
                on_progress(STAGE, done, total)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return num_copied


def _copy_one(source: Place, target: Place, there: Set[str], one: _File) -> bool:
    """Copy a file unless it is there; whether it was not."""
    if one.checksum is None:
        return _copy_json(source, target, one.name)
    if one.name in there:
        target.content(one.name, one.checksum)
        return False
    content = source.content(one.name, one.checksum).numpy().tobytes()
    _check_same(target, one.name, start_hash(target.create(one.name, content)).hexdigest() == one.checksum)
    return True


def _copy_json(source: Place, target: Place, name: str) -> bool:
    read_json_at(source, name)  # which compares it with its seal
    content = source.read(name)
    was_there = target.has(name)
    _check_same(target, name, target.create(name, content) == content)
    return not was_there


def _check_same(target: Place, name: str, is_same: bool) -> None:
    if not is_same:
        raise FingerprintMismatch(
            f"{target.told(name)!r} is there already and is of another build: delete what is in {target.told()!r}, "
            "or copy to another place."
        )
