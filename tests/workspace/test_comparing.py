"""Two questions side by side: lists, ranks and correlation against plain loops over all scores."""

import polars as pl
import pytest
from tiny_workspace import NUM_TEXTS, SMALL, copy_of, done, indexed, model_folder, texts_file

import lorif_core as lf
from lorif_core.errors import ArtefactError, CatalogError, ConfigError, DataError
from lorif_core.views.diffs import token_diff
from lorif_core.workspace.folder.kept_scores import scores_frame

PROMPT = "The river of Arlen is"
NUM_DROPPED = 40


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """A workspace with three questions: two completions of a prompt, and the first one normalised."""
    folder = copy_of(indexed(), tmp_path_factory.mktemp("compared"))
    opened = lf.open_workspace(folder)
    opened.ask(PROMPT, " castle Brook.")
    opened.ask(PROMPT, " castle Farrow.")
    opened.ask(PROMPT, " castle Brook.", settings=lf.ScoreConfig(normalisation="relatif"))
    return folder


def ask_about_the_rest(folder, file):
    """Import all but the first texts from a file, index them, ask them; the id of the question."""
    lines = texts_file().read_text(encoding="utf-8").splitlines()
    file.write_text("\n".join(lines[NUM_DROPPED:]) + "\n", encoding="utf-8")
    done("import", folder, file)
    newest = lf.open_workspace(folder).data.records()[-1]
    done("index", folder, "--model", model_folder(), *SMALL, "--dataset", newest.dataset_id)
    return lf.open_workspace(folder).ask(PROMPT, " castle Brook.").query_id


def scores_of(folder, query_id):
    files = lf.open_workspace(folder).files
    return dict(scores_frame(files, files.catalog.query(query_id)).iter_rows())


def best(scores, k, sign=1):
    """Ids of the k strongest of one sign; the store's order decides between equals."""
    ids = list(scores)
    found = sorted(ids, key=lambda one: (-sign * scores[one], ids.index(one)))
    return [one for one in found[:k] if sign * scores[one] > 0]


@pytest.mark.parametrize(("side", "sign"), [("supports", 1), ("opposes", -1)])
def test_the_lists_are_the_strongest_texts_of_both_questions(asked, side, sign):
    found = lf.open_workspace(asked).compare("1", "2", side=side, k=10)
    first, second = (best(scores_of(asked, one), 10, sign) for one in "12")
    assert found.shared == [one for one in first if one in second]
    assert found.only_a == [one for one in first if one not in second]
    assert found.only_b == [one for one in second if one not in first]
    assert found.only_a
    assert found.shared


def test_ranks_count_all_texts_even_those_that_a_list_does_not_show(asked):
    found = lf.open_workspace(asked).compare("1", "2", k=10).rank_changes
    assert 10 <= len(found) <= 20
    for name in "ab":
        scores = scores_of(asked, "12"["ab".index(name)])
        order = best(scores, NUM_TEXTS) + best(scores, NUM_TEXTS, -1)[::-1]
        for train_id, rank, score in found.select("train_id", f"rank_{name}", f"score_{name}").iter_rows():
            assert rank == order.index(train_id) + 1
            assert score == pytest.approx(scores[train_id])


def test_the_correlation_is_that_of_the_ranks_of_all_texts(asked):
    found = lf.open_workspace(asked).compare("1", "2")
    both = pl.DataFrame({name: list(scores_of(asked, name).values()) for name in "12"})
    assert found.num_common == NUM_TEXTS
    assert found.rank_correlation == pytest.approx(both.select(pl.corr("1", "2", method="spearman")).item())


def test_a_question_agrees_with_itself(asked):
    found = lf.open_workspace(asked).compare("1", "1", k=7)
    assert (len(found.shared), found.only_a, found.only_b, found.differences) == (7, [], [], [])
    assert found.rank_correlation == pytest.approx(1)


def test_changing_sides_swaps_a_and_b(asked):
    opened = lf.open_workspace(asked)
    there, back = opened.compare("1", "2", k=10), opened.compare("2", "1", k=10)
    assert (there.only_a, there.only_b) == (back.only_b, back.only_a)
    assert there.rank_correlation == pytest.approx(back.rank_correlation)


def test_the_differences_are_named(asked):
    opened = lf.open_workspace(asked)
    assert opened.compare("1", "2").differences == ["completion"]
    assert opened.compare("1", "3").differences == ["normalisation"]


def test_an_answer_stands_for_its_question(asked):
    opened = lf.open_workspace(asked)
    assert opened.compare(opened.reopen("1"), "2").to_dict() == opened.compare("1", "2").to_dict()


def test_the_command_prints_what_python_returns(asked):
    found = lf.open_workspace(asked).compare("1", "2", k=5)
    assert done("compare", asked, "1", "2", "-k", "5", "--json").json == found.to_dict()
    printed = done("compare", asked, "1", "2", "-k", "5").out
    assert f"{len(found.shared)} in both" in " ".join(printed.split())


def test_questions_about_two_versions_compare_over_the_texts_of_both(asked, tmp_path):
    folder = copy_of(asked, tmp_path)
    newer = ask_about_the_rest(folder, tmp_path / "texts.jsonl")
    found = lf.open_workspace(folder).compare("1", newer, k=NUM_TEXTS)
    assert found.num_common == NUM_TEXTS - NUM_DROPPED
    missing = found.rank_changes.filter(pl.col("rank_b").is_null())
    assert 0 < len(missing) <= NUM_DROPPED
    assert set(missing["listed"]) == {"a"}


def test_questions_about_different_data_are_refused(asked, tmp_path):
    folder = copy_of(asked, tmp_path)
    other = ask_about_the_rest(folder, tmp_path / "others.jsonl")
    with pytest.raises(DataError, match="about data set 'texts' and query 4 about 'others'"):
        lf.open_workspace(folder).compare("1", other)


def test_a_k_below_one_is_refused(asked):
    with pytest.raises(ConfigError, match="k of at least 1"):
        lf.open_workspace(asked).compare("1", "2", k=0)


def test_an_unknown_question_is_named(asked):
    with pytest.raises(CatalogError, match="there is no query '9'"):
        lf.open_workspace(asked).compare("1", "9")


def test_an_answer_that_was_not_kept_is_refused_with_the_remedy(asked):
    opened = lf.open_workspace(asked)
    loose = opened.ask(PROMPT, " tower.", keeps=False)
    with pytest.raises(DataError, match="ask it without `keeps=False`"):
        opened.compare(loose, "1")


def test_scores_that_are_gone_are_asked_for(asked, tmp_path):
    folder = copy_of(asked, tmp_path)
    for file in (folder / "scores").iterdir():
        file.unlink()
    with pytest.raises(ArtefactError, match="ask it again"):
        lf.open_workspace(folder).compare("1", "2")


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (" Sydney.", " Canberra."),
        ("the same", "the same"),
        ("", " new"),
        ("a  b\n c!", "a b c?"),
        ("日本 ok", "日本 no"),
    ],
)
def test_the_pieces_of_each_side_make_up_its_text(a, b):
    pieces = token_diff(a, b)
    assert "".join(piece.text for piece in pieces if piece.side != "b") == a
    assert "".join(piece.text for piece in pieces if piece.side != "a") == b


def test_only_the_words_that_differ_are_told_apart():
    pieces = token_diff("The capital is Sydney now.", "The capital is Canberra now.")
    assert [tuple(piece) for piece in pieces] == [
        ("The capital is", "both"),
        (" Sydney", "a"),
        (" Canberra", "b"),
        (" now.", "both"),
    ]
