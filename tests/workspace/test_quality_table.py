"""``python -m benchmarks.quality`` on a truth of the tiny workspace."""

import json

import numpy as np
import pytest
from tiny_workspace import model_folder, rows, write_rows

from benchmarks.quality import CONFIGURATIONS, REFERENCES, main
from lorif_core.methods.registry import METHODS
from lorif_core.methods.registry import REFERENCES as KNOWN_REFERENCES


@pytest.fixture
def truth(tmp_path):
    folder = tmp_path / "a-truth"
    folder.mkdir()
    write_rows(folder / "train.jsonl", rows())
    write_rows(folder / "query.jsonl", rows()[:3])
    (folder / "model").symlink_to(model_folder())
    rng = np.random.default_rng(0)
    np.savez(folder / "truth.npz", masks=rng.random((6, len(rows()))) < 0.5, losses=rng.random((6, 3)))
    return folder


def test_the_table_has_a_line_per_configuration_and_reference(truth, tmp_path, capsys):
    found, work = tmp_path / "found.json", tmp_path / "work"
    words = [str(truth), "--work", str(work), "--json", str(found), "--only", "default", "0.5KB"]
    words += ["--references", "bm25", "graddot"]
    assert main(words) == 0
    table = capsys.readouterr().out
    ((name, lines),) = json.loads(found.read_text("utf-8")).items()
    assert name == "a-truth"
    assert {line["configuration"] for line in lines} == {"default", "0.5KB", "bm25", "graddot", "tokens"}
    assert [line["lds"] for line in lines] == sorted((line["lds"] for line in lines), reverse=True)
    assert next(line for line in lines if line["configuration"] == "0.5KB")["total_bytes"] > 0
    assert [
        line["configuration"]
        for line in lines
        if f"| {line['configuration']} | none | {line['lds']:.3f} |" not in table
    ] == []
    first = next(one for one in lines if one["configuration"] == "default")
    methods = table.split("### lds")[0].splitlines()
    assert methods[0].startswith("### Methods")
    assert methods[4].startswith(  # below the names of the columns
        f"| default | {first['lds']:.3f} ({first['subsets_low']:.3f} to {first['subsets_high']:.3f}) |"
    )
    assert METHODS["kronecker"].passes in methods[4]
    assert main(words) == 0  # what is built is found again
    assert len(list((work / "a-truth" / "indexes").iterdir())) == 2


def test_an_index_with_two_curvatures_is_measured_with_each(truth, tmp_path, capsys):
    found = tmp_path / "found.json"
    words = [str(truth), "--json", str(found), "--only", "lorif", "graddot-index", "--references"]
    assert main(words) == 0
    lines = {line["configuration"]: line for line in json.loads(found.read_text("utf-8"))["a-truth"]}
    assert lines["lorif"]["candidate"] == lines["graddot-index"]["candidate"]
    assert (lines["lorif"]["label"].split()[0], lines["graddot-index"]["label"].split()[0]) == ("lorif", "graddot")
    assert lines["lorif"]["lds"] != lines["graddot-index"]["lds"]


def test_every_method_and_no_unknown_reference_is_in_the_table():
    assert {one.method.name for one in CONFIGURATIONS.values()} == set(METHODS)
    assert {name.split(":")[0] for name in REFERENCES} <= set(KNOWN_REFERENCES)


def test_a_folder_that_is_no_truth_is_named(tmp_path, capsys):
    assert main([str(tmp_path / "nothing")]) == 2
    assert "nothing" in capsys.readouterr().err
