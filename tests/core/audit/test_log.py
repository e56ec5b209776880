"""The sequenced log: numbers without gaps, signed checkpoints, proofs; and no rewriting goes unseen."""

import asyncio
import random
from itertools import pairwise
from uuid import UUID

import asyncpg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import event, text
from sqlalchemy.exc import DBAPIError
from sqlmodel import select

from core.audit import log, service
from core.audit.models import AuditCheckpoint, AuditEntry
from core.bootstrap import Parts
from core.errors import NotFound
from core.rights import checkpoints
from infra import verify_certificate as verifier
from tests import scenes
from tests.core.audit.test_tree import naive_root


async def _append(parts: Parts, tenant_id: UUID, count: int) -> None:
    async with parts.database.tenant(tenant_id) as session:
        for number in range(count):
            await service.append(session, tenant_id=tenant_id, kind="some.thing", actor="test", facts={"n": number})


async def _sequence(parts: Parts, tenant_id: UUID) -> AuditCheckpoint | None:
    return await checkpoints.sequence(parts.database, parts.keyring, tenant_id=tenant_id)


async def _keys(parts: Parts) -> verifier.Keys:
    return {key.key_id: key.public_key for key in await parts.keyring.signing.published()}


async def _leaves(parts: Parts, tenant_id: UUID) -> list[bytes]:
    async with parts.database.tenant(tenant_id) as session:
        return [service.leaf(entry) for entry in await log.entries(session, start=0, limit=10_000)]


async def test_sequencers_at_once_number_every_leaf_once_and_without_gaps(parts: Parts) -> None:
    mine, other = await scenes.a_platform(parts), await scenes.a_platform(parts)

    async def write(platform: scenes.Platform) -> None:
        for _ in range(6):
            await _append(parts, platform.tenant_id, 3)
            await _sequence(parts, platform.tenant_id)

    await asyncio.gather(write(mine), write(mine), write(other))
    for platform in (mine, other):
        await _sequence(parts, platform.tenant_id)
        async with parts.database.tenant(platform.tenant_id) as session:
            numbers = (await session.exec(select(AuditEntry.number))).all()
            newest = await log.checkpoint(session)
        assert sorted(number for number in numbers if number is not None) == list(range(len(numbers)))
        opened = verifier.open_checkpoint(newest.note, await _keys(parts))
        assert opened.size == len(numbers)
        verifier.check_log(await _leaves(parts, platform.tenant_id), opened)


async def test_appending_waits_for_no_sequencer(parts: Parts) -> None:
    platform = await scenes.a_platform(parts)
    await _sequence(parts, platform.tenant_id)
    async with parts.database.tenant(platform.tenant_id) as holding:
        await (await holding.connection()).execute(text("SELECT 1 FROM audit_tree FOR UPDATE"))
        async with asyncio.timeout(3):
            await _append(parts, platform.tenant_id, 1)


async def test_the_sweep_finds_tenants_whose_leaves_wait(parts: Parts) -> None:
    mine, other = await scenes.a_platform(parts), await scenes.a_platform(parts)
    await _sequence(parts, other.tenant_id)
    async with parts.database.system() as session:
        assert await log.waiting(session, limit=10) == [mine.tenant_id]
    assert await _sequence(parts, mine.tenant_id) is not None
    assert await _sequence(parts, mine.tenant_id) is None
    async with parts.database.system() as session:
        assert await log.waiting(session, limit=10) == []


async def test_every_checkpoint_is_proved_consistent_with_every_later_one(parts: Parts) -> None:
    platform = await scenes.a_platform(parts)
    tenant_id = platform.tenant_id
    for count in (1, 2, 5, 1, 9):
        await _append(parts, tenant_id, count)
        await _sequence(parts, tenant_id)
    async with parts.database.tenant(tenant_id) as session:
        sizes = sorted((await session.exec(select(AuditCheckpoint.size))).all())
        for old, new in [*pairwise(sizes), (sizes[0], sizes[-1])]:
            found = await log.consistency(session, old=old, size=new)
            verifier.check_consistency(old, found.earlier.root_hash, new, found.later.root_hash, found.proof)


async def test_a_proof_is_one_read_of_logarithmic_size(parts: Parts) -> None:
    platform = await scenes.a_platform(parts)
    await _append(parts, platform.tenant_id, 700)
    newest = await _sequence(parts, platform.tenant_id)
    assert newest is not None
    rows: list[int] = []

    def watch(_connection: object, cursor: object, statement: str, *_rest: object) -> None:
        if "audit_node" in statement:
            rows.append(getattr(cursor, "rowcount", 0))

    event.listen(parts.database.app.sync_engine, "after_cursor_execute", watch)
    try:
        async with parts.database.tenant(platform.tenant_id) as session:
            await log.inclusion(session, number=newest.size // 3)
    finally:
        event.remove(parts.database.app.sync_engine, "after_cursor_execute", watch)
    assert len(rows) == 1
    assert rows[0] <= 2 * newest.size.bit_length()


async def test_an_erased_persons_leaves_stay_provable_and_say_nothing(parts: Parts) -> None:
    platform = await scenes.a_platform(parts)
    subject_id, _ = await scenes.a_ready_person(parts, platform)
    before = await _sequence(parts, platform.tenant_id)
    assert before is not None
    await scenes.an_erasure(parts, platform, subject_id)
    leaves = await _leaves(parts, platform.tenant_id)
    verifier.check_log(leaves, verifier.open_checkpoint(before.note, await _keys(parts)))
    async with parts.database.tenant(platform.tenant_id) as session:
        assert (await session.exec(select(AuditEntry).where(AuditEntry.subject_id == subject_id))).all() == []
    assert not any(subject_id.hex.encode() in leaf for leaf in leaves)


async def test_an_entry_that_waits_or_is_not_in_the_checkpoint_is_not_proved(parts: Parts) -> None:
    platform = await scenes.a_platform(parts)
    first = await _sequence(parts, platform.tenant_id)
    assert first is not None
    await _append(parts, platform.tenant_id, 1)
    async with parts.database.tenant(platform.tenant_id) as session:
        waiting = (await session.exec(select(AuditEntry).where(AuditEntry.kind == "some.thing"))).one()
        with pytest.raises(NotFound):
            await log.inclusion(session, entry_id=waiting.id)
    await _sequence(parts, platform.tenant_id)
    async with parts.database.tenant(platform.tenant_id) as session:
        assert (await log.inclusion(session, entry_id=waiting.id)).entry.number == first.size
        with pytest.raises(NotFound):
            await log.inclusion(session, entry_id=waiting.id, size=first.size)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_entry SET number = number + 100",
        "UPDATE audit_entry SET number = NULL",
        "UPDATE audit_node SET hash = ''",
        "DELETE FROM audit_node",
        "UPDATE audit_checkpoint SET note = ''",
        "DELETE FROM audit_checkpoint",
        "DELETE FROM audit_tree",
    ],
)
async def test_the_application_may_rewrite_nothing_of_the_tree(parts: Parts, statement: str) -> None:
    platform = await scenes.a_platform(parts)
    await _sequence(parts, platform.tenant_id)
    with pytest.raises(DBAPIError):
        async with parts.database.tenant(platform.tenant_id) as session:
            await (await session.connection()).execute(text(statement))


REWRITES = {
    "edited": "UPDATE audit_entry SET kind = 'nothing.happened' WHERE number = 2",
    "cut": "DELETE FROM audit_entry WHERE number = 2",
    "reordered": """
        UPDATE audit_entry SET number = CASE number WHEN 2 THEN -1 ELSE -2 END WHERE number IN (2, 3);
        UPDATE audit_entry SET number = CASE number WHEN -1 THEN 3 ELSE 2 END WHERE number < 0
    """,
    "truncated": "DELETE FROM audit_entry WHERE number >= 4",
}


@pytest.mark.parametrize("how", REWRITES)
async def test_a_log_rewritten_by_whoever_owns_the_database_is_caught_from_one_earlier_checkpoint(
    parts: Parts, administrator_url: str, how: str
) -> None:
    platform = await scenes.a_platform(parts)
    await _append(parts, platform.tenant_id, 5)
    kept = await _sequence(parts, platform.tenant_id)
    assert kept is not None
    await _append(parts, platform.tenant_id, 3)
    await _sequence(parts, platform.tenant_id)
    opened = verifier.open_checkpoint(kept.note, await _keys(parts))
    verifier.check_log(await _leaves(parts, platform.tenant_id), opened)
    administrator = await asyncpg.connect(administrator_url)
    await administrator.execute("SET session_replication_role = replica")
    await administrator.execute(REWRITES[how])
    await administrator.close()
    with pytest.raises(verifier.NotVerified, match="log:"):
        verifier.check_log(await _leaves(parts, platform.tenant_id), opened)


async def test_a_fork_signed_with_the_true_key_is_caught_from_one_earlier_checkpoint(
    parts: Parts, administrator_url: str
) -> None:
    """The whole tree is thrown away and built anew over other leaves, checkpoints and all."""
    platform = await scenes.a_platform(parts)
    await _append(parts, platform.tenant_id, 5)
    kept = await _sequence(parts, platform.tenant_id)
    assert kept is not None
    administrator = await asyncpg.connect(administrator_url)
    await administrator.execute("SET session_replication_role = replica")
    await administrator.execute("TRUNCATE audit_tree, audit_node, audit_checkpoint")
    await administrator.execute("DELETE FROM audit_entry WHERE number = 3; UPDATE audit_entry SET number = NULL")
    await administrator.close()
    await _append(parts, platform.tenant_id, 3)
    forged = await _sequence(parts, platform.tenant_id)
    assert forged is not None
    keys = await _keys(parts)
    old, new = (verifier.open_checkpoint(one.note, keys) for one in (kept, forged))
    with pytest.raises(verifier.NotVerified, match="log:"):
        verifier.check_log(await _leaves(parts, platform.tenant_id), old)
    # No proof that anyone could send leads from the one to the other; the fork's own does not.
    async with parts.database.tenant(platform.tenant_id) as session:
        await (await session.connection()).execute(
            text(
                "INSERT INTO audit_checkpoint SELECT tenant_id, :size, root_hash, note, false, signed_at"
                " FROM audit_checkpoint"
            ),
            {"size": old.size},
        )
        proof = (await log.consistency(session, old=old.size, size=new.size)).proof
    with pytest.raises(verifier.NotVerified):
        verifier.check_consistency(old.size, old.root, new.size, new.root, proof)


@given(st.integers(2, 60), st.integers(0, 2**32))
@settings(max_examples=200, deadline=None)
def test_any_rewriting_of_what_a_checkpoint_covers_is_caught(count: int, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 (the same rewriting each time)
    leaves = [b"leaf %d" % number for number in range(count)]
    size = chance.randint(1, count)
    true = verifier.Checkpoint("likeness/x", size, _root(leaves[:size]))
    verifier.check_log(leaves, true)
    place, other = chance.randrange(size), chance.randrange(count)
    rewritten = list(leaves)
    match chance.choice(["edit", "cut", "insert", "swap", "truncate"]):
        case "edit":
            rewritten[place] += b"!"
        case "cut":
            del rewritten[place]
        case "insert":
            rewritten.insert(place, b"never happened")
        case "swap":
            rewritten[place], rewritten[other] = rewritten[other], rewritten[place]
        case _:
            del rewritten[place:]
    if rewritten[:size] == leaves[:size]:
        return
    with pytest.raises(verifier.NotVerified):
        verifier.check_log(rewritten, true)


def _root(leaves: list[bytes]) -> bytes:
    return naive_root([verifier.hash_leaf(leaf) for leaf in leaves])
