"""The kinds of files of failures that were asked at once."""

from lorif_core.workspace.health.file_kind import Kind

AGAIN = "Ask the same file again with `lorif failures`."

FAILURE_KINDS = (
    Kind(
        name="failures",
        place="failures/RUN/run.json",
        pattern=r"failures/[0-9a-f]+/run\.json",
        what="which failing prompts of a file were asked of which index",
        source="the file of failures",
        check="json",
        meaning="What these failures found cannot be opened; decisions that it led to stay.",
        remedy=f"`lorif doctor WORKSPACE --repair` sets it aside. {AGAIN}",
        repair="set aside",
        left=AGAIN,
        is_sealed=True,
    ),
    Kind(
        name="scores of failures",
        place="failures/RUN/scores-FIRST-STOP.parquet, failures/RUN/texts-K.parquet",
        pattern=r"failures/[0-9a-f]+/(scores-\d{5,}-\d{5,}|texts-\d+)\.parquet",
        what="every text's score on each failure, and what they add up to",
        source="the index, its model and the file of failures",
        check="readable",
        meaning="What these failures found cannot be opened; decisions that it led to stay.",
        remedy=f"`lorif doctor WORKSPACE --repair` sets it aside. {AGAIN} It computes what is missing.",
        repair="set aside",
        left=AGAIN,
        is_sealed=True,
    ),
)
