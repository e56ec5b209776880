"""Days: working days and public holidays, and how periods of days and months are counted.

A calendar holds only days that are public holidays in the whole of its territory. A holiday that it does not know can
make a deadline fall earlier than the law would let it, never later.
"""

from calendar import monthrange
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from functools import cache

MONDAY, THURSDAY, SATURDAY, SUNDAY = 0, 3, 5, 6
DECEMBER = 12


class Observed(StrEnum):
    """What becomes of a holiday that falls on a weekend.

    AS_IT_FALLS: nothing. NEAREST: Saturday's is kept on Friday, Sunday's on Monday. NEXT: it moves to the next working
    day.
    """

    AS_IT_FALLS = "as_it_falls"
    NEAREST = "nearest"
    NEXT = "next"


@dataclass(frozen=True, slots=True)
class Calendar:
    """The public holidays of one territory.

    fixed: (month, day). around_easter: days from Easter Sunday. nth: (month, weekday from Monday = 0, which one; -1 is
    the last). since: the first year of those fixed days that are younger than 2018.
    """

    name: str
    source: str
    fixed: tuple[tuple[int, int], ...] = ()
    around_easter: tuple[int, ...] = ()
    nth: tuple[tuple[int, int, int], ...] = ()
    observed: Observed = Observed.AS_IT_FALLS
    since: tuple[tuple[tuple[int, int], int], ...] = ()

    def is_working_day(self, day: date) -> bool:
        """Whether it is neither a Saturday, nor a Sunday, nor a public holiday."""
        return day.weekday() < SATURDAY and day not in holidays(self, day.year)

    def on_or_after(self, day: date) -> date:
        """This day, or the first working day after it."""
        while not self.is_working_day(day):
            day += timedelta(days=1)
        return day

    def add_working_days(self, day: date, count: int) -> date:
        """The working day that is `count` working days after `day`, which is not counted itself."""
        for _ in range(count):
            day = self.on_or_after(day + timedelta(days=1))
        return day


@cache
def holidays(calendar: Calendar, year: int) -> frozenset[date]:
    """The holidays as they are kept in this year."""
    young = dict(calendar.since)
    fixed = (date(year, month, day) for month, day in calendar.fixed if year >= young.get((month, day), 0))
    found = {easter(year) + timedelta(days=offset) for offset in calendar.around_easter}
    found |= {nth_weekday(year, *which) for which in calendar.nth}
    for day in sorted(fixed):
        found.add(_kept_on(day, calendar.observed, found))
    if (
        calendar.observed is Observed.NEAREST
        and (1, 1) in calendar.fixed
        and date(year + 1, 1, 1).weekday() == SATURDAY
    ):
        found.add(date(year, DECEMBER, 31))  # next year's first day is kept in this one
    return frozenset(found)


def _kept_on(day: date, observed: Observed, taken: set[date]) -> date:
    if observed is Observed.NEAREST:
        return day + timedelta(days={SATURDAY: -1, SUNDAY: 1}.get(day.weekday(), 0))
    if observed is Observed.NEXT:
        while day.weekday() >= SATURDAY or day in taken:
            day += timedelta(days=1)
    return day


def nth_weekday(year: int, month: int, weekday: int, which: int) -> date:
    """The first (1), second (2), … or last (-1) such weekday of a month."""
    if which == -1:
        last = date(year, month, monthrange(year, month)[1])
        return last - timedelta(days=(last.weekday() - weekday) % 7)
    first = date(year, month, 1)
    return first + timedelta(days=(weekday - first.weekday()) % 7 + 7 * (which - 1))


def easter(year: int) -> date:
    """Easter Sunday of the Gregorian calendar, by the algorithm of Meeus, Jones and Butcher."""
    a, (b, c) = year % 19, divmod(year, 100)
    d, e = divmod(b, 4)
    g = (8 * b + 13) // 25
    h = (19 * a + b - d - g + 15) % 30
    i, k = divmod(c, 4)
    el = (32 + 2 * e + 2 * i - h - k) % 7
    m = (a + 11 * h + 22 * el) // 451
    month, day = divmod(h + el - 7 * m + 114, 31)
    return date(year, month, day + 1)


def add_months(day: date, months: int) -> date:
    """The same day of a later month, or that month's last day when it has no such day.

    Regulation (EEC, Euratom) No 1182/71, Article 3(2)(c).
    """
    years, month = divmod(day.month - 1 + months, 12)
    year = day.year + years
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


_EASTER_MONDAY, _GOOD_FRIDAY, _ASCENSION, _WHIT_MONDAY, _CORPUS_CHRISTI = 1, -2, 39, 50, 60
_CHRISTMAS = ((12, 25), (12, 26))

WEEKENDS = Calendar("weekends", source="Saturdays and Sundays alone.")
US_FEDERAL = Calendar(
    "us-federal",
    source="5 U.S.C. § 6103(a), (b); Executive Order 11582 § 3(a) for holidays that fall on a Sunday",
    fixed=((1, 1), (6, 19), (7, 4), (11, 11), (12, 25)),
    nth=((1, MONDAY, 3), (2, MONDAY, 3), (5, MONDAY, -1), (9, MONDAY, 1), (10, MONDAY, 2), (11, THURSDAY, 4)),
    observed=Observed.NEAREST,
    since=(((6, 19), 2021),),
)

# The whole of the European Union keeps two days alike; a member state whose own days stand below keeps those as well.
EUROPEAN_UNION = Calendar("eu", source="Kept in every member state.", fixed=((1, 1), (12, 25)))

_IN_THE_UK = "Banking and Financial Dealings Act 1971, Schedule 1, and royal proclamations under section 1"
_UK_FIXED = ((1, 1), *_CHRISTMAS)
_UK_NTH = ((5, MONDAY, 1), (5, MONDAY, -1))

CALENDARS: dict[str, Calendar] = {
    "AT": Calendar(
        "at",
        source="Arbeitsruhegesetz § 7(2)",
        fixed=((1, 1), (1, 6), (5, 1), (8, 15), (10, 26), (11, 1), (12, 8), *_CHRISTMAS),
        around_easter=(_EASTER_MONDAY, _ASCENSION, _WHIT_MONDAY, _CORPUS_CHRISTI),
    ),
    "BE": Calendar(
        "be",
        source="Arrêté royal du 18 avril 1974, art. 1",
        fixed=((1, 1), (5, 1), (7, 21), (8, 15), (11, 1), (11, 11), (12, 25)),
        around_easter=(_EASTER_MONDAY, _ASCENSION, _WHIT_MONDAY),
    ),
    "DE": Calendar(
        "de",
        source="Feiertagsgesetze der Länder: the nine days that all sixteen keep; Einigungsvertrag Art. 2(2)",
        fixed=((1, 1), (5, 1), (10, 3), *_CHRISTMAS),
        around_easter=(_GOOD_FRIDAY, _EASTER_MONDAY, _ASCENSION, _WHIT_MONDAY),
    ),
    "FR": Calendar(
        "fr",
        source="Code du travail, art. L3133-1",
        fixed=((1, 1), (5, 1), (5, 8), (7, 14), (8, 15), (11, 1), (11, 11), (12, 25)),
        around_easter=(_EASTER_MONDAY, _ASCENSION, _WHIT_MONDAY),
    ),
    "IE": Calendar(
        "ie",
        source="Organisation of Working Time Act 1997, Second Schedule (St Brigid's Day is left out, to be early)",
        fixed=((1, 1), (3, 17), *_CHRISTMAS),
        around_easter=(_EASTER_MONDAY,),
        nth=((5, MONDAY, 1), (6, MONDAY, 1), (8, MONDAY, 1), (10, MONDAY, -1)),
    ),
    "IT": Calendar(
        "it",
        source="Legge 27 maggio 1949, n. 260, art. 2",
        fixed=((1, 1), (1, 6), (4, 25), (5, 1), (6, 2), (8, 15), (11, 1), (12, 8), *_CHRISTMAS),
        around_easter=(_EASTER_MONDAY,),
    ),
    "NL": Calendar(
        "nl",
        source="Algemene termijnenwet, art. 3(1)",
        fixed=((1, 1), *_CHRISTMAS),
        around_easter=(_GOOD_FRIDAY, _EASTER_MONDAY, _ASCENSION, _WHIT_MONDAY),
    ),
    # What England, Wales, Scotland and Northern Ireland keep alike; each by itself keeps more.
    "GB": Calendar(
        "gb",
        source=_IN_THE_UK,
        fixed=_UK_FIXED,
        around_easter=(_GOOD_FRIDAY,),
        nth=_UK_NTH,
        observed=Observed.NEXT,
    ),
    "GB-ENG": Calendar(
        "gb-eng",
        source=_IN_THE_UK,
        fixed=_UK_FIXED,
        around_easter=(_GOOD_FRIDAY, _EASTER_MONDAY),
        nth=(*_UK_NTH, (8, MONDAY, -1)),
        observed=Observed.NEXT,
    ),
    "GB-SCT": Calendar(
        "gb-sct",
        source=_IN_THE_UK,
        fixed=(*_UK_FIXED, (1, 2), (11, 30)),
        around_easter=(_GOOD_FRIDAY,),
        nth=(*_UK_NTH, (8, MONDAY, 1)),
        observed=Observed.NEXT,
    ),
    "GB-NIR": Calendar(
        "gb-nir",
        source=_IN_THE_UK,
        fixed=(*_UK_FIXED, (3, 17), (7, 12)),
        around_easter=(_GOOD_FRIDAY, _EASTER_MONDAY),
        nth=(*_UK_NTH, (8, MONDAY, -1)),
        observed=Observed.NEXT,
    ),
}
CALENDARS["GB-WLS"] = CALENDARS["GB-ENG"]
