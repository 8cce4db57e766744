"""Jupyter widgets: what a workspace returns, to be clicked on. Importing this registers them for display.

Each has a plain Python twin, the value it shows, and an HTML fallback without a script.
"""

from lorif_core.widgets.answers import AnswerWidget
from lorif_core.workspace.answers import Answer
from lorif_core.workspace.display import register_widget

__all__ = ["AnswerWidget"]

register_widget(Answer, AnswerWidget)
