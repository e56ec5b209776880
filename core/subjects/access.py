"""Who opened what of a person, and why: noted before it is opened, readable for the person.

Nothing sealed for a person is opened without a line here; a test holds every place that opens to it.
"""

from uuid import UUID

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.ids import Prefix, public
from core.subjects import service as subjects
from core.subjects.models import AccessEntry


async def note(session: AsyncSession, *, subject_id: UUID, what: str, resource_id: UUID, actor: str, why: str) -> None:
    """Note an opening, and commit before it happens. Raises `Gone`: of an erased person nothing is opened.

    what: `photo`, `headshot`, `identity`, … actor: as the audit log names it. why: one word.
    """
    subject = await subjects.lock(session, subject_id, share=True)
    session.add(
        AccessEntry(
            tenant_id=subject.tenant_id,
            subject_id=subject.id,
            what=what,
            resource_id=resource_id,
            actor=actor,
            why=why,
        )
    )
    await session.flush()


_NAMED = {
    "photo": Prefix.ASSET,
    "headshot": Prefix.ASSET,
    "export": Prefix.ASSET,
    "identity": Prefix.SUBJECT,
    "consent": Prefix.CONSENT,
    "import": Prefix.IMPORT,
}


def named(entry: AccessEntry) -> str:
    """The id of what was opened, as the outside sees it."""
    return public(_NAMED.get(entry.what, Prefix.RIGHTS_REQUEST), entry.resource_id)


async def page(session: AsyncSession, subject_id: UUID, *, before: UUID | None, limit: int) -> list[AccessEntry]:
    """What was opened of a person, newest first."""
    query = (
        select(AccessEntry)
        .where(AccessEntry.subject_id == subject_id)
        .order_by(col(AccessEntry.id).desc())
        .limit(limit)
    )
    if before is not None:
        query = query.where(AccessEntry.id < before)
    return list((await session.exec(query)).all())
