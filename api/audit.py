"""The audit log: read it, and have it prove itself.

Everything that happened in a tenant is a leaf of that tenant's own Merkle tree (RFC 6962). Leaves hold no personal
data. Keep a checkpoint, from here or from the `audit.checkpoint` event, and no later rewriting goes unseen.
"""

from datetime import datetime
from typing import Annotated

from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter
from msgspec import Meta, Struct

from api.auth import requires_scope, seen_by
from api.paging import Limit
from api.problems import ALWAYS, documented
from core.audit import log, note
from core.audit import service as audit
from core.audit.models import AuditCheckpoint, AuditEntry
from core.bootstrap import Parts
from core.errors import NotFound, ValidationFailed
from core.ids import Prefix, parse, public
from core.tenants.service import Caller

LARGEST = 2**63 - 1

Start = Annotated[
    int, QueryParameter(name="from", ge=0, le=LARGEST, required=False, description="Number of the first entry.")
]
Size = Annotated[
    int | None,
    QueryParameter(ge=0, le=LARGEST, required=False, description="Of the checkpoint; leave out for the newest."),
]
Old = Annotated[int, QueryParameter(name="from", ge=0, le=LARGEST, description="Size of the checkpoint that you keep.")]


class CheckpointView(Struct, frozen=True, kw_only=True):
    """A signed statement of the log's state."""

    origin: Annotated[str, Meta(examples=["likeness/ten_0199b3c4d5e67f8090a1b2c3d4e5f601"])]
    size: Annotated[int, Meta(description="How many entries it covers.", examples=[4711])]
    root: Annotated[str, Meta(description="Of the tree, hexadecimal. RFC 6962, section 2.1.")]
    note: Annotated[
        str, Meta(description="The checkpoint as signed: C2SP tlog-checkpoint. Keep this, unchanged, to compare later.")
    ]
    signed_at: datetime


class EntryView(Struct, frozen=True, kw_only=True):
    """One entry. What it is about is bound by the commitment inside the leaf; no personal data is in it."""

    id: Annotated[str, Meta(examples=["aud_0199b3c4d5e67f8090a1b2c3d4e5f611"])]
    number: Annotated[int | None, Meta(description="Its place in the log; null until it is sequenced, seconds later.")]
    kind: Annotated[str, Meta(examples=["subject.shredded"])]
    actor: str
    recorded_at: datetime
    leaf: Annotated[str, Meta(description="The exact text whose hash, SHA-256(0x00 ‖ leaf), is in the tree.")]


class EntryList(Struct, frozen=True, kw_only=True):
    """Entries in the order of the log, oldest first."""

    data: list[EntryView]
    next_from: Annotated[int | None, Meta(description="`from` of the following page; null when there is none yet.")]


class InclusionProof(Struct, frozen=True, kw_only=True):
    """That an entry is in the log of a checkpoint."""

    entry: EntryView
    proof: Annotated[list[str], Meta(description="The audit path, hexadecimal, from the leaf's sibling up.")]
    checkpoint: CheckpointView


class ConsistencyProof(Struct, frozen=True, kw_only=True):
    """That the later log begins with the whole earlier one."""

    earlier: CheckpointView
    later: CheckpointView
    proof: Annotated[list[str], Meta(description="RFC 6962, section 2.1.2, hexadecimal. Empty for one size.")]


def checkpoint_view(found: AuditCheckpoint) -> CheckpointView:
    """A checkpoint, as callers see it."""
    return CheckpointView(
        origin=note.origin(found.tenant_id),
        size=found.size,
        root=found.root_hash.hex(),
        note=found.note,
        signed_at=found.signed_at,
    )


def entry_view(entry: AuditEntry) -> EntryView:
    """An entry, as callers see it."""
    return EntryView(
        id=public(Prefix.AUDIT_ENTRY, entry.id),
        number=entry.number,
        kind=entry.kind,
        actor=entry.actor,
        recorded_at=entry.recorded_at,
        leaf=audit.leaf(entry).decode(),
    )


class AuditController(Controller):
    """`/v1/audit`."""

    path = "/audit"
    tags = ("Audit",)
    guards = (requires_scope("audit:read"),)

    @get("/checkpoint", summary="Read a checkpoint", responses=documented(*ALWAYS, NotFound, ValidationFailed))
    async def get_checkpoint(
        self, parts: NamedDependency[Parts], caller: NamedDependency[Caller], size: Size = None
    ) -> CheckpointView:
        """The newest signed state of the log, or the one of a size. New entries are in it within seconds."""
        async with seen_by(caller, parts) as session:
            return checkpoint_view(await log.checkpoint(session, size=size))

    @get("/entries", summary="Read the log", responses=documented(*ALWAYS, ValidationFailed))
    async def list_entries(
        self, parts: NamedDependency[Parts], caller: NamedDependency[Caller], start: Start = 0, limit: Limit = 20
    ) -> EntryList:
        """Entries by number, oldest first, so that a copy can be kept by asking for what came since."""
        async with seen_by(caller, parts) as session:
            rows = await log.entries(session, start=start, limit=limit + 1)
        return EntryList(
            data=[entry_view(row) for row in rows[:limit]], next_from=rows[limit].number if len(rows) > limit else None
        )

    @get(
        "/entries/{entry_id:str}/proof",
        summary="Prove an entry",
        responses=documented(*ALWAYS, NotFound, ValidationFailed),
    )
    async def prove_entry(
        self,
        parts: NamedDependency[Parts],
        caller: NamedDependency[Caller],
        entry_id: FromPath[str],
        size: Size = None,
    ) -> InclusionProof:
        """An entry, named by its id or its number, and the proof that it is in the log of a checkpoint."""
        named = {"number": int(entry_id)} if _is_number(entry_id) else {"entry_id": parse(Prefix.AUDIT_ENTRY, entry_id)}
        async with seen_by(caller, parts) as session:
            found = await log.inclusion(session, **named, size=size)
        return InclusionProof(
            entry=entry_view(found.entry),
            proof=[step.hex() for step in found.proof],
            checkpoint=checkpoint_view(found.checkpoint),
        )

    @get(
        "/consistency",
        summary="Prove that the log only grew",
        responses=documented(*ALWAYS, NotFound, ValidationFailed),
    )
    async def prove_consistency(
        self, parts: NamedDependency[Parts], caller: NamedDependency[Caller], old: Old, size: Size = None
    ) -> ConsistencyProof:
        """The proof that the log of a checkpoint begins with all of the one that you keep."""
        async with seen_by(caller, parts) as session:
            found = await log.consistency(session, old=old, size=size)
        return ConsistencyProof(
            earlier=checkpoint_view(found.earlier),
            later=checkpoint_view(found.later),
            proof=[step.hex() for step in found.proof],
        )


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and int(text[:20]) <= LARGEST
