"""Attempts to sign in are slowed down; nobody is shut out for ever by somebody else."""

from datetime import datetime, timedelta

import pytest

from core.clock import frozen_at, now
from core.db import Database
from core.errors import RateLimited
from core.operators import attempts
from core.operators.attempts import Keys
from core.operators.models import SignInAttempt

ACCOUNT = b"account"


def from_(address: str, account: bytes = ACCOUNT) -> Keys:
    return Keys(pair=account + address.encode(), address=address.encode(), account=account)


async def fail(database: Database, keys: Keys, *, at: datetime) -> bool:
    """One attempt that is not forgiven; False when it was not even looked at."""
    try:
        with frozen_at(at):
            async with database.operator() as session:
                await attempts.begin(session, keys)
    except RateLimited:
        return False
    return True


async def succeed(database: Database, keys: Keys, *, at: datetime) -> None:
    with frozen_at(at):
        async with database.operator() as session:
            await attempts.begin(session, keys)
        async with database.operator() as session:
            await attempts.forgive(session, keys)


async def test_a_stranger_from_everywhere_does_not_shut_out_the_address_that_is_known(database: Database) -> None:
    begun = now()
    await succeed(database, from_("home"), at=begun)
    tried = [await fail(database, from_(f"elsewhere {number}"), at=begun) for number in range(40)]
    assert tried == [True] * 30 + [False] * 10
    await succeed(database, from_("home"), at=begun)
    assert await fail(database, from_("yet elsewhere"), at=begun + timedelta(seconds=61))
    assert not await fail(database, from_("yet elsewhere"), at=begun + timedelta(seconds=62))


async def test_one_address_cannot_try_many_accounts(database: Database) -> None:
    begun = now()
    tried = [await fail(database, from_("one", bytes([number])), at=begun) for number in range(33)]
    assert tried == [True] * 30 + [False] * 3
    assert await fail(database, from_("another", b"\x00"), at=begun)


async def test_the_waits_double_up_to_a_quarter_of_an_hour_and_are_forgotten(database: Database) -> None:
    moment = now()
    keys = from_("one")
    for _ in range(5):
        assert await fail(database, keys, at=moment)
    for wait in (15, 30, 60, 120, 240, 480, 900, 900):
        assert not await fail(database, keys, at=moment + timedelta(seconds=wait - 1))
        moment += timedelta(seconds=wait + 1)
        assert await fail(database, keys, at=moment)
    moment += timedelta(hours=2)
    for _ in range(5):
        assert await fail(database, keys, at=moment)


async def test_asking_while_blocked_does_not_lengthen_the_wait(database: Database) -> None:
    moment = now()
    keys = from_("one")
    for _ in range(5):
        await fail(database, keys, at=moment)
    for second in range(14):
        assert not await fail(database, keys, at=moment + timedelta(seconds=second))
    with pytest.raises(RateLimited), frozen_at(moment):
        async with database.operator() as session:
            await attempts.begin(session, keys)
    assert await fail(database, keys, at=moment + timedelta(seconds=16))


async def test_what_is_old_is_deleted(database: Database) -> None:
    moment = now()
    await succeed(database, from_("home"), at=moment)
    await fail(database, from_("elsewhere", b"other"), at=moment + timedelta(days=91))
    async with database.operator() as session:
        assert await session.get(SignInAttempt, from_("home").pair) is None
