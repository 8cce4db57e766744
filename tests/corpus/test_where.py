import math
import re
import subprocess
import sys
from datetime import datetime
from decimal import Decimal

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lorif_core.corpus.conditions import RESERVED, And, Comparison, Extreme, Not, Or
from lorif_core.corpus.value_types import BOOL, FLOAT, MICROSECONDS, TEXT, WHOLE, ValueType
from lorif_core.corpus.where import (
    MAX_CHARACTERS,
    MAX_DEPTH,
    Field,
    compile_where,
    format_where,
    parse_where,
    queries_of,
)
from lorif_core.errors import QueryError

HOSTILE = [
    "'; DROP TABLE rows; --",
    '" OR 1=1 --',
    "forum') OR (true",
    "a'b",
    "%",
    "_",
    "\\",
    "?",
    "$1",
    "{x}",
    "`",
    "NULL",
    "",
    "/* */",
    "x\ny",
]
PLAIN = ["forum", "Forum", "trivia board", "news", "colour 12", "日本語", "é", "and", "true", "2020"]
TEXTS = [*PLAIN, *HOSTILE]
PATTERNS = ["colou?r", "^f", "d$", r"\d+", "[a-c]", "(?i)FORUM", "for|news", "'", r"\\", "^$", "日"]
ODD = 'we"ird `name`; DROP TABLE rows --'


def ranked(scores, *, highest_first):
    """Rank from 1 of each scored id: by score, equal scores by id."""
    order = sorted((-score if highest_first else score, train_id) for train_id, score in scores.items())
    return {train_id: place for place, (_, train_id) in enumerate(order, start=1)}


def make_rows():
    """40 rows that combine missing, odd and hostile values."""
    rows = []
    for at in range(40):
        rows.append(
            {
                "train_id": f"t{at:02}",
                "source": None if at % 7 == 3 else TEXTS[at % len(TEXTS)],
                ODD: None if at % 5 == 0 else TEXTS[(3 * at) % len(TEXTS)],
                "year": None if at % 6 == 1 else 2015 + at % 9,
                "weight": (None, math.nan, 0.5, -1.25, 3.0)[at % 5],
                "ok": (None, True, False)[at % 3],
                "when": None if at % 4 == 0 else datetime(2026, 1 + at % 12, 3, 12, at % 60),
                "labels": (None, [], ["needs check"], ["a", HOSTILE[at % len(HOSTILE)]])[at % 4],
                "actor": (None, "anna", "bo")[at % 3],
                "has_conflict": at % 8 == 0,
                "score": None if at % 9 == 0 else (at * 7 % 11) / 10,
            }
        )
    scores = {row["train_id"]: row["score"] for row in rows if row["score"] is not None}
    for side in ("top", "bottom"):
        ranks = ranked(scores, highest_first=side == "top")
        for row in rows:
            rank = ranks.get(row["train_id"])
            row[f"{side}_rank"] = rank
            row[f"{side}_share"] = None if rank is None else rank / len(scores)
    return rows


ROWS = make_rows()
FIELDS = {
    "data.train_id": Field("train_id", TEXT),
    "data.source": Field('"source"', TEXT),
    f"data.{ODD}": Field('"odd"', TEXT),
    "data.year": Field('"year"', WHOLE),
    "data.weight": Field("weight", FLOAT),
    "data.ok": Field("ok", BOOL),
    "data.when": Field('"when"', ValueType("moment", "TIMESTAMP", MICROSECONDS)),
    "decision.labels": Field("labels", TEXT),
    "decision.actor": Field("actor", TEXT),
    "decision.has_conflict": Field("has_conflict", BOOL),
    "score:7": Field('"score"', FLOAT),
    "top_rank:7": Field("top_rank", WHOLE),
    "bottom_rank:7": Field("bottom_rank", WHOLE),
    "top_share:7": Field("top_share", FLOAT),
    "bottom_share:7": Field("bottom_share", FLOAT),
}
SQL_TYPES = """train_id VARCHAR, source VARCHAR, odd VARCHAR, year BIGINT, weight DOUBLE, ok BOOLEAN,
"when" TIMESTAMP, labels VARCHAR[], actor VARCHAR, has_conflict BOOLEAN, score DOUBLE,
top_rank BIGINT, top_share DOUBLE, bottom_rank BIGINT, bottom_share DOUBLE"""


@pytest.fixture(scope="module")
def table():
    with duckdb.connect() as connection:
        connection.execute(f"CREATE TABLE rows ({SQL_TYPES})")
        connection.executemany(
            f"INSERT INTO rows VALUES ({', '.join('?' * 15)})", [list(row.values()) for row in ROWS]
        )
        yield connection


def found(table, condition):
    sql, params = compile_where(condition, FIELDS)
    answers = table.sql(f"SELECT train_id, {sql} FROM rows", params=params).fetchall()
    assert {answer for _, answer in answers} <= {True, False}  # never null
    return {train_id for train_id, answer in answers if answer}


def expected(condition):
    return {row["train_id"] for row in ROWS if holds(condition, row)}


def holds(condition, row):
    """What a condition means, written over one row."""
    if isinstance(condition, And):
        return all([holds(part, row) for part in condition.parts])
    if isinstance(condition, Or):
        return any([holds(part, row) for part in condition.parts])
    if isinstance(condition, Not):
        return not holds(condition.part, row)
    if isinstance(condition, Extreme):
        measure = row[f"{condition.side}_{'share' if condition.is_share else 'rank'}"]
        limit = condition.amount / (100 if condition.is_share else 1)
        return measure is not None and measure <= float(limit)
    value = row[condition.name]
    if condition.name == "labels":
        return labels_hold(condition.operator, set(value or []), set(condition.values))
    is_missing = value is None or (isinstance(value, float) and math.isnan(value))
    if condition.operator in ("is missing", "is not missing"):
        return is_missing == (condition.operator == "is missing")
    if is_missing:
        return condition.operator in ("!=", "not in")
    return value_holds(condition.operator, value, [typed(value, text) for text in condition.values])


def typed(value, text):
    if isinstance(value, bool):
        return text.lower() == "true"
    if isinstance(value, datetime):
        return datetime.fromisoformat(text)
    return text if isinstance(value, str) else float(text)


def value_holds(operator, value, values):
    one = values[0]
    if operator in ("=", "in"):
        return value in values
    if operator in ("!=", "not in"):
        return value not in values
    if operator == "between":
        return values[0] <= value <= values[1]
    if operator == "contains":
        return one.lower() in value.lower()
    if operator == "matches":
        return re.search(one, value) is not None
    return {"<": value < one, "<=": value <= one, ">": value > one, ">=": value >= one}[operator]


def labels_hold(operator, labels, wanted):
    if operator in ("is missing", "is not missing"):
        return (not labels) == (operator == "is missing")
    return bool(labels & wanted) == (operator in ("=", "in"))


def comparisons(names, operators, values):
    """Comparisons of any of these operators with as many values as each takes."""

    def fill(name, operator):
        least, most = {"between": (2, 2), "in": (1, 3), "not in": (1, 3)}.get(operator, (1, 1))
        if operator.endswith("missing"):
            least = most = 0
        return st.lists(values, min_size=least, max_size=most).map(
            lambda chosen: Comparison(name, operator, tuple(chosen))
        )

    return st.tuples(names, st.sampled_from(operators)).flatmap(lambda pair: fill(*pair))


ORDERED = ["=", "!=", "<", "<=", ">", ">=", "in", "not in", "between"]
MISSING = ["is missing", "is not missing"]
numbers = st.sampled_from(["2015", "2018", "2018.5", "-1.25", "0.5", "3", "+0.5", "1e1", "99999999999999999999"])
times = st.sampled_from(["2026-03-03T12:00", "2026-03-03T12:02", "2026-12-31 23:59:59", "2026-06-03T12:05:00"])
extremes = st.one_of(
    st.builds(
        Extreme,
        st.just("7"),
        st.sampled_from(["top", "bottom"]),
        st.sampled_from([Decimal(amount) for amount in ("0.7", "10", "33.3", "100", "2.857142857142857")]),
        st.just(True),
    ),
    st.builds(
        Extreme, st.just("7"), st.sampled_from(["top", "bottom"]), st.integers(1, 50).map(Decimal), st.just(False)
    ),
)
atoms = st.one_of(
    comparisons(st.sampled_from(["source", ODD, "actor"]), [*ORDERED, "contains", *MISSING], st.sampled_from(TEXTS)),
    comparisons(st.sampled_from(["source", ODD]), ["matches"], st.sampled_from(PATTERNS)),
    comparisons(st.sampled_from(["year", "weight"]), [*ORDERED, *MISSING], numbers),
    comparisons(st.just("when"), [*ORDERED, *MISSING], times),
    comparisons(st.sampled_from(["ok", "has_conflict"]), ["=", "!=", *MISSING], st.sampled_from(["true", "FALSE"])),
    comparisons(
        st.just("labels"), ["=", "!=", "in", "not in", *MISSING], st.sampled_from([*HOSTILE, "needs check", "a"])
    ),
    extremes,
)


def trees(leaves):
    return st.recursive(
        leaves,
        lambda parts: st.one_of(
            st.lists(parts, min_size=2, max_size=3).map(lambda chosen: And(tuple(chosen))),
            st.lists(parts, min_size=2, max_size=3).map(lambda chosen: Or(tuple(chosen))),
            parts.map(Not),
        ),
        max_leaves=6,
    )


@given(trees(atoms))
@settings(max_examples=150)
def test_the_sql_finds_the_rows_of_which_the_condition_holds(table, condition):
    assert found(table, condition) == expected(condition)


@given(trees(atoms))
@settings(max_examples=40)
def test_a_negation_finds_exactly_the_other_rows(table, condition):
    everything = {row["train_id"] for row in ROWS}
    assert found(table, Not(condition)) == everything - found(table, condition)


@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize("operator", ["=", "!=", "contains", "in"])
def test_characters_of_sql_are_only_compared(table, operator, value):
    quoted = '"' + value.replace('"', '""') + '"'
    name = "`" + ODD.replace("`", "``") + "`"
    condition = parse_where(f"{name} {operator} {f'({quoted})' if operator == 'in' else quoted}")
    assert condition == Comparison(ODD, operator, (value,))
    assert found(table, condition) == expected(condition)
    assert table.sql("SELECT count(*) FROM rows").fetchone() == (len(ROWS),)


@given(st.sampled_from(HOSTILE), st.sampled_from(HOSTILE))
def test_nothing_typed_is_part_of_the_sql(value, other):
    conditions = [
        Comparison("source", operator, (value, other) if operator == "between" else (value,))
        for operator in [*ORDERED, "contains"]
    ]
    plain = [Comparison(c.name, c.operator, tuple("x" for _ in c.values)) for c in conditions]
    assert len(plain) == len(ORDERED) + 1
    for condition, same_shape in zip(conditions, plain, strict=True):
        assert compile_where(condition, FIELDS).sql == compile_where(same_shape, FIELDS).sql


any_text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
name_text = st.one_of(
    any_text.filter(bool), st.sampled_from(["label", "labels", "score", "has", "in", "text", "actor"])
)
value_text = st.one_of(any_text, st.sampled_from([*TEXTS, "a:", ":", "because", "for", "conflict", "IN", "pt-BR"]))
any_atom = st.one_of(
    comparisons(name_text, [*ORDERED, "contains", "matches", *MISSING], value_text),
    st.builds(Comparison, st.just("score"), st.just("<"), st.tuples(value_text), value_text),
    st.builds(
        Extreme,
        value_text,
        st.sampled_from(["top", "bottom"]),
        st.decimals("0.001", "100", places=3, allow_nan=False),
        st.just(True),
    ),
    extremes,
)


@given(trees(any_atom))
@settings(max_examples=300)
def test_reading_the_text_of_a_condition_gives_the_condition(condition):
    assert parse_where(format_where(condition)) == condition
    assert hash(parse_where(str(condition))) == hash(condition)


@given(
    st.one_of(
        st.text(max_size=40),
        st.lists(
            st.sampled_from(
                "and or not in is the ( ) , = != \" ' ` % 1 x score top for query missing label between :".split()
            )
        ).map(" ".join),
    )
)
@settings(max_examples=300)
def test_any_typed_text_is_a_condition_or_refused_in_one_sentence(text):
    try:
        condition = parse_where(text)
    except QueryError as error:
        condition = None
        refusal = str(error)
    if condition is None:
        assert re.search(r"column \d+.*[.)]$", refusal, re.DOTALL)
    else:
        assert parse_where(str(condition)) == condition


@pytest.mark.parametrize(
    ("typed_text", "condition"),
    [
        ("source = forum", Comparison("source", "=", ("forum",))),
        ('source = "trivia board"', Comparison("source", "=", ("trivia board",))),
        ("source = 'trivia board'", Comparison("source", "=", ("trivia board",))),
        ('lang NOT IN (de, fr,"pt-BR")', Comparison("lang", "not in", ("de", "fr", "pt-BR"))),
        ("year between 2019 and 2021", Comparison("year", "between", ("2019", "2021"))),
        ("author is missing", Comparison("author", "is missing")),
        ("author IS NOT missing", Comparison("author", "is not missing")),
        ("`my column`=3", Comparison("my column", "=", ("3",))),
        ('"my column" = 3', Comparison("my column", "=", ("3",))),
        ("decided by anna", Comparison("decision.actor", "=", ("anna",))),
        ("has conflict", Comparison("decision.has_conflict", "=", ("true",))),
        ("label = urgent", Comparison("labels", "=", ("urgent",))),
        ("`label` = urgent", Comparison("label", "=", ("urgent",))),
        ("score > 0.5 for query 7", Comparison("score", ">", ("0.5",), "7")),
        ("score > 0.5", Comparison("score", ">", ("0.5",))),
        ("score in (1, 2)", Comparison("score", "in", ("1", "2"))),
        ("score in the top 1 % for query 7", Extreme("7", "top", Decimal(1), True)),
        ("score in the bottom 0.5% for query q-3f", Extreme("q-3f", "bottom", Decimal("0.5"), True)),
        ("Score In The Top 25 For Query q-3f", Extreme("q-3f", "top", Decimal(25), False)),
        ("time = 2026-03-01T14:30", Comparison("time", "=", ("2026-03-01T14:30",))),
        ("नाम = हिन्दी", Comparison("नाम", "=", ("हिन्दी",))),
    ],
)
def test_each_form_of_the_language_is_understood(typed_text, condition):
    assert parse_where(typed_text) == condition


def test_or_binds_weaker_than_and_and_that_weaker_than_not():
    a, b, c = (Comparison(name, "=", ("1",)) for name in "abc")
    assert parse_where("a = 1 or not b = 1 and c = 1") == Or((a, And((Not(b), c))))
    assert parse_where("(a=1 or not b=1) and c=1") == And((Or((a, Not(b))), c))
    assert parse_where("not (a=1 and b=1)") == Not(And((a, b)))


@pytest.mark.parametrize(
    ("typed_text", "column", "wanted", "word"),
    [
        ("source forum", 8, "one of =, !=", "`forum`"),
        ("source =", 9, "a value", "the end"),
        ("(a = 1", 7, "`and`, `or` or `)`", "the end"),
        ("a = 1) ", 6, "`and`, `or` or the end", "`)`"),
        ("a = 1 and", 10, "a condition such as", "the end"),
        ("a = not", 5, 'write "not" in quotes', "`not`"),
        ("source in forum", 11, "`(`", "`forum`"),
        ("a in (1 2)", 9, "`,` or `)`", "`2`"),
        ("x between 1 or 2", 13, "`and`", "`or`"),
        ("score in the middle", 14, "`top` or `bottom`", "`middle`"),
        ("score in the top 0 % for query 7", 18, "above 0 and up to 100", "`0`"),
        ("score in the top 101 % for query 7", 18, "above 0 and up to 100", "`101`"),
        ("score in the top 1.5 for query 7", 18, "a number of texts", "`1.5`"),
        ("score in the top -3 for query 7", 18, "a number of texts", "`-3`"),
        ("score in the top 3 for 7", 24, "`query`", "`7`"),
    ],
)
def test_a_refusal_quotes_the_place_and_says_what_was_expected(typed_text, column, wanted, word):
    with pytest.raises(QueryError) as refusal:
        parse_where(typed_text)
    message = str(refusal.value)
    assert message.startswith(f"at column {column}, expected ")
    assert wanted in message
    assert message.endswith(f"found {word}.")


@pytest.mark.parametrize(
    ("typed_text", "message"),
    [
        ('a = "x', r"quote opened at column 5 is never closed"),
        ("a = b#", r"at column 6, '#' cannot stand outside quotes"),
        ("a = “b”", r"straight double quotes"),
        ("a = b\0", r"column 6 is '\\x00'"),
        ("a = '\ud800'", r"column 6 is '\\ud800'"),
        ("a = " + "x" * MAX_CHARACTERS, r"at most 10,000 characters, this one has 10,004"),
        ("(" * (MAX_DEPTH + 1) + "a = 1", r"nest at most 100 deep, those at column 101"),
        ("not " * (MAX_DEPTH + 1) + "a = 1", r"nest at most 100 deep"),
        ("(" * 4000, r"nest at most 100 deep"),
    ],
)
def test_a_text_that_cannot_be_one_is_refused(typed_text, message):
    with pytest.raises(QueryError, match=message):
        parse_where(typed_text)


def test_the_deepest_condition_is_read_written_and_run(table):
    typed_text = "year = 1 or year = 2 and (" * MAX_DEPTH + "year = 3" + ")" * MAX_DEPTH
    condition = parse_where(typed_text)
    assert parse_where(str(condition)) == condition
    assert found(table, condition) == expected(condition)
    assert queries_of(condition) == []


def test_the_deepest_condition_fits_on_the_stack_of_a_plain_python():
    program = """
from lorif_core.corpus.reading import MAX_DEPTH
from lorif_core.corpus.value_types import WHOLE
from lorif_core.corpus.where import Field, compile_where, parse_where
typed_text = "year = 1 or year = 2 and (" * MAX_DEPTH + "year = 3" + ")" * MAX_DEPTH
condition = parse_where(typed_text)
compile_where(condition, {"data.year": Field("year", WHOLE)})
print(parse_where(str(condition)) == condition)
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.stdout == "True\n", result.stderr


def test_nesting_counts_what_is_open_not_what_was():
    parse_where(" or ".join(["(a=1)"] * 2 * MAX_DEPTH))


@pytest.mark.parametrize("word", sorted(RESERVED))
def test_a_reserved_word_in_any_case_is_quoted_where_it_is_a_name_or_a_value(word):
    for text in (word, word.upper()):
        condition = Comparison(text, "=", (text,))
        assert str(condition) == f'`{text}` = "{text}"'
        assert parse_where(str(condition)) == condition


def test_the_longest_flat_condition_runs(table):
    typed_text = " or ".join(["year = 1"] * 830)
    assert found(table, parse_where(typed_text)) == set()


def test_a_text_whose_written_form_is_too_long_to_be_read_again_is_refused():
    with pytest.raises(QueryError, match="at most 10,000 characters"):
        parse_where(" or ".join(["year=1"] * 900))


def test_queries_are_listed_once_in_the_order_of_appearance():
    condition = parse_where("score > 1 for query b or not (score in the top 3 for query a and score < 9 for query b)")
    assert queries_of(condition) == ["b", "a"]
    assert queries_of(parse_where("`score:7` = 1")) == []


@pytest.mark.parametrize("amount", ["0.7", "1.1", "2.3", "5.7", "7", "14", "28.9", "57.5"])
def test_a_percentage_takes_exactly_that_share_of_a_thousand(table, amount):
    # In floating point 0.7 / 100 < 7 / 1000: the seventh of a thousand would be lost.
    fields = {"top_share:q": Field("rank / 1000", FLOAT)}
    sql, params = compile_where(parse_where(f"score in the top {amount} % for query q"), fields)
    (count,) = table.sql(f"SELECT count(*) FROM range(1, 1001) r(rank) WHERE {sql}", params=params).fetchone()
    assert count == Decimal(amount) * 10


def test_missing_values_are_in_unequal_and_not_in_and_in_nothing_else(table):
    missing = found(table, parse_where("year is missing"))
    assert missing
    for operator in ORDERED:
        values = ("2018", "2018") if operator == "between" else ("2018",)
        is_included = operator in ("!=", "not in")
        assert found(table, Comparison("year", operator, values)) & missing == (missing if is_included else set())


def test_not_a_number_counts_as_missing(table):
    not_numbers = {row["train_id"] for row in ROWS if row["weight"] is not None and math.isnan(row["weight"])}
    assert not_numbers <= found(table, parse_where("weight is missing"))
    assert not found(table, parse_where("weight > -99")) & not_numbers


def test_whole_numbers_beyond_the_exact_floats_stay_apart(table):
    sql, params = compile_where(parse_where("n = 9007199254740993"), {"data.n": Field("n", WHOLE)})
    values = "(VALUES (9007199254740992), (9007199254740993)) t(n)"
    assert table.sql(f"SELECT n FROM {values} WHERE {sql}", params=params).fetchall() == [(9007199254740993,)]


def test_a_time_with_a_zone_is_refused_where_the_column_has_none():
    with pytest.raises(QueryError, match=r"`when` holds times.*2026-03-01T14:30\+02:00.*without a zone"):
        compile_where(parse_where("when = 2026-03-01T14:30+02:00"), FIELDS)


@pytest.mark.parametrize(
    ("typed_text", "message"),
    [
        ("sorce = x", r"no field `sorce`, did you mean `source`\? The fields are `train_id`, `source`"),
        ("zzz = x", r"no field `zzz`\. The fields are"),
        ("lable = x", r"did you mean `label`\?"),
        ("score > 1", r"no column `score`: .* score > 0\.5 for query 7"),
        ("score > 1 for query 8", r"query `8` has no scores .* those that have: `7`"),
        ("score in the top 1 % for query 8", r"query `8` has no scores .* `7`"),
        ("year > abc", r"`year` holds numbers, got `abc` in `year > abc`"),
        ("year = nan", r"holds numbers, got `nan`"),
        ("year = inf", r"holds numbers, got `inf`"),
        ("year = ٣", r"holds numbers, got `٣`"),
        ("year in (1, 2, x)", r"got `x`"),
        ("year contains 3", r"`contains` does not apply to numbers"),
        ("ok = maybe", r"holds true or false, got `maybe`"),
        ("ok > true", r"`>` does not apply to true or false"),
        ("when > yesterday", r"holds times, got `yesterday`.*2026-03-01T14:30"),
        ('when > "0001-01-01T00:00:00+05:00"', r"holds times"),
        ("label matches x", r"`matches` does not apply to labels"),
        ('source matches "("', r"`\(` is not a regular expression \(missing \)"),
        (r'source matches "(?=a)"', r"not a regular expression"),
        ('source matches "(a{900}){900}"', r"not a regular expression"),
        (f'source matches "{"a" * 1001}"', r"at most 1,000 characters, this one has 1,001"),
    ],
)
def test_a_condition_that_does_not_fit_the_data_is_refused(typed_text, message):
    with pytest.raises(QueryError, match=message):
        compile_where(parse_where(typed_text), FIELDS)


def test_a_refusal_stays_short_whatever_was_typed():
    fields = {f"data.column {number} {'x' * 200}": Field("x", TEXT) for number in range(500)}
    with pytest.raises(QueryError) as refusal:
        compile_where(parse_where("y" * 9000 + " = 1"), fields)
    assert len(str(refusal.value)) < 2000
    assert "and 470 more" in str(refusal.value)
