"""Consents: an append-only ledger, purpose by purpose. Withdrawing adds an entry; nothing is ever changed.

`Sec-GPC: 1` on a call that writes, handed on from the person's browser, is an opt-out of sale and sharing for that
person, and is recorded whatever becomes of the call itself (Cal. Code Regs. tit. 11, § 7025).
"""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from litestar import Controller, Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, HeaderParameter, JSONBody
from msgspec import Meta, Struct

from api import paging
from api.auth import requires_active, requires_scope, seen_by
from api.consent_forms import Asked
from api.idempotency import IdempotencyKey, once
from api.paging import Cursor, Limit
from api.problems import ALWAYS, CREATING, PAGED, documented
from api.wire import AwareTime, in_future
from core.bootstrap import Parts
from core.consent import receipt, restrict
from core.consent import service as consent
from core.consent.models import Channel, Consent, Purpose
from core.errors import (
    Gone,
    GuardianRequired,
    IdempotencyInFlight,
    IdempotencyMismatch,
    KeyProviderUnavailable,
    NotFound,
    NoticeUnknown,
    OptedOut,
    StateConflict,
    Unacceptable,
    ValidationFailed,
    WrittenReleaseRequired,
)
from core.ids import Prefix, parse, public
from core.subjects import service as subjects
from core.tenants.service import Caller

_EVIDENCE_MAX_BYTES = 16 * 1024
DECLINED = "consents:read_declined"

GlobalPrivacyControl = Annotated[
    str | None,
    HeaderParameter(
        name="Sec-GPC",
        required=False,
        max_length=8,
        description="Hand on what the person's browser sent: `1` opts them out of sale and sharing.",
    ),
]


class NewConsent(Asked, kw_only=True, forbid_unknown_fields=True):
    """What the person was asked, and what they said."""

    purpose: Purpose
    decision: Annotated[
        Literal["granted", "declined"],
        Meta(description="A no is kept for the record, and shown to keys with `consents:read_declined` alone."),
    ] = "granted"
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
    action: Annotated[str, Meta(description="`granted`, `withdrawn`, `declined` or `opted_out`.", examples=["granted"])]
    notice_id: Annotated[
        str | None,
        Meta(description="Null for an opt-out, which needs none.", examples=["ntc_0199b3c4d5e67f8090a1b2c3d4e5f603"]),
    ]
    legal_basis: Annotated[str, Meta(examples=["consent"])]
    locale: str | None
    channel: str | None
    expires_at: datetime | None
    recorded_at: datetime


class PurposeState(Struct, frozen=True, kw_only=True):
    """Whether a purpose is permitted now, by which entry."""

    purpose: str
    permitted: bool
    consent_id: str
    expires_at: datetime | None
    renew: Annotated[
        str | None,
        Meta(description="Why to ask again: `expired`, or `notice_changed` since the person agreed."),
    ]


class ConsentPage(Struct, frozen=True, kw_only=True):
    """A person's ledger, newest first, and what it comes to at this moment."""

    current: list[PurposeState]
    restrictions: Annotated[
        list[str], Meta(description="What makes all processing stand still: `restriction`, `objection`.")
    ]
    data: list[ConsentView]
    next_cursor: str | None


def _view(entry: Consent) -> ConsentView:
    return ConsentView(
        id=public(Prefix.CONSENT, entry.id),
        subject_id=public(Prefix.SUBJECT, entry.subject_id),
        purpose=entry.purpose,
        action=entry.action,
        notice_id=None if entry.notice_id is None else public(Prefix.NOTICE, entry.notice_id),
        legal_basis=entry.legal_basis,
        locale=entry.locale,
        channel=entry.channel,
        expires_at=entry.expires_at,
        recorded_at=entry.recorded_at,
    )


def _created(entry: Consent) -> Response[ConsentView]:
    view = _view(entry)
    return Response(view, status_code=201, headers={"Location": f"/v1/consents/{view.id}"})


def _require_brief(data: NewConsent) -> None:
    for field, value in (("evidence", data.evidence), ("presentation", data.presentation)):
        if value is not None and len(msgspec.json.encode(value)) > _EVIDENCE_MAX_BYTES:
            raise ValidationFailed(errors=[{"field": field, "message": "Expected at most 16 KiB of JSON."}])


async def _heed_signal(parts: Parts, caller: Caller, subject_id: UUID, signal: str | None) -> None:
    """Record the opt-out that a browser signals, in its own transaction: it stands whatever becomes of the call."""
    if signal == "1":
        async with seen_by(caller, parts) as session:
            await consent.opt_out(session, subject_id=subject_id, actor=caller.actor, channel=Channel.BROWSER_SIGNAL)


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
        async with seen_by(caller, parts) as session:
            subject = await subjects.get(session, parse(Prefix.SUBJECT, subject_id))
            see = DECLINED in caller.scopes
            rows = await consent.history(
                session, subject.id, before=paging.decode(cursor), limit=limit + 1, show_declined=see
            )
            standing = await consent.standing(session, subject.id, show_declined=see)
            restrictions = await restrict.in_force(session, subject.id)
        page, following = paging.cut(rows, limit)
        return ConsentPage(
            current=[
                PurposeState(
                    purpose=found.entry.purpose,
                    permitted=found.permitted and not restrictions,
                    consent_id=public(Prefix.CONSENT, found.entry.id),
                    expires_at=found.entry.expires_at,
                    renew=found.renew,
                )
                for found in standing
            ],
            restrictions=sorted({one.kind for one in restrictions}),
            data=[_view(row) for row in page],
            next_cursor=following,
        )

    @post(
        guards=[requires_scope("consents:write"), requires_active],
        summary="Record a consent",
        responses=documented(
            *ALWAYS,
            *CREATING,
            NotFound,
            Gone,
            OptedOut,
            StateConflict,
            NoticeUnknown,
            WrittenReleaseRequired,
            GuardianRequired,
            Unacceptable,
        ),
    )
    async def grant_consent(
        self,
        request: Request[Any, Any, Any],
        parts: NamedDependency[Parts],
        caller: NamedDependency[Caller],
        subject_id: FromPath[str],
        data: JSONBody[NewConsent],
        sec_gpc: GlobalPrivacyControl = None,
        idempotency_key: IdempotencyKey = None,
    ) -> Response[ConsentView]:
        """Record what the person said to one purpose, under one version of a notice.

        Where the law that protects them asks for more than a yes (Illinois: a written release; a minor: a guardian),
        so does this. After an opt-out of sale and sharing nobody may ask again for twelve months.
        """
        _require_brief(data)
        expires_at = in_future(data.expires_at, field="expires_at")
        async with once(request, parts, caller) as ticket, seen_by(caller, parts) as session:
            if ticket.made is not None:
                return _created(await consent.get(session, ticket.made, show_declined=True))
            subject = await subjects.get(session, parse(Prefix.SUBJECT, subject_id))
            try:
                notice_id = parse(Prefix.NOTICE, data.notice_id)
            except NotFound:
                raise NoticeUnknown from None
            await _heed_signal(parts, caller, subject.id, sec_gpc)
            if data.decision == "declined":
                entry = await consent.decline(
                    session,
                    parts.keyring,
                    actor=caller.actor,
                    subject_id=subject.id,
                    purpose=data.purpose,
                    notice_id=notice_id,
                    evidence=data.evidence,
                    circumstances=data.circumstances(),
                )
                await ticket.note(session, entry.id)
                return _created(entry)
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
                circumstances=data.circumstances(),
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
        async with seen_by(caller, parts) as session:
            see = DECLINED in caller.scopes
            return _view(await consent.get(session, parse(Prefix.CONSENT, consent_id), show_declined=see))

    @get(
        "/{consent_id:str}/receipt",
        guards=[requires_scope("consents:read")],
        summary="Get a signed consent receipt",
        media_type="application/ld+json",
        responses=documented(*ALWAYS, NotFound, Gone, KeyProviderUnavailable),
    )
    async def get_consent_receipt(
        self, parts: NamedDependency[Parts], caller: NamedDependency[Caller], consent_id: FromPath[str]
    ) -> dict[str, Any]:
        """A receipt for the person to keep: ISO/IEC TS 27560 in JSON-LD with DPV terms, signed (`eddsa-jcs-2022`).

        Its key is under `/.well-known/likeness/keys`. It names nobody; the evidence stays sealed.
        """
        root = parts.settings.api.public_url.rstrip("/")
        async with seen_by(caller, parts) as session:
            see = DECLINED in caller.scopes
            entry = await consent.get(session, parse(Prefix.CONSENT, consent_id), show_declined=see)
            document = await receipt.receipt(session, entry, root=root)
        return receipt.prove(document, await parts.keyring.signing.active(), root=root)

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
        sec_gpc: GlobalPrivacyControl = None,
        idempotency_key: IdempotencyKey = None,
    ) -> Response[ConsentView]:
        """Record that the person takes it back. Running work for that purpose stops at its next step.

        A suspended tenant may do this: a person's no never waits for an invoice.
        """
        entry_id = parse(Prefix.CONSENT, consent_id)
        async with seen_by(caller, parts) as session:
            subject_id = (await consent.get(session, entry_id)).subject_id
        try:
            async with once(request, parts, caller) as ticket, seen_by(caller, parts) as session:
                if ticket.made is not None:
                    return _created(await consent.get(session, ticket.made))
                entry = await consent.withdraw(session, consent_id=entry_id, actor=caller.actor)
                await ticket.note(session, entry.id)
                return _created(entry)
        finally:
            # After the withdrawal, which it would otherwise leave nothing to take back.
            await _heed_signal(parts, caller, subject_id, sec_gpc)
