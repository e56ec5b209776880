"""After a restore: hold again what was held, and let stand still again what was made to stand still.

A hold comes back under its id, without its reason, which is lost. The request behind a restriction or an objection
comes back under its id too, open, from the day on which it came; somebody has to answer it once more. What was let go
or lifted since the backup is so again, and such a request closed. Of an erased person nothing comes back.

What the ledger does not know for certain is held: a hold whose release was not entered before a crash stands.
"""

from collections import Counter
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import Final
from uuid import UUID

from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.clock import now
from core.consent.models import Restriction
from core.db import Database
from core.errors import Gone, NotFound
from core.keyring.service import Keyring
from core.rights import requests
from core.rights.models import RequestState
from core.rights.rules import Kind as RequestKind
from core.storage.service import SealedStore
from core.storage.tombstones import Entry, Kind, Tombstones
from core.terms import holds
from core.terms.models import LegalHold
from core.terms.policy import DataClass

ACTOR: Final = "restore"
REASON_LOST: Final = "Placed again after a restore, which lost the reason."
_LONGEST_AGO: Final = requests.LONGEST_BACKDATING - timedelta(days=1)


async def take_up(
    database: Database, store: SealedStore, tombstones: Tombstones, *, tenants: set[UUID]
) -> Counter[str]:
    """Do it for these tenants. How many holds and restrictions were not as they should be, by kind."""
    over = {entry.id async for entry in tombstones.entries(Kind.ENDED)}
    done: Counter[str] = Counter()
    for kind, work in ((Kind.HOLD, _hold), (Kind.RESTRICTION, _restriction)):
        entries = [entry async for entry in tombstones.entries(kind) if entry.tenant_id in tenants]
        for entry in sorted(entries, key=lambda one: one.at):
            with suppress(NotFound, Gone):  # they came after the backup was made, or are erased
                async with database.tenant(entry.tenant_id) as session:
                    done[kind.value] += await work(session, store.keyring, entry, over=entry.id in over)
    return done


async def _hold(session: AsyncSession, keyring: Keyring, entry: Entry, *, over: bool) -> bool:
    until = datetime.fromisoformat(entry.facts["until"])
    known = await session.get(LegalHold, entry.id)
    if known is not None and over and holds.is_standing(known):
        await holds.release(session, known.id, actor=ACTOR)
        return True
    if known is not None or over or until <= now():
        return False
    await holds.place(
        session,
        keyring,
        subject_id=UUID(hex=entry.facts["subject"]),
        reason=REASON_LOST,
        expires_at=until,
        actor=ACTOR,
        data_classes=[DataClass(name) for name in entry.facts["classes"]],
        hold_id=entry.id,
    )
    return True


async def _restriction(session: AsyncSession, keyring: Keyring, entry: Entry, *, over: bool) -> bool:
    known = (await session.exec(select(Restriction).where(Restriction.request_id == entry.id))).first()
    if known is not None and over and known.lifted_at is None:
        if (await requests.get(session, entry.id)).state == RequestState.RECEIVED:
            await requests.complete(session, request_id=entry.id, actor=ACTOR)
        await requests.lift(session, request_id=entry.id, actor=ACTOR)
        return True
    if known is not None or over:
        return False
    receive = partial(
        requests.receive,
        session,
        keyring,
        subject_id=UUID(hex=entry.facts["subject"]),
        kind=RequestKind(entry.facts["asked"]),
        actor=ACTOR,
        received_at=max(entry.at, now() - _LONGEST_AGO),
        request_id=entry.id,
    )
    known_open, is_new = await receive()
    if not is_new:  # it was answered before this one came, which would have joined it otherwise
        await requests.complete(session, request_id=known_open.id, actor=ACTOR)
        await receive()
    return True
