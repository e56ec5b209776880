"""The clocks: from the moment at which a person asked, and the law that protects them, to the moments that bind us.

Nothing here reads the time or the database. A deadline is the first moment that is too late: midnight at the end of the
last day, where the person's law counts it.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from core.rights.calendars import CALENDARS, EUROPEAN_UNION, US_FEDERAL, WEEKENDS, Calendar, add_months
from core.rights.rules import (
    CENTRAL_EUROPE,
    DESTRUCTION_RULES,
    EEA,
    ELSEWHERE,
    RULES,
    ZONES,
    DestructionRule,
    Kind,
    Rule,
    Term,
)

SOON = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Deadlines:
    """What a request must meet. Each moment is the first that is too late, in UTC.

    extended_due_at: the end when the extension is taken; None where the law knows none.
    """

    law: str
    source: str
    acknowledge_by: datetime | None
    due_at: datetime
    extended_due_at: datetime | None


@dataclass(frozen=True, slots=True)
class Destruction:
    """By when biometric data must be gone, and which law says so."""

    law: str
    source: str
    destroy_by: datetime


def rule_for(jurisdiction: str | None, kind: Kind) -> Rule:
    """The row that decides: of the subdivision, else of the country, else the shortest there is."""
    for place in _places(jurisdiction):
        for rule in RULES:
            if place in rule.jurisdictions and (not rule.kinds or kind in rule.kinds):
                return rule
    return ELSEWHERE


def deadlines(jurisdiction: str | None, kind: Kind, received_at: datetime) -> Deadlines:
    """The moments that a request received at this moment must meet. `received_at` is aware."""
    rule = rule_for(jurisdiction, kind)
    zone, calendar = zone_of(jurisdiction), calendar_of(jurisdiction)
    day = received_at.astimezone(zone).date()

    def end(term: Term | None) -> datetime | None:
        return None if term is None else _end_of(_last_day(day, term, calendar), zone)

    return Deadlines(
        law=rule.law,
        source=rule.source,
        acknowledge_by=end(rule.acknowledge),
        due_at=_end_of(_last_day(day, rule.answer, calendar), zone),
        extended_due_at=end(rule.extended),
    )


def destruction(
    jurisdiction: str | None, *, purpose_met_at: datetime | None, last_interaction_at: datetime
) -> Destruction | None:
    """When a law on biometrics ends the keeping. None where no such law is in the table, or nothing has begun to count.

    purpose_met_at: None while the purpose still stands.
    """
    rule = _destruction_rule(jurisdiction)
    if rule is None:
        return None
    zone, calendar = zone_of(jurisdiction), calendar_of(jurisdiction)
    ends = [
        _end_of(_last_day(moment.astimezone(zone).date(), term, calendar), zone)
        for moment, term in ((purpose_met_at, rule.after_purpose), (last_interaction_at, rule.after_interaction))
        if moment is not None and term is not None
    ]
    return Destruction(law=rule.law, source=rule.source, destroy_by=min(ends)) if ends else None


def zone_of(jurisdiction: str | None) -> ZoneInfo:
    """The zone in which days are counted. UTC where the law is not known."""
    for place in _places(jurisdiction):
        if place in ZONES:
            return ZoneInfo(ZONES[place])
        if place in EEA:
            return ZoneInfo(CENTRAL_EUROPE)
    return ZoneInfo("UTC")


def calendar_of(jurisdiction: str | None) -> Calendar:
    """The public holidays that count for a place."""
    for place in _places(jurisdiction):
        if place in CALENDARS:
            return CALENDARS[place]
        if place in EEA:
            return EUROPEAN_UNION
        if place == "US":
            return US_FEDERAL
    return WEEKENDS


def _places(jurisdiction: str | None) -> tuple[str, ...]:
    if jurisdiction is None:
        return ()
    country = jurisdiction.partition("-")[0]
    return (jurisdiction,) if country == jurisdiction else (jurisdiction, country)


def _destruction_rule(jurisdiction: str | None) -> DestructionRule | None:
    places = _places(jurisdiction)
    return next((rule for rule in DESTRUCTION_RULES if rule.jurisdictions.intersection(places)), None)


def _last_day(day: date, term: Term, calendar: Calendar) -> date:
    last = add_months(day, term.months) + timedelta(days=term.days)
    last = calendar.add_working_days(last, term.working_days)
    return calendar.on_or_after(last) if term.to_working_day else last


def _end_of(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day + timedelta(days=1), time.min, tzinfo=zone).astimezone(UTC)
