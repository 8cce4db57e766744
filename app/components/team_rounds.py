"""Rounds of review: a queue shared out among people, how far they are, how well they agree."""

from collections.abc import Sequence

import polars as pl
import streamlit as st

from app import session
from app.components import review_queue
from app.components.history_texts import snippets
from lorif_core.catalog import QueryRecord
from lorif_core.errors import LorifError
from lorif_core.views.text import counted, visible
from lorif_core.workspace.curation.choice import Choice, Source, chosen_ids
from lorif_core.workspace.team.round_results import RoundResults
from lorif_core.workspace.team.sharing_out import share_out

QUEUES: dict[str, Source] = {"Flagged": "flagged", "A question's texts": "query", "A condition": "condition"}


def my_share(dataset: str) -> None:
    """How much of one's share is left, and the way to it; nothing for somebody without one."""
    left = session.workspace().team.share_left(session.actor(), dataset=dataset)
    if not left:
        return
    with st.container(horizontal=True, vertical_alignment="center", key="team-my-share"):
        st.text(f"Your share: {len(left):,} {'text is' if len(left) == 1 else 'texts are'} left.")
        if (page := st.session_state.get("pages", {}).get("review")) is not None:
            st.page_link(page, label="Review your share", query_params={"from": review_queue.MY_SHARE})


def draw(dataset: str, *, is_admin: bool) -> None:
    """The rounds, one of them in full, and for an admin the form of a new one."""
    my_share(dataset)
    team = session.workspace().team
    found = [team.results(one.name, dataset=dataset) for one in team.rounds(dataset=dataset)]
    if found:
        _open(found, dataset, is_admin=is_admin)
    else:
        st.text("No queue was shared out yet.")
    if is_admin:
        st.markdown("**Share out a queue**")
        _form(dataset, len(found))
    else:
        st.text("Only an admin shares out a queue.")


def _open(found: list[RoundResults], dataset: str, *, is_admin: bool) -> None:
    names = [one.round.name for one in found]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = st.selectbox("Round", names, key="round", bind="query-params", format_func=visible, width=320)
        shown = next((one for one in found if one.round.name == name), found[0])
        if is_admin and not shown.round.is_over:
            st.button(
                "End this round",
                key="team-end-round",
                help="Nobody is asked for its texts any more; what was decided stays.",
                on_click=_end,
                args=(shown.round.name, dataset),
            )
    of = shown.round
    over = " It is over." if of.is_over else ""
    num_texts = counted(len(of.train_ids), "text")
    session.small_text(
        f"{of.queue}: {num_texts}, {of.num_shared:,} of them for two people. Shared out by {of.by}, "
        f"{of.at:%Y-%m-%d %H:%M} UTC.{over}",
        key="round-about",
    )
    left, right = st.columns(2, gap="large")
    with left:
        _shares(shown)
    with right:
        _agreement(shown)
    _disagreements(shown, dataset)


def _shares(shown: RoundResults) -> None:
    st.markdown("**Progress**")
    st.dataframe(
        {
            "person": [visible(one.person) for one in shown.shares],
            "done": [round(100 * one.num_done / max(one.num_texts, 1)) for one in shown.shares],
            "texts": [f"{one.num_done:,} of {one.num_texts:,}" for one in shown.shares],
        },
        hide_index=True,
        column_config={"done": st.column_config.ProgressColumn(format="%d %%", min_value=0, max_value=100)},
        key=session.table_key("team-shares", [shown.round.name]),
        alt="How far each person is with their share",
    )


def _agreement(shown: RoundResults) -> None:
    st.markdown("**Agreement**")
    if not shown.pairs:
        st.text("No two people have decided about the same text yet.")
        return
    st.dataframe(
        {
            "people": [visible(f"{one.one} and {one.other}") for one in shown.pairs],
            "texts": [one.num_texts for one in shown.pairs],
            "agree": [f"{one.percent:.0f} %" for one in shown.pairs],
            "Cohen's kappa": [_number(one.kappa) for one in shown.pairs],
        },
        hide_index=True,
        key=session.table_key("team-agreement", [f"{one.one}\0{one.other}" for one in shown.pairs]),
        alt="Agreement of each two people",
    )
    texts = counted(shown.num_judged_twice, "text")
    st.caption(
        f"Krippendorff's alpha of all: {_number(shown.alpha)}, over {texts}. 1 is full agreement, 0 what chance "
        "would give; “–” where only one status was ever given. The first decision of each person counts."
    )


def _disagreements(shown: RoundResults, dataset: str) -> None:
    found = shown.disagreements
    if not found:
        return
    st.markdown(f"**Disagreements** ({len(found):,})")
    excerpt = snippets([one.train_id for one in found], dataset)
    chosen = st.dataframe(
        {
            "text": [excerpt[one.train_id] for one in found],
            "who said what": [
                visible("; ".join(f"{person}: {said}" for person, said in one.said.items())) for one in found
            ],
            "id": [visible(one.train_id) for one in found],
        },
        hide_index=True,
        key=session.table_key("team-disagreements", [one.train_id for one in found]),
        on_select="rerun",
        selection_mode="single-row",
        alt="Texts that people gave different statuses; select one to open it in Review",
    )
    rows = chosen["selection"]["rows"]
    page = st.session_state.get("pages", {})
    if rows and "review" in page:
        st.page_link(page["review"], label="Open it in Review", query_params={"open": found[rows[0]].train_id})
    if "history" in page:
        st.page_link(page["history"], label="Settle disagreements in History")


def _overlap() -> int:
    return st.slider(
        "Seen by two people",
        0,
        100,
        20,
        5,
        format="%d %%",
        key="team-overlap",
        width=260,
        help="These texts show how well people agree.",
    )


def _form(dataset: str, num_rounds: int) -> None:
    workspace = session.workspace()
    queries = [record for record in workspace.questions.records() if record.dataset_id == dataset]
    with st.container(horizontal=True, vertical_alignment="bottom", key="team-round"):
        name = st.text_input("Name", value=f"Round {num_rounds + 1}", key=f"team-round-name-{num_rounds}", width=180)
        choice = _choice(queries)
    with st.container(horizontal=True, vertical_alignment="bottom", key="team-round-people"):
        people = _people()
        overlap = _overlap() if len(people) > 1 else 0
    sentence = _preview(choice, people, overlap, dataset)
    st.text(sentence or "Choose a queue and at least one person.")
    if len(people) == 1:
        st.text("With two people, some texts can be seen by both, which shows how well they agree.")
    st.button(
        "Share it out",
        key="team-share-out",
        type="primary",
        disabled=sentence is None or not name.strip(),
        on_click=_share_out,
        args=(num_rounds, choice, people, overlap, dataset),
    )


def _choice(queries: Sequence[QueryRecord]) -> Choice:
    kind = QUEUES[st.segmented_control("Queue", QUEUES, default="Flagged", required=True, key="team-queue")]
    if kind == "query":
        labels = {record.query_id: review_queue.label_of(record) for record in reversed(queries)}
        query = st.selectbox(
            "Question", list(labels), format_func=lambda one: labels[one], key="team-query", width=360
        )
        k = st.number_input("Strongest", 1, 10_000, 100, key="team-k", width=130)
        return Choice("query", query, int(k))
    if kind == "condition":
        where = st.text_input("Condition", key="team-where", placeholder='source = "forum"', width=360)
        return Choice("condition", where=where)
    return Choice(kind)


def _people() -> list[str]:
    members = session.workspace().journal.members()
    known = [one.actor for one in members if one.role != "viewer"] or [session.actor()]
    return st.multiselect(
        "Among",
        known,
        default=known,
        key="team-among",
        accept_new_options=not members,
        format_func=visible,
        width=420,
        help=None if members else "Nobody has a role yet, so any name will do.",
    )


def _preview(choice: Choice, people: Sequence[str], overlap: float, dataset: str) -> str | None:
    """Who would get how much; None where it cannot be shared out, which is said."""
    if not people or (choice.source == "condition" and not choice.where.strip()):
        return None
    try:
        ids = chosen_ids(session.workspace().decisions, choice, dataset)
        shares = share_out(ids, people, overlap)
    except LorifError as error:
        st.text(session.sentence_of(error))
        return None
    sizes = pl.Series([len(one) for one in shares.values()])
    each = f"{sizes.min():,}" if sizes.min() == sizes.max() else f"{sizes.min():,} to {sizes.max():,}"
    twice = sum(sizes) - len(ids)
    texts = counted(len(ids), "text")
    return f"{texts}, {twice:,} of them for two people: {each} for each of {len(people):,}."


def _share_out(num_rounds: int, choice: Choice, people: list[str], overlap: float, dataset: str) -> None:
    # From the state: arguments are as old as the last run, which has not heard of a word typed just before the click.
    name = st.session_state[f"team-round-name-{num_rounds}"].strip()
    if choice.source == "condition":
        choice = choice._replace(where=st.session_state["team-where"])
    begin = session.workspace().team.share_out
    session.act(
        "Shared out.",
        lambda: begin(name, choice, people, overlap_percent=overlap, actor=session.actor(), dataset=dataset),
    )


def _end(name: str, dataset: str) -> None:
    end = session.workspace().team.end_round

    def write() -> bool:
        end(name, actor=session.actor(), dataset=dataset)
        return True

    session.act("The round is over.", write)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}".replace("-", "−")
