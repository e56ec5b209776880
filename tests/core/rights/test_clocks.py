"""The clocks of the laws: leap years, ends of months, holidays, zones. Moments are the first that is too late."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.rights.clocks import deadlines, destruction, rule_for, zone_of
from core.rights.rules import DESTRUCTION_RULES, EEA, ELSEWHERE, RULES, Kind, Rule


def noon(zone: str, year: int, month: int, day: int) -> datetime:
    return datetime(year, month, day, 12, tzinfo=ZoneInfo(zone))


def last_day(moment: datetime, zone: str) -> date:
    """The day whose end is this moment."""
    local = moment.astimezone(ZoneInfo(zone))
    assert (local.hour, local.minute, local.second) == (0, 0, 0)
    return (local - timedelta(days=1)).date()


BERLIN, LONDON, LOS_ANGELES, TORONTO, SAO_PAULO = (
    "Europe/Brussels",
    "Europe/London",
    "America/Los_Angeles",
    "America/Toronto",
    "America/Sao_Paulo",
)


@pytest.mark.parametrize(
    ("jurisdiction", "zone", "received", "due", "extended"),
    [
        # EDPB Guidelines 01/2022, paragraphs 158 to 160: 5 March to 5 April (here a Sunday, then Easter Monday).
        ("DE", BERLIN, (2026, 3, 5), (2026, 4, 7), (2026, 6, 5)),
        ("DE", BERLIN, (2026, 6, 5), (2026, 7, 6), (2026, 9, 7)),
        # The month has no such day: its last one counts.
        ("FR", BERLIN, (2026, 8, 31), (2026, 9, 30), (2026, 11, 30)),
        ("FR", BERLIN, (2027, 1, 29), (2027, 3, 1), (2027, 4, 29)),  # 28 February 2027 is a Sunday
        ("FR", BERLIN, (2024, 1, 30), (2024, 2, 29), (2024, 4, 30)),  # leap year
        # Holidays: 1 November is kept in France, not in the Netherlands.
        ("FR", BERLIN, (2027, 10, 1), (2027, 11, 2), (2028, 1, 3)),
        ("NL", BERLIN, (2027, 10, 1), (2027, 11, 1), (2028, 1, 3)),
        # A member state whose own holidays are not known keeps the two that all keep, so it is early, never late.
        ("SK", BERLIN, (2026, 11, 25), (2026, 12, 28), (2027, 2, 25)),
        # The ICO's example: 3 September to 3 October, here a Saturday.
        ("GB", LONDON, (2026, 9, 3), (2026, 10, 5), (2026, 12, 3)),
        ("GB-ENG", LONDON, (2026, 3, 6), (2026, 4, 7), (2026, 6, 8)),  # over Easter Monday
        ("GB-SCT", LONDON, (2026, 3, 6), (2026, 4, 6), (2026, 6, 8)),  # which Scotland does not keep
        # California: days, and no postponement.
        ("US-CA", LOS_ANGELES, (2026, 11, 23), (2027, 1, 7), (2027, 2, 21)),
        ("US-CA", LOS_ANGELES, (2024, 1, 31), (2024, 3, 16), (2024, 4, 30)),  # through 29 February
        ("US-CA", LOS_ANGELES, (2023, 1, 31), (2023, 3, 17), (2023, 5, 1)),
        ("BR", SAO_PAULO, (2026, 2, 20), (2026, 3, 7), None),
        ("CA-QC", TORONTO, (2026, 12, 2), (2027, 1, 1), None),
        ("CA-ON", "America/St_Johns", (2026, 1, 30), (2026, 3, 1), (2026, 3, 31)),
        ("US-NV", "UTC", (2026, 1, 30), (2026, 2, 14), None),
        (None, "UTC", (2026, 1, 30), (2026, 2, 14), None),
    ],
)
def test_an_access_request_is_due_on_the_laws_day(
    jurisdiction: str | None,
    zone: str,
    received: tuple[int, int, int],
    due: tuple[int, int, int],
    extended: tuple[int, int, int] | None,
) -> None:
    found = deadlines(jurisdiction, Kind.ACCESS, noon(zone, *received))
    assert last_day(found.due_at, zone) == date(*due)
    if extended is None:
        assert found.extended_due_at is None
    else:
        assert found.extended_due_at is not None
        assert last_day(found.extended_due_at, zone) == date(*extended)


@pytest.mark.parametrize(
    ("kind", "received", "acknowledge", "due"),
    [
        # Ten business days over Thanksgiving.
        (Kind.ERASURE, (2026, 11, 23), (2026, 12, 8), (2027, 1, 7)),
        (Kind.OPT_OUT_OF_SALE, (2026, 11, 23), None, (2026, 12, 15)),
        # Over Christmas, kept on Friday, New Year, kept on Friday, and Martin Luther King's day.
        (Kind.OPT_OUT_OF_SALE, (2026, 12, 24), None, (2027, 1, 19)),
        (Kind.RESTRICTION, (2026, 12, 24), None, (2027, 1, 19)),
    ],
)
def test_california_counts_business_days(
    kind: Kind,
    received: tuple[int, int, int],
    acknowledge: tuple[int, int, int] | None,
    due: tuple[int, int, int],
) -> None:
    found = deadlines("US-CA", kind, noon(LOS_ANGELES, *received))
    assert last_day(found.due_at, LOS_ANGELES) == date(*due)
    assert (found.acknowledge_by is None) == (acknowledge is None)
    if acknowledge is not None and found.acknowledge_by is not None:
        assert last_day(found.acknowledge_by, LOS_ANGELES) == date(*acknowledge)


def test_the_day_is_the_one_of_the_persons_law() -> None:
    # One moment: still 31 October in Los Angeles, already 1 November in Berlin.
    moment = datetime(2026, 11, 1, 6, tzinfo=UTC)
    assert last_day(deadlines("US-CA", Kind.ACCESS, moment).due_at, LOS_ANGELES) == date(2026, 12, 15)
    assert last_day(deadlines("DE", Kind.ACCESS, moment).due_at, BERLIN) == date(2026, 12, 1)


def test_a_deadline_over_a_change_of_clocks_still_ends_at_midnight() -> None:
    # Received in summer time, due in winter time: 23:00 UTC is midnight in Brussels by then.
    found = deadlines("BE", Kind.ACCESS, noon(BERLIN, 2026, 10, 5))
    assert found.due_at == datetime(2026, 11, 5, 23, tzinfo=UTC)


def test_a_subdivision_without_a_row_falls_back_to_its_country_and_then_to_the_shortest() -> None:
    assert rule_for("DE-BY", Kind.ACCESS).law == "GDPR"
    assert rule_for("CA-QC", Kind.ACCESS).law == "Quebec Law 25"
    assert rule_for("CA-AB", Kind.ACCESS).law == "PIPEDA"
    assert rule_for("US-NV", Kind.ACCESS) is ELSEWHERE
    assert rule_for(None, Kind.ACCESS) is ELSEWHERE


@given(
    jurisdiction=st.sampled_from(sorted({place for rule in RULES for place in rule.jurisdictions})),
    kind=st.sampled_from(list(Kind)),
    received=st.datetimes(datetime(2020, 1, 1), datetime(2060, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 (bounds are naive)
)
def test_deadlines_lie_in_order_and_the_unknown_is_never_later(
    jurisdiction: str, kind: Kind, received: datetime
) -> None:
    found = deadlines(jurisdiction, kind, received)
    assert received < found.due_at
    assert found.acknowledge_by is None or received < found.acknowledge_by < found.due_at
    assert found.extended_due_at is None or found.due_at < found.extended_due_at
    # A month has at least 28 days, and what is not known is counted with 15.
    day = timedelta(days=1)
    assert deadlines(None, kind, received).due_at < found.due_at + day


@pytest.mark.parametrize(
    ("jurisdiction", "purpose_met", "last_interaction", "expected"),
    [
        # BIPA: at once when the purpose is met, else three years after the last interaction.
        ("US-IL", (2026, 5, 4), (2026, 5, 1), (2026, 5, 4)),
        ("US-IL", None, (2024, 2, 29), (2027, 2, 28)),
        ("US-IL", (2029, 1, 1), (2024, 2, 29), (2027, 2, 28)),
        # Texas: a year after the purpose ends; the last interaction does not matter.
        ("US-TX", (2024, 2, 29), (2020, 1, 1), (2025, 2, 28)),
        ("US-TX", None, (2020, 1, 1), None),
        # Colorado: at once, or 24 months after the last interaction.
        ("US-CO", None, (2026, 8, 31), (2028, 8, 31)),
        ("US-CO", (2026, 9, 1), (2026, 8, 31), (2026, 9, 1)),
        ("DE", (2026, 9, 1), (2026, 8, 31), None),
        (None, None, (2026, 8, 31), None),
    ],
)
def test_biometric_data_is_destroyed_at_the_earlier_end(
    jurisdiction: str | None,
    purpose_met: tuple[int, int, int] | None,
    last_interaction: tuple[int, int, int],
    expected: tuple[int, int, int] | None,
) -> None:
    zone = str(zone_of(jurisdiction))
    found = destruction(
        jurisdiction,
        purpose_met_at=None if purpose_met is None else noon(zone, *purpose_met),
        last_interaction_at=noon(zone, *last_interaction),
    )
    assert (found is None) == (expected is None)
    if found is not None and expected is not None:
        assert last_day(found.destroy_by, zone) == date(*expected)


@pytest.mark.parametrize("rule", [*RULES, ELSEWHERE], ids=lambda rule: f"{rule.law}: {sorted(rule.kinds)}")
def test_every_row_cites_its_source(rule: Rule) -> None:
    assert len(rule.source) > 15


def test_every_destruction_row_cites_its_source() -> None:
    assert all(any(mark in rule.source for mark in ("ILCS", "Code", "Stat.")) for rule in DESTRUCTION_RULES)


def test_every_state_of_the_eea_has_a_zone_and_a_clock() -> None:
    for place in EEA:
        assert rule_for(place, Kind.ACCESS).law == "GDPR"
        assert str(zone_of(place)) != "UTC"
