"""LoRIF Studio: find the training texts that taught a language model what it says.

    import lorif_core as lf

    ws = lf.open_workspace("demo_workspace")
    answer = ws.ask("The capital of Australia is", " Sydney.", k=10)
    answer.to_polars()

Names are imported when they are first used, so that ``lorif --help`` does not load torch.
"""

import sys
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lorif_core.config import BatchConfig, GenerateConfig, ImportConfig, ModelConfig, ScoreConfig
    from lorif_core.errors import LorifError
    from lorif_core.methods.method_settings import IndexConfig
    from lorif_core.methods.registry import method_settings
    from lorif_core.views.hits import Hit
    from lorif_core.workspace.asking.answer import Answer
    from lorif_core.workspace.asking.compare import Comparison
    from lorif_core.workspace.asking.question import Question, Spoken
    from lorif_core.workspace.quality.demo import build_demo
    from lorif_core.workspace.quality.evaluate import Evaluation, evaluate
    from lorif_core.workspace.runs.log_run import log
    from lorif_core.workspace.workspace import Workspace, create_workspace, open_workspace

_HOMES = {
    "Answer": "workspace.asking.answer",
    "BatchConfig": "config",
    "Comparison": "workspace.asking.compare",
    "Evaluation": "workspace.quality.evaluate",
    "GenerateConfig": "config",
    "Hit": "views.hits",
    "ImportConfig": "config",
    "IndexConfig": "methods.method_settings",
    "LorifError": "errors",
    "ModelConfig": "config",
    "ScoreConfig": "config",
    "Question": "workspace.asking.question",
    "Spoken": "workspace.asking.question",
    "Workspace": "workspace.workspace",
    "build_demo": "workspace.quality.demo",
    "create_workspace": "workspace.workspace",
    "evaluate": "workspace.quality.evaluate",
    "log": "workspace.runs.log_run",
    "method_settings": "methods.registry",
    "open_workspace": "workspace.workspace",
}

__all__ = [
    "Answer",
    "BatchConfig",
    "Comparison",
    "Evaluation",
    "GenerateConfig",
    "Hit",
    "ImportConfig",
    "IndexConfig",
    "LorifError",
    "ModelConfig",
    "Question",
    "ScoreConfig",
    "Spoken",
    "Workspace",
    "build_demo",
    "create_workspace",
    "evaluate",
    "log",
    "method_settings",
    "open_workspace",
]


def __getattr__(name: str) -> Any:
    """Import a public name from its home; in a notebook (Jupyter, marimo), with the widgets that show it."""
    if name == "integrations":
        return import_module(f"{__name__}.integrations")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if {"ipykernel", "marimo"} & sys.modules.keys() and all(find_spec(one) for one in ("ipywidgets", "anywidget")):
        import_module(f"{__name__}.widgets")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
