"""The log of acts: a chain that cannot be rewritten unseen."""

from collections.abc import AsyncIterator
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy.exc import DBAPIError

from core.bootstrap import Parts, open_parts
from core.operators import record
from core.operators.models import OperatorAct
from core.settings import Settings


@pytest.fixture
async def parts(settings: Settings) -> AsyncIterator[Parts]:
    async with open_parts(settings) as opened:
        yield opened


async def three_acts(parts: Parts) -> None:
    for number in range(3):
        async with parts.database.operator() as session:
            await record.append(
                session, kind="test.act", actor="operator:test", facts={"number": number}, about=uuid4()
            )
            record.sign_after_commit(session, parts.database, parts.keyring)


async def length(parts: Parts) -> int:
    async with parts.database.operator() as session:
        return await record.verify(session)


async def test_what_is_in_the_chain_holds_and_its_head_is_signed(parts: Parts) -> None:
    assert await length(parts) == 0
    await three_acts(parts)
    assert await length(parts) == 3
    async with parts.database.operator() as session:
        head = await record.head(session)
        newest = (await record.page(session, before=None, about=None, limit=1))[0]
    assert head is not None
    assert (head.number, head.hash) == (2, newest.hash)
    assert head.note.startswith("likeness/operators\n3\n")


@pytest.mark.parametrize(
    ("rewrite", "number"),
    [
        ("UPDATE operator_act SET actor = 'operator:somebody else' WHERE number = 1", 1),
        ("UPDATE operator_act SET facts = '{}' WHERE number = 0", 0),
        ("DELETE FROM operator_act WHERE number = 2", 2),
        ("DELETE FROM operator_act WHERE number = 0", 0),
        ("UPDATE operator_act SET number = 9 WHERE number = 2", 2),
    ],
)
async def test_whoever_owns_the_database_cannot_rewrite_it_unseen(
    parts: Parts, administrator_url: str, rewrite: str, number: int
) -> None:
    await three_acts(parts)
    administrator = await asyncpg.connect(administrator_url)
    with pytest.raises(asyncpg.CheckViolationError):
        await administrator.execute(rewrite)
    await administrator.execute("ALTER TABLE operator_act DISABLE TRIGGER USER")
    await administrator.execute(rewrite)
    await administrator.close()
    with pytest.raises(record.ChainBroken) as broken:
        await length(parts)
    assert broken.value.number == number


async def test_an_entry_that_does_not_follow_is_refused(parts: Parts) -> None:
    await three_acts(parts)
    forged = OperatorAct(number=3, kind="forged", actor="x", facts={}, previous_hash=b"\x00" * 32, hash=b"\x01" * 32)
    with pytest.raises(DBAPIError, match="must follow"):
        async with parts.database.operator() as session:
            session.add(forged)


async def test_what_is_rolled_back_was_never_in_it(parts: Parts) -> None:
    await three_acts(parts)
    with pytest.raises(RuntimeError):
        async with parts.database.operator() as session:
            await record.append(session, kind="test.act", actor="operator:test")
            raise RuntimeError
    assert await length(parts) == 3
