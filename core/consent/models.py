"""Notices and the append-only ledger of consent."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from core.clock import now
from core.db import Eraser, Instant, table_info
from core.ids import new_id


class Purpose(StrEnum):
    """What a person is asked for, one by one."""

    HEADSHOT = "headshot"
    BIOMETRIC_PROCESSING = "biometric_processing"
    MODEL_TRAINING = "model_training"
    THIRD_PARTY_SHARING = "third_party_sharing"
    EXTENDED_RETENTION = "extended_retention"


class LegalBasis(StrEnum):
    """GDPR Article 6(1); training, sharing and biometric processing always need consent."""

    CONSENT = "consent"
    CONTRACT = "contract"
    LEGITIMATE_INTERESTS = "legitimate_interests"


class Action(StrEnum):
    """An entry of the ledger says one of these.

    declined: the person was asked and said no; only keys with a scope of its own see it. opted_out: the person said no
    to sale and sharing without being asked; for a year nobody may ask them.
    """

    GRANTED = "granted"
    WITHDRAWN = "withdrawn"
    DECLINED = "declined"
    OPTED_OUT = "opted_out"


class Channel(StrEnum):
    """Where the person was asked."""

    WEB_FORM = "web_form"
    MOBILE_APP = "mobile_app"
    KIOSK = "kiosk"
    IN_PERSON = "in_person"
    PAPER = "paper"
    PHONE = "phone"
    PERSON_PAGE = "person_page"
    BROWSER_SIGNAL = "browser_signal"


class Notice(SQLModel, table=True):
    """One published version of the privacy notice. It never changes; a new version is a new row."""

    __table_args__ = (
        Index("notice_version", "tenant_id", "slug", "locale", "version", unique=True),
        {"info": table_info(tenancy="tenant", eraser=Eraser("keep", "A published text, about no person.", by=None))},
    )
    id: UUID = Field(default_factory=new_id, primary_key=True)
    tenant_id: UUID = Field(foreign_key="tenant.id")
    slug: str
    version: int
    locale: str
    text: str
    text_sha256: str
    purposes: dict[str, str] = Field(sa_type=JSONB)  # purpose → legal basis
    retention_days: int
    published_at: datetime = Field(default_factory=now, sa_type=Instant)


class Consent(SQLModel, table=True):
    """One entry of the ledger. The database refuses to change or delete one; its evidence may be emptied.

    evidence_ended_at: when the entry no longer counts, or will not: from then on the term of its evidence runs. None
    while it counts without an end, and where there is no evidence.
    """

    __table_args__ = (
        CheckConstraint("action IN ('granted', 'withdrawn', 'declined', 'opted_out')", name="consent_action"),
        CheckConstraint("notice_id IS NOT NULL OR action = 'opted_out'", name="consent_under_a_notice"),
        Index("consent_history", "tenant_id", "subject_id", "purpose", "id"),
        Index(
            "consent_evidence_ended",
            "tenant_id",
            "evidence_ended_at",
            "id",
            postgresql_where=text("evidence_ended_at IS NOT NULL"),
        ),
        {
            "info": table_info(
                tenancy="tenant",
                eraser=Eraser(
                    "redact",
                    "That a consent was given stays provable.",
                    columns=("sealed_evidence", "evidence_ended_at"),
                ),
            )
        },
    )
    id: UUID = Field(default_factory=new_id, primary_key=True)
    tenant_id: UUID = Field(foreign_key="tenant.id")
    subject_id: UUID = Field(foreign_key="subject.id")
    purpose: str
    action: str
    notice_id: UUID | None = Field(default=None, foreign_key="notice.id")  # none needs to be shown for an opt-out
    legal_basis: str
    locale: str | None = None
    channel: str | None = None
    sealed_evidence: bytes | None = None
    expires_at: datetime | None = Field(default=None, sa_type=Instant)
    recorded_at: datetime = Field(default_factory=now, sa_type=Instant)
    evidence_ended_at: datetime | None = Field(default=None, sa_type=Instant)


class Restriction(SQLModel, table=True):
    """Processing of a person stands still from `imposed_at` until `lifted_at` (GDPR Art. 18(2), 21(1)).

    kind: `restriction` or `objection`. request_id: the rights request that asked for it.
    """

    __table_args__ = (
        Index("restriction_in_force", "tenant_id", "subject_id", postgresql_where=text("lifted_at IS NULL")),
        Index("restriction_of_request", "tenant_id", "request_id", unique=True),
        {
            "info": table_info(
                tenancy="tenant",
                eraser=Eraser("keep", "Random ids and times: that processing stood still is provable."),
            )
        },
    )
    id: UUID = Field(default_factory=new_id, primary_key=True)
    tenant_id: UUID = Field(foreign_key="tenant.id")
    subject_id: UUID = Field(foreign_key="subject.id")
    request_id: UUID
    kind: str
    imposed_at: datetime = Field(default_factory=now, sa_type=Instant)
    lifted_at: datetime | None = Field(default=None, sa_type=Instant)
