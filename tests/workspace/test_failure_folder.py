"""What is kept of failures is whole or not there, and sums over texts are those of loops."""

from math import fsum

import numpy as np
import pytest

from lorif_core.errors import ArtefactError
from lorif_core.workspace.failures.failure_folder import AskedFailure, FailureFolder, KeptPasses

ASKED = [AskedFailure(f"r{line}", line, "p", " c", None, "", None, (), None) for line in (1, 2, 3)]
SCORES = np.array([[3, -1, 0, 2, -5], [1, 1, -2, 0, 4], [-1, 0, 7, -3, 2]], dtype=np.float32)


def written(folder):
    folder.begin({"index_id": "ix"}, ASKED)
    with KeptPasses(folder, 0, 5) as kept:
        first = kept.begin(slice(0, 2))
        first.take(0, SCORES[:2, :3])
        first.take(3, SCORES[:2, 3:])
        kept.begin(slice(2, 3)).take(0, SCORES[2:])
    return folder


def test_scores_come_back_question_by_question(tmp_path):
    folder = written(FailureFolder(tmp_path))
    assert folder.num_done() == 3
    assert folder.questions() == ASKED
    np.testing.assert_array_equal(np.stack(list(folder.iter_scores())), SCORES)


def test_a_hundred_thousand_questions_are_all_known_as_done(tmp_path):
    folder = FailureFolder(tmp_path)
    for name in ("scores-00000-99968.parquet", "scores-99968-100000.parquet"):
        (tmp_path / name).touch()
    assert folder.num_done() == 100_000


@pytest.mark.parametrize(("start", "lacking"), [(0, "2 texts"), (4, "4 texts")])
def test_a_pass_that_lacks_scores_leaves_nothing(tmp_path, start, lacking):
    kept = KeptPasses(FailureFolder(tmp_path), 0, 5)
    with pytest.raises(ArtefactError, match=f"{lacking} have no scores"), kept:
        kept.begin(slice(0, 2)).take(start, SCORES[:2, :3])
    assert list(tmp_path.iterdir()) == []


def test_texts_are_added_up_as_by_loops(tmp_path):
    found = written(FailureFolder(tmp_path)).texts(2)
    tops = [[0, 3], [4, 0], [2, 4]]
    bottoms = [[4, 1], [2], [3, 0]]
    wide = SCORES.astype(float)
    assert found["value"].to_list() == [fsum(column) for column in wide.T]
    assert found["positive"].to_list() == [fsum(max(one, 0) for one in column) for column in wide.T]
    assert found["negative"].to_list() == [fsum(min(one, 0) for one in column) for column in wide.T]
    assert found["num_for"].to_list() == [sum(one > 0 for one in column) for column in wide.T]
    assert found["num_top"].to_list() == [sum(text in top for top in tops) for text in range(5)]
    assert found["num_bottom"].to_list() == [sum(text in bottom for bottom in bottoms) for text in range(5)]
