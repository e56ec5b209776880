"""People: create, find, reveal to their own tenant, rectify.

What a tenant tells us about a person is sealed under that person's key, so it dies with the key. Finding a person by
the tenant's own reference goes through a blind index: an HMAC under a key of the tenant.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.exc import IntegrityError as DuplicateRow
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.audit import service as audit
from core.errors import Gone, NotFound, ReferenceTaken
from core.ids import Prefix, new_id, public
from core.keyring.sealer import Sealer
from core.keyring.service import Keyring
from core.subjects.models import Subject, SubjectRevision

REFERENCE = "reference"
NAME = "display_name"
EMAIL = "email"
_COLUMNS: Mapping[str, str] = {REFERENCE: "sealed_reference", NAME: "sealed_name", EMAIL: "sealed_email"}


@dataclass(frozen=True)
class Identity:
    """What the tenant told us about a person, opened. Never logged, never stored, never in an event."""

    reference: str | None
    display_name: str | None
    email: str | None


async def create(
    session: AsyncSession,
    keyring: Keyring,
    *,
    tenant_id: UUID,
    actor: str,
    reference: str,
    display_name: str | None = None,
    email: str | None = None,
    jurisdiction: str | None = None,
) -> Subject:
    """Create a person and their key, in one transaction. Raises `ReferenceTaken` with the id that has the reference."""
    index = await keyring.blind_index(tenant_id, REFERENCE, reference)
    taken = (await session.exec(select(Subject).where(Subject.reference_index == index))).first()
    if taken is not None:
        raise ReferenceTaken(subject_id=public(Prefix.SUBJECT, taken.id))
    subject_id = new_id()
    sealer = await keyring.new_subject_key(session, tenant_id, subject_id)
    subject = Subject(
        id=subject_id,
        tenant_id=tenant_id,
        reference_index=index,
        sealed_reference=sealer.seal_field(REFERENCE, reference),
        sealed_name=None if display_name is None else sealer.seal_field(NAME, display_name),
        sealed_email=None if email is None else sealer.seal_field(EMAIL, email),
        jurisdiction=jurisdiction,
    )
    session.add(subject)
    try:
        await session.flush()
    except DuplicateRow as error:
        # Two requests with one reference at the same moment: the index decides, and the loser is told so.
        raise ReferenceTaken from error
    await audit.append(
        session, tenant_id=tenant_id, subject_id=subject_id, kind="subject.created", actor=actor, facts={}
    )
    return subject


async def get(session: AsyncSession, subject_id: UUID) -> Subject:
    """A person. Raises `NotFound`, or `Gone` once erased."""
    found = await session.get(Subject, subject_id)
    if found is None:
        raise NotFound
    if found.erased_at is not None:
        raise Gone
    return found


async def lock(session: AsyncSession, subject_id: UUID, *, share: bool = False, erased_too: bool = False) -> Subject:
    """A person, their row locked until commit: an erasure waits for us, or we see that it came first (`Gone`).

    erased_too: for what is told of somebody after their erasure has begun, and opens nothing of theirs.
    """
    query = select(Subject).where(Subject.id == subject_id).execution_options(populate_existing=True)
    found = (await session.exec(query.with_for_update(read=share))).first()
    if found is None:
        raise NotFound
    if found.erased_at is not None and not erased_too:
        raise Gone
    return found


async def find_by_reference(
    session: AsyncSession, keyring: Keyring, *, tenant_id: UUID, reference: str
) -> Subject | None:
    """The person that the tenant knows by this reference."""
    index = await keyring.blind_index(tenant_id, REFERENCE, reference)
    return (await session.exec(select(Subject).where(Subject.reference_index == index))).first()


async def page(session: AsyncSession, *, before: UUID | None, limit: int) -> list[Subject]:
    """People not erased, newest first."""
    query = select(Subject).where(col(Subject.erased_at).is_(None)).order_by(col(Subject.id).desc()).limit(limit)
    if before is not None:
        query = query.where(Subject.id < before)
    return list((await session.exec(query)).all())


async def reveal(keyring: Keyring, subject: Subject) -> Identity:
    """Open what the tenant told us. Raises `Gone` once the key is shredded."""
    sealer = await keyring.subject_sealer(subject.tenant_id, subject.id)

    def opened(name: str) -> str | None:
        sealed: bytes | None = getattr(subject, _COLUMNS[name])
        return None if sealed is None else sealer.open_field(name, sealed)

    return Identity(reference=opened(REFERENCE), display_name=opened(NAME), email=opened(EMAIL))


@dataclass(frozen=True)
class Correction:
    """What a field said until it was replaced, opened."""

    field: str
    before: str | None
    actor: str
    replaced_at: datetime


async def corrections(session: AsyncSession, keyring: Keyring, subject: Subject) -> list[Correction]:
    """What was corrected, newest first. Raises `Gone` once the key is shredded."""
    sealer = await keyring.subject_sealer(subject.tenant_id, subject.id)
    query = (
        select(SubjectRevision).where(SubjectRevision.subject_id == subject.id).order_by(col(SubjectRevision.id).desc())
    )
    return [
        Correction(
            field=row.field,
            before=None if row.sealed_before is None else sealer.open_field(row.field, row.sealed_before),
            actor=row.actor,
            replaced_at=row.replaced_at,
        )
        for row in (await session.exec(query)).all()
    ]


def _sealed(sealer: Sealer, subject: Subject, name: str) -> bytes | None:
    """What a field says now, sealed."""
    if name in _COLUMNS:
        found: bytes | None = getattr(subject, _COLUMNS[name])
        return found
    return None if subject.jurisdiction is None else sealer.seal_field(name, subject.jurisdiction)


async def rectify(
    session: AsyncSession, keyring: Keyring, subject: Subject, *, actor: str, changes: Mapping[str, str | None]
) -> Subject:
    """Correct what is known of a person. `changes` may name reference, display_name, email and jurisdiction.

    What a field said before is kept beside it, sealed, until the person is erased.
    """
    sealer = await keyring.subject_sealer(subject.tenant_id, subject.id)
    for name, value in changes.items():
        session.add(
            SubjectRevision(
                tenant_id=subject.tenant_id,
                subject_id=subject.id,
                field=name,
                sealed_before=_sealed(sealer, subject, name),
                actor=actor,
            )
        )
        if name in _COLUMNS:
            setattr(subject, _COLUMNS[name], None if value is None else sealer.seal_field(name, value))
        elif name == "jurisdiction":
            subject.jurisdiction = value
        else:
            raise ValueError("not a field of a person")
    reference = changes.get(REFERENCE)
    if reference is not None:
        index = await keyring.blind_index(subject.tenant_id, REFERENCE, reference)
        taken = (await session.exec(select(Subject).where(Subject.reference_index == index))).first()
        if taken is not None and taken.id != subject.id:
            raise ReferenceTaken(subject_id=public(Prefix.SUBJECT, taken.id))
        subject.reference_index = index
    session.add(subject)
    await audit.append(
        session,
        tenant_id=subject.tenant_id,
        subject_id=subject.id,
        kind="subject.rectified",
        actor=actor,
        facts={"fields": ",".join(sorted(changes))},
    )
    return subject
