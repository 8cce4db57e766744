"""Builds by processes that Ray places: any of them may die, and the driver; the bytes are those of one process."""

import builtins
import re
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from ray_storm import SETTINGS, check, storm
from tiny_workspace import (
    SMALL,
    copy_of,
    done,
    imported,
    index_folder,
    indexed,
    lasting_bytes_below,
    lorif,
    model_folder,
    num_parts,
)

from lorif_core.config import ModelConfig
from lorif_core.errors import ConfigError
from lorif_core.methods.method_settings import IndexConfig
from lorif_core.workers_config import WorkersConfig
from lorif_core.workspace.folder.workspace_files import open_files
from lorif_core.workspace.jobs.kinds import KINDS, json_of
from lorif_core.workspace.jobs.requests import index_request
from lorif_core.workspace.jobs.submit import open_jobs

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    workspace = copy_of(imported(), tmp_path_factory.mktemp("whole"))
    done("index", workspace, "--model", model_folder(), *SETTINGS)
    return workspace


@pytest.mark.ray
@pytest.mark.slow
def test_actors_and_drivers_that_are_killed_leave_the_index_of_one_process(whole, tmp_path):
    workspace = copy_of(imported(), tmp_path)
    happened = storm(workspace, seed=3, kills=4, driver_kills=2, joins_late=False)
    assert (happened.num_kills, happened.num_drivers) == (4, 3)
    check(workspace, whole)


@pytest.mark.ray
@pytest.mark.slow
def test_a_job_with_workers_is_cancelled_and_resumed_as_any_job(tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # as this process, whose bytes are compared with
    workspace = copy_of(imported(), tmp_path)
    given = ("index", workspace, "--model", model_folder(), *SMALL, "--workers", 1, "--as-job", "--json")
    job_id = done(*given).json["job_id"]
    jobs = open_jobs(open_files(workspace))
    wait_until(lambda: jobs.job(job_id).stage == "gradients")
    done("cancel", workspace, job_id)
    wait_until(lambda: jobs.job(job_id).status == "cancelled")
    assert num_parts(workspace) < 8
    wait_until(lambda: not rays_of(workspace))
    done("resume", workspace, job_id)
    wait_until(lambda: jobs.job(job_id).status not in ("queued", "running"))
    assert jobs.job(job_id).status == "done", jobs.job(job_id).message
    assert lasting_bytes_below(index_folder(workspace)) == lasting_bytes_below(index_folder(indexed()))


def rays_of(workspace):
    """Processes of Ray that were started by the worker of a workspace."""
    found = [one for one in psutil.process_iter(["cmdline"]) if str(workspace) in " ".join(one.info["cmdline"] or [])]
    children = [child for one in found for child in one.children(recursive=True)]
    return [child for child in children if "ray" in child.name()]


def wait_until(is_so):
    while not is_so():
        time.sleep(0.1)


def test_ray_is_imported_in_one_file():
    importing = re.compile(r"^\s*(import|from) ray\b", re.MULTILINE)
    files = [path for top in ("app", "lorif_core") for path in (ROOT / top).rglob("*.py")]
    found = [path.name for path in files if importing.search(path.read_text(encoding="utf-8"))]
    assert found == ["ray_pool.py"]


def test_one_process_never_imports_ray():
    code = (
        "import sys; from lorif_core.workspace import workspace; from lorif_core import cli, ray_pool;"
        "print('ray' in sys.modules)"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True, cwd=ROOT).strip() == "False"


def test_without_the_extra_many_workers_are_refused_with_the_command_that_installs_it(tmp_path, monkeypatch):
    importing = builtins.__import__

    def without_ray(name, *others, **more):
        if name == "ray":
            raise ImportError("No module named 'ray'")
        return importing(name, *others, **more)

    monkeypatch.setattr(builtins, "__import__", without_ray)
    workspace = copy_of(imported(), tmp_path)
    refused = lorif("index", workspace, "--model", model_folder(), *SETTINGS, "--workers", 2, "--json")
    assert refused.code == 2
    assert "run `pip install 'lorif-studio[ray]'`" in refused.err


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"workers": 0}, "at least one worker"),
        ({"on": "ray"}, "--on is of many workers"),
        ({"gpus_per_worker": 1.0}, "--gpus-per-worker is of many workers"),
        ({"workers": 2, "on": "slurm"}, "workers run on `ray` or `ray:ADDRESS`, got 'slurm'"),
        ({"workers": 2, "on": "ray:"}, "needs an address behind it"),
        ({"workers": 2, "gpus_per_worker": -1.0}, "must not be negative"),
    ],
    ids=str,
)
def test_settings_of_workers_that_make_no_sense_are_refused(given, said):
    with pytest.raises(ConfigError, match=re.escape(said)):
        WorkersConfig(**given)


@pytest.mark.parametrize(
    ("on", "address"),
    [(None, None), ("ray", None), ("ray:auto", "auto"), ("ray:ray://a:10001", "ray://a:10001"), ("ray:h:1", "h:1")],
)
def test_an_address_is_what_stands_behind_the_first_colon(on, address):
    assert WorkersConfig(workers=2, on=on).address == address


def test_a_job_keeps_how_many_workers_build_it():
    settings = IndexConfig(model=ModelConfig(model=str(model_folder())))
    workers = WorkersConfig(workers=3, on="ray:auto")
    request = index_request(settings, "ds-1", workers)
    assert KINDS["index"].read(json_of(request)).workers == workers
    kept = json_of(request)
    kept.pop("workers")
    assert KINDS["index"].read(kept).workers == WorkersConfig()
