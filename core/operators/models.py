"""The people who run the service, their sessions, and what they did.

Everything here is read by the role `likeness_operators` alone, which the workers do not have. E-mail addresses are
sealed, and found by a blind index; what proves somebody's identity is stored as a hash, or sealed.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Index, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from core.clock import now
from core.db import Eraser, Instant, table_info
from core.ids import new_id

ROLES = "'viewer', 'support', 'privacy_officer', 'admin'"


def _staff(why: str) -> dict[str, Any]:
    return table_info(tenancy="system", eraser=Eraser("keep", why, by=None))


class OperatorAccount(SQLModel, table=True):
    """One operator. A removed one keeps the name, by which colleagues know who did what, and nothing else.

    totp_step: the last time step whose code was used; an older one opens nothing.
    recovery: SHA-256, in hexadecimal, of the recovery codes that are left.
    oidc_subject: SHA-256 over issuer and subject of the ID tokens that are this operator's.
    signed_out_at: what was issued before opens nothing.
    """

    __tablename__ = "operator"
    __table_args__ = (
        CheckConstraint(f"role IN ({ROLES})", name="operator_role"),
        CheckConstraint("(removed_at IS NULL) = (email_index IS NOT NULL)", name="operator_removed"),
        CheckConstraint(
            "removed_at IS NULL OR (password_hash IS NULL AND sealed_totp IS NULL AND oidc_subject IS NULL)",
            name="operator_removed_opens_nothing",
        ),
        Index("operator_email", "email_index", unique=True),
        Index("operator_oidc_subject", "oidc_subject", unique=True),
        {"info": _staff("Staff, not a subject. Removal deletes the address and what they signed in with.")},
    )
    id: UUID = Field(default_factory=new_id, primary_key=True)
    name: str
    email_index: bytes | None = None
    sealed_email: bytes | None = None
    role: str
    version: int = 1
    password_hash: str | None = None
    sealed_totp: bytes | None = None
    totp_step: int = Field(default=0, sa_type=BigInteger)
    recovery: list[str] = Field(default_factory=list, sa_type=JSONB)
    oidc_subject: bytes | None = None
    signed_out_at: datetime | None = Field(default=None, sa_type=Instant)
    changed_by: str
    changed_at: datetime = Field(default_factory=now, sa_type=Instant)
    created_at: datetime = Field(default_factory=now, sa_type=Instant)
    removed_at: datetime | None = Field(default=None, sa_type=Instant)


class OperatorSession(SQLModel, table=True):
    """A session: of a password, whose token is stored as a SHA-256 only, or of an ID token, known by its nonce."""

    __tablename__ = "operator_session"
    __table_args__ = (
        CheckConstraint("(via = 'oidc') = (nonce_sha256 IS NOT NULL)", name="operator_session_nonce"),
        Index("operator_session_token", "token_sha256", unique=True),
        Index("operator_session_nonce", "nonce_sha256", unique=True),
        Index("operator_session_of_operator", "operator_id"),
        {"info": _staff("Hashes and times; deleted once it could not be used any more.")},
    )
    id: UUID = Field(default_factory=new_id, primary_key=True)
    operator_id: UUID = Field(foreign_key="operator.id")
    via: str
    token_sha256: bytes
    nonce_sha256: bytes | None = None
    created_at: datetime = Field(default_factory=now, sa_type=Instant)
    seen_at: datetime = Field(default_factory=now, sa_type=Instant)
    expires_at: datetime = Field(sa_type=Instant)
    ended_at: datetime | None = Field(default=None, sa_type=Instant)


class OperatorInvitation(SQLModel, table=True):
    """A link that makes an operator, once. What the invited chose waits here until a first code confirms it.

    operator_id: whose credentials it renews, when it is for somebody who lost them.
    waits: for a second person, who has not agreed to it yet.
    """

    __tablename__ = "operator_invitation"
    __table_args__ = (
        CheckConstraint(f"role IN ({ROLES})", name="operator_invitation_role"),
        CheckConstraint("(sealed_email IS NULL) = (email_index IS NULL)", name="operator_invitation_email"),
        Index("operator_invitation_token", "token_sha256", unique=True),
        {"info": _staff("Staff, not a subject. Deleted when it is used, replaced or expired.")},
    )
    id: UUID = Field(default_factory=new_id, primary_key=True)
    token_sha256: bytes
    name: str | None = None
    email_index: bytes | None = None
    sealed_email: bytes | None = None
    role: str
    operator_id: UUID | None = Field(default=None, foreign_key="operator.id")
    waits: bool = False
    password_hash: str | None = None
    sealed_totp: bytes | None = None
    tries: int = 0
    invited_by: str
    created_at: datetime = Field(default_factory=now, sa_type=Instant)
    expires_at: datetime = Field(sa_type=Instant)


class SignInAttempt(SQLModel, table=True):
    """Failures to sign in by one account, one address, or both together, which a keyed hash stands for."""

    __tablename__ = "sign_in_attempt"
    __table_args__ = (
        Index("sign_in_attempt_age", "last_at"),
        {"info": _staff("Keyed hashes and counts; deleted after a quarter of a year.")},
    )
    key: bytes = Field(primary_key=True)
    failures: int = 0
    last_at: datetime = Field(default_factory=now, sa_type=Instant)
    blocked_until: datetime | None = Field(default=None, sa_type=Instant)
    known_until: datetime | None = Field(default=None, sa_type=Instant)


class OperatorAct(SQLModel, table=True):
    """One entry of the log of what operators did: each holds the hash of the one before, and is never changed."""

    __tablename__ = "operator_act"
    __table_args__ = (
        Index("operator_act_about", "about_tenant_id", "number"),
        {"info": _staff("Ids and states. Accountability: it must not be possible to take anything out.")},
    )
    number: int = Field(primary_key=True, sa_type=BigInteger, sa_column_kwargs={"autoincrement": False})
    kind: str
    actor: str
    about_tenant_id: UUID | None = None
    facts: dict[str, Any] = Field(sa_type=JSONB)
    recorded_at: datetime = Field(default_factory=now, sa_type=Instant)
    previous_hash: bytes
    hash: bytes


class OperatorActHead(SQLModel, table=True):
    """A signed statement of how far the log of acts reached, and the hash of its last entry."""

    __tablename__ = "operator_act_head"
    __table_args__ = ({"info": _staff("Hashes.")},)
    number: int = Field(primary_key=True, sa_type=BigInteger, sa_column_kwargs={"autoincrement": False})
    hash: bytes
    note: str
    signed_at: datetime = Field(default_factory=now, sa_type=Instant)


class ProposalState(StrEnum):
    """open waits for a second person; failed was approved and may be tried again."""

    OPEN = "open"
    APPROVED = "approved"
    EXECUTED = "executed"
    FAILED = "failed"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"


class Proposal(SQLModel, table=True):
    """A destructive or exposing act that somebody asked for, and what a second person said.

    target: what it is about, so that the same is not asked for twice at once. body: what `execute` needs, ids and
    numbers. summary, effect: in sentences, as both people saw it. proposed_by: None in rows of
    before alone, when a machine could propose.
    """

    __table_args__ = (
        CheckConstraint(
            "state IN ('open', 'approved', 'executed', 'failed', 'refused', 'withdrawn', 'expired')",
            name="proposal_state",
        ),
        CheckConstraint(
            "state NOT IN ('approved', 'executed', 'failed', 'refused')"
            " OR (decided_by IS NOT NULL AND decided_at IS NOT NULL AND decided_by IS DISTINCT FROM proposed_by)",
            name="proposal_second_person",
        ),
        CheckConstraint("(state = 'executed') = (executed_at IS NOT NULL)", name="proposal_executed"),
        CheckConstraint("(state = 'failed') = (failure IS NOT NULL)", name="proposal_failed"),
        Index("proposal_once", "kind", "target", unique=True, postgresql_where=text("state IN ('open', 'approved')")),
        Index("proposal_by_state", "state", "id"),
        {"info": _staff("Ids, limits and reasons of staff. Accountability: who asked, who agreed.")},
    )
    id: UUID = Field(default_factory=new_id, primary_key=True)
    kind: str
    about_tenant_id: UUID | None = None
    target: str
    body: dict[str, Any] = Field(sa_type=JSONB)
    summary: str
    effect: list[str] = Field(sa_type=JSONB)
    reason: str
    state: str = "open"
    proposed_by: UUID | None = None
    proposed_at: datetime = Field(default_factory=now, sa_type=Instant)
    expires_at: datetime = Field(sa_type=Instant)
    decided_by: UUID | None = None
    decided_at: datetime | None = Field(default=None, sa_type=Instant)
    decision_reason: str | None = None
    attempts: int = 0
    started_at: datetime | None = Field(default=None, sa_type=Instant)
    executed_at: datetime | None = Field(default=None, sa_type=Instant)
    failure: str | None = None
