from datetime import date

import polars as pl

from lorif_core.views.team_figures import OTHERS, PEOPLE_COLOURS, days_figure


def frame(*rows):
    schema = {"day": pl.Date(), "person": pl.String(), "num_texts": pl.Int64()}
    return pl.DataFrame(list(rows), schema=schema, orient="row")


def test_every_bar_is_what_a_person_decided_on_a_day():
    figure = days_figure(
        frame((date(2026, 3, 1), "ann", 3), (date(2026, 3, 1), "ben", 9), (date(2026, 3, 2), "ann", 1))
    )
    shown = {bar.name: dict(zip(bar.x, bar.y, strict=True)) for bar in figure.data}
    assert shown == {"ben": {date(2026, 3, 1): 9}, "ann": {date(2026, 3, 1): 3, date(2026, 3, 2): 1}}


def test_of_many_people_the_least_are_one_bar_and_nothing_is_lost():
    people = [(date(2026, 3, 1), f"p{number}", number + 1) for number in range(9)]
    figure = days_figure(frame(*people))
    assert len(figure.data) == len(PEOPLE_COLOURS)
    assert figure.data[-1].name == OTHERS
    assert sum(sum(bar.y) for bar in figure.data) == sum(count for _, _, count in people)


def test_a_name_shows_and_is_not_obeyed():
    figure = days_figure(frame((date(2026, 3, 1), "e\x1bve", 1)))
    assert figure.data[0].name == "e␛ve"
