"""Jupyter widgets: what a workspace returns, to be clicked on. Importing this registers them for display.

Each has a plain Python twin, the value it shows, and an HTML fallback without a script.
"""

from lorif_core.widgets.answer_widget import AnswerWidget
from lorif_core.widgets.comparison_widget import CompareWidget
from lorif_core.widgets.corpus_widget import CorpusWidget
from lorif_core.widgets.figures import FigureWidget, figure_widget
from lorif_core.widgets.review_widget import ReviewWidget
from lorif_core.workspace.asking.answer import Answer
from lorif_core.workspace.asking.compare import Comparison
from lorif_core.workspace.curation.review import Review
from lorif_core.workspace.datasets.datasets import ShownCorpus
from lorif_core.workspace.folder.displayed import register_widget

__all__ = ["AnswerWidget", "CompareWidget", "CorpusWidget", "FigureWidget", "ReviewWidget", "figure_widget"]

register_widget(Answer, AnswerWidget)
register_widget(Comparison, CompareWidget)
register_widget(Review, ReviewWidget)
register_widget(ShownCorpus, CorpusWidget)
