"""The time."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from core import clock


def test_now_is_aware_and_in_utc() -> None:
    assert clock.now().utcoffset() == timedelta(0)


def test_a_frozen_moment_holds_within_its_block_alone() -> None:
    moment = datetime(2026, 2, 28, 23, 30, tzinfo=timezone(timedelta(hours=-5)))
    with clock.frozen_at(moment):
        assert clock.now() == moment
        assert clock.now().tzinfo is UTC
    assert clock.now() != moment


def test_a_moment_without_a_zone_is_none() -> None:
    with pytest.raises(ValueError, match="zone"), clock.frozen_at(datetime(2026, 1, 1)):  # noqa: DTZ001 (that is the point)
        pass
