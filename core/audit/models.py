"""The log of what happened: provable, with no personal data.

`audit_entry` holds the leaves. The other three tables are the RFC 6962 tree over them: how far it reaches, its complete
subtrees, and the checkpoints that were signed.
"""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Index, text
from sqlmodel import Field, SQLModel

from core.clock import now
from core.db import Eraser, Instant, table_info
from core.ids import new_id

_HASHES = Eraser("keep", "Hashes over salted commitments: they say nothing of anyone.", by=None)


class AuditEntry(SQLModel, table=True):
    """One leaf. `commitment` binds the ids that it is about without showing them to whoever has not the salt.

    number: its place in the tree, from 0 without gaps; None until the sequencer has come by. linked: the salt is there;
    it can be read where salts may not. None once it is gone.
    """

    __tablename__ = "audit_entry"
    __table_args__ = (
        Index("audit_entry_by_time", "tenant_id", "id"),
        Index("audit_entry_of_subject", "tenant_id", "subject_id", "id"),
        Index("audit_entry_by_number", "tenant_id", "number", unique=True),
        Index("audit_entry_linked", "tenant_id", "recorded_at", "id", postgresql_where=text("linked")),
        Index("audit_entry_unsequenced", "tenant_id", "id", postgresql_where=text("number IS NULL")),
        {
            "info": table_info(
                tenancy="tenant",
                eraser=Eraser(
                    "redact",
                    "The leaf stays; what links it to a person goes.",
                    columns=("salt", "subject_id", "linked"),
                ),
            )
        },
    )
    id: UUID = Field(default_factory=new_id, primary_key=True)
    tenant_id: UUID = Field(foreign_key="tenant.id")
    subject_id: UUID | None = None
    kind: str
    actor: str
    salt: bytes | None = None
    commitment: bytes
    leaf_hash: bytes
    recorded_at: datetime = Field(default_factory=now, sa_type=Instant)
    number: int | None = Field(default=None, sa_type=BigInteger)
    linked: bool | None = True


class AuditTree(SQLModel, table=True):
    """How many leaves of a tenant are in the tree. Whoever sequences holds this row, so numbers have no gaps."""

    __tablename__ = "audit_tree"
    __table_args__ = (
        CheckConstraint("size >= 0", name="audit_tree_size"),
        {"info": table_info(tenancy="tenant", eraser=_HASHES)},
    )
    tenant_id: UUID = Field(primary_key=True, foreign_key="tenant.id")
    size: int = Field(default=0, sa_type=BigInteger)


class AuditNode(SQLModel, table=True):
    """The root of the complete subtree over the leaves [place · 2^level, (place + 1) · 2^level)."""

    __tablename__ = "audit_node"
    __table_args__ = ({"info": table_info(tenancy="tenant", eraser=_HASHES)},)
    tenant_id: UUID = Field(primary_key=True, foreign_key="tenant.id")
    level: int = Field(primary_key=True)
    place: int = Field(primary_key=True, sa_type=BigInteger)
    hash: bytes


class AuditCheckpoint(SQLModel, table=True):
    """A signed statement of the tree at one size, as a C2SP tlog-checkpoint. announced: it went out by webhook."""

    __tablename__ = "audit_checkpoint"
    __table_args__ = (
        Index("audit_checkpoint_announced", "tenant_id", "size", postgresql_where=text("announced")),
        {"info": table_info(tenancy="tenant", eraser=_HASHES)},
    )
    tenant_id: UUID = Field(primary_key=True, foreign_key="tenant.id")
    size: int = Field(primary_key=True, sa_type=BigInteger)
    root_hash: bytes
    note: str
    announced: bool = False
    signed_at: datetime = Field(default_factory=now, sa_type=Instant)
