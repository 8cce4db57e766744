"""Lists of exports and frozen versions that somebody removed or damaged end in a sentence."""

import pytest
from tiny_workspace import copy_of, done, imported, lorif


@pytest.fixture(scope="module")
def frozen(tmp_path_factory):
    workspace = copy_of(imported(), tmp_path_factory.mktemp("frozen"))
    done("exclude", workspace, "t001", "--reason", "other")
    done("freeze", workspace, "one")
    done("exclude", workspace, "t002", "--reason", "other")
    done("freeze", workspace, "two")
    paths = list(workspace.glob("exports/**/kept.jsonl"))
    assert len(paths) == 2
    return workspace, paths


@pytest.mark.parametrize("content", [None, b"no json\n", b"[" * 100_000 + b"\n", b"\xff\n", b"7\n"])
def test_a_list_that_is_gone_or_damaged_is_named(frozen, content):
    workspace, paths = frozen
    for path in paths:
        path.parent.chmod(0o755)
        path.unlink(missing_ok=True)
        if content is not None:
            path.write_bytes(content)
    run = lorif("diff", workspace, "--version", "two", "--by", "source")
    assert run.code == 2, run.out
    assert "kept.jsonl" in run.err
    assert "Traceback" not in run.err
