"""A question: what is asked, of which index, how it is scored, and how long the lists shall be. One value."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from lorif_core.config import GenerateConfig, Normalisation, ScoreConfig, Search, check_choice
from lorif_core.errors import ConfigError

Form = Literal["raw", "chat"]
"""How the model is given the prompt: as it stands, or as a message by the model's own chat template."""


USUAL_NORMALISATION: Normalisation = "unit"
"""Scores of a question have no unit and a size that means something: 1 is a text against itself. What-ifs add up the
influences in nats, which are kept beside them (docs/decisions/0023-what-is-explained-is-what-was-said.md)."""


@dataclass(frozen=True)
class Spoken:
    """What the model said, as it said it: the text alone does not tell the tokens."""

    text: str
    """As people read it, without special tokens."""

    ids: tuple[int, ...]
    """The tokens; the model's own end token among them if it said one."""

    num_prompt_tokens: int
    """How many tokens of the prompt it had read; the last ones, if the prompt did not fit."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """A question to an index. Made once by a front end, checked here, and passed on as it is."""

    prompt: str

    completion: str | None = None
    """What the model said, which is explained; None lets it say it now."""

    spoken: Spoken | None = None
    """The completion's tokens where the model said it; None: it was typed, and is tokenised as typed."""

    ends: bool = False
    """Whether a typed completion (and the one it is contrasted with) ends there: its end token is explained, too."""

    form: Form | None = None
    """None: as a chat if the index is of chats, else raw."""

    system: str | None = None
    """System message of a chat."""

    messages: tuple[dict[str, Any], ...] = ()
    """Turns of a chat before the prompt: ``role`` and ``content`` each. With an empty prompt they are all of it, and
    if they end with an answer, that is the completion."""

    contrast: str | None = None
    """Completion B of "why A and not B"."""

    tokens: tuple[int, ...] | None = None
    """Restrict the objective to these tokens of the completion, counted from 0. None: all."""

    settings: ScoreConfig | None = None
    """Objective, normalisation, damping. None: the defaults, and the objective contrast where there is a second
    completion; ``scoring`` says which."""

    k: int = 10
    """Length of the supporting list."""

    num_opposing: int = 0
    """Length of the opposing list."""

    search: Search | None = None
    """exact: every text is scored. fast: the strongest texts are found by reading a part of what is stored, and the
    answer says how much and what may be missing; percentiles, what-ifs and comparisons need exact. None: exact below
    100,000 texts, and where fast is not possible."""

    index_id: str | None = None
    """None: the newest complete index."""

    question_id: str | None = None
    """Id of a question that came with the table of an index of losses, which has its texts and losses."""

    losses: Mapping[str, float] | None = None
    """Losses of the completion in nats under the models of an index of losses, by their names. None: they are in the
    index's table, or its models say them."""

    model: str | None = None
    """Where the model lies now, if it was moved."""

    generate: GenerateConfig = field(default_factory=GenerateConfig)
    """How the model completes the prompt when no completion is given."""

    actor: str | None = None
    """Who asks, for a kept question. None: LORIF_ACTOR, else the system's user."""

    keeps: bool = True
    """Whether the question is kept, so that it can be opened again without the model, and a question that was asked
    before is answered from what was kept."""

    def __post_init__(self) -> None:
        """Check bounds, and that what belongs together comes together."""
        for name, text in (("prompt", self.prompt), ("completion", self.completion), ("contrast", self.contrast)):
            if text is not None and not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise ConfigError(
                    f"{name} must be a text, got {type(text).__name__}. A whole `lf.Question` goes to "
                    "`ws.questions.ask`, earlier turns of a chat are its `messages`."
                )
        object.__setattr__(self, "messages", tuple(self.messages))
        if self.form != "chat" and (self.system is not None or self.messages):
            if self.form == "raw":
                raise ConfigError(
                    "a system message and earlier turns belong to a chat, but the prompt is asked raw. Leave out "
                    "`--raw`, or the turns."
                )
            object.__setattr__(self, "form", "chat")
        if self.spoken is not None:
            object.__setattr__(self, "completion", self.spoken.text)
        if self.ends_with_an_answer:
            object.__setattr__(self, "completion", str(self.messages[-1]["content"]))
            object.__setattr__(self, "messages", self.messages[:-1])
        if self.k < 1 or self.num_opposing < 0:
            raise ConfigError(f"k must be at least 1 and opposing at least 0, got {self.k} and {self.num_opposing}.")
        if self.search is not None:
            check_choice("search", self.search, Search)
        if self.question_id is not None and self.contrast is not None:
            raise ConfigError(
                "a question of a table is of one completion: leave out the second one, or ask an index with a model."
            )
        if self.losses is not None and (self.contrast is not None or self.tokens is not None):
            raise ConfigError(
                "losses that come with a question are of the whole completion: leave out the second completion and "
                "the tokens."
            )
        if self.tokens is not None:
            object.__setattr__(self, "tokens", tuple(self.tokens))
        if (self.scoring.objective == "contrast") != (self.contrast is not None):
            raise ConfigError(
                "the objective contrast and a second completion go together, only one was given. Pass "
                "`--contrast COMPLETION`, or another objective."
            )

    @property
    def scoring(self) -> ScoreConfig:
        """The settings in force."""
        return self.settings or ScoreConfig(
            objective="loss" if self.contrast is None else "contrast", normalisation=USUAL_NORMALISATION
        )

    @property
    def said(self) -> str:
        """The completion that is explained.

        Raises:
            ConfigError: There is none yet.
        """
        if self.completion is None:
            raise ConfigError(
                "a question needs the completion that it explains: give one, or let the model generate it."
            )
        return self.completion

    @property
    def ends_with_an_answer(self) -> bool:
        """Whether the turns end with the assistant's and nothing else is asked: that turn is explained then."""
        is_answered = bool(self.messages) and self.messages[-1]["role"] == "assistant"
        return is_answered and not self.prompt and self.completion is None

    @property
    def conversation(self) -> list[dict[str, Any]]:
        """The chat that the model goes on with."""
        system = [] if self.system is None else [{"role": "system", "content": self.system}]
        asked = [{"role": "user", "content": self.prompt}] if self.prompt else []
        return [*system, *self.messages, *asked]

    @property
    def joins_without_space(self) -> bool:
        """Whether prompt and completion meet without white space, which is rarely meant."""
        if self.form == "chat" or self.spoken is not None:
            return False
        return bool(self.prompt) and not self.prompt[-1].isspace() and self.said[:1].isalnum()
