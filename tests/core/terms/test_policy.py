"""The terms: one place of defaults, the tenant's own above them, and requests that may only shorten."""

from datetime import timedelta

import pytest
from sqlalchemy import text

from core.bootstrap import Parts
from core.errors import RetentionOutOfRange
from core.photos import service as photos
from core.terms import policy
from core.terms.models import RetentionPolicy
from core.terms.policy import RULES, DataClass
from tests.scenes import a_platform, a_ready_person


def test_every_class_has_a_rule_whose_default_lies_between_its_bounds() -> None:
    assert set(RULES) == set(DataClass)
    for rule in RULES.values():
        assert rule.shortest <= rule.default <= rule.longest
        assert rule.why
        assert rule.goes
        assert rule.stays
    assert RULES[DataClass.PHOTO].default == timedelta(days=7)
    assert RULES[DataClass.HEADSHOT].default == timedelta(days=30)
    assert RULES[DataClass.JOB_METADATA].default >= RULES[DataClass.HEADSHOT].default


async def test_the_newest_version_of_a_policy_counts_and_only_for_its_tenant(parts: Parts) -> None:
    mine, other = await a_platform(parts), await a_platform(parts)
    async with parts.database.tenant(mine.tenant_id) as session:
        for version, seconds in ((1, 7200), (2, 5400)):
            session.add(
                RetentionPolicy(
                    tenant_id=mine.tenant_id,
                    data_class=DataClass.PHOTO,
                    version=version,
                    seconds=seconds,
                    changed_by="test",
                )
            )
    subject_id, photo_id = await a_ready_person(parts, mine)
    async with parts.database.tenant(mine.tenant_id) as session:
        assert await policy.term(session, mine.tenant_id, DataClass.PHOTO) == timedelta(seconds=5400)
        photo = await photos.get(session, photo_id)
        assert timedelta(seconds=5395) < photo.expires_at - photo.created_at <= timedelta(seconds=5400)
        with pytest.raises(RetentionOutOfRange):
            await photos.admit(session, caller=mine.caller, subject_id=subject_id, expires_after=5401)
    async with parts.database.tenant(other.tenant_id) as session:
        assert await policy.term(session, other.tenant_id, DataClass.PHOTO) == timedelta(days=7)


async def test_a_request_may_shorten_the_term_and_not_lengthen_it(parts: Parts) -> None:
    platform = await a_platform(parts)
    week = 7 * 86_400
    async with parts.database.tenant(platform.tenant_id) as session:
        for asked, kept in ((None, week), (3600, 3600), (week, week)):
            term = await policy.term_asked(session, platform.tenant_id, DataClass.PHOTO, expires_after=asked)
            assert term.total_seconds() == kept
        for asked in (0, -1, 3599, week + 1, 10**18):
            with pytest.raises(RetentionOutOfRange) as refused:
                await policy.term_asked(session, platform.tenant_id, DataClass.PHOTO, expires_after=asked)
            assert refused.value.extra == {"minimum": 3600, "maximum": week}


async def test_a_policy_that_was_set_is_never_changed_or_taken_away(parts: Parts) -> None:
    platform = await a_platform(parts)
    for statement in ("UPDATE retention_policy SET seconds = 1", "DELETE FROM retention_policy"):
        with pytest.raises(Exception, match="permission denied"):
            async with parts.database.tenant(platform.tenant_id) as session:
                await (await session.connection()).execute(text(statement))
