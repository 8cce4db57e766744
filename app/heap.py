"""What loaded modules are made of is never garbage; it need not be looked through for garbage, either."""

import gc
import sys
from threading import Lock

MANY_MODULES = 50
"""So many more than last time are worth another look: a model's library was loaded."""

_looking = Lock()
_num_set_apart = 0


def set_modules_apart() -> None:
    """Take what is on the heap out of the sight of the garbage collector, after much was loaded.

    Streamlit collects garbage after every run of a script, polls of fragments included, and nothing else in the
    process runs meanwhile: 0.24 s each time once torch and transformers are loaded (docs/decisions/0018).
    """
    global _num_set_apart
    if len(sys.modules) - _num_set_apart < MANY_MODULES or not _looking.acquire(blocking=False):
        return
    try:
        _num_set_apart = len(sys.modules)
        gc.collect()  # what is garbage now would stay for ever
        gc.freeze()
    finally:
        _looking.release()
