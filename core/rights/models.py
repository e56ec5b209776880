"""Tombstones and the proof of them; requests and their deadlines; exports; links for people.

A tombstone says who was erased, how far the erasing has come and who was told. A request says what a person asked for
and by when they must be answered; an export is the answer to some.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from core.clock import now
from core.db import Eraser, Instant, table_info
from core.ids import new_id


class ErasureState(StrEnum):
    """shredded: the key is gone, nothing can be read again. erased: the ciphertext and the rows are gone as well."""

    SHREDDED = "shredded"
    ERASED = "erased"


class Step(StrEnum):
    """The steps of an erasure, in order. `core.rights.erase` numbers and does them."""

    TOMBSTONE = "tombstone"
    KEY = "key"
    RECEIVERS = "receivers"
    JOBS = "jobs"
    OBJECTS = "objects"
    ROWS = "rows"
    RESCAN = "rescan"
    CERTIFICATE = "certificate"


class Tombstone(SQLModel, table=True):
    """Says that a subject was erased. Written in the transaction that destroys the key; replayed after any restore.

    steps: each step that was done → when, last. removed: what was removed, by class and by table, as counts.
    scans: what the rescan looked at, how, and what it found. last_error: the type of what stopped the last try.
    """

    __table_args__ = (
        CheckConstraint("state IN ('shredded', 'erased')", name="tombstone_state"),
        Index("tombstone_unfinished", "next_at", postgresql_where=text("certified_at IS NULL")),
        Index("tombstone_by_time", "shredded_at", "subject_id"),
        Index("tombstone_open", "shredded_at", "subject_id", postgresql_where=text("certified_at IS NULL")),
        {"info": table_info(tenancy="tenant", eraser=Eraser("keep", "The proof itself: a random id and times."))},
    )
    subject_id: UUID = Field(primary_key=True)
    tenant_id: UUID = Field(foreign_key="tenant.id")
    erasure_epoch: int
    state: str = ErasureState.SHREDDED
    attempts: int = 0
    next_at: datetime = Field(default_factory=now, sa_type=Instant)
    shredded_at: datetime = Field(default_factory=now, sa_type=Instant)
    erased_at: datetime | None = Field(default=None, sa_type=Instant)
    objects_deleted: int = 0
    steps: dict[str, str] = Field(default_factory=dict, sa_type=JSONB)
    removed: dict[str, dict[str, int]] = Field(default_factory=dict, sa_type=JSONB)
    scans: list[dict[str, Any]] | None = Field(default=None, sa_type=JSONB)
    last_error: str | None = None
    certified_at: datetime | None = Field(default=None, sa_type=Instant)

    def done(self, step: Step) -> None:
        """Note that a step is done, now. A step that was done before keeps its newest time."""
        self.steps = {**self.steps, step.value: now().isoformat()}

    def count(self, group: str, found: dict[str, int]) -> None:
        """Add to the counts of what was removed."""
        known = self.removed.get(group, {})
        added = {name: known.get(name, 0) + number for name, number in found.items() if number}
        if added:
            self.removed = {**self.removed, group: {**known, **added}}


class ErasureReceiver(SQLModel, table=True):
    """An endpoint that was told of an erasure, and its word that it has erased on its side as well."""

    __tablename__ = "erasure_receiver"
    __table_args__ = (
        {"info": table_info(tenancy="tenant", eraser=Eraser("keep", "Which platform endpoint was told, and when."))},
    )
    subject_id: UUID = Field(primary_key=True)
    endpoint_id: UUID = Field(primary_key=True)
    tenant_id: UUID = Field(foreign_key="tenant.id")
    told_at: datetime = Field(default_factory=now, sa_type=Instant)
    confirmed_at: datetime | None = Field(default=None, sa_type=Instant)
    confirmed_by: str | None = None


class ErasureCertificate(SQLModel, table=True):
    """The proof of one erasure. First a draft, whose digest goes into the log; then signed, with the log's proof.

    body: what is certified. entry_id: the leaf that binds it. document: the signed file, byte for byte. rendering: the
    same as a PDF. The columns `horizon_…` are the same for its second part, which says that no backup holds the key.
    """

    __tablename__ = "erasure_certificate"
    __table_args__ = (
        Index("erasure_certificate_once", "tenant_id", "subject_id", unique=True),
        Index(
            "erasure_certificate_before_horizon",
            "issued_at",
            postgresql_where=text("horizon_at IS NULL AND issued_at IS NOT NULL"),
        ),
        {
            "info": table_info(
                tenancy="tenant", eraser=Eraser("keep", "The proof itself: random ids, counts and times.")
            )
        },
    )
    id: UUID = Field(default_factory=new_id, primary_key=True)
    tenant_id: UUID = Field(foreign_key="tenant.id")
    subject_id: UUID
    body: dict[str, Any] = Field(sa_type=JSONB)
    entry_id: UUID
    document: bytes | None = None
    rendering: bytes | None = None
    created_at: datetime = Field(default_factory=now, sa_type=Instant)
    issued_at: datetime | None = Field(default=None, sa_type=Instant)
    horizon_body: dict[str, Any] | None = Field(default=None, sa_type=JSONB)
    horizon_entry_id: UUID | None = None
    horizon_document: bytes | None = None
    horizon_at: datetime | None = Field(default=None, sa_type=Instant)


class DepartureState(StrEnum):
    """leaving: suspended, may still stay. shredded: its keys are gone. erased, certified: to the end."""

    LEAVING = "leaving"
    SHREDDED = "shredded"
    ERASED = "erased"
    CERTIFIED = "certified"


class Departure(SQLModel, table=True):
    """A whole tenant that leaves: how far its erasure has come, and the proof of it. `core.rights.leave` does it.

    state_before: of the tenant, to go back to if it stays after all. archive_sha256: of the archive that was taken
    first. removed, scans: as in a tombstone. body, entry_id, document, horizon_…: as in a certificate.
    """

    __table_args__ = (
        CheckConstraint("state IN ('leaving', 'shredded', 'erased', 'certified')", name="departure_state"),
        CheckConstraint("state_before IN ('active', 'suspended')", name="departure_state_before"),
        Index("departure_unfinished", "next_at", postgresql_where=text("state IN ('shredded', 'erased')")),
        {"info": table_info(tenancy="tenant", eraser=Eraser("keep", "The proof that a platform left.", by=None))},
    )
    tenant_id: UUID = Field(primary_key=True, foreign_key="tenant.id")
    state: str = DepartureState.LEAVING
    state_before: str = "active"
    begun_at: datetime = Field(default_factory=now, sa_type=Instant)
    archive_sha256: str | None = None
    archived_at: datetime | None = Field(default=None, sa_type=Instant)
    shredded_at: datetime | None = Field(default=None, sa_type=Instant)
    erased_at: datetime | None = Field(default=None, sa_type=Instant)
    certified_at: datetime | None = Field(default=None, sa_type=Instant)
    steps: dict[str, str] = Field(default_factory=dict, sa_type=JSONB)
    removed: dict[str, int] = Field(default_factory=dict, sa_type=JSONB)
    scans: list[dict[str, Any]] | None = Field(default=None, sa_type=JSONB)
    attempts: int = 0
    next_at: datetime = Field(default_factory=now, sa_type=Instant)
    last_error: str | None = None
    certificate_id: UUID | None = None
    body: dict[str, Any] | None = Field(default=None, sa_type=JSONB)
    entry_id: UUID | None = None
    document: bytes | None = None
    horizon_body: dict[str, Any] | None = Field(default=None, sa_type=JSONB)
    horizon_entry_id: UUID | None = None
    horizon_document: bytes | None = None
    horizon_at: datetime | None = Field(default=None, sa_type=Instant)

    def done(self, step: str) -> None:
        """Note that a step is done, now."""
        self.steps = {**self.steps, step: now().isoformat()}


class RestorationPhase(StrEnum):
    """loading: database and keys are being replaced. objects: they are being put back. replaying: tombstones are."""

    LOADING = "loading"
    OBJECTS = "objects"
    REPLAYING = "replaying"
    DONE = "done"


class Restoration(SQLModel, table=True):
    """A restore from a backup. While one is not done, nobody is served: `core.db` looks here in every transaction.

    replayed: what was erased again, by kind, as counts. ledger_lost: it was restored without the tombstone ledger, so
    whoever was erased since the backup is back.
    """

    __table_args__ = (
        CheckConstraint("phase IN ('loading', 'objects', 'replaying', 'done')", name="restoration_phase"),
        CheckConstraint("(phase = 'done') = (finished_at IS NOT NULL)", name="restoration_finished"),
        {"info": table_info(tenancy="system", eraser=Eraser("keep", "Times of the whole deployment.", by=None))},
    )
    id: UUID = Field(default_factory=new_id, primary_key=True)
    backup_id: UUID
    backup_at: datetime = Field(sa_type=Instant)
    phase: str = RestorationPhase.LOADING
    begun_at: datetime = Field(default_factory=now, sa_type=Instant)
    finished_at: datetime | None = Field(default=None, sa_type=Instant)
    replayed: dict[str, int] = Field(default_factory=dict, sa_type=JSONB)
    ledger_lost: bool = False


class RequestState(StrEnum):
    """received: open. superseded: the person was erased before it could be answered otherwise."""

    RECEIVED = "received"
    COMPLETED = "completed"
    DENIED = "denied"
    SUPERSEDED = "superseded"


class Identity(StrEnum):
    """Whether we know that it was the person who asked (GDPR Art. 12(6))."""

    UNVERIFIED = "unverified"
    VERIFIED = "verified"
    FAILED = "failed"


class Source(StrEnum):
    """Who brought the request in."""

    TENANT = "tenant"
    PERSON = "person"


class RightsRequest(SQLModel, table=True):
    """What a person asked for. While it is open there is no second one of its kind: a repeat is joined to it.

    law: the row of the rules by which it is counted. acknowledge_by, due_at, extended_due_at: the first moments that
    are too late. told: which warnings went out. next_word_at: when the sweep looks at it again.
    """

    __tablename__ = "rights_request"
    __table_args__ = (
        CheckConstraint("state IN ('received', 'completed', 'denied', 'superseded')", name="rights_request_state"),
        CheckConstraint("identity IN ('unverified', 'verified', 'failed')", name="rights_request_identity"),
        CheckConstraint("(state = 'received') = (closed_at IS NULL)", name="rights_request_closed"),
        Index("rights_request_by_time", "tenant_id", "id"),
        Index("rights_request_of_subject", "tenant_id", "subject_id", "id"),
        Index(
            "rights_request_open_once",
            "tenant_id",
            "subject_id",
            "kind",
            unique=True,
            postgresql_where=text("state = 'received'"),
        ),
        Index("rights_request_next_word", "next_word_at", postgresql_where=text("state = 'received'")),
        Index("rights_request_by_due", "state", "due_at", "id"),
        {
            "info": table_info(
                tenancy="tenant",
                eraser=Eraser(
                    "redact",
                    "That a request was answered, and when, stays provable; what was written goes.",
                    columns=("sealed_details", "sealed_reason"),
                ),
            )
        },
    )
    id: UUID = Field(default_factory=new_id, primary_key=True)
    tenant_id: UUID = Field(foreign_key="tenant.id")
    subject_id: UUID = Field(foreign_key="subject.id")
    kind: str
    source: str
    state: str = RequestState.RECEIVED
    identity: str = Identity.UNVERIFIED
    joined: int = 0
    law: str
    law_source: str
    received_at: datetime = Field(default_factory=now, sa_type=Instant)
    acknowledge_by: datetime | None = Field(default=None, sa_type=Instant)
    acknowledged_at: datetime | None = Field(default=None, sa_type=Instant)
    due_at: datetime = Field(sa_type=Instant)
    extended_due_at: datetime | None = Field(default=None, sa_type=Instant)
    extended_at: datetime | None = Field(default=None, sa_type=Instant)
    extension_code: str | None = None
    exception: str | None = None
    sealed_details: bytes | None = None
    sealed_reason: bytes | None = None
    told: list[str] = Field(default_factory=list, sa_type=JSONB)
    next_word_at: datetime | None = Field(default=None, sa_type=Instant)
    closed_at: datetime | None = Field(default=None, sa_type=Instant)


class ExportState(StrEnum):
    """preparing until its file is sealed; then ready, and expired once its term is over. failed: there is no file."""

    PREPARING = "preparing"
    READY = "ready"
    FAILED = "failed"
    EXPIRED = "expired"


class PersonExport(SQLModel, table=True):
    """Everything that is held of a person, in one sealed file, made for a request of theirs.

    attempt: the fence; whoever builds it names the one that it was given. failures: tries that were its own fault.
    next_at: when the sweep takes it up again, unless the builder says before that it lives. entries, written: how many
    files it will have, and has.
    """

    __tablename__ = "person_export"
    __table_args__ = (
        CheckConstraint("state IN ('preparing', 'ready', 'failed', 'expired')", name="person_export_state"),
        CheckConstraint("(state = 'failed') = (reason_code IS NOT NULL)", name="person_export_reason"),
        CheckConstraint("state <> 'ready' OR asset_id IS NOT NULL", name="person_export_has_file"),
        Index("person_export_of_subject", "tenant_id", "subject_id", "id"),
        Index(
            "person_export_once",
            "tenant_id",
            "request_id",
            unique=True,
            postgresql_where=text("state = 'preparing'"),
        ),
        Index("person_export_unfinished", "next_at", postgresql_where=text("state = 'preparing'")),
        {
            "info": table_info(
                tenancy="tenant",
                eraser=Eraser("keep", "Random ids, counts and times: that an export was made stays provable."),
            )
        },
    )
    id: UUID = Field(default_factory=new_id, primary_key=True)
    tenant_id: UUID = Field(foreign_key="tenant.id")
    subject_id: UUID = Field(foreign_key="subject.id")
    request_id: UUID = Field(foreign_key="rights_request.id")
    state: str = ExportState.PREPARING
    asset_id: UUID | None = Field(default=None, foreign_key="asset.id")
    attempt: int = 0
    failures: int = 0
    next_at: datetime = Field(default_factory=now, sa_type=Instant)
    entries: int = 0
    written: int = 0
    reason_code: str | None = None
    created_at: datetime = Field(default_factory=now, sa_type=Instant)
    ready_at: datetime | None = Field(default=None, sa_type=Instant)
    expires_at: datetime | None = Field(default=None, sa_type=Instant)
    erased_at: datetime | None = Field(default=None, sa_type=Instant)


class PersonLink(SQLModel, table=True):
    """A link that opens a person's own page once, and the visit that it was opened for. Only hashes are kept."""

    __tablename__ = "person_link"
    __table_args__ = (
        Index("person_link_of_subject", "tenant_id", "subject_id"),
        {"info": table_info(tenancy="tenant", eraser=Eraser("delete", "A link of nobody opens nothing."))},
    )
    id: UUID = Field(default_factory=new_id, primary_key=True)
    tenant_id: UUID = Field(foreign_key="tenant.id")
    subject_id: UUID = Field(foreign_key="subject.id")
    token_sha256: bytes
    expires_at: datetime = Field(sa_type=Instant)
    opened_at: datetime | None = Field(default=None, sa_type=Instant)
    visit_sha256: bytes | None = None
    visit_until: datetime | None = Field(default=None, sa_type=Instant)
    created_at: datetime = Field(default_factory=now, sa_type=Instant)
