"""The classes of data, how long each is kept unless its tenant says otherwise, and how long for a given tenant.

This is the one place of the defaults. Each is as short as the class can bear, and says why; a tenant may set another
between the bounds. `core.retention` deletes by them; whoever writes something that ends asks `term` when.
"""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from uuid import UUID

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.errors import RetentionOutOfRange
from core.terms.models import RetentionPolicy

DAY = timedelta(days=1)
YEAR = timedelta(days=365)
# The shortest that anybody may ask for: an upload, its look and its headshots must have their time.
SHORTEST = timedelta(hours=1)


class DataClass(StrEnum):
    """What a term is for."""

    PHOTO = "photo"
    HEADSHOT = "headshot"
    REJECTED_OUTPUT = "rejected_output"
    EXPORT = "export"
    CONSENT_EVIDENCE = "consent_evidence"
    JOB_METADATA = "job_metadata"
    DELIVERY_LOG = "delivery_log"
    AUDIT = "audit"


@dataclass(frozen=True)
class Rule:
    """A class: its default, why that, what a tenant may set, from when it counts, what goes and what stays.

    warn: how long before its day `asset.expiring` is sent; None for a class without such a warning.
    """

    default: timedelta
    why: str
    shortest: timedelta
    longest: timedelta
    starts: str
    goes: str
    stays: str
    warn: timedelta | None = None


RULES: dict[DataClass, Rule] = {
    DataClass.PHOTO: Rule(
        default=7 * DAY,
        why="Long enough to order headshots again in another style within a week; then the face has served.",
        shortest=SHORTEST,
        longest=YEAR,
        starts="upload",
        goes="The sealed picture and its key, the report of the face check, the list of what was stripped.",
        stays="The id, which answers 410.",
        warn=DAY,
    ),
    DataClass.HEADSHOT: Rule(
        default=30 * DAY,
        why="Long enough for the platform to fetch what it ordered; what it wants to keep, it keeps itself.",
        shortest=SHORTEST,
        longest=3 * YEAR,
        starts="completion",
        goes="The sealed pictures and their keys, the edit ledger, the likeness measures, the link of the mark.",
        stays="The id, which answers 410; the number of the mark, which says only: made here, and erased.",
        warn=DAY,
    ),
    DataClass.REJECTED_OUTPUT: Rule(
        default=DAY,
        why="What was refused serves nobody; a day lets the platform read why.",
        shortest=SHORTEST,
        longest=30 * DAY,
        starts="upload of a refused photo; refusal of a headshot by the still-me gate",
        goes="The sealed photo and its key, and what the check or the gate measured.",
        stays="The id, which answers 410.",
    ),
    DataClass.EXPORT: Rule(
        default=7 * DAY,
        why="A copy of everything about somebody is the worst thing to leave lying; a week is enough to fetch it.",
        shortest=SHORTEST,
        longest=30 * DAY,
        starts="completion",
        goes="The sealed file and its key.",
        stays="The id, which answers 410.",
        warn=DAY,
    ),
    DataClass.CONSENT_EVIDENCE: Rule(
        default=3 * YEAR,
        why="Whoever processes must be able to show the consent (GDPR Art. 7(1)) for as long as claims are usual.",
        shortest=30 * DAY,
        longest=10 * YEAR,
        starts="the moment at which the consent was withdrawn, replaced or expired; a refusal's own moment",
        goes="The sealed evidence: how the person was asked, a release with its signature, an attestation.",
        stays="The entry of the ledger: purpose, answer, notice version, times.",
    ),
    DataClass.JOB_METADATA: Rule(
        default=90 * DAY,
        why="A quarter, so that a bill can be checked; a person's history of orders is nobody's business after it.",
        shortest=DAY,
        longest=3 * YEAR,
        starts="the end of the job",
        goes="The job and the empty rows of its headshots: their ids answer 404.",
        stays="The leaves of the audit log, certificates, and the credits that were spent, as a sum.",
    ),
    DataClass.DELIVERY_LOG: Rule(
        default=30 * DAY,
        why="Receivers that were down catch up within days; a month covers a monthly reconciliation.",
        shortest=7 * DAY,
        longest=YEAR,
        starts="the event",
        goes="The event and every delivery of it.",
        stays="Nothing.",
    ),
    DataClass.AUDIT: Rule(
        default=3 * YEAR,
        why="Accountability (GDPR Art. 5(2)) while claims are usual; the hashes stay for ever and say nothing.",
        shortest=YEAR,
        longest=10 * YEAR,
        starts="the entry",
        goes="The salt, without which a leaf binds nothing that can be named, and the link to the person.",
        stays="The leaf, its hash and its number: every proof and checkpoint stays valid.",
    ),
}


@dataclass(frozen=True)
class Term:
    """How long a tenant keeps a class. version 0: nobody has changed the default."""

    data_class: DataClass
    seconds: int
    warn_seconds: int | None
    version: int

    @property
    def length(self) -> timedelta:
        """The same as a span of time."""
        return timedelta(seconds=self.seconds)


def default_of(data_class: DataClass) -> Term:
    """What counts while a tenant has set nothing."""
    rule = RULES[data_class]
    warn = None if rule.warn is None else int(rule.warn.total_seconds())
    return Term(data_class, seconds=int(rule.default.total_seconds()), warn_seconds=warn, version=0)


async def policy(session: AsyncSession, tenant_id: UUID, data_class: DataClass) -> Term:
    """The newest policy of a tenant for a class, or the default."""
    query = (
        select(RetentionPolicy)
        .where(RetentionPolicy.tenant_id == tenant_id, RetentionPolicy.data_class == data_class.value)
        .order_by(col(RetentionPolicy.version).desc())
        .limit(1)
    )
    found = (await session.exec(query)).first()
    return default_of(data_class) if found is None else read(found)


async def policies(session: AsyncSession, tenant_id: UUID) -> list[Term]:
    """The newest policy of a tenant for every class."""
    return [await policy(session, tenant_id, data_class) for data_class in DataClass]


async def term(session: AsyncSession, tenant_id: UUID, data_class: DataClass) -> timedelta:
    """How long a tenant keeps a class: what is written now ends this much later."""
    return (await policy(session, tenant_id, data_class)).length


async def term_asked(
    session: AsyncSession, tenant_id: UUID, data_class: DataClass, *, expires_after: int | None
) -> timedelta:
    """The tenant's term, or the shorter one that a request asks for. Raises `RetentionOutOfRange`."""
    longest = (await policy(session, tenant_id, data_class)).seconds
    shortest = min(int(SHORTEST.total_seconds()), longest)
    asked = longest if expires_after is None else expires_after
    if not shortest <= asked <= longest:
        raise RetentionOutOfRange(minimum=shortest, maximum=longest)
    return timedelta(seconds=asked)


def read(row: RetentionPolicy) -> Term:
    """A stored policy."""
    return Term(DataClass(row.data_class), seconds=row.seconds, warn_seconds=row.warn_seconds, version=row.version)
