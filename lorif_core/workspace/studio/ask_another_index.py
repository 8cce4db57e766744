"""One question for two indexes: what an answer was asked, as it is asked of another index over the same texts."""

from dataclasses import replace

from lorif_core.config import ScoreConfig
from lorif_core.workspace.asking.answer import Answer
from lorif_core.workspace.asking.question import Question
from lorif_core.workspace.workspace import Workspace


def another_indexs_question(workspace: Workspace, answer: Answer, index_id: str, actor: str | None) -> Question:
    """The question of an answer for another index: the same words and objective, and every text scored.

    The normalisation is the same; settings of the answer's own index (damping, rank, refinement) stay behind. What
    the model said is the same tokens where both indexes read texts by one tokenizer, and the same text elsewhere. An
    index of losses without a model is asked the question of its table that says the same words.

    Raises:
        CatalogError: There is no such index.
    """
    asked, catalog = answer.question, workspace.files.catalog
    tokenizers = {
        catalog.model(catalog.index(one).model_id).tokenizer_fingerprint for one in (answer.index_id, index_id)
    }
    scoring = ScoreConfig(objective=asked.scoring.objective, normalisation=asked.scoring.normalisation)
    return replace(
        asked,
        completion=asked.said,
        spoken=asked.spoken if len(tokenizers) == 1 else None,
        tokens=asked.tokens if len(tokenizers) == 1 else None,
        question_id=None,
        losses=None,
        settings=scoring,
        search="exact",  # ranks of all texts are compared
        index_id=index_id,
        model=None,
        actor=actor,
        keeps=True,
    )
