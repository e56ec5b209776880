"""Public holidays and periods, against dates that are known from elsewhere."""

from datetime import date

import pytest

from core.rights.calendars import CALENDARS, US_FEDERAL, WEEKENDS, Calendar, add_months, easter, holidays


@pytest.mark.parametrize(
    "sunday",
    [
        date(1961, 4, 2),
        date(2000, 4, 23),
        date(2008, 3, 23),
        date(2019, 4, 21),
        date(2024, 3, 31),
        date(2025, 4, 20),
        date(2026, 4, 5),
        date(2038, 4, 25),
    ],
)
def test_easter_falls_on_its_sunday(sunday: date) -> None:
    assert easter(sunday.year) == sunday


def test_federal_holidays_are_those_that_the_government_keeps() -> None:
    # As the Office of Personnel Management published them; in 2021 the Fourth of July and Christmas fall on weekends,
    # and New Year's Day of 2022 is kept in 2021.
    published = {
        *((1, 1), (1, 18), (2, 15), (5, 31), (6, 18), (7, 5), (9, 6), (10, 11), (11, 11), (11, 25), (12, 24)),
        (12, 31),
    }
    assert {(day.month, day.day) for day in holidays(US_FEDERAL, 2021)} - published == set()
    assert published - {(day.month, day.day) for day in holidays(US_FEDERAL, 2021)} == set()


def test_a_holiday_begins_in_the_year_of_its_law() -> None:
    assert US_FEDERAL.is_working_day(date(2020, 6, 19))
    assert not US_FEDERAL.is_working_day(date(2023, 6, 19))


@pytest.mark.parametrize(
    ("place", "year", "kept"),
    [
        # gov.uk/bank-holidays, England and Wales and Scotland.
        ("GB-ENG", 2026, {(1, 1), (4, 3), (4, 6), (5, 4), (5, 25), (8, 31), (12, 25), (12, 28)}),
        ("GB-ENG", 2027, {(1, 1), (3, 26), (3, 29), (5, 3), (5, 31), (8, 30), (12, 27), (12, 28)}),
        ("GB-SCT", 2022, {(1, 3), (1, 4), (4, 15), (5, 2), (5, 30), (8, 1), (11, 30), (12, 26), (12, 27)}),
    ],
)
def test_bank_holidays_on_weekends_get_a_substitute(place: str, year: int, kept: set[tuple[int, int]]) -> None:
    on_weekdays = {(day.month, day.day) for day in holidays(CALENDARS[place], year) if day.weekday() < 5}
    assert on_weekdays == kept


def test_germany_keeps_nine_days_everywhere() -> None:
    assert sorted(holidays(CALENDARS["DE"], 2026)) == [
        date(2026, *day) for day in ((1, 1), (4, 3), (4, 6), (5, 1), (5, 14), (5, 25), (10, 3), (12, 25), (12, 26))
    ]


@pytest.mark.parametrize(
    ("day", "months", "expected"),
    [
        (date(2026, 3, 5), 1, date(2026, 4, 5)),
        (date(2026, 1, 31), 1, date(2026, 2, 28)),
        (date(2024, 1, 31), 1, date(2024, 2, 29)),
        (date(2024, 2, 29), 12, date(2025, 2, 28)),
        (date(2023, 2, 28), 12, date(2024, 2, 28)),
        (date(2026, 8, 31), 1, date(2026, 9, 30)),
        (date(2026, 11, 30), 3, date(2027, 2, 28)),
        (date(2026, 12, 31), 2, date(2027, 2, 28)),
        (date(2100, 1, 30), 1, date(2100, 2, 28)),
    ],
)
def test_a_month_ends_on_its_same_day_or_its_last(day: date, months: int, expected: date) -> None:
    assert add_months(day, months) == expected


@pytest.mark.parametrize(
    ("calendar", "day", "count", "expected"),
    [
        (WEEKENDS, date(2026, 11, 20), 1, date(2026, 11, 23)),  # Friday to Monday
        (WEEKENDS, date(2026, 11, 21), 1, date(2026, 11, 23)),  # Saturday to Monday
        (US_FEDERAL, date(2026, 11, 25), 1, date(2026, 11, 27)),  # over Thanksgiving
        (US_FEDERAL, date(2026, 12, 24), 5, date(2027, 1, 4)),  # over Christmas, New Year and two weekends
    ],
)
def test_working_days_skip_weekends_and_holidays(calendar: Calendar, day: date, count: int, expected: date) -> None:
    assert calendar.add_working_days(day, count) == expected


@pytest.mark.parametrize("calendar", CALENDARS.values(), ids=CALENDARS)
def test_every_calendar_names_its_source(calendar: Calendar) -> None:
    assert calendar.source
