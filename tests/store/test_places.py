"""What an index asks of a place holds in a folder, in an object store, and in one that fails as networks do."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
import torch
from disk_calls import build, make_part, plan_of
from faulty_objects import CountingObjects, FaultyObjects

from lorif_core.errors import ArtefactError, ConfigError, DamagedArtefact, ResourceError
from lorif_core.files import start_hash
from lorif_core.storage_location import plain_location
from lorif_core.store.json_files import put_json_at, read_json_at, replace_json_at
from lorif_core.store.kept_contents import VARIABLE, KeptContents
from lorif_core.store.local_place import LocalPlace
from lorif_core.store.manifest import compact, read_manifest, write_manifest
from lorif_core.store.object_place import ATTEMPTS, ObjectPlace, Unanswered
from lorif_core.store.obstore_objects import ObstoreObjects
from lorif_core.store.open_place import open_place
from lorif_core.store.parts import finished_parts, missing_parts, sweep_leftovers, write_entry
from lorif_core.store.place import Place
from lorif_core.store.plan import write_plan
from lorif_core.store.reader import StoreReader


def no_wait(seconds):
    assert seconds >= 0


def in_memory():
    return ObstoreObjects("memory://test")


def place_over(objects):
    return ObjectPlace(objects, "memory://test", "ix", no_wait)


KINDS = ["folder", "objects", "faulty"]


@pytest.fixture(params=KINDS)
def place(request, tmp_path) -> Place:
    if request.param == "folder":
        return LocalPlace(tmp_path / "ix")
    objects = in_memory()
    return place_over(
        objects if request.param == "objects" else FaultyObjects(objects, seed=7, errors=0.1, cuts=0.05)
    )


def test_what_was_created_is_read_whole_and_in_part(place):
    assert place.create("parts/a.json", b"0123456789") == b"0123456789"
    assert place.read("parts/a.json") == b"0123456789"
    assert place.read_range("parts/a.json", 2, 5) == b"234"
    assert place.has("parts/a.json")
    assert not place.has("parts/b.json")


def test_of_two_creators_the_first_wins_and_the_second_reads_it(place):
    place.create("a", b"first")
    assert place.create("a", b"second") == b"first"
    assert place.read("a") == b"first"


def test_of_creators_at_one_time_one_wins_and_all_read_what_it_wrote(place):
    together = Barrier(8)

    def create(number):
        together.wait()
        return place.create("a", bytes([number]) * 1000)

    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(create, range(8)))
    assert found == {place.read("a")}


def test_what_is_replaced_is_the_new_content(place):
    place.create("manifest.json", b"old")
    place.replace("manifest.json", b"new")
    place.replace("deep/er.json", b"too")
    assert (place.read("manifest.json"), place.read("deep/er.json")) == (b"new", b"too")


def test_a_listing_has_every_file_below_a_folder_with_its_size_and_no_other(place):
    for name in ("parts/00001.json", "parts/00000.json", "parts-of-others", "plan.json"):
        place.create(name, name.encode())
    found = place.listed("parts")
    assert list(found) == ["parts/00000.json", "parts/00001.json"]
    assert found["parts/00000.json"].size_bytes == len("parts/00000.json")
    assert list(place.listed()) == ["parts-of-others", "parts/00000.json", "parts/00001.json", "plan.json"]
    assert place.listed("maps") == {}


def test_what_is_deleted_is_gone_and_may_be_deleted_again(place):
    place.create("a", b"1")
    place.delete("a")
    place.delete("a")
    assert not place.has("a")


def test_a_missing_file_is_no_empty_one(place):
    with pytest.raises(FileNotFoundError):
        place.read("none")
    with pytest.raises(FileNotFoundError):
        place.content("none", "0" * 32) if not isinstance(place, LocalPlace) else place.read("none")
    with pytest.raises(ArtefactError, match=r"none.json' is missing"):
        read_json_at(place, "none.json")


def test_content_is_compared_with_its_checksum(place):
    place.create("a", b"whole")
    assert place.content("a", start_hash(b"whole").hexdigest()).numpy().tobytes() == b"whole"
    with pytest.raises(DamagedArtefact, match=r"a' is damaged"):
        place.content("a", start_hash(b"other").hexdigest())


def test_json_comes_back_and_the_first_of_two_stays(place):
    assert put_json_at(place, "a.json", {"n": 1}) == {"n": 1}
    assert put_json_at(place, "a.json", {"n": 2}) == {"n": 1}
    replace_json_at(place, "a.json", {"n": 3})
    assert read_json_at(place, "a.json") == {"n": 3}


def test_an_index_is_built_and_read_as_in_a_folder(place, tmp_path):
    plan = plan_of()
    assert build(place, plan) == build(tmp_path / "other", plan)
    wanted = {name: LocalPlace(tmp_path / "other").read(name) for name in LocalPlace(tmp_path / "other").listed()}
    assert {name: place.read(name) for name in place.listed()} == wanted
    numbers = [shard.norms().tolist() for shard in StoreReader(place).iter_shards()]
    assert numbers == [shard.norms().tolist() for shard in StoreReader(tmp_path / "other").iter_shards()]


def test_tensors_of_a_worker_that_lost_are_deleted(place):
    plan = plan_of()
    write_plan(place, plan)
    lost = make_part(place, plan, 1, hardware=3)
    place.delete("parts/00001.json")  # as if it had come second, with its tensors there
    winner = make_part(place, plan, 1)
    assert write_entry(place, 1, lost) == winner
    assert [name for name in place.listed("parts") if name.endswith(".safetensors")] == [winner.shard.file]


def test_the_listing_says_which_parts_are_missing(place):
    plan = plan_of()
    write_plan(place, plan)
    make_part(place, plan, 2)
    assert missing_parts(plan, place) == [0, 1, 3]
    assert list(finished_parts(place)) == [2]


def test_a_store_that_never_answers_is_given_up_in_a_sentence():
    waited = []
    faulty = FaultyObjects(in_memory(), seed=0, errors=2.0)
    place = ObjectPlace(faulty, "memory://test", "ix", waited.append)
    with pytest.raises(
        ResourceError, match=rf"'memory://test/ix/a' must be reached, and {ATTEMPTS} times it was not"
    ):
        place.read("a")
    assert len(waited) == ATTEMPTS - 1
    assert all(one < two for one, two in zip(waited, waited[2:], strict=False))


class CutsAll(FaultyObjects):
    """Says that everything was sent, and sends half of it."""

    def get(self, path):
        got = self._objects.get(path)
        return type(got)(got.content[: len(got.content) // 2], len(got.content) // 2)


def test_an_answer_that_was_cut_where_its_length_does_not_tell_is_noticed_by_checksum_and_seal():
    objects = in_memory()
    put_json_at(place_over(objects), "a.json", {"n": 1})
    place = place_over(CutsAll(objects, seed=0))
    with pytest.raises(DamagedArtefact):
        place.content("a.json", start_hash(place_over(objects).read("a.json")).hexdigest())
    with pytest.raises(ArtefactError, match="not readable JSON"):
        read_json_at(place, "a.json")


class CutsTheFirst:
    """Cuts the first answer to each kind of reading."""

    def __init__(self, objects):
        self._objects, self.asked = objects, []

    def __getattr__(self, name):
        return getattr(self._objects, name)

    def get(self, path):
        self.asked.append("get")
        got = self._objects.get(path)
        return got._replace(content=got.content[: -1 if self.asked.count("get") == 1 else None])

    def get_range(self, path, start, stop):
        self.asked.append("range")
        return self._objects.get_range(path, start, stop - (self.asked.count("range") == 1))


def test_an_answer_that_was_cut_is_asked_for_again():
    objects = in_memory()
    place_over(objects).create("a", b"0123456789")
    cutting = CutsTheFirst(objects)
    assert place_over(cutting).read("a") == b"0123456789"
    assert place_over(cutting).read_range("a", 2, 5) == b"234"
    assert cutting.asked == ["get", "get", "range", "range"]


class LosesTheFirstAnswer:
    """Does the first put and loses the answer."""

    def __init__(self, objects):
        self._objects, self.num_puts = objects, 0

    def __getattr__(self, name):
        return getattr(self._objects, name)

    def put_new(self, path, content):
        self.num_puts += 1
        was_new = self._objects.put_new(path, content)
        if self.num_puts == 1:
            raise Unanswered("lost")
        return was_new


def test_a_put_whose_answer_was_lost_is_still_the_winner():
    objects = LosesTheFirstAnswer(in_memory())
    assert place_over(objects).create("a", b"mine") == b"mine"
    assert objects.num_puts == 2


def big_index(objects, num_parts=5000):
    place = place_over(objects)
    plan = plan_of(num_examples=num_parts, shard_examples=1)
    write_plan(place, plan)
    part = make_part(place, plan, 0)
    manifest = read_manifest(place)
    shards = [
        type(part.shard)(**{**vars(part.shard), "start": number, "file": f"parts/{number:05d}-x.safetensors"})
        for number in range(num_parts)
    ]
    write_manifest(place, type(manifest)(**{**vars(manifest), "shards": shards, "status": "complete"}))


def test_opening_an_index_of_5000_parts_asks_twice():
    objects = in_memory()
    big_index(objects)
    counting = CountingObjects(objects)
    reader = StoreReader(place_over(counting))
    assert len(reader.manifest.shards) == 5000
    assert counting.asked == {"listed": 1, "get": 1} or counting.asked == {"has": 1, "get": 1}


def test_a_scan_reads_a_few_shards_ahead_and_no_more():
    objects, plan = in_memory(), plan_of(num_examples=40, shard_examples=2)
    build(place_over(objects), plan)
    counting = CountingObjects(objects)
    place = place_over(counting)
    before = StoreReader(place)
    num_read = counting.asked["get"]
    for number, shard in enumerate(before.iter_shards()):
        assert shard.num_examples == 2
        assert counting.asked["get"] - num_read <= number + 1 + place.num_ahead
    assert counting.asked["get"] - num_read == plan.num_parts


def test_shards_of_a_store_that_are_worked_on_at_once_come_in_their_order(three_threads):
    plan, place = plan_of(num_examples=40, shard_examples=2), place_over(FaultyObjects(in_memory(), seed=3))
    build(place, plan)
    found = list(StoreReader(place).map_shards(lambda shard: (shard.number, shard.norms().tolist())))
    assert found == [(number, [2 * number, 2 * number + 1]) for number in range(20)]


@pytest.mark.parametrize("threads", [1, 3])
def test_a_shard_of_a_store_that_is_worked_on_in_pieces_is_read_once(threads, three_threads):
    objects, plan = in_memory(), plan_of(num_examples=40, shard_examples=4)
    build(place_over(objects), plan)
    counting = CountingObjects(objects)
    reader = StoreReader(place_over(counting))
    before = counting.asked["get"]
    torch.set_num_threads(threads)
    found = list(reader.map_shards(lambda shard: shard.norms().tolist(), numbers=[7, 2, 5], rows_at_once=3))
    assert found == [[28, 29, 30], [31], [8, 9, 10], [11], [20, 21, 22], [23]]
    assert counting.asked["get"] - before == 3


def test_what_may_be_kept_is_read_once_and_what_was_asked_for_longest_ago_goes():
    counting, contents = (
        CountingObjects(in_memory()),
        {name: bytes([number]) * 10 for number, name in enumerate("abc")},
    )
    place = ObjectPlace(counting, "memory://test", "ix", no_wait, KeptContents(25))

    def reads(name):
        before = counting.asked["get"]
        assert place.content(name, start_hash(contents[name]).hexdigest()).numpy().tobytes() == contents[name]
        return counting.asked["get"] - before

    for name, content in contents.items():
        place.create(name, content)
    assert [reads(name) for name in "aabbaacaba"] == [1, 0, 1, 0, 0, 0, 1, 0, 1, 0]


def test_what_is_kept_and_was_written_into_is_read_again():
    place = ObjectPlace(in_memory(), "memory://test", "ix", no_wait, KeptContents(100))
    place.create("a", b"whole")
    checksum = start_hash(b"whole").hexdigest()
    place.content("a", checksum).zero_()
    assert place.content("a", checksum).numpy().tobytes() == b"whole"


@pytest.mark.parametrize("said", ["lots", "-1", "nan"])
def test_a_wrong_size_of_what_is_kept_is_refused(said, monkeypatch):
    monkeypatch.setenv(VARIABLE, said)
    with pytest.raises(ConfigError, match="a number of gigabytes"):
        open_place("memory://test", "ix")


def test_compaction_of_a_stored_index_reads_each_entry_and_no_tensors():
    objects = in_memory()
    plan = plan_of()
    write_plan(place_over(objects), plan)
    for number in range(plan.num_parts):
        make_part(place_over(objects), plan, number)
    counting = CountingObjects(objects)
    compact(place_over(counting))
    assert counting.asked["get"] <= 3 * plan.num_parts + 8
    assert counting.asked["listed"] <= 8


def test_leftovers_of_a_stored_index_are_swept():
    plan, place = plan_of(), place_over(in_memory())
    write_plan(place, plan)
    entry = make_part(place, plan, 0)
    place.create("parts/00000-" + "0" * 32 + ".safetensors", b"of a worker that was killed")
    place.create("parts/00001-" + "0" * 32 + ".safetensors", b"of one that is at work")
    sweep_leftovers(place)
    left = [name for name in place.listed("parts") if name.endswith(".safetensors")]
    assert left == [entry.shard.file, "parts/00001-" + "0" * 32 + ".safetensors"]


@pytest.mark.parametrize(
    "text",
    [
        "s3://me:hunter2@bucket/prefix",
        "s3://hunter2@bucket/prefix",
        "az://account/container?sig=hunter2",
        "s3://bucket/prefix?X-Amz-Security-Token=hunter2",
        "s3://bucket/#hunter2",
    ],
)
def test_a_location_with_anything_secret_in_it_is_refused_and_not_repeated(text):
    with pytest.raises(ConfigError, match="nothing secret") as refused:
        plain_location(text)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "spelled"),
    [
        ("s3://bucket/prefix/", "s3://bucket/prefix"),
        ("s3://bucket", "s3://bucket"),
        ("gs://b/a/b", "gs://b/a/b"),
        ("file:///somewhere/else", "/somewhere/else"),
        ("/somewhere/../else", "/else"),
    ],
)
def test_a_location_has_one_spelling(text, spelled):
    assert plain_location(text) == spelled


@pytest.mark.parametrize("text", ["ftp://host/x", "https://bucket.s3.amazonaws.com/x"])
def test_other_kinds_of_locations_are_refused_with_those_that_there_are(text):
    with pytest.raises(ConfigError, match=r"s3://, gs://, az://"):
        plain_location(text)


def test_a_location_without_a_bucket_is_refused():
    with pytest.raises(ConfigError, match="names a bucket"):
        plain_location("s3:///prefix")


def test_without_the_package_a_sentence_names_the_extra(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(ConfigError, match=r"pip install 'lorif-studio\[storage\]'"):
        ObstoreObjects("s3://bucket/prefix")


def test_a_folder_elsewhere_needs_no_package(tmp_path):
    place = open_place(str(tmp_path), "ix")
    assert isinstance(place, LocalPlace)
    place.create("a", b"1")
    assert (tmp_path / "ix" / "a").read_bytes() == b"1"
