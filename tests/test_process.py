import os
import subprocess
import sys
import textwrap

import pytest

COUNT_FAULTS = """
    import resource, sys, torch
    if sys.argv[1] == "kept":
        from lorif_core.cli.process import keep_freed_memory
        keep_freed_memory()
    blocks = lambda: [torch.ones(1_000_000) for _ in range(3)]
    blocks()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        blocks()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how, **environment):
    """Pages that the system maps while tensors of 4 MB come and go."""
    outside = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    command = [sys.executable, "-c", textwrap.dedent(COUNT_FAULTS), how]
    return int(subprocess.check_output(command, env=outside | environment, text=True))


@pytest.mark.skipif(sys.platform != "linux", reason="glibc only")
def test_memory_that_tensors_free_is_used_again_without_asking_the_system():
    # Two rounds may still find holes too small; left alone, glibc needs five before its threshold has adapted.
    assert faults("kept") < faults("left") / 2


@pytest.mark.skipif(sys.platform != "linux", reason="glibc only")
def test_a_person_who_set_malloc_up_is_not_overruled():
    assert faults("kept", MALLOC_MMAP_THRESHOLD_="65536") > 10_000
