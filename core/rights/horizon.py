"""The second moment of an erasure: no copy of the key is left, not even in a backup.

From the first moment nothing opens here any more. A backup of the key store made before it may still hold the person's
key, wrapped under the tenant's. The second moment has come when, for an erasure that was certified,

    1. term        `keys_days` have gone by since the key was destroyed: no copy of the key store lives longer
    2. copies      every backup of the key store that the tombstone ledger knows from before is gone
    3. tenant key  every version of the tenant's key under which the person's may have been wrapped is destroyed; the
                   one that is still in use is rotated for it, once for all erasures that wait
    4. document    a second part of the certificate says so, in the log and signed; the platform is told

The certificate of a whole tenant that left gets one in the same way; its keys are all destroyed, and there is nobody to
tell, so `likeness tenant second-part` hands it out.

Each piece commits by itself and changes nothing when it is repeated. A copy that is still known holds its erasures up,
and the log of the worker counts them: a certificate never says more than is known.
"""

import hashlib
import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, func
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.audit import log
from core.audit import service as audit
from core.clock import now
from core.db import Database
from core.errors import NotFound
from core.ids import Prefix, new_id, public
from core.keyring.service import Keyring
from core.keyring.signing_keys import SigningKey
from core.rights import checkpoints
from core.rights.certificate import HORIZON_FORMAT, HORIZON_LEAF_KIND, Passed, horizon_body_of, sign
from core.rights.models import Departure, ErasureCertificate, Tombstone
from core.storage.tombstones import Kind, Tombstones, ledger_of
from core.webhooks import service as webhooks

logger = logging.getLogger("likeness.rights")

ACTOR = "erasure"
STATE = "backup_horizon_passed"
# The snapshot of a backup and the commit of an erasure are timed by different clocks.
_CLOCKS = timedelta(minutes=5)

# What has a first part, and so gets a second: of a person, or of a tenant.
_First = TypeVar("_First", ErasureCertificate, Departure)


async def due(
    session: AsyncSession, *, days: int, limit: int, oldest_copy: datetime | None = None
) -> Sequence[tuple[UUID, UUID]]:
    """Certificates whose second moment may have come, as (tenant, certificate). In a system session.

    Each tenant's oldest comes before any tenant's second, and the tenants in no order: when some cannot be passed,
    however many theirs are, they take the places of no other for ever. oldest_copy: what it holds up is left out.
    """
    place = func.row_number().over(
        partition_by=col(ErasureCertificate.tenant_id), order_by=col(ErasureCertificate.issued_at)
    )
    query = (
        select(ErasureCertificate.tenant_id, ErasureCertificate.id)
        .join(Tombstone, col(Tombstone.subject_id) == col(ErasureCertificate.subject_id))
        .where(*_waiting(days=days))
        .order_by(place, func.random())
        .limit(limit)
    )
    if oldest_copy is not None:
        query = query.where(col(Tombstone.shredded_at) < oldest_copy - _CLOCKS)
    return [(tenant_id, certificate_id) for tenant_id, certificate_id in (await session.exec(query)).all()]


async def held_up(session: AsyncSession, *, days: int, oldest_copy: datetime) -> int:
    """How many certificates wait for nothing but a copy of the key store. In a system session."""
    query = (
        select(func.count())
        .select_from(ErasureCertificate)
        .join(Tombstone, col(Tombstone.subject_id) == col(ErasureCertificate.subject_id))
        .where(*_waiting(days=days), col(Tombstone.shredded_at) >= oldest_copy - _CLOCKS)
    )
    return (await session.exec(query)).one()


def _waiting(*, days: int) -> tuple[ColumnElement[bool], ...]:
    return (
        col(ErasureCertificate.horizon_at).is_(None),
        col(ErasureCertificate.issued_at) <= now() - timedelta(days=days),
    )


async def copies(tombstones: Tombstones) -> list[datetime]:
    """When each backup of the key store was made that is not known to be gone."""
    gone = {entry.id async for entry in tombstones.entries(Kind.PRUNED)}
    return [entry.at async for entry in tombstones.entries(Kind.BACKUP) if entry.id not in gone]


async def pass_horizons(
    database: Database, keyring: Keyring, tombstones: Tombstones, *, days: int, limit: int = 100
) -> int:
    """Issue every second part whose moment has come; how many. One that cannot be issued holds up no other."""
    made_at = await copies(tombstones)
    oldest_copy = min(made_at, default=None)
    async with database.system() as session:
        waiting = await due(session, days=days, limit=limit, oldest_copy=oldest_copy)
        held = 0 if oldest_copy is None else await held_up(session, days=days, oldest_copy=oldest_copy)
    if held:
        facts: dict[str, Any] = {"count": held}
        logger.warning("backups of the key store from before an erasure are not known to be gone", extra=facts)
    passed = 0
    stuck: set[UUID] = set()
    for tenant_id, certificate_id in waiting:
        if tenant_id in stuck:
            continue  # what stopped one of its certificates stops them all: the next round
        try:
            if await _pass(database, keyring, tenant_id, certificate_id, made_at=made_at, days=days):
                passed += 1
            else:
                stuck.add(tenant_id)
        except Exception as error:
            stuck.add(tenant_id)
            facts = {"tenant": tenant_id.hex, "error_type": type(error).__name__}
            logger.exception("the second part of a certificate could not be issued", extra=facts)
    return passed + await _pass_departures(database, keyring, made_at=made_at, days=days, limit=limit)


async def departures_due(session: AsyncSession, *, days: int, limit: int) -> Sequence[UUID]:
    """Tenants that left and whose second moment may have come, in no order. In a system session."""
    query = (
        select(Departure.tenant_id)
        .where(
            col(Departure.horizon_at).is_(None),
            col(Departure.certified_at).is_not(None),
            col(Departure.shredded_at) <= now() - timedelta(days=days),
        )
        .order_by(func.random())
        .limit(limit)
    )
    return (await session.exec(query)).all()


async def of_tenant(session: AsyncSession, tenant_id: UUID) -> bytes:
    """The second part of the certificate of a tenant that left. Raises NotFound before its moment."""
    found = await session.get(Departure, tenant_id)
    if found is None or found.horizon_document is None:
        raise NotFound("The backup horizon of this erasure has not passed yet.")
    return found.horizon_document


async def _pass_departures(
    database: Database, keyring: Keyring, *, made_at: list[datetime], days: int, limit: int
) -> int:
    async with database.system() as session:
        waiting = await departures_due(session, days=days, limit=limit)
    passed = 0
    for tenant_id in waiting:
        try:
            passed += await _pass_departure(database, keyring, tenant_id, made_at=made_at, days=days)
        except Exception as error:
            facts = {"tenant": tenant_id.hex, "error_type": type(error).__name__}
            logger.exception("the second part of a tenant's certificate could not be issued", extra=facts)
    return passed


async def _pass_departure(
    database: Database, keyring: Keyring, tenant_id: UUID, *, made_at: list[datetime], days: int
) -> bool:
    async with database.tenant(tenant_id) as session:
        departure = await session.get_one(Departure, tenant_id)
    body, certificate_id, shredded_at = departure.body, departure.certificate_id, departure.shredded_at
    if body is None or certificate_id is None or shredded_at is None or departure.document is None:
        return False
    if any(moment <= shredded_at + _CLOCKS for moment in made_at):
        facts = {"tenant": tenant_id.hex}
        logger.warning("backups of the key store from before a tenant left are not known to be gone", extra=facts)
        return False
    version = int(body["backups"]["tenant_key_version"])
    if not await _destroyed(keyring, tenant_id, version):
        logger.error("a tenant that left has a living key", extra={"tenant": tenant_id.hex})
        return False
    first = Passed(certificate_id, departure.document, tenant_id, None, shredded_at)
    key = await keyring.signing.active()
    async with database.tenant(tenant_id) as session:
        await _note(session, await _held(session, Departure, tenant_id), first, version=version, days=days)
    await checkpoints.sequence(database, keyring, tenant_id=tenant_id)
    async with database.tenant(tenant_id) as session:
        await ledger_of(session).know_signer(key.public_key)
        await _seal(session, await _held(session, Departure, tenant_id), key)
    return True


async def get(session: AsyncSession, certificate_id: UUID) -> bytes:
    """The second part of a certificate. Raises NotFound before its moment."""
    found = await session.get(ErasureCertificate, certificate_id)
    if found is None or found.horizon_document is None:
        raise NotFound("The backup horizon of this erasure has not passed yet.")
    return found.horizon_document


async def _pass(
    database: Database, keyring: Keyring, tenant_id: UUID, certificate_id: UUID, *, made_at: list[datetime], days: int
) -> bool:
    async with database.tenant(tenant_id) as session:
        certificate = await session.get_one(ErasureCertificate, certificate_id)
        tombstone = await session.get_one(Tombstone, certificate.subject_id)
    # 1. Term.
    if now() < tombstone.shredded_at + timedelta(days=days):
        return False
    # 2. Copies.
    if any(moment <= tombstone.shredded_at + _CLOCKS for moment in made_at):
        return False
    # 3. Tenant key.
    version = int(certificate.body["backups"]["tenant_key_version"])
    if not await _destroyed(keyring, tenant_id, version):
        await keyring.rotate_tenant(tenant_id)
        if not await _destroyed(keyring, tenant_id, version):
            return False  # somebody wrapped under it meanwhile: the next round destroys it
    # 4. Document.
    await _draft(database, certificate_id, tombstone, version=version, days=days)
    await checkpoints.sequence(database, keyring, tenant_id=tenant_id)
    await _issue(database, keyring, tenant_id, certificate_id)
    return True


async def _destroyed(keyring: Keyring, tenant_id: UUID, version: int) -> bool:
    return all(kek.destroyed for kek in await keyring.kek_versions(tenant_id) if kek.version <= version)


async def _held(session: AsyncSession, table: type[_First], row_id: UUID) -> _First:
    return await session.get_one(table, row_id, with_for_update=True, populate_existing=True)


async def _note(session: AsyncSession, held: _First, first: Passed, *, version: int, days: int) -> None:
    """Draft the second part, once, and append the leaf that commits to it."""
    if held.horizon_body is not None:
        return
    second_id = new_id()
    body = horizon_body_of(first, second_id=second_id, version=version, days=days, passed_at=now())
    digest = hashlib.sha256(audit.canonical(body)).hexdigest()
    entry = await audit.append(
        session,
        tenant_id=first.tenant_id,
        kind=HORIZON_LEAF_KIND,
        actor=ACTOR,
        facts={"certificate": second_id.hex, "digest": digest},
    )
    held.horizon_body, held.horizon_entry_id = body, entry.id
    session.add(held)


async def _seal(session: AsyncSession, held: _First, key: SigningKey) -> bool:
    """Sign the second part. False if another worker was as fast."""
    if held.horizon_at is not None or held.horizon_body is None or held.horizon_entry_id is None:
        return False
    proved = await log.inclusion(session, entry_id=held.horizon_entry_id)
    held.horizon_document = sign(HORIZON_FORMAT, held.horizon_body, proved, leaf=audit.leaf(proved.entry), key=key)
    held.horizon_at = now()
    session.add(held)
    return True


async def _draft(database: Database, certificate_id: UUID, tombstone: Tombstone, *, version: int, days: int) -> None:
    async with database.tenant(tombstone.tenant_id) as session:
        certificate = await _held(session, ErasureCertificate, certificate_id)
        first = Passed(
            certificate.id,
            certificate.document or b"",
            tombstone.tenant_id,
            tombstone.subject_id,
            tombstone.shredded_at,
        )
        await _note(session, certificate, first, version=version, days=days)


async def _issue(database: Database, keyring: Keyring, tenant_id: UUID, certificate_id: UUID) -> None:
    key = await keyring.signing.active()
    async with database.tenant(tenant_id) as session:
        await ledger_of(session).know_signer(key.public_key)
        certificate = await _held(session, ErasureCertificate, certificate_id)
        if not await _seal(session, certificate, key):
            return
        await webhooks.emit(
            session,
            tenant_id=tenant_id,
            type="asset.erased",
            resource_id=certificate.subject_id,
            data={
                "subject_id": public(Prefix.SUBJECT, certificate.subject_id),
                "erasure_id": public(Prefix.ERASURE, certificate.subject_id),
                "certificate_id": public(Prefix.CERTIFICATE, certificate.id),
                "state": STATE,
            },
        )
