"""Jupyter widgets: what a workspace returns, to be clicked on. Importing this registers them for display.

Each has a plain Python twin, the value it shows, and an HTML fallback without a script.
"""

from lorif_core.widgets.answers import AnswerWidget
from lorif_core.widgets.browsing import CorpusWidget
from lorif_core.widgets.comparisons import CompareWidget
from lorif_core.widgets.figures import FigureWidget, figure_widget
from lorif_core.widgets.reviews import ReviewWidget
from lorif_core.workspace.answers import Answer
from lorif_core.workspace.browsing import ShownCorpus
from lorif_core.workspace.comparing import Comparison
from lorif_core.workspace.display import register_widget
from lorif_core.workspace.reviewing import Review

__all__ = ["AnswerWidget", "CompareWidget", "CorpusWidget", "FigureWidget", "ReviewWidget", "figure_widget"]

register_widget(Answer, AnswerWidget)
register_widget(Comparison, CompareWidget)
register_widget(Review, ReviewWidget)
register_widget(ShownCorpus, CorpusWidget)
