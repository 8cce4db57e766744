"""Probabilities as people read them, for the studio, the notebook and the command line."""

LEAST_SHOWN = 0.001


def probability_text(probability: float | None) -> str:
    """A probability from 0 to 1 as 68.7 %; None, which stands for no value, as a dash."""
    if probability is None:
        return "—"
    if 0 < probability < LEAST_SHOWN:
        return "< 0.1 %"
    if 1 - LEAST_SHOWN < probability < 1:
        return "> 99.9 %"
    return f"{100 * probability:.1f} %"


def range_text(low: float | None, high: float | None) -> str:
    """Both ends of a range; a dash where there is none."""
    if low is None or high is None:
        return "—"
    ends = [probability_text(low), probability_text(high)]
    return ends[0] if ends[0] == ends[1] else " to ".join(ends)


def predicted_text(predicted: float | None, beyond: str | None) -> str:
    """The predicted probability, or that it is out of range."""
    return f"out of range: {beyond}" if beyond is not None else probability_text(predicted)


def completion_text(completion: str, num_tokens: int | None, *, is_per_token: bool) -> str:
    """What the probabilities are of: the completion, and where they are per token, of how many."""
    return f"{completion} (per token, {num_tokens:,} tokens)" if is_per_token else completion
