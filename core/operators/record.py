"""The log of what operators did: every act, with and without a tenant, in one chain.

Invariants of this file:
- An entry is written in the transaction of what it tells. It holds ids and states, and no name or address.
- hash = SHA-256(0x00 ‖ canonical entry), and the entry holds the hash before it; the database refuses an entry that
  does not follow the last one, and any change or deletion of one.
- Once a transaction has committed, the head of the chain is signed with the key of the deployment, in the same signed
  note as the checkpoints of tenants' logs. Whoever kept one notices when the log was cut or rewritten.
- What concerns a tenant is also a leaf of that tenant's own log (`core.audit`), which the tenant can check.
"""

import hashlib
from collections.abc import Mapping, Sequence
from functools import partial
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.audit import note
from core.audit.service import Fact, canonical
from core.clock import now
from core.db import Database, after_commit
from core.keyring.service import Keyring
from core.operators.models import OperatorAct, OperatorActHead

NAME = "likeness/operators"
_TURN = text("SELECT pg_advisory_xact_lock(hashtextextended('likeness.operator_act', 0))")


class ChainBroken(Exception):
    """An entry does not follow the one before it, or is not what its hash says. `number`: the first such entry."""

    def __init__(self, number: int) -> None:
        super().__init__(f"entry {number} does not hold")
        self.number = number


async def append(
    session: AsyncSession,
    *,
    kind: str,
    actor: str,
    facts: Mapping[str, Fact] | None = None,
    about: UUID | None = None,
) -> OperatorAct:
    """Add an entry in the caller's operator session. about: the tenant that it concerns."""
    await (await session.connection()).execute(_TURN)
    last = (await session.exec(select(OperatorAct).order_by(col(OperatorAct.number).desc()).limit(1))).first()
    act = OperatorAct(
        number=0 if last is None else last.number + 1,
        kind=kind,
        actor=actor,
        about_tenant_id=about,
        facts=dict(facts or {}),
        recorded_at=now(),
        previous_hash=b"" if last is None else last.hash,
        hash=b"",
    )
    act.hash = hash_of(act)
    session.add(act)
    await session.flush()
    return act


def hash_of(act: OperatorAct) -> bytes:
    """What the entry's hash must be."""
    told: dict[str, Fact] = {f"fact.{name}": value for name, value in act.facts.items()}
    told |= {
        "number": act.number,
        "kind": act.kind,
        "actor": act.actor,
        "about": None if act.about_tenant_id is None else act.about_tenant_id.hex,
        "at": int(act.recorded_at.timestamp() * 1_000_000),
        "previous": act.previous_hash.hex(),
    }
    return hashlib.sha256(b"\x00" + canonical(told)).digest()


def sign_after_commit(session: AsyncSession, database: Database, keyring: Keyring) -> None:
    """Sign the head once this session has committed. One that cannot be signed now is covered by the next."""
    after_commit(session, partial(sign_head, database, keyring))


async def sign_head(database: Database, keyring: Keyring) -> None:
    """Sign how far the log reaches now."""
    signer = await keyring.signing.active()
    async with database.operator() as session:
        last = (await session.exec(select(OperatorAct).order_by(col(OperatorAct.number).desc()).limit(1))).first()
        if last is None:
            return
        said = note.checkpoint_text(NAME, size=last.number + 1, root_hash=last.hash)
        signed = note.sign(said, name=NAME, signer=signer)
        values = {"number": last.number, "hash": last.hash, "note": signed, "signed_at": now()}
        await session.exec(insert(OperatorActHead).values(values).on_conflict_do_nothing())


async def page(session: AsyncSession, *, before: int | None, about: UUID | None, limit: int) -> Sequence[OperatorAct]:
    """Entries, newest first."""
    query = select(OperatorAct).order_by(col(OperatorAct.number).desc()).limit(limit)
    if before is not None:
        query = query.where(OperatorAct.number < before)
    if about is not None:
        query = query.where(OperatorAct.about_tenant_id == about)
    return (await session.exec(query)).all()


async def head(session: AsyncSession) -> OperatorActHead | None:
    """The newest signed statement."""
    query = select(OperatorActHead).order_by(col(OperatorActHead.number).desc()).limit(1)
    return (await session.exec(query)).first()


async def verify(session: AsyncSession) -> int:
    """Walk the whole chain, and every signed head against it; returns its length. Raises `ChainBroken`."""
    heads = {one.number: one.hash for one in (await session.exec(select(OperatorActHead))).all()}
    before = b""
    number = -1
    for number, act in enumerate((await session.exec(select(OperatorAct).order_by(col(OperatorAct.number)))).all()):
        whole = act.number == number and act.previous_hash == before and act.hash == hash_of(act)
        if not whole or heads.pop(number, act.hash) != act.hash:
            raise ChainBroken(number)
        before = act.hash
    if heads:
        raise ChainBroken(min(heads))
    return number + 1
