"""A whole tenant leaves: its keys are destroyed at once, then everything that they wrapped, and the proof is signed.

    1. suspend       nothing new is started; until the keys are destroyed the tenant may still stay
    2. archive       what the platform takes with it is handed out first (`core.rights.archive`), and its digest noted
    3. keys          one transaction: every key of the tenant dies, its endpoints and API keys with them. When it
                     commits nothing sealed for anybody of this tenant can be read again, however many they are
    4. people        each person's tombstone, in chunks, then the ordinary erasure of each (`core.rights.erase`)
    5. objects       whatever else lies in the tenant's folder
    6. rows          what is left of the platform itself
    7. rescan        database, key store and objects are looked through again, for the whole tenant
    8. certificate   what was done and seen, in the log and signed; the same verifier checks it

Steps 4 to 8 commit by themselves and change nothing when they are repeated, so `finish` may be killed anywhere and
begun again; the sweep takes up what was left. A certificate of each person follows by the ordinary way.
"""

import hashlib
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, text, update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.audit import log
from core.audit import service as audit
from core.clock import now
from core.db import Database
from core.errors import NotFound, StateConflict
from core.idempotency.models import IdempotencyRecord
from core.ids import Prefix, new_id, public
from core.keyring.service import Keyring
from core.photos import service as photos
from core.queue import Task, wake_after_commit
from core.rights import checkpoints, erase, exports
from core.rights.certificate import TENANT_FORMAT, TENANT_LEAF_KIND, sign, tenant_body_of
from core.rights.models import Departure, DepartureState, ErasureState, Tombstone
from core.rights.tables import remaining_of_all, tables_of_people
from core.storage.models import Asset
from core.storage.service import SealedStore
from core.storage.tombstones import Kind, ledger_of, remember_once_committed
from core.subjects.models import Subject
from core.tenants import service as tenants
from core.tenants.models import ApiKey, Tenant, TenantState
from core.terms import holds
from core.webhooks.models import WebhookDelivery, WebhookEndpoint

logger = logging.getLogger("likeness.rights")

ACTOR = "departure"
CHUNK = 100
LEFT = "left"


class Step(StrEnum):
    """The steps, in order."""

    SUSPEND = "suspend"
    ARCHIVE = "archive"
    KEYS = "keys"
    PEOPLE = "people"
    OBJECTS = "objects"
    ROWS = "rows"
    RESCAN = "rescan"
    CERTIFICATE = "certificate"


Watch = Callable[[Step], None]


def unwatched(_step: Step) -> None:
    """Nobody looks on."""


async def suspend(database: Database, *, tenant_id: UUID, actor: str) -> Departure:
    """Begin: suspend the tenant. Repeating it changes nothing. Raises NotFound.

    What the tenant was before is noted first, so that a try that was cut off does not take its own work for that.
    """
    async with database.system() as session:
        state = (await tenants.get_tenant(session, tenant_id)).state
    async with database.tenant(tenant_id) as session:
        departure = await session.get(Departure, tenant_id)
        if departure is None:
            departure = Departure(tenant_id=tenant_id, state_before=state)
            session.add(departure)
            await session.flush()
    if departure.state != DepartureState.LEAVING:
        return departure
    begun = Step.SUSPEND in departure.steps
    if state != TenantState.SUSPENDED or not begun:
        await tenants.set_state(database, tenant_id=tenant_id, state=TenantState.SUSPENDED, actor=actor)
    if begun:
        return departure
    async with database.tenant(tenant_id) as session:
        departure = await held(session, tenant_id)
        departure.done(Step.SUSPEND)
        session.add(departure)
        return departure


async def stay(database: Database, *, tenant_id: UUID, actor: str) -> TenantState:
    """Call it off, as long as the keys live: the tenant is what it was before, active or suspended.

    Raises NotFound, and StateConflict when the keys are destroyed.
    """
    async with database.tenant(tenant_id) as session:
        departure = _require_keys(await held(session, tenant_id))
        # The state first: cut off here, it is still known what to go back to.
        before = TenantState(departure.state_before)
        await tenants.set_state(database, tenant_id=tenant_id, state=before, actor=actor)
        await session.delete(departure)
    return before


async def call_off(session: AsyncSession, tenant_id: UUID) -> None:
    """Forget that the tenant was to leave, in the caller's transaction; nothing, where it was not.

    The caller holds the tenant's row, which whoever works on the departure may ask for next, so nobody is waited for.
    Raises StateConflict when somebody is at it at this moment, and when the keys are destroyed.
    """
    if await session.get(Departure, tenant_id) is None:
        return
    query = select(Departure).where(Departure.tenant_id == tenant_id).with_for_update(skip_locked=True)
    departure = (await session.exec(query.execution_options(populate_existing=True))).first()
    if departure is None:
        raise StateConflict("Somebody else is letting the tenant leave or stay at this moment. Look again.")
    await session.delete(_require_keys(departure))


def _require_keys(departure: Departure) -> Departure:
    if departure.state != DepartureState.LEAVING:
        raise StateConflict("The tenant's keys are destroyed: nothing brings it back.")
    return departure


async def note_archive(database: Database, *, tenant_id: UUID, sha256: str, actor: str) -> Departure:
    """Note the digest of the archive that was handed out. Raises StateConflict once the keys are destroyed."""
    async with database.tenant(tenant_id) as session:
        departure = await held(session, tenant_id)
        if departure.state != DepartureState.LEAVING:
            raise StateConflict("The tenant's keys are destroyed; there is nothing to take any more.")
        departure.archive_sha256, departure.archived_at = sha256, now()
        departure.done(Step.ARCHIVE)
        session.add(departure)
        facts = {"sha256": sha256}
        await audit.append(session, tenant_id=tenant_id, kind="tenant.archived", actor=actor, facts=facts)
        return departure


async def shred(
    database: Database, keyring: Keyring, *, tenant_id: UUID, actor: str, without_archive: bool = False
) -> Departure:
    """Destroy every key of the tenant, in one transaction. Doing it again changes nothing.

    Raises NotFound for a tenant that was not suspended by `suspend`, and StateConflict while nothing was archived,
    unless `without_archive` says that nothing is to be taken; LegalHoldStands while anybody's data is held.
    """
    async with database.tenant(tenant_id) as session:
        departure = await held(session, tenant_id)
        if departure.state != DepartureState.LEAVING:
            return departure
        if departure.archive_sha256 is None and not without_archive:
            raise StateConflict("Nothing was archived yet. Take the archive first, or say that none is wanted.")
        await holds.require_none_of_tenant(session, tenant_id)
        await remember_once_committed(session, Kind.TENANT, tenant_id=tenant_id, id=tenant_id)
        departure.removed = {
            "keys": await keyring.shred_tenant(session),
            "deliveries": await _delete(session, WebhookDelivery),
            "endpoints": await _delete(session, WebhookEndpoint),
            "api_keys": await _revoke(session),
        }
        departure.state, departure.shredded_at = DepartureState.SHREDDED.value, now()
        departure.next_at = departure.shredded_at
        departure.done(Step.KEYS)
        session.add(departure)
        await audit.append(session, tenant_id=tenant_id, kind="tenant.shredded", actor=actor, facts={})
        wake_after_commit(session, Task.LEAVE, tenant_id)
        return departure


async def finish(database: Database, store: SealedStore, *, tenant_id: UUID, watch: Watch = unwatched) -> Departure:
    """Remove what the destroyed keys left behind, look that it is gone, and certify it. Raises what stopped it.

    StateConflict: it is too soon, because a process may still hold a key, or a worker a job. watch: called with each
    step before it begins, and with PEOPLE again before each chunk.
    """
    departure = await of_tenant(database, tenant_id)
    if departure.state == DepartureState.LEAVING:
        raise StateConflict("The tenant's keys are not destroyed yet.")
    if departure.state == DepartureState.CERTIFIED:
        return departure
    await _put_off(database, tenant_id)
    try:
        await _erase_people(database, store, tenant_id, watch)
        for step, work in _STEPS:
            watch(step)
            await work(database, store, tenant_id)
        return await of_tenant(database, tenant_id)
    except StateConflict:
        raise
    except Exception as error:
        async with database.tenant(tenant_id) as session:
            departure = await held(session, tenant_id)
            departure.last_error = type(error).__name__
            session.add(departure)
        raise


async def of_tenant(database: Database, tenant_id: UUID) -> Departure:
    """How far a tenant's departure has come, or NotFound."""
    async with database.tenant(tenant_id) as session:
        found = await session.get(Departure, tenant_id)
        if found is None:
            raise NotFound
        return found


async def unfinished(session: AsyncSession, *, limit: int) -> Sequence[UUID]:
    """Tenants whose departure is to be taken up again. In a system session."""
    going = (DepartureState.SHREDDED.value, DepartureState.ERASED.value)
    query = select(Departure.tenant_id).where(col(Departure.state).in_(going), Departure.next_at <= now())
    return (await session.exec(query.order_by(col(Departure.next_at)).limit(limit))).all()


async def held(session: AsyncSession, tenant_id: UUID) -> Departure:
    """The departure, held until the transaction ends, or NotFound."""
    query = select(Departure).where(Departure.tenant_id == tenant_id).with_for_update()
    found = (await session.exec(query.execution_options(populate_existing=True))).first()
    if found is None:
        raise NotFound
    return found


async def _delete(session: AsyncSession, table: type[WebhookDelivery] | type[WebhookEndpoint]) -> int:
    return int((await session.exec(delete(table))).rowcount)


async def _revoke(session: AsyncSession) -> int:
    living = update(ApiKey).where(col(ApiKey.revoked_at).is_(None)).values(revoked_at=now())
    return int((await session.exec(living)).rowcount)


async def _put_off(database: Database, tenant_id: UUID) -> None:
    async with database.tenant(tenant_id) as session:
        departure = await held(session, tenant_id)
        departure.attempts += 1
        departure.next_at = now() + min(erase.FIRST_RETRY * 2**departure.attempts, erase.LONGEST_RETRY)
        session.add(departure)


async def _erase_people(database: Database, store: SealedStore, tenant_id: UUID, watch: Watch) -> None:
    """4. Tombstones in chunks, then each person by the ordinary way."""
    while True:
        watch(Step.PEOPLE)
        async with database.tenant(tenant_id) as session:
            living = select(Subject.id).where(col(Subject.erased_at).is_(None)).order_by(col(Subject.id)).limit(CHUNK)
            chunk = (await session.exec(living)).all()
            for subject_id in chunk:
                await erase.begin(session, store.keyring, subject_id=subject_id, actor=ACTOR)
        if not chunk:
            break
    while True:
        watch(Step.PEOPLE)
        async with database.tenant(tenant_id) as session:
            begun = select(Tombstone.subject_id).where(Tombstone.state != ErasureState.ERASED).limit(CHUNK)
            chunk = (await session.exec(begun)).all()
        if not chunk:
            break
        for subject_id in chunk:
            await erase.finish(database, store, tenant_id=tenant_id, subject_id=subject_id)
    async with database.tenant(tenant_id) as session:
        people = (await session.exec(select(func.count()).select_from(Tombstone))).one()
        objects = (
            await session.exec(
                select(Asset.kind, func.count()).where(Asset.state == "erased").group_by(col(Asset.kind))
            )
        ).all()
        departure = await held(session, tenant_id)
        departure.removed = {**departure.removed, "people": people} | {f"objects.{kind}": n for kind, n in objects}
        departure.done(Step.PEOPLE)
        session.add(departure)


async def _delete_objects(database: Database, store: SealedStore, tenant_id: UUID) -> None:
    found = await _sweep_folder(store, tenant_id)
    async with database.tenant(tenant_id) as session:
        departure = await held(session, tenant_id)
        departure.removed = {**departure.removed, "orphans": departure.removed.get("orphans", 0) + found}
        departure.done(Step.OBJECTS)
        session.add(departure)


async def _sweep_folder(store: SealedStore, tenant_id: UUID) -> int:
    found = 0
    async for names in store.objects.list_under(tenant_id.hex):
        for name in names:
            await store.objects.delete_all_versions(name)
        found += len(names)
    return found


async def _forget_rows(database: Database, _store: SealedStore, tenant_id: UUID) -> None:
    async with database.system() as session:
        tenant = await session.get_one(Tenant, tenant_id)
        tenant.name = LEFT
        session.add(tenant)
    async with database.tenant(tenant_id) as session:
        await session.exec(delete(IdempotencyRecord))
        departure = await held(session, tenant_id)
        departure.done(Step.ROWS)
        session.add(departure)


async def _rescan(database: Database, store: SealedStore, tenant_id: UUID) -> None:
    async with database.tenant(tenant_id) as session:
        rows = Counter({table.name: await remaining_of_all(session, table) for table in tables_of_people()})
    own, people = await store.keyring.held_of_tenant(tenant_id)
    objects = await _sweep_folder(store, tenant_id)
    scans: list[dict[str, Any]] = [
        {
            "store": "database",
            "how": "Counted, in every table and for the whole tenant, the rows that still hold something of a person.",
            "looked_at": len(rows),
            "found": rows.total(),
        },
        {
            "store": "key store",
            "how": "Asked the key store, past every cache, for living keys of the tenant and wraps of its people.",
            "looked_at": 2,
            "found": own + people,
        },
        {
            "store": "objects",
            "how": "Listed the tenant's whole folder in the object store.",
            "looked_at": 1,
            "found": objects,
        },
    ]
    async with database.tenant(tenant_id) as session:
        departure = await held(session, tenant_id)
        departure.scans = scans
        if not any(scan["found"] for scan in scans):
            departure.erased_at = departure.erased_at or now()
            departure.state = DepartureState.ERASED.value
            departure.done(Step.RESCAN)
        session.add(departure)
    if found := [scan["store"] for scan in scans if scan["found"]]:
        raise erase.RemainsFound(", ".join(found))


async def _certify(database: Database, store: SealedStore, tenant_id: UUID) -> None:
    """8. Draft, log, issue: each may be cut off, and ends as the same certificate."""
    departure = await _draft(database, store.keyring, tenant_id)
    if departure.document is not None or departure.entry_id is None or departure.body is None:
        return
    await checkpoints.sequence(database, store.keyring, tenant_id=tenant_id)
    key = await store.keyring.signing.active()
    async with database.tenant(tenant_id) as session:
        await ledger_of(session).know_signer(key.public_key)
        proved = await log.inclusion(session, entry_id=departure.entry_id)
    document = sign(TENANT_FORMAT, departure.body, proved, leaf=audit.leaf(proved.entry), key=key)
    async with database.tenant(tenant_id) as session:
        departure = await held(session, tenant_id)
        departure.document, departure.certified_at = document, now()
        departure.state, departure.last_error = DepartureState.CERTIFIED.value, None
        session.add(departure)


async def _draft(database: Database, keyring: Keyring, tenant_id: UUID) -> Departure:
    key_version = await keyring.key_version(tenant_id)
    async with database.tenant(tenant_id) as session:
        departure = await held(session, tenant_id)
        if departure.body is not None:
            return departure
        if departure.shredded_at is None or now() < departure.shredded_at + erase.EVICTION:
            raise StateConflict("A process may still hold a key; it is certain in a few seconds.")
        # A running job was only asked to stop: until its lease is over, a clear photo may be in a worker's memory.
        running = text("SELECT EXISTS (SELECT FROM job WHERE state = 'running' AND lease_until > :now)")
        if (await (await session.connection()).execute(running, {"now": now()})).scalar_one():
            raise StateConflict("A worker still holds a job of this tenant.")
        if await photos.held_by_look(session):
            raise StateConflict("A worker still looks at a photo of this tenant's.")
        if await exports.held_by_builder(session):
            raise StateConflict("A worker still writes an export of this tenant's.")
        departure.done(Step.CERTIFICATE)
        departure.certificate_id = new_id()
        kept = await _kept(session)
        departure.body = tenant_body_of(departure, kept=kept, key_version=key_version, issued_at=now())
        digest = hashlib.sha256(audit.canonical(departure.body)).hexdigest()
        facts = {"certificate": departure.certificate_id.hex, "digest": digest}
        entry = await audit.append(session, tenant_id=tenant_id, kind=TENANT_LEAF_KIND, actor=ACTOR, facts=facts)
        departure.entry_id = entry.id
        session.add(departure)
        return departure


async def _kept(session: AsyncSession) -> dict[str, int]:
    """Rows of the tenant that stay, by table."""
    found = {}
    for table in tables_of_people(and_platforms=True):
        if table.info["tenancy"] == "tenant":
            query = select(func.count()).select_from(table)
            found[table.name] = int((await (await session.connection()).execute(query)).scalar_one())
    return found


_STEPS = (
    (Step.OBJECTS, _delete_objects),
    (Step.ROWS, _forget_rows),
    (Step.RESCAN, _rescan),
    (Step.CERTIFICATE, _certify),
)


def certificate_name(departure: Departure) -> str:
    """The public id of a departure's certificate. Raises NotFound before there is one."""
    if departure.certificate_id is None:
        raise NotFound
    return public(Prefix.CERTIFICATE, departure.certificate_id)


def is_stuck(departure: Departure) -> bool:
    """Whether somebody should look: it was tried again and again, and something stopped it each time."""
    return departure.last_error is not None and departure.attempts >= erase.STUCK_AFTER
