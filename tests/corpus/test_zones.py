from datetime import datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from lorif_core.corpus.facets import Bin, HistogramFacet
from lorif_core.corpus.filters import Range
from lorif_core.corpus.value_types import ValueType
from lorif_core.corpus.zones import is_zone, zone_named, zone_of_process
from lorif_core.errors import QueryError
from lorif_core.views.shown_values import bin_text, cell_text, duration_text, instant_text, shown_frame

BERLIN = "Europe/Berlin"
INSTANT = ValueType("instant", "TIMESTAMP WITH TIME ZONE", 10**6)


@pytest.mark.parametrize("name", ["Europe/Berlin", ":Europe/Berlin", "/usr/share/zoneinfo/Europe/Berlin"])
def test_the_zone_of_a_process_is_that_of_its_environment(name):
    assert zone_of_process({"TZ": name}).key == BERLIN


def test_without_an_environment_it_is_that_of_the_computer(tmp_path):
    (tmp_path / "zoneinfo" / "Asia").mkdir(parents=True)
    (tmp_path / "zoneinfo" / "Asia" / "Tokyo").touch()
    link = tmp_path / "localtime"
    link.symlink_to(tmp_path / "zoneinfo" / "Asia" / "Tokyo")
    assert zone_of_process({}, link).key == "Asia/Tokyo"
    assert zone_of_process({}, tmp_path / "none").utcoffset(datetime.now()) is not None


@pytest.mark.parametrize("name", ["", "Mars/Base", "../../etc/passwd", "/etc/passwd", "Europe", "a\0b", "x" * 999])
def test_what_is_no_zone_is_refused(name):
    assert not is_zone(name)
    with pytest.raises(QueryError, match="a time zone is named like"):
        zone_named(name)


def test_instants_are_shown_in_the_zone_of_the_person_with_its_distance():
    before, after = (datetime(2026, 3, 29, hour, 30, tzinfo=ZoneInfo("UTC")) for hour in (0, 5))
    assert [cell_text(one, BERLIN) for one in (before, after)] == ["2026-03-29 01:30+01:00", "2026-03-29 07:30+02:00"]
    assert instant_text("2026-03-29T05:30Z", INSTANT, BERLIN) == "2026-03-29 07:30+02:00"
    assert instant_text("2026-03-29T05:30Z", None, BERLIN) == "2026-03-29T05:30Z"
    frame = pl.DataFrame({"at": [before, after], "f": pl.Series([0.1, 2.0], dtype=pl.Float32), "took": [5400, 0]})
    shown = shown_frame(frame, {"took": ValueType("duration", "BIGINT", 1)}, BERLIN)
    assert shown.rows() == [
        ("2026-03-29 01:30:00+01:00", 0.1, "1h30m"),
        ("2026-03-29 07:30:00+02:00", 2.0, "0s"),
    ]


def test_other_values_are_shown_as_they_can_be_typed():
    assert cell_text(Decimal("1E+2")) == "100"
    assert cell_text(timedelta(days=1, seconds=5)) == "1d5s"
    assert cell_text(True) == "true"
    assert duration_text(-1_500_000_001) == "-1s500ms1ns"


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        (datetime(2026, 1, 1), datetime(2027, 1, 1), "2026"),
        (datetime(2026, 12, 1), datetime(2027, 1, 1), "2026-12"),
        (datetime(2026, 3, 29), datetime(2026, 3, 30), "2026-03-29"),
        (datetime(2026, 3, 29, 6), datetime(2026, 3, 29, 9), "2026-03-29 06:00 to 2026-03-29 09:00"),
        (datetime(2026, 1, 1), datetime(2026, 4, 1), "2026-01-01 00:00 to 2026-04-01 00:00"),
    ],
)
def test_a_bar_is_called_by_its_day_month_or_year(low, high, text):
    one = Bin(Range(low, high, includes_maximum=False), 1)
    assert bin_text(HistogramFacet("at", "moment", (one,), low, high, 0, 0, 0), one) == text
