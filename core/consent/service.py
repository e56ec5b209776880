"""Notices, the ledger, and the one question that guards everything: may we?

The ledger is append-only: a withdrawal is a new entry. What counts for a purpose is its newest entry. `require`
returns a `Grant` or raises; nothing that touches a face runs without one.
"""

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func
from sqlalchemy.dialects.postgresql import distinct_on
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.audit import service as audit
from core.clock import now
from core.consent.models import Action, Consent, LegalBasis, Notice, Purpose
from core.errors import ConsentRequired, NotFound, NoticeUnknown, StateConflict, Unacceptable
from core.ids import Prefix, public
from core.keyring.service import Keyring
from core.subjects import service as subjects
from core.webhooks import service as webhooks

# These rest on nothing but the person's own yes, whatever the tenant would like (GDPR Art. 9(2)(a); BIPA §15(b)).
ALWAYS_CONSENT = frozenset({Purpose.BIOMETRIC_PROCESSING, Purpose.MODEL_TRAINING, Purpose.THIRD_PARTY_SHARING})


@dataclass(frozen=True)
class Grant:
    """Proof, within one transaction, that these purposes were granted: entry id per purpose."""

    subject_id: UUID
    entries: dict[Purpose, UUID]


async def publish_notice(
    session: AsyncSession,
    *,
    tenant_id: UUID,
    actor: str,
    slug: str,
    locale: str,
    text: str,
    purposes: dict[str, str],
    retention_days: int,
) -> Notice:
    """Publish the next version of a notice. Published text never changes."""
    for purpose, basis in purposes.items():
        if Purpose(purpose) in ALWAYS_CONSENT and LegalBasis(basis) is not LegalBasis.CONSENT:
            raise Unacceptable(f"The purpose {purpose} can rest on consent only.", purpose=purpose)
    # The lock makes versions a sequence without holes when two are published at once.
    await session.exec(select(func.pg_advisory_xact_lock(func.hashtext(f"{tenant_id}/{slug}/{locale}"))))
    newest = (
        await session.exec(select(func.max(Notice.version)).where(Notice.slug == slug, Notice.locale == locale))
    ).one()
    notice = Notice(
        tenant_id=tenant_id,
        slug=slug,
        version=(newest or 0) + 1,
        locale=locale,
        text=text,
        text_sha256=hashlib.sha256(text.encode()).hexdigest(),
        purposes=purposes,
        retention_days=retention_days,
    )
    session.add(notice)
    await session.flush()
    await audit.append(
        session,
        tenant_id=tenant_id,
        kind="notice.published",
        actor=actor,
        facts={"notice": notice.id.hex, "version": notice.version, "sha256": notice.text_sha256},
    )
    return notice


async def get_notice(session: AsyncSession, notice_id: UUID) -> Notice:
    """One version of a notice, or `NotFound`."""
    found = await session.get(Notice, notice_id)
    if found is None:
        raise NotFound
    return found


async def page_notices(session: AsyncSession, *, before: UUID | None, limit: int) -> list[Notice]:
    """Notices, newest first."""
    query = select(Notice).order_by(col(Notice.id).desc()).limit(limit)
    if before is not None:
        query = query.where(Notice.id < before)
    return list((await session.exec(query)).all())


async def grant(  # noqa: PLR0913 (the fields of a consent)
    session: AsyncSession,
    keyring: Keyring,
    *,
    tenant_id: UUID,
    actor: str,
    subject_id: UUID,
    purpose: Purpose,
    notice_id: UUID,
    evidence: dict[str, Any] | None,
    expires_at: datetime | None = None,
) -> Consent:
    """Record that the person agreed to one purpose, under one notice. Evidence is sealed under the person's key."""
    await subjects.lock(session, subject_id, share=True)
    notice = await session.get(Notice, notice_id)
    if notice is None or purpose not in notice.purposes:
        raise NoticeUnknown
    sealed = None
    if evidence is not None:
        sealer = await keyring.subject_sealer(tenant_id, subject_id)
        sealed = sealer.seal_field("evidence", json.dumps(evidence, ensure_ascii=False))
    entry = Consent(
        tenant_id=tenant_id,
        subject_id=subject_id,
        purpose=purpose.value,
        action=Action.GRANTED.value,
        notice_id=notice_id,
        legal_basis=notice.purposes[purpose],
        sealed_evidence=sealed,
        expires_at=expires_at,
    )
    await _append(session, entry, actor=actor)
    return entry


async def withdraw(session: AsyncSession, *, consent_id: UUID, actor: str) -> Consent:
    """Record that the person takes a consent back. Running work for that purpose stops at its next step."""
    granted = await get(session, consent_id)
    await subjects.lock(session, granted.subject_id, share=True)
    newest = (await current(session, granted.subject_id)).get(Purpose(granted.purpose))
    if newest is None or newest.action != Action.GRANTED:
        raise StateConflict("This purpose is not granted at present, so there is nothing to withdraw.")
    entry = Consent(
        tenant_id=granted.tenant_id,
        subject_id=granted.subject_id,
        purpose=granted.purpose,
        action=Action.WITHDRAWN.value,
        notice_id=granted.notice_id,
        legal_basis=granted.legal_basis,
    )
    await _append(session, entry, actor=actor)
    return entry


async def _append(session: AsyncSession, entry: Consent, *, actor: str) -> None:
    session.add(entry)
    await session.flush()
    await audit.append(
        session,
        tenant_id=entry.tenant_id,
        subject_id=entry.subject_id,
        kind=f"consent.{entry.action}",
        actor=actor,
        facts={"consent": entry.id.hex, "purpose": entry.purpose, "notice": entry.notice_id.hex},
    )
    await webhooks.emit(
        session,
        tenant_id=entry.tenant_id,
        type=f"consent.{entry.action}",
        resource_id=entry.id,
        data={
            "consent_id": public(Prefix.CONSENT, entry.id),
            "subject_id": public(Prefix.SUBJECT, entry.subject_id),
            "purpose": entry.purpose,
            "action": entry.action,
        },
    )


async def get(session: AsyncSession, consent_id: UUID) -> Consent:
    """One entry of the ledger. Raises `NotFound`, or `Gone` once its person is erased."""
    found = await session.get(Consent, consent_id)
    if found is None:
        raise NotFound
    await subjects.get(session, found.subject_id)
    return found


async def history(session: AsyncSession, subject_id: UUID, *, before: UUID | None, limit: int) -> list[Consent]:
    """The person's ledger, newest first."""
    query = select(Consent).where(Consent.subject_id == subject_id).order_by(col(Consent.id).desc()).limit(limit)
    if before is not None:
        query = query.where(Consent.id < before)
    return list((await session.exec(query)).all())


async def current(session: AsyncSession, subject_id: UUID) -> dict[Purpose, Consent]:
    """The newest entry per purpose."""
    query = (
        select(Consent)
        .where(Consent.subject_id == subject_id)
        .ext(distinct_on(col(Consent.purpose)))
        .order_by(col(Consent.purpose), col(Consent.id).desc())
    )
    return {Purpose(entry.purpose): entry for entry in (await session.exec(query)).all()}


def in_force(entry: Consent) -> bool:
    """Whether this newest entry permits its purpose now."""
    return entry.action == Action.GRANTED and (entry.expires_at is None or entry.expires_at > now())


async def require(session: AsyncSession, subject_id: UUID, *purposes: Purpose) -> Grant:
    """Return the grants for all these purposes. Raises `ConsentRequired` with those that are missing."""
    newest = await current(session, subject_id)
    missing = [purpose for purpose in purposes if purpose not in newest or not in_force(newest[purpose])]
    if missing:
        raise ConsentRequired(missing=[purpose.value for purpose in missing])
    return Grant(subject_id=subject_id, entries={purpose: newest[purpose].id for purpose in purposes})
