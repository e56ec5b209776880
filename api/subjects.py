"""Subjects: the people in the photos. Erasing one is a DELETE, and from then on all that was theirs answers 410."""

from datetime import datetime
from typing import Annotated, Any

from litestar import Controller, Request, Response, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import UNSET, Meta, Struct, UnsetType

from api import paging
from api.auth import requires_active, requires_scope, seen_by
from api.erasures import summary
from api.idempotency import IdempotencyKey, once
from api.paging import Cursor, Limit
from api.problems import ALWAYS, CREATING, PAGED, documented
from api.wire import Email, Erasure, Jurisdiction, PersonName, Reference
from core.bootstrap import Parts
from core.errors import Gone, LegalHoldStands, MalformedRequest, NotFound, ReferenceTaken, ValidationFailed
from core.ids import Prefix, parse, public
from core.rights import erase
from core.subjects import access
from core.subjects import service as subjects
from core.subjects.models import Subject
from core.tenants.service import Caller


class NewSubject(Struct, kw_only=True, forbid_unknown_fields=True):
    """A person to create."""

    reference: Reference
    display_name: PersonName | None = None
    email: Email | None = None
    jurisdiction: Jurisdiction | None = None


class SubjectChanges(Struct, kw_only=True, forbid_unknown_fields=True):
    """What to correct. A field that is left out stays; null removes it."""

    reference: Reference | UnsetType = UNSET
    display_name: PersonName | UnsetType | None = UNSET
    email: Email | UnsetType | None = UNSET
    jurisdiction: Jurisdiction | UnsetType | None = UNSET


class SubjectSearch(Struct, kw_only=True, forbid_unknown_fields=True):
    """Whom to find."""

    reference: Reference


class SubjectSummary(Struct, frozen=True, kw_only=True):
    """A person in a list: nothing sealed is opened for it."""

    id: Annotated[str, Meta(examples=["sub_0199b3c4d5e67f8090a1b2c3d4e5f607"])]
    jurisdiction: str | None
    created_at: datetime


class SubjectView(SubjectSummary, frozen=True, kw_only=True):
    """A person, with what you told us, opened for you."""

    reference: Annotated[str | None, Meta(examples=["employee-4711"])]
    display_name: Annotated[str | None, Meta(examples=["Robin Sample"])]
    email: Annotated[str | None, Meta(examples=["robin@sample.example"])]


class SubjectPage(Struct, frozen=True, kw_only=True):
    """People, newest first."""

    data: list[SubjectSummary]
    next_cursor: str | None


async def _view(parts: Parts, subject: Subject, *, caller: Caller, why: str) -> SubjectView:
    async with seen_by(caller, parts) as session:
        await access.note(
            session, subject_id=subject.id, what="identity", resource_id=subject.id, actor=caller.actor, why=why
        )
    identity = await subjects.reveal(parts.keyring, subject)
    return SubjectView(
        id=public(Prefix.SUBJECT, subject.id),
        jurisdiction=subject.jurisdiction,
        created_at=subject.created_at,
        reference=identity.reference,
        display_name=identity.display_name,
        email=identity.email,
    )


class SubjectController(Controller):
    """`/v1/subjects`."""

    path = "/subjects"
    tags = ("Subjects",)

    @get(guards=[requires_scope("subjects:read")], summary="List subjects", responses=documented(*ALWAYS, *PAGED))
    async def list_subjects(
        self,
        parts: NamedDependency[Parts],
        caller: NamedDependency[Caller],
        limit: Limit = 20,
        cursor: Cursor = None,
    ) -> SubjectPage:
        """People who are not erased, newest first. Read one to see what you told us of them."""
        async with seen_by(caller, parts) as session:
            rows = await subjects.page(session, before=paging.decode(cursor), limit=limit + 1)
        page, following = paging.cut(rows, limit)
        data = [
            SubjectSummary(id=public(Prefix.SUBJECT, row.id), jurisdiction=row.jurisdiction, created_at=row.created_at)
            for row in page
        ]
        return SubjectPage(data=data, next_cursor=following)

    @post(
        guards=[requires_scope("subjects:write"), requires_active],
        summary="Create a subject",
        responses=documented(*ALWAYS, *CREATING, ReferenceTaken),
    )
    async def create_subject(
        self,
        request: Request[Any, Any, Any],
        parts: NamedDependency[Parts],
        caller: NamedDependency[Caller],
        data: JSONBody[NewSubject],
        idempotency_key: IdempotencyKey = None,
    ) -> Response[SubjectView]:
        """Create a person and the key that seals everything of theirs."""
        async with once(request, parts, caller) as ticket, seen_by(caller, parts) as session:
            if ticket.made is not None:
                subject = await subjects.get(session, ticket.made)
            else:
                subject = await subjects.create(
                    session,
                    parts.keyring,
                    tenant_id=caller.tenant_id,
                    actor=caller.actor,
                    reference=data.reference,
                    display_name=data.display_name,
                    email=data.email,
                    jurisdiction=data.jurisdiction,
                )
                await ticket.note(session, subject.id)
        view = await _view(parts, subject, caller=caller, why="create")
        return Response(view, status_code=201, headers={"Location": f"/v1/subjects/{view.id}"})

    @post(
        "/find",
        status_code=200,
        guards=[requires_scope("subjects:read")],
        summary="Find a subject by your reference",
        responses=documented(*ALWAYS, MalformedRequest, NotFound, ValidationFailed),
    )
    async def find_subject(
        self, parts: NamedDependency[Parts], caller: NamedDependency[Caller], data: JSONBody[SubjectSearch]
    ) -> SubjectView:
        """Find a person. The reference travels in the body, so that it never stands in a log of addresses."""
        async with seen_by(caller, parts) as session:
            subject = await subjects.find_by_reference(
                session, parts.keyring, tenant_id=caller.tenant_id, reference=data.reference
            )
        if subject is None or subject.erased_at is not None:
            raise NotFound
        return await _view(parts, subject, caller=caller, why="find")

    @get(
        "/{subject_id:str}",
        guards=[requires_scope("subjects:read")],
        summary="Read a subject",
        responses=documented(*ALWAYS, NotFound, Gone),
    )
    async def get_subject(
        self, parts: NamedDependency[Parts], caller: NamedDependency[Caller], subject_id: FromPath[str]
    ) -> SubjectView:
        """A person, with what you told us. After an erasure: 410."""
        async with seen_by(caller, parts) as session:
            subject = await subjects.get(session, parse(Prefix.SUBJECT, subject_id))
        return await _view(parts, subject, caller=caller, why="read")

    @patch(
        "/{subject_id:str}",
        guards=[requires_scope("subjects:write")],
        summary="Correct a subject",
        responses=documented(*ALWAYS, MalformedRequest, NotFound, ReferenceTaken, Gone, ValidationFailed),
    )
    async def rectify_subject(
        self,
        parts: NamedDependency[Parts],
        caller: NamedDependency[Caller],
        subject_id: FromPath[str],
        data: JSONBody[SubjectChanges],
    ) -> SubjectView:
        """Correct what is known of a person (GDPR Art. 16)."""
        named = {
            "reference": data.reference,
            "display_name": data.display_name,
            "email": data.email,
            "jurisdiction": data.jurisdiction,
        }
        changes = {name: value for name, value in named.items() if not isinstance(value, UnsetType)}
        async with seen_by(caller, parts) as session:
            subject = await subjects.lock(session, parse(Prefix.SUBJECT, subject_id))
            if changes:
                subject = await subjects.rectify(session, parts.keyring, subject, actor=caller.actor, changes=changes)
        return await _view(parts, subject, caller=caller, why="correct")

    @delete(
        "/{subject_id:str}",
        status_code=202,
        guards=[requires_scope("erasure:write")],
        summary="Erase a subject",
        responses=documented(*ALWAYS, NotFound, LegalHoldStands),
    )
    async def erase_subject(
        self, parts: NamedDependency[Parts], caller: NamedDependency[Caller], subject_id: FromPath[str]
    ) -> Erasure:
        """Destroy the person's key, at once and for good; then jobs stop, and ciphertext and rows go.

        When this answers, nothing sealed for the person can be opened again. Repeat it to see how far it has come.
        While a legal hold stands on them nothing happens, and the answer is 409 `legal_hold` with the day.
        """
        async with seen_by(caller, parts) as session:
            tombstone = await erase.begin(
                session, parts.keyring, subject_id=parse(Prefix.SUBJECT, subject_id), actor=caller.actor
            )
        return summary(tombstone)
