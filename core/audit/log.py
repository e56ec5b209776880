"""The log as a tree: give leaves their numbers, sign checkpoints, prove.

Invariants of this file:
- Leaves are appended without a number, in the transactions of what they tell, and wait for nobody. The sequencer comes
  later, holds the tenant's row of `audit_tree`, and numbers them without gaps in the order in which it finds them.
- Numbers, nodes and checkpoints are only ever added. A checkpoint is signed in the transaction that adds what it
  covers, so no two checkpoints of one log contradict each other.
- A proof reads O(log n) nodes, in one statement.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, insert, text, tuple_
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.audit import note, tree
from core.audit.models import AuditCheckpoint, AuditEntry, AuditNode, AuditTree
from core.errors import NotFound
from core.ids import first_id_of

AT_ONCE = 1000
LOOKED_AT = 5000

_NUMBER = text("""
    UPDATE audit_entry SET number = given.number
    FROM unnest(CAST(:ids AS uuid[]), CAST(:numbers AS bigint[])) AS given (id, number)
    WHERE audit_entry.id = given.id
""")


@dataclass(frozen=True)
class Inclusion:
    """That an entry is in the tree of a checkpoint: the audit path of RFC 6962, from the leaf's sibling up."""

    entry: AuditEntry
    checkpoint: AuditCheckpoint
    proof: list[bytes]


@dataclass(frozen=True)
class Consistency:
    """That the tree of the later checkpoint begins with the whole tree of the earlier one."""

    earlier: AuditCheckpoint
    later: AuditCheckpoint
    proof: list[bytes]


async def sequence(session: AsyncSession, *, tenant_id: UUID, signer: note.Signer) -> AuditCheckpoint | None:
    """Take up to 1,000 waiting leaves into the tree, and sign it. None when none waits."""
    # 1. One sequencer at a time for this tenant.
    await session.exec(upsert(AuditTree).values(tenant_id=tenant_id, size=0).on_conflict_do_nothing())
    query = select(AuditTree).where(AuditTree.tenant_id == tenant_id).with_for_update()
    grown = (await session.exec(query.execution_options(populate_existing=True))).one()
    # 2. The leaves that wait.
    waiting = (
        await session.exec(
            select(AuditEntry.id, AuditEntry.leaf_hash)
            .where(AuditEntry.tenant_id == tenant_id, col(AuditEntry.number).is_(None))
            .order_by(col(AuditEntry.id))
            .limit(AT_ONCE)
        )
    ).all()
    if not waiting:
        return None
    ids, hashes = [entry_id for entry_id, _ in waiting], [leaf_hash for _, leaf_hash in waiting]
    numbers = range(grown.size, grown.size + len(ids))
    await (await session.connection()).execute(_NUMBER, {"ids": ids, "numbers": list(numbers)})
    # 3. The subtrees that are complete now.
    edge = await _nodes(session, tenant_id, tree.cover((0, grown.size)))
    added = dict(tree.grow(grown.size, hashes, edge))
    rows = [
        {"tenant_id": tenant_id, "level": level, "place": place, "hash": found}
        for (level, place), found in added.items()
    ]
    await (await session.connection()).execute(insert(AuditNode), rows)
    # 4. The checkpoint.
    grown.size = numbers.stop
    session.add(grown)
    root = tree.hash_of((0, grown.size), edge | added)
    name = note.origin(tenant_id)
    signed = note.sign(note.checkpoint_text(name, size=grown.size, root_hash=root), name=name, signer=signer)
    checkpoint = AuditCheckpoint(tenant_id=tenant_id, size=grown.size, root_hash=root, note=signed)
    session.add(checkpoint)
    await session.flush()
    return checkpoint


async def waiting(session: AsyncSession, *, limit: int) -> Sequence[UUID]:
    """Tenants with leaves that have no number yet. In a system session."""
    query = select(AuditEntry.tenant_id).where(col(AuditEntry.number).is_(None)).distinct().limit(limit)
    return (await session.exec(query)).all()


async def checkpoint(session: AsyncSession, *, size: int | None = None) -> AuditCheckpoint:
    """The newest checkpoint, or the one of this very size. Raises NotFound."""
    query = select(AuditCheckpoint).order_by(col(AuditCheckpoint.size).desc()).limit(1)
    if size is not None:
        query = query.where(AuditCheckpoint.size == size)
    found = (await session.exec(query)).first()
    if found is None:
        raise NotFound("There is no such checkpoint." if size is not None else "No checkpoint has been signed yet.")
    return found


async def entries(session: AsyncSession, *, start: int, limit: int) -> Sequence[AuditEntry]:
    """Sequenced entries from this number on, in the order of the log."""
    query = select(AuditEntry).where(col(AuditEntry.number) >= start).order_by(col(AuditEntry.number)).limit(limit)
    return (await session.exec(query)).all()


async def checkpoints(session: AsyncSession, *, before: int | None, limit: int) -> Sequence[AuditCheckpoint]:
    """Checkpoints of the session's tenant, the newest first, smaller than `before`."""
    query = select(AuditCheckpoint).order_by(col(AuditCheckpoint.size).desc()).limit(limit)
    if before is not None:
        query = query.where(AuditCheckpoint.size < before)
    return (await session.exec(query)).all()


async def search(
    session: AsyncSession,
    *,
    kind: str | None = None,
    actor: str | None = None,
    subject_id: UUID | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    before: UUID | None = None,
    limit: int,
) -> tuple[Sequence[AuditEntry], UUID | None]:
    """Entries of the session's tenant that fit, newest first, and where to go on; None: everything was looked at.

    A page looks at no more than `LOOKED_AT` entries, so that a rare kind in a long log costs what a common one does;
    a page may be empty and still have a following one. Entries of one person have an index of their own.
    """
    within: list[ColumnElement[bool]] = []
    if since is not None:
        within.append(col(AuditEntry.id) >= first_id_of(since))
    if until is not None:
        within.append(col(AuditEntry.id) < first_id_of(until))
    if before is not None:
        within.append(col(AuditEntry.id) < before)
    if subject_id is not None:
        within.append(col(AuditEntry.subject_id) == subject_id)
    newest_first = col(AuditEntry.id).desc()
    edge = select(AuditEntry.id).where(*within).order_by(newest_first).offset(LOOKED_AT - 1).limit(1)
    floor = (await session.exec(edge)).first()
    query = select(AuditEntry).where(*within).order_by(newest_first).limit(limit + 1)
    if floor is not None:
        query = query.where(col(AuditEntry.id) >= floor)
    if kind is not None:
        query = query.where(AuditEntry.kind == kind)
    if actor is not None:
        query = query.where(AuditEntry.actor == actor)
    found = (await session.exec(query)).all()
    if len(found) > limit:
        return found[:limit], found[limit - 1].id
    return found, floor


async def inclusion(
    session: AsyncSession, *, entry_id: UUID | None = None, number: int | None = None, size: int | None = None
) -> Inclusion:
    """Prove that an entry, named by its id or its number, is in the log. size: of the checkpoint, else the newest.

    Raises NotFound for an entry that is unknown, waits for its number, or is not in that checkpoint.
    """
    named = AuditEntry.id == entry_id if number is None else AuditEntry.number == number
    entry = (await session.exec(select(AuditEntry).where(named))).first()
    if entry is None:
        raise NotFound
    found = await checkpoint(session, size=size)
    if entry.number is None or entry.number >= found.size:
        raise NotFound("The entry is not in this checkpoint; a later one will hold it.")
    proof = await _hashes(session, found.tenant_id, tree.inclusion_ranges(entry.number, found.size))
    return Inclusion(entry=entry, checkpoint=found, proof=proof)


async def consistency(session: AsyncSession, *, old: int, size: int | None = None) -> Consistency:
    """Prove that the log only grew since the checkpoint of size `old`. Raises NotFound for an unknown checkpoint."""
    earlier, later = await checkpoint(session, size=old), await checkpoint(session, size=size)
    if earlier.size > later.size:
        earlier, later = later, earlier
    proof = await _hashes(session, later.tenant_id, tree.consistency_ranges(earlier.size, later.size))
    return Consistency(earlier=earlier, later=later, proof=proof)


async def _hashes(session: AsyncSession, tenant_id: UUID, spans: Sequence[tree.Range]) -> list[bytes]:
    nodes = await _nodes(session, tenant_id, tree.nodes_for(spans))
    return [tree.hash_of(span, nodes) for span in spans]


async def _nodes(session: AsyncSession, tenant_id: UUID, named: Iterable[tree.Node]) -> dict[tree.Node, bytes]:
    wanted = sorted(named)
    if not wanted:
        return {}
    place = tuple_(col(AuditNode.level), col(AuditNode.place))
    query = select(AuditNode.level, AuditNode.place, AuditNode.hash).where(
        AuditNode.tenant_id == tenant_id, place.in_(wanted)
    )
    return {(level, at): found for level, at, found in (await session.exec(query)).all()}
