"""After a restore: erase again whoever and whatever was erased since the backup was made.

The restored database does not know of it; the tombstone ledger, which is kept apart, does (`core.storage.tombstones`).
Until this is through nobody is served: `core.db` refuses every tenant session but the replay's own.

    1. signers    what a key signed that was made after the backup can still be checked: its public half is published
                  again
       log        each tenant's log says that it was restored, to which backup, as its first leaf after the cut; and,
                  if so, that it was done without the ledger
    2. tenants    those that had left lose their keys again
    3. people     each is erased by the ordinary way. One whose key alone came back, from a copy of the key store that
                  is not of the database's moment, loses the key again, whether the database knows them or not
    4. assets     each deleted photo and headshot is deleted again, whatever is held: holds stay as they were restored
    5. consents   what was taken back is taken back again
    6. API keys   what was revoked is revoked again
    7. duties     what was held is held again, what was to stand still stands still again (`core.rights.duties`)
       ledger     what was only announced is entered, because it was treated as done: another restore will find it

Each piece commits by itself and changes nothing when it is repeated, so it may be killed anywhere and begun again.
"""

import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import timedelta
from uuid import UUID

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.audit import service as audit
from core.audit.models import AuditEntry, AuditTree
from core.clock import now
from core.consent import service as consent
from core.consent.models import Action, Purpose
from core.db import Database
from core.errors import Gone, NotFound, StateConflict
from core.headshots import queries as headshots
from core.headshots.models import Headshot, HeadshotState
from core.keyring.service import Keyring
from core.photos import service as photos
from core.photos.models import Photo, PhotoState
from core.rights import duties, erase, exports, leave
from core.rights.duties import ACTOR
from core.rights.models import DepartureState, Restoration, RestorationPhase, Tombstone
from core.storage.models import Asset, AssetState
from core.storage.service import SealedStore
from core.storage.tombstones import Entry, Kind, Tombstones
from core.subjects.models import Subject
from core.tenants import service as tenants
from core.tenants.models import ApiKey, Tenant
from core.terms import holds
from core.terms.models import LegalHold

logger = logging.getLogger("likeness.rights")

RESTORED = "log.restored"
LEDGER_LOST = "ledger-lost"
UNSETTLED_AFTER = timedelta(hours=1)
PAGE = 100
_WITH_KEYS = frozenset({Kind.TENANT, Kind.SUBJECT})

Say = Callable[[str], None]


async def open_restoration(database: Database) -> Restoration | None:
    """The restore that is not done, if there is one."""
    async with database.system() as session:
        found = await session.exec(select(Restoration).where(col(Restoration.finished_at).is_(None)))
        return found.first()


async def replay(
    database: Database, store: SealedStore, tombstones: Tombstones, *, say: Say = lambda _: None
) -> dict[str, int]:
    """Replay the whole ledger, then open the door. How much was erased again, by kind. Raises what stopped it.

    database: one that was opened for the replay. Does nothing when no restore is open.
    """
    restoration = await open_restoration(database)
    if restoration is None:
        return {}
    known = await _tenants(database)
    done: Counter[str] = Counter()
    # 1. Signers, and the log.
    async for entry in tombstones.entries(Kind.SIGNING_KEY):
        await store.keyring.signing.adopt(bytes.fromhex(entry.facts["public_key"]))
    for tenant_id in known:
        await _note(database, tenant_id, restoration)
    # 2. to 6.
    for kind, again in _AGAIN:
        async for entry in _everything(tombstones, kind):
            if entry.tenant_id in known:
                done[kind.value] += await again(database, store, entry)
            elif kind in _WITH_KEYS:
                await _key_again(database, store.keyring, entry)
        say(f"{kind.value}: {done[kind.value]} again")
    # 7. Duties.
    for name, count in (await duties.take_up(database, store, tombstones, tenants=known)).items():
        done[name] = count
        say(f"{name}: {count} again")
    async for entry in tombstones.announced():
        await tombstones.settle(entry)
    async with database.system() as session:
        standing = await session.get_one(Restoration, restoration.id)
        standing.phase, standing.finished_at = RestorationPhase.DONE.value, now()
        standing.replayed = dict(done)
        session.add(standing)
    return dict(done)


async def settle(database: Database, tombstones: Tombstones) -> int:
    """Settle what a crash left announced: entered where the tombstone stands, withdrawn where there is none.

    Only what was announced so long ago that its transaction has surely ended; should the same be asked for again just
    now, that one is waited for. How many there were.
    """
    settled = 0
    async for entry in tombstones.announced(older_than=UNSETTLED_AFTER):
        # What is locked here is locked before an announcement: while we look and write, nobody announces it anew.
        async with database.tenant(entry.tenant_id) as session:
            if await _stands(session, entry):
                await tombstones.settle(entry)
            else:
                logger.warning("an erasure that was announced never committed", extra={"tenant": entry.tenant_id.hex})
                await tombstones.withdraw(entry)
        settled += 1
    return settled


async def _stands(session: AsyncSession, entry: Entry) -> bool:
    if entry.kind is Kind.SUBJECT:
        await session.exec(select(Subject.id).where(Subject.id == entry.id).with_for_update())
        return await session.get(Tombstone, entry.id) is not None
    try:
        return (await leave.held(session, entry.tenant_id)).shredded_at is not None
    except NotFound:
        return False


async def _everything(tombstones: Tombstones, kind: Kind) -> AsyncIterator[Entry]:
    """What was entered, then what was only announced: the person had asked for it."""
    async for entry in tombstones.entries(kind):
        yield entry
    async for entry in tombstones.announced():
        if entry.kind is kind:
            yield entry


async def _tenants(database: Database) -> set[UUID]:
    async with database.system() as session:
        return set((await session.exec(select(Tenant.id))).all())


async def _note(database: Database, tenant_id: UUID, restoration: Restoration) -> None:
    # The facts are only committed to; the actor is what everybody can read.
    actor = f"{ACTOR}:{restoration.id.hex}" + (f":{LEDGER_LOST}" if restoration.ledger_lost else "")
    async with database.tenant(tenant_id) as session:
        said = select(AuditEntry.id).where(AuditEntry.kind == RESTORED, AuditEntry.actor == actor)
        if (await session.exec(said)).first() is not None:
            return
        size = (await session.exec(select(AuditTree.size))).first() or 0
        facts: dict[str, str | int] = {
            "backup": restoration.backup_id.hex,
            "at": restoration.backup_at.isoformat(),
            "size": size,
        }
        if restoration.ledger_lost:
            facts["ledger"] = "lost"
        await audit.append(session, tenant_id=tenant_id, kind=RESTORED, actor=actor, facts={**facts})


async def _tenant_again(database: Database, store: SealedStore, entry: Entry) -> int:
    tenant_id = entry.tenant_id
    departure = await leave.suspend(database, tenant_id=tenant_id, actor=ACTOR)
    if departure.state != DepartureState.LEAVING:
        return 0
    async with database.tenant(tenant_id) as session:
        while standing := await holds.page(session, standing_only=True, before=None, limit=PAGE):
            await _let_go(session, standing)
    await leave.shred(database, store.keyring, tenant_id=tenant_id, actor=ACTOR, without_archive=True)
    try:
        await leave.finish(database, store, tenant_id=tenant_id)
    except StateConflict:
        logger.info("a departure is certified by the sweep", extra={"tenant": tenant_id.hex})
    return 1


async def _person_again(database: Database, store: SealedStore, entry: Entry) -> int:
    try:
        async with database.tenant(entry.tenant_id) as session:
            known = await session.get(Tombstone, entry.id)
            if known is None:
                await _let_go(session, await holds.standing(session, entry.id))
                await erase.begin(session, store.keyring, subject_id=entry.id, actor=ACTOR)
    except NotFound:  # they came after the backup of the database was made
        await _key_again(database, store.keyring, entry)
        return 0
    if known is not None and await store.keyring.holds_subject_key(entry.tenant_id, entry.id):
        await _shred_again(database, store.keyring, entry)
        return 1
    await erase.finish(database, store, tenant_id=entry.tenant_id, subject_id=entry.id)
    return int(known is None)


async def _let_go(session: AsyncSession, standing: Sequence[LegalHold]) -> None:
    """Release holds on somebody who was erased since the backup was made: they had ended by then."""
    for hold in standing:
        await holds.release(session, hold.id, actor=ACTOR)


async def _key_again(database: Database, keyring: Keyring, entry: Entry) -> None:
    """Destroy the keys that a later copy of the key store brought back for somebody whom the database does not know."""
    async with database.tenant(entry.tenant_id) as session:
        if entry.kind is Kind.TENANT:
            await keyring.shred_tenant(session)
        else:
            await keyring.shred_subject(session, entry.id)


async def _shred_again(database: Database, keyring: Keyring, entry: Entry) -> None:
    async with database.tenant(entry.tenant_id) as session:
        await keyring.shred_subject(session, entry.id)
        await audit.append(session, tenant_id=entry.tenant_id, kind="subject.shredded", actor=ACTOR, facts={})


async def _asset_again(database: Database, store: SealedStore, entry: Entry) -> int:
    async with database.tenant(entry.tenant_id) as session:
        asset = await session.get(Asset, entry.id)
        if asset is None or asset.state == AssetState.ERASED:
            return 0
        photo = (await session.exec(select(Photo).where(Photo.asset_id == asset.id))).first()
        if photo is not None and photo.state != PhotoState.ERASED:
            await photos.delete(session, store, photo, actor=ACTOR, whatever_holds=True)
            return 1
        of_person = select(Headshot).where(
            Headshot.subject_id == asset.subject_id, Headshot.state != HeadshotState.ERASED
        )
        for headshot in (await session.exec(of_person)).all():
            if asset.id.hex in headshot.assets.values():
                await headshots.delete(session, store, headshot, actor=ACTOR, whatever_holds=True)
        # Else the request would go on being answered with a file that is not there.
        export = await exports.of_file(session, asset)
        if export is not None:
            await exports.delete(session, store, export, actor=ACTOR)
        else:
            await store.delete(session, asset)
        return 1


async def _consent_again(database: Database, _store: SealedStore, entry: Entry) -> int:
    purpose, subject_id = Purpose(entry.facts["purpose"]), UUID(hex=entry.facts["subject"])
    try:
        async with database.tenant(entry.tenant_id) as session:
            newest = (await consent.current(session, subject_id)).get(purpose)
            if newest is None or newest.action != Action.GRANTED or newest.id >= entry.id:
                return 0
            await consent.withdraw(session, consent_id=newest.id, actor=ACTOR)
            return 1
    except (NotFound, Gone):
        return 0


async def _api_key_again(database: Database, _store: SealedStore, entry: Entry) -> int:
    async with database.tenant(entry.tenant_id) as session:
        key = await session.get(ApiKey, entry.id)
        if key is None or key.revoked_at is not None:
            return 0
        await tenants.revoke_api_key(session, tenant_id=entry.tenant_id, key_id=entry.id, actor=ACTOR)
        return 1


_AGAIN = (
    (Kind.TENANT, _tenant_again),
    (Kind.SUBJECT, _person_again),
    (Kind.ASSET, _asset_again),
    (Kind.CONSENT, _consent_again),
    (Kind.API_KEY, _api_key_again),
)
