"""How many tokens a kept question's completion has, without loading the model."""

import math
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from lorif_core.catalog import QueryRecord
from lorif_core.errors import LorifError
from lorif_core.workspace.asking.kept_questions import question_of
from lorif_core.workspace.curation.effects import MOST_TOKENS, CompletionSize
from lorif_core.workspace.folder.workspace_files import WorkspaceFiles
from lorif_core.workspace.indexes.index_settings import read_index_settings

if TYPE_CHECKING:
    from tokenizers import Tokenizer


def completion_size(files: WorkspaceFiles, query: QueryRecord) -> CompletionSize:
    """Tokens of a completion, and the log-probability of as many drawn at random; of a contrast, of both completions.

    The tokens that the model said, or that were chosen, are counted as they were kept; what was typed is read by the
    tokenizer file of the index's model. Where that is not at hand, the number is not known, and no completion has
    more tokens than bytes.
    """
    question, tokenizer = question_of(query), _tokenizer_of(files, query.index_id)
    if question.tokens is not None:
        num_tokens = len(question.tokens)
    elif question.spoken is not None:
        num_tokens = len(question.spoken.ids)
    else:
        num_tokens = _num_tokens(tokenizer, query.completion, ends=question.ends)
    count = num_tokens or _num_bytes(query.completion)
    against = count
    if question.contrast is not None:
        against = _num_tokens(tokenizer, question.contrast, ends=question.ends) or _num_bytes(question.contrast)
    kinds = MOST_TOKENS if tokenizer is None else tokenizer.get_vocab_size()
    each = math.log(max(kinds, 2))
    return CompletionSize(num_tokens or None, -count * each, against * each)


def _num_tokens(tokenizer: "Tokenizer | None", completion: str, *, ends: bool) -> int | None:
    return None if tokenizer is None else len(tokenizer.encode(completion, add_special_tokens=False).ids) + ends


def _num_bytes(completion: str) -> int:
    return max(len(completion.encode("utf-8")), 1)


def _tokenizer_of(files: WorkspaceFiles, index_id: str) -> "Tokenizer | None":
    try:
        settings = read_index_settings(files.catalog.index(index_id).settings_json)
    except LorifError:
        return None
    path = Path(settings.model.model) / "tokenizer.json"
    return _read_tokenizer(path, path.stat().st_mtime_ns) if path.is_file() else None


@lru_cache(maxsize=4)
def _read_tokenizer(path: Path, modified: int) -> "Tokenizer | None":
    from tokenizers import Tokenizer

    try:
        return Tokenizer.from_str(path.read_text(encoding="utf-8"))
    except Exception:  # the library says no more than that; a file that it cannot read counts no tokens
        return None
