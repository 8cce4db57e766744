"""What every catalog promises, checked on both."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import duckdb
import pytest

from lorif_core.catalog import (
    DatasetRecord,
    DuckDBCatalog,
    HitRecord,
    IndexRecord,
    InMemoryCatalog,
    ModelRecord,
    PreconditionerRecord,
    QueryRecord,
)
from lorif_core.errors import CatalogError

NOON = datetime(2026, 3, 29, 12, 0, 0, 123456, tzinfo=UTC)

DATASET = DatasetRecord(
    dataset_id="d1",
    name='Märchen\'s "best" 🐺',
    fingerprint="3f9c",
    kind="text",
    num_examples=5_000_000_000,  # more than 32 bits
    num_rejected=2,
    num_duplicates=3,
    size_bytes=2**41,
    source_files=("a.jsonl", "b, c\n.jsonl", "not\udcffunicode.csv"),
    created_at=NOON,
)
MODEL = ModelRecord(
    model_id="m1",
    name="some/model",
    fingerprint="aa",
    tokenizer_fingerprint="bb",
    architecture="LlamaForCausalLM",
    num_parameters=70_000_000_000,
    created_at=NOON,
)
INDEX = IndexRecord(
    index_id="i1",
    dataset_id="d1",
    model_id="m1",
    method="lorif",
    factor_rank=1,
    f=4,
    codec="bf16",
    num_examples=100,
    num_modules=14,
    total_dim=3_000_000_000,
    max_length=512,
    settings_json='{"f": 4}',
    created_at=NOON,
    updated_at=NOON,
)
PRECONDITIONER = PreconditionerRecord(
    preconditioner_id="p1",
    index_id="i1",
    subspace_rank=256,
    damping_rule="trace",
    damping_ratio=0.1,  # no 32-bit float equals it
    size_bytes=12,
    fingerprint="cc",
    build_seconds=0.3,
    created_at=NOON,
)

QUERY = QueryRecord(
    query_id="",
    fingerprint="ff",
    index_id="i1",
    dataset_id="d1",
    prompt="'; DROP TABLE query; --\n\u202e🐺",
    completion="",
    contrast=None,
    tokens_json="[0, 2]",
    objective="loss",
    normalisation="none",
    settings_json="{}",
    objective_value=0.1,
    num_scored=5_000_000_000,
    positive_total=1e-300,
    k=10,
    num_opposing=0,
    elapsed_s=0.3,
    asked_by="Zoë",
    created_at=NOON,
)


def hit(rank, side="supports", train_id=None):
    """A line of a top list, as it is given to the catalog."""
    return HitRecord(
        hit_id="", query_id="", side=side, rank=rank, train_id=train_id or f"t{rank}", score=1 / rank, created_at=NOON
    )


@pytest.fixture(params=["memory", "duckdb"])
def catalog(request, tmp_path):
    return InMemoryCatalog() if request.param == "memory" else DuckDBCatalog(tmp_path / "catalog.duckdb")


class TestCatalog:
    def test_a_data_set_comes_back_as_it_was_put(self, catalog):
        catalog.put_dataset(DATASET)
        assert catalog.dataset("d1") == DATASET
        assert catalog.datasets() == [DATASET]

    def test_a_model_comes_back_as_it_was_put(self, catalog):
        catalog.put_model(MODEL)
        assert catalog.model("m1") == MODEL
        assert catalog.models() == [MODEL]

    @pytest.mark.parametrize(
        "index",
        [
            INDEX,
            replace(
                INDEX,
                factor_rank=None,
                num_truncated=0,
                shard_bytes=2**40,
                total_bytes=2**40 + 1,
                fingerprint="dd",
                build_seconds=1.1,
                status="complete",
            ),
        ],
        ids=["building", "complete"],
    )
    def test_an_index_comes_back_as_it_was_put(self, catalog, index):
        catalog.put_index(index)
        assert catalog.index("i1") == index
        assert catalog.indexes() == [index]

    @pytest.mark.parametrize(
        "preconditioner",
        [PRECONDITIONER, replace(PRECONDITIONER, damping_rule="absolute", damping_ratio=None, damping=1e-7)],
        ids=["ratio", "absolute"],
    )
    def test_a_preconditioner_comes_back_as_it_was_put(self, catalog, preconditioner):
        catalog.put_preconditioner(preconditioner)
        assert catalog.preconditioners("i1") == [preconditioner]

    def test_a_time_of_another_zone_comes_back_as_the_same_instant(self, catalog):
        elsewhere = NOON.astimezone(timezone(timedelta(hours=5, minutes=45)))
        catalog.put_dataset(replace(DATASET, created_at=elsewhere))
        assert catalog.dataset("d1").created_at == NOON

    def test_a_new_catalog_is_empty(self, catalog):
        assert catalog.datasets() == catalog.models() == catalog.indexes() == catalog.preconditioners("i1") == []

    def test_putting_an_id_again_replaces_the_whole_record(self, catalog):
        later = NOON + timedelta(days=1)
        dataset = replace(DATASET, name="renamed", source_files=(), created_at=later)
        model = replace(MODEL, num_parameters=1)
        index = replace(INDEX, status="failed", factor_rank=None)
        preconditioner = replace(PRECONDITIONER, subspace_rank=0, build_seconds=None)
        for old, new in [(DATASET, dataset), (dataset, DATASET), (DATASET, dataset)]:
            catalog.put_dataset(old)
            catalog.put_dataset(new)
        for record in (MODEL, model):
            catalog.put_model(record)
        for record in (INDEX, index):
            catalog.put_index(record)
        for record in (PRECONDITIONER, preconditioner):
            catalog.put_preconditioner(record)
        assert catalog.datasets() == [dataset]
        assert catalog.models() == [model]
        assert catalog.indexes() == [index]
        assert catalog.preconditioners("i1") == [preconditioner]

    def test_replacing_one_record_leaves_the_others_alone(self, catalog):
        other = replace(DATASET, dataset_id="d2")
        catalog.put_dataset(DATASET)
        catalog.put_dataset(other)
        catalog.put_dataset(replace(DATASET, name="renamed"))
        assert catalog.dataset("d2") == other

    def test_lists_are_ordered_by_time_and_ties_by_id(self, catalog):
        early = NOON - timedelta(microseconds=1)
        for record_id, created_at in [("b", NOON), ("z", early), ("a", NOON), ("é", NOON), ("B", NOON)]:
            catalog.put_dataset(replace(DATASET, dataset_id=record_id, created_at=created_at))
            catalog.put_model(replace(MODEL, model_id=record_id, created_at=created_at))
            catalog.put_index(replace(INDEX, index_id=record_id, created_at=created_at))
            catalog.put_preconditioner(replace(PRECONDITIONER, preconditioner_id=record_id, created_at=created_at))
        expected = ["z", "B", "a", "b", "é"]
        assert [record.dataset_id for record in catalog.datasets()] == expected
        assert [record.model_id for record in catalog.models()] == expected
        assert [record.index_id for record in catalog.indexes()] == expected
        assert [record.preconditioner_id for record in catalog.preconditioners("i1")] == expected

    def test_indexes_can_be_listed_for_one_data_set(self, catalog):
        other = replace(INDEX, index_id="i2", dataset_id="d2")
        catalog.put_index(INDEX)
        catalog.put_index(other)
        assert catalog.indexes("d2") == catalog.indexes(dataset_id="d2") == [other]
        assert catalog.indexes("d3") == []

    def test_preconditioners_of_another_index_are_not_listed(self, catalog):
        catalog.put_preconditioner(PRECONDITIONER)
        assert catalog.preconditioners("i2") == []

    def test_a_finished_build_changes_status_and_measures_and_nothing_else(self, catalog):
        catalog.put_index(INDEX)
        returned = catalog.set_index_status(
            "i1",
            "complete",
            num_truncated=4,
            shard_bytes=10,
            total_bytes=12,
            fingerprint="ee",
            build_seconds=2.5,
        )
        assert catalog.index("i1") == returned
        assert returned.updated_at > INDEX.updated_at
        assert returned == replace(
            INDEX,
            status="complete",
            num_truncated=4,
            shard_bytes=10,
            total_bytes=12,
            fingerprint="ee",
            build_seconds=2.5,
            updated_at=returned.updated_at,
        )

    def test_a_status_alone_keeps_what_was_measured(self, catalog):
        catalog.put_index(replace(INDEX, status="complete", total_bytes=12))
        catalog.set_index_status("i1", "damaged")
        assert catalog.index("i1").status == "damaged"
        assert catalog.index("i1").total_bytes == 12

    @pytest.mark.usefixtures("unchecked_types")
    def test_an_unknown_status_is_refused_and_changes_nothing(self, catalog):
        catalog.put_index(INDEX)
        with pytest.raises(CatalogError, match=r"one of building, complete, failed, damaged, got 'done'"):
            catalog.set_index_status("i1", "done")
        assert catalog.index("i1") == INDEX

    def test_the_status_of_an_unknown_index_cannot_change(self, catalog):
        with pytest.raises(CatalogError, match=r"no index 'i9'.*`lorif index` builds one"):
            catalog.set_index_status("i9", "failed")
        assert catalog.indexes() == []

    def test_an_unknown_id_lists_the_known_ones_and_the_next_step(self, catalog):
        catalog.put_dataset(DATASET)
        catalog.put_model(MODEL)
        catalog.put_index(INDEX)
        with pytest.raises(CatalogError, match=r"no data set 'x'. Use one of 'd1'; `lorif import` adds one"):
            catalog.dataset("x")
        with pytest.raises(CatalogError, match=r"no model 'x'. Use one of 'm1'; `lorif index` adds"):
            catalog.model("x")
        with pytest.raises(CatalogError, match=r"no index 'x'. Use one of 'i1'; `lorif index` builds one"):
            catalog.index("x")

    def test_an_unknown_id_lists_only_a_few_of_many(self, catalog):
        for number in range(7):
            catalog.put_dataset(replace(DATASET, dataset_id=f"d{number}"))
        with pytest.raises(CatalogError, match=r"one of 'd0', 'd1', 'd2', 'd3', 'd4' and 2 more;"):
            catalog.dataset("x")

    def test_an_id_that_looks_like_sql_is_just_an_id(self, catalog):
        hostile = "x'; drop table dataset; --"
        catalog.put_dataset(replace(DATASET, dataset_id=hostile))
        assert catalog.dataset(hostile).dataset_id == hostile

    def test_a_data_set_is_the_first_version_of_its_own_corpus_unless_it_says_otherwise(self, catalog):
        later = replace(
            DATASET, dataset_id="d2", corpus_id="d1", parent_id="d1", version=2, source_checksums=("é",),
            settings_json='{"name": null}',
        )  # fmt: skip
        catalog.put_dataset(DATASET)
        catalog.put_dataset(later)
        assert (catalog.dataset("d1").corpus_id, catalog.dataset("d1").parent_id) == ("d1", None)
        assert catalog.dataset("d2") == later

    def test_questions_are_numbered_in_the_order_of_asking(self, catalog):
        kept = [catalog.put_query(replace(QUERY, fingerprint=str(number)), []) for number in range(11)]
        assert [query.query_id for query in kept] == [str(number) for number in range(1, 12)]
        assert catalog.query("11") == kept[-1] == replace(QUERY, fingerprint="10", query_id="11")

    def test_questions_can_be_listed_by_what_they_hold(self, catalog):
        first = catalog.put_query(QUERY, [])
        second = catalog.put_query(replace(QUERY, fingerprint="gg", created_at=NOON + timedelta(hours=1)), [])
        assert catalog.queries() == [first, second]
        assert catalog.queries(fingerprint="gg") == [second]
        assert catalog.queries(fingerprint="hh") == []

    def test_hits_come_back_in_the_order_of_their_ranks_side_by_side(self, catalog):
        ranks = [10, 2, 1, 9, 11]
        catalog.put_query(QUERY, [*map(hit, ranks), hit(1, "opposes", "o1")])
        catalog.put_query(replace(QUERY, fingerprint="gg"), [hit(1)])
        found = catalog.hits(query_id="1")
        assert [line.rank for line in found if line.side == "supports"] == sorted(ranks)
        assert [line.train_id for line in found if line.side == "opposes"] == ["o1"]
        (line,) = catalog.hits(query_id="2")
        assert line == replace(hit(1), query_id="2", hit_id=line.hit_id)
        assert [line.query_id for line in catalog.hits(train_id="t1")] == ["1", "2"]

    def test_a_question_asked_again_keeps_its_id_time_and_asker_and_gets_the_new_lists(self, catalog):
        other = catalog.put_query(replace(QUERY, fingerprint="gg"), [hit(1)])
        catalog.put_query(QUERY, [hit(1), hit(2), hit(1, "opposes")])
        again = replace(QUERY, k=2, elapsed_s=9.0, asked_by="bob", created_at=NOON + timedelta(days=1))
        kept = catalog.put_query(again, [hit(1, train_id="other")])
        assert kept == catalog.query("2") == replace(QUERY, query_id="2", k=2, elapsed_s=9.0)
        assert [line.train_id for line in catalog.hits(query_id="2")] == ["other"]
        assert catalog.queries() == [other, kept]
        assert len(catalog.hits(query_id="1")) == 1

    def test_an_unknown_question_names_the_known_ones(self, catalog):
        with pytest.raises(CatalogError, match=r"no query '1': the catalog has none yet, `lorif ask` makes one"):
            catalog.query("1")
        catalog.put_query(QUERY, [])
        with pytest.raises(CatalogError, match=r"no query '7'. Use one of '1'"):
            catalog.query("7")


def test_a_catalog_of_format_2_gains_versions_and_questions_and_loses_nothing(tmp_path):
    path = tmp_path / "catalog.duckdb"
    DuckDBCatalog(path).put_dataset(DATASET)
    DuckDBCatalog(path).put_index(INDEX)
    with duckdb.connect(str(path)) as connection:
        for table in ("query", "hit"):
            connection.execute(f"DROP TABLE {table}")
        for column in ("source_checksums", "settings_json", "corpus_id", "parent_id", "version"):
            connection.execute(f"ALTER TABLE dataset DROP COLUMN {column}")
        connection.execute("UPDATE catalog_version SET format_version = 2")
    upgraded = DuckDBCatalog(path)
    assert upgraded.datasets() == [DATASET]
    assert upgraded.indexes() == [INDEX]
    kept = upgraded.put_query(QUERY, [hit(1)])
    assert DuckDBCatalog(path).queries() == [kept]
    second = replace(DATASET, dataset_id="d2", corpus_id="d1", parent_id="d1", version=2)
    upgraded.put_dataset(second)
    assert DuckDBCatalog(path).datasets() == [DATASET, second]


def test_a_record_refuses_a_time_without_a_zone():
    with pytest.raises(CatalogError, match=r"created_at needs a time zone.*utc_now"):
        replace(DATASET, created_at=datetime(2026, 1, 1))
    with pytest.raises(CatalogError, match=r"updated_at needs a time zone"):
        replace(INDEX, updated_at=datetime(2026, 1, 1))


@pytest.mark.usefixtures("unchecked_types")
def test_a_record_refuses_an_unknown_status():
    with pytest.raises(CatalogError, match=r"one of building, complete, failed, damaged, got 'ok'"):
        replace(INDEX, status="ok")
