"""Consents: an append-only ledger, purpose by purpose. Withdrawing adds an entry; nothing is ever changed."""

from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import Controller, Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import Meta, Struct

from api import paging
from api.auth import requires_active, requires_scope
from api.idempotency import IdempotencyKey, once
from api.paging import Cursor, Limit
from api.problems import ALWAYS, CREATING, PAGED, documented
from api.wire import AwareTime, in_future
from core.bootstrap import Parts
from core.consent import service as consent
from core.consent.models import Consent, Purpose
from core.errors import (
    Gone,
    IdempotencyInFlight,
    IdempotencyMismatch,
    NotFound,
    NoticeUnknown,
    StateConflict,
    ValidationFailed,
)
from core.ids import Prefix, parse, public
from core.subjects import service as subjects
from core.tenants.service import Caller

_EVIDENCE_MAX_BYTES = 16 * 1024


class NewConsent(Struct, kw_only=True, forbid_unknown_fields=True):
    """What the person agreed to."""

    purpose: Purpose
    notice_id: Annotated[
        str,
        Meta(
            max_length=64,
            description="The version of the notice that the person was shown; it must name the purpose.",
            examples=["ntc_0199b3c4d5e67f8090a1b2c3d4e5f603"],
        ),
    ]
    evidence: Annotated[
        dict[str, Any] | None,
        Meta(
            description="How the person agreed. Sealed under the person's key, at most 16 KiB.",
            examples=[{"method": "checkbox", "wording": "I agree", "session": "a1b2"}],
        ),
    ] = None
    expires_at: AwareTime | None = None


class ConsentView(Struct, frozen=True, kw_only=True):
    """One entry of the ledger. The evidence stays sealed."""

    id: Annotated[str, Meta(examples=["cns_0199b3c4d5e67f8090a1b2c3d4e5f604"])]
    subject_id: Annotated[str, Meta(examples=["sub_0199b3c4d5e67f8090a1b2c3d4e5f607"])]
    purpose: Annotated[str, Meta(examples=["headshot"])]
    action: Annotated[str, Meta(description="`granted` or `withdrawn`.", examples=["granted"])]
    notice_id: Annotated[str, Meta(examples=["ntc_0199b3c4d5e67f8090a1b2c3d4e5f603"])]
    legal_basis: Annotated[str, Meta(examples=["consent"])]
    expires_at: datetime | None
    recorded_at: datetime


class PurposeState(Struct, frozen=True, kw_only=True):
    """Whether a purpose is permitted now, by which entry."""

    purpose: str
    permitted: bool
    consent_id: str


class ConsentPage(Struct, frozen=True, kw_only=True):
    """A person's ledger, newest first, and what it comes to at this moment."""

    current: list[PurposeState]
    data: list[ConsentView]
    next_cursor: str | None


def _view(entry: Consent) -> ConsentView:
    return ConsentView(
        id=public(Prefix.CONSENT, entry.id),
        subject_id=public(Prefix.SUBJECT, entry.subject_id),
        purpose=entry.purpose,
        action=entry.action,
        notice_id=public(Prefix.NOTICE, entry.notice_id),
        legal_basis=entry.legal_basis,
        expires_at=entry.expires_at,
        recorded_at=entry.recorded_at,
    )


def _created(entry: Consent) -> Response[ConsentView]:
    view = _view(entry)
    return Response(view, status_code=201, headers={"Location": f"/v1/consents/{view.id}"})


class SubjectConsentController(Controller):
    """`/v1/subjects/{subject_id}/consents`."""

    path = "/subjects/{subject_id:str}/consents"
    tags = ("Consents",)

    @get(
        guards=[requires_scope("consents:read")],
        summary="Read a subject's consents",
        responses=documented(*ALWAYS, *PAGED, NotFound, Gone),
    )
    async def list_consents(
        self,
        parts: NamedDependency[Parts],
        caller: NamedDependency[Caller],
        subject_id: FromPath[str],
        limit: Limit = 20,
        cursor: Cursor = None,
    ) -> ConsentPage:
        """The ledger of one person, and what is permitted now."""
        async with parts.database.tenant(caller.tenant_id) as session:
            subject = await subjects.get(session, parse(Prefix.SUBJECT, subject_id))
            rows = await consent.history(session, subject.id, before=paging.decode(cursor), limit=limit + 1)
            newest = await consent.current(session, subject.id)
        page, following = paging.cut(rows, limit)
        current = [
            PurposeState(
                purpose=purpose.value,
                permitted=consent.in_force(entry),
                consent_id=public(Prefix.CONSENT, entry.id),
            )
            for purpose, entry in newest.items()
        ]
        return ConsentPage(current=current, data=[_view(row) for row in page], next_cursor=following)

    @post(
        guards=[requires_scope("consents:write"), requires_active],
        summary="Record a consent",
        responses=documented(*ALWAYS, *CREATING, NotFound, Gone, NoticeUnknown),
    )
    async def grant_consent(
        self,
        request: Request[Any, Any, Any],
        parts: NamedDependency[Parts],
        caller: NamedDependency[Caller],
        subject_id: FromPath[str],
        data: JSONBody[NewConsent],
        idempotency_key: IdempotencyKey = None,  # noqa: ARG002 (read by `once`, declared for the reference)
    ) -> Response[ConsentView]:
        """Record that the person agreed to one purpose, under one version of a notice."""
        if data.evidence is not None and len(msgspec.json.encode(data.evidence)) > _EVIDENCE_MAX_BYTES:
            raise ValidationFailed(errors=[{"field": "evidence", "message": "Expected at most 16 KiB of JSON."}])
        expires_at = in_future(data.expires_at, field="expires_at")
        async with once(request, parts, caller) as ticket, parts.database.tenant(caller.tenant_id) as session:
            if ticket.made is not None:
                return _created(await consent.get(session, ticket.made))
            subject = await subjects.get(session, parse(Prefix.SUBJECT, subject_id))
            try:
                notice_id = parse(Prefix.NOTICE, data.notice_id)
            except NotFound:
                raise NoticeUnknown from None
            entry = await consent.grant(
                session,
                parts.keyring,
                tenant_id=caller.tenant_id,
                actor=caller.actor,
                subject_id=subject.id,
                purpose=data.purpose,
                notice_id=notice_id,
                evidence=data.evidence,
                expires_at=expires_at,
            )
            await ticket.note(session, entry.id)
            return _created(entry)


class ConsentController(Controller):
    """`/v1/consents`."""

    path = "/consents"
    tags = ("Consents",)

    @get(
        "/{consent_id:str}",
        guards=[requires_scope("consents:read")],
        summary="Read a consent",
        responses=documented(*ALWAYS, NotFound, Gone),
    )
    async def get_consent(
        self, parts: NamedDependency[Parts], caller: NamedDependency[Caller], consent_id: FromPath[str]
    ) -> ConsentView:
        """One entry of the ledger."""
        async with parts.database.tenant(caller.tenant_id) as session:
            return _view(await consent.get(session, parse(Prefix.CONSENT, consent_id)))

    @post(
        "/{consent_id:str}/withdraw",
        guards=[requires_scope("consents:write")],
        summary="Withdraw a consent",
        responses=documented(*ALWAYS, NotFound, StateConflict, IdempotencyInFlight, Gone, IdempotencyMismatch),
    )
    async def withdraw_consent(
        self,
        request: Request[Any, Any, Any],
        parts: NamedDependency[Parts],
        caller: NamedDependency[Caller],
        consent_id: FromPath[str],
        idempotency_key: IdempotencyKey = None,  # noqa: ARG002 (read by `once`, declared for the reference)
    ) -> Response[ConsentView]:
        """Record that the person takes it back. Running work for that purpose stops at its next step.

        A suspended tenant may do this: a person's no never waits for an invoice.
        """
        async with once(request, parts, caller) as ticket, parts.database.tenant(caller.tenant_id) as session:
            if ticket.made is not None:
                return _created(await consent.get(session, ticket.made))
            entry = await consent.withdraw(session, consent_id=parse(Prefix.CONSENT, consent_id), actor=caller.actor)
            await ticket.note(session, entry.id)
            return _created(entry)
