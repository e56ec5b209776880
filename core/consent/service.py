"""Notices, the ledger, and the one question that guards everything: may we?

The ledger is append-only: a withdrawal is a new entry. What counts for a purpose is its newest entry. `require`
returns a `Grant` or raises; nothing that touches a face runs without one.

Whoever was asked and said no must not be told apart from whoever was not asked: `declined` entries are shown, and
found, only where `show_declined` says so; they tell no receiver, and their audit leaf names no answer.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import and_, func, or_, update
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import aliased
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.audit import service as audit
from core.clock import now
from core.consent import policy, restrict
from core.consent.models import Action, Channel, Consent, LegalBasis, Notice, Purpose
from core.consent.policy import ALWAYS_CONSENT, Circumstances
from core.errors import ConsentRequired, Gone, NotFound, NoticeUnknown, OptedOut, StateConflict, Unacceptable
from core.ids import Prefix, public
from core.keyring.service import Keyring
from core.storage.tombstones import Kind, remember
from core.subjects import service as subjects
from core.subjects.models import Subject
from core.webhooks import service as webhooks

EVIDENCE = "evidence"


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
    tenant_id: UUID,  # noqa: ARG001 (said by every caller; the session is bound to it)
    actor: str,
    subject_id: UUID,
    purpose: Purpose,
    notice_id: UUID,
    evidence: dict[str, Any] | None,
    expires_at: datetime | None = None,
    circumstances: Circumstances | None = None,
) -> Consent:
    """Record that the person agreed to one purpose, under one notice. Evidence is sealed under the person's key.

    Raises `NoticeUnknown`; `OptedOut` within twelve months of an opt-out; `WrittenReleaseRequired` and
    `GuardianRequired` where the person's law or age asks for more than a yes.
    """
    subject = await subjects.lock(session, subject_id)
    notice = await _notice_for(session, notice_id, purpose)
    if purpose in policy.SALE_OR_SHARING:
        await _require_that_asking_was_allowed(session, subject_id)
    circumstances = circumstances or Circumstances()
    policy.require_form(
        circumstances, purpose=purpose, jurisdiction=subject.jurisdiction, term_days=notice.retention_days
    )
    entry = _entry(subject, notice, purpose, Action.GRANTED, circumstances=circumstances, expires_at=expires_at)
    entry.sealed_evidence = await _seal(keyring, subject, evidence=evidence, circumstances=circumstances)
    await _append(session, entry, actor=actor)
    return entry


async def decline(
    session: AsyncSession,
    keyring: Keyring,
    *,
    actor: str,
    subject_id: UUID,
    purpose: Purpose,
    notice_id: UUID,
    evidence: dict[str, Any] | None = None,
    circumstances: Circumstances | None = None,
) -> Consent:
    """Record that the person was asked and said no. What was granted is withdrawn instead: then `StateConflict`."""
    subject = await subjects.lock(session, subject_id)
    notice = await _notice_for(session, notice_id, purpose)
    newest = (await current(session, subject_id, show_declined=True)).get(purpose)
    if newest is not None and in_force(newest):
        raise StateConflict("This purpose is granted at present: withdraw that consent.")
    circumstances = circumstances or Circumstances()
    entry = _entry(subject, notice, purpose, Action.DECLINED, circumstances=circumstances)
    entry.sealed_evidence = await _seal(keyring, subject, evidence=evidence, circumstances=circumstances)
    await _append(session, entry, actor=actor)
    return entry


async def opt_out(
    session: AsyncSession, *, subject_id: UUID, actor: str, channel: Channel | None = None
) -> Consent | None:
    """Record that the person opts out of sale and sharing. None when that is the last word already.

    Needs neither a notice nor a verified identity (Cal. Code Regs. tit. 11, § 7026(d)).
    """
    subject = await subjects.lock(session, subject_id)
    purpose = Purpose.THIRD_PARTY_SHARING
    newest = (await current(session, subject_id, show_declined=True)).get(purpose)
    if newest is not None and newest.action == Action.OPTED_OUT:
        return None
    entry = Consent(
        tenant_id=subject.tenant_id,
        subject_id=subject.id,
        purpose=purpose.value,
        action=Action.OPTED_OUT.value,
        legal_basis=LegalBasis.CONSENT.value,
        channel=None if channel is None else channel.value,
    )
    await _append(session, entry, actor=actor)
    return entry


async def withdraw(session: AsyncSession, *, consent_id: UUID, actor: str) -> Consent:
    """Record that the person takes a consent back. Running work for that purpose stops at its next step.

    The person's row is held exclusively: a result that was being kept is kept before this, or not at all.
    """
    granted = await get(session, consent_id)
    await subjects.lock(session, granted.subject_id)
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
        locale=granted.locale,
    )
    await _append(session, entry, actor=actor)
    return entry


async def read_evidence(keyring: Keyring, entry: Consent) -> dict[str, Any]:
    """What was recorded of how the person was asked: evidence, presentation, release, attestation, where given.

    Empty once the person is erased.
    """
    if entry.sealed_evidence is None:
        return {}
    try:
        sealer = await keyring.subject_sealer(entry.tenant_id, entry.subject_id)
    except Gone:
        return {}
    found: dict[str, Any] = json.loads(sealer.open_field(EVIDENCE, entry.sealed_evidence))
    return found


async def _notice_for(session: AsyncSession, notice_id: UUID, purpose: Purpose) -> Notice:
    notice = await session.get(Notice, notice_id)
    if notice is None or purpose not in notice.purposes:
        raise NoticeUnknown
    return notice


async def _require_that_asking_was_allowed(session: AsyncSession, subject_id: UUID) -> None:
    query = (
        select(func.max(Consent.recorded_at))
        .where(Consent.subject_id == subject_id)
        .where(Consent.action == Action.OPTED_OUT)
    )
    last = (await session.exec(query)).one()
    if last is not None and now() < last + policy.NO_ASKING_FOR:
        raise OptedOut(until=(last + policy.NO_ASKING_FOR).isoformat())


def _entry(
    subject: Subject,
    notice: Notice,
    purpose: Purpose,
    action: Action,
    *,
    circumstances: Circumstances,
    expires_at: datetime | None = None,
) -> Consent:
    return Consent(
        tenant_id=subject.tenant_id,
        subject_id=subject.id,
        purpose=purpose.value,
        action=action.value,
        notice_id=notice.id,
        legal_basis=notice.purposes[purpose],
        locale=circumstances.locale or notice.locale,
        channel=None if circumstances.channel is None else circumstances.channel.value,
        expires_at=expires_at,
    )


async def _seal(
    keyring: Keyring, subject: Subject, *, evidence: dict[str, Any] | None, circumstances: Circumstances
) -> bytes | None:
    said = {
        "evidence": evidence,
        "presentation": circumstances.presentation,
        "release": None if circumstances.release is None else asdict(circumstances.release),
        "attestation": None if circumstances.attestation is None else asdict(circumstances.attestation),
    }
    said = {name: value for name, value in said.items() if value is not None}
    if not said:
        return None
    sealer = await keyring.subject_sealer(subject.tenant_id, subject.id)
    return sealer.seal_field(EVIDENCE, json.dumps(said, ensure_ascii=False))


async def _append(session: AsyncSession, entry: Consent, *, actor: str) -> None:
    # Ids begin with the time of the host that makes them, and clocks differ. Whoever appends holds the person's row,
    # so one above the newest id keeps the ledger in the order of its commits, whatever a host takes the time to be.
    of_person = select(Consent.id).where(Consent.subject_id == entry.subject_id)
    newest = (await session.exec(of_person.order_by(col(Consent.id).desc()).limit(1))).first()
    if newest is not None and entry.id <= newest:
        entry.id = UUID(int=newest.int + 1)
    await _end_evidence(session, entry)
    session.add(entry)
    await session.flush()
    if entry.action in {Action.WITHDRAWN, Action.OPTED_OUT}:
        # A restore must not bring a consent back to life.
        said = {"subject": entry.subject_id.hex, "purpose": entry.purpose}
        await remember(session, Kind.CONSENT, tenant_id=entry.tenant_id, id=entry.id, **said)
    await audit.append(
        session,
        tenant_id=entry.tenant_id,
        subject_id=entry.subject_id,
        # The kind is in the clear; what the person answered is not, where it was no.
        kind="consent.recorded" if entry.action == Action.DECLINED else f"consent.{entry.action}",
        actor=actor,
        facts={
            "consent": entry.id.hex,
            "purpose": entry.purpose,
            "action": entry.action,
            "notice": None if entry.notice_id is None else entry.notice_id.hex,
        },
    )
    if entry.action == Action.DECLINED:
        return
    await webhooks.emit(
        session,
        tenant_id=entry.tenant_id,
        type="consent.granted" if entry.action == Action.GRANTED else "consent.withdrawn",
        resource_id=entry.id,
        data={
            "consent_id": public(Prefix.CONSENT, entry.id),
            "subject_id": public(Prefix.SUBJECT, entry.subject_id),
            "purpose": entry.purpose,
            "action": entry.action,
        },
    )


async def _end_evidence(session: AsyncSession, entry: Consent) -> None:
    """Say from when the term of evidence runs: of what this entry replaces, from now; of this one, once it ends."""
    if entry.sealed_evidence is not None:
        entry.evidence_ended_at = entry.expires_at if entry.action == Action.GRANTED else entry.recorded_at
    await session.exec(
        update(Consent)
        .where(
            col(Consent.subject_id) == entry.subject_id,
            col(Consent.purpose) == entry.purpose,
            col(Consent.sealed_evidence).is_not(None),
            or_(col(Consent.evidence_ended_at).is_(None), col(Consent.evidence_ended_at) > entry.recorded_at),
        )
        .values(evidence_ended_at=entry.recorded_at)
    )


async def get(session: AsyncSession, consent_id: UUID, *, show_declined: bool = False) -> Consent:
    """One entry of the ledger. Raises `NotFound`, or `Gone` once its person is erased."""
    found = await session.get(Consent, consent_id)
    if found is None or (found.action == Action.DECLINED and not show_declined):
        raise NotFound
    await subjects.get(session, found.subject_id)
    return found


async def history(
    session: AsyncSession, subject_id: UUID, *, before: UUID | None, limit: int, show_declined: bool = False
) -> list[Consent]:
    """The person's ledger, newest first."""
    query = select(Consent).where(Consent.subject_id == subject_id).order_by(col(Consent.id).desc()).limit(limit)
    if before is not None:
        query = query.where(Consent.id < before)
    if not show_declined:
        query = query.where(Consent.action != Action.DECLINED)
    return list((await session.exec(query)).all())


async def current(session: AsyncSession, subject_id: UUID, *, show_declined: bool = False) -> dict[Purpose, Consent]:
    """The newest entry per purpose; `_append` sees to it that the newest has the greatest id."""
    query = (
        select(Consent)
        .where(Consent.subject_id == subject_id)
        .ext(distinct_on(col(Consent.purpose)))
        .order_by(col(Consent.purpose), col(Consent.id).desc())
    )
    if not show_declined:
        query = query.where(Consent.action != Action.DECLINED)
    return {Purpose(entry.purpose): entry for entry in (await session.exec(query)).all()}


@dataclass(frozen=True)
class Standing:
    """Where a purpose stands. renew: why to ask again, `expired` or `notice_changed`; None when there is no need."""

    entry: Consent
    permitted: bool
    renew: str | None


async def standing(session: AsyncSession, subject_id: UUID, *, show_declined: bool = False) -> list[Standing]:
    """Where each purpose stands that the person was heard about, and whose consent wants renewing."""
    newest = await current(session, subject_id, show_declined=show_declined)
    granted = {entry.notice_id for entry in newest.values() if entry.action == Action.GRANTED}
    later = aliased(Notice)
    outdated = (
        select(Notice.id)
        .join(later, and_(col(later.slug) == col(Notice.slug), col(later.locale) == col(Notice.locale)))
        .where(col(Notice.id).in_(granted), col(later.version) > col(Notice.version))
    )
    changed = set((await session.exec(outdated)).all()) if granted else set()

    def renew(entry: Consent) -> str | None:
        if entry.action != Action.GRANTED:
            return None
        if not in_force(entry):
            return "expired"
        return "notice_changed" if entry.notice_id in changed else None

    return [Standing(entry=entry, permitted=in_force(entry), renew=renew(entry)) for entry in newest.values()]


def in_force(entry: Consent) -> bool:
    """Whether this newest entry permits its purpose now."""
    return entry.action == Action.GRANTED and (entry.expires_at is None or entry.expires_at > now())


async def require(session: AsyncSession, subject_id: UUID, *purposes: Purpose) -> Grant:
    """Return the grants for all these purposes.

    Raises `ConsentRequired` with those that are missing, and `ProcessingRestricted` while the person's data may be
    kept but not used. A declined purpose cannot be hidden behind an older grant: while one is in force there is no
    declining, only withdrawing.
    """
    await restrict.require_none(session, subject_id)
    newest = await current(session, subject_id)
    missing = [purpose for purpose in purposes if purpose not in newest or not in_force(newest[purpose])]
    if missing:
        raise ConsentRequired(missing=[purpose.value for purpose in missing])
    return Grant(subject_id=subject_id, entries={purpose: newest[purpose].id for purpose in purposes})
