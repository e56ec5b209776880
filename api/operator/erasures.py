"""`/operator/v1/erasures`: how far each has come, step by step; trying again; the certificates."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from litestar.enums import MediaType
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, QueryParameter
from msgspec import Meta, Struct

from api import paging
from api.certificates import SignedCertificate, download
from api.erasures import ReceiverView, ScanView, StepView, receiver_view
from api.operator.auth import requires_approver, requires_privacy_officer, requires_viewer
from api.operator.jobs import OfTenant
from api.paging import Cursor, Limit
from api.problems import PAGED, documented
from core.bootstrap import Parts
from core.errors import NotFound, RoleMissing, StateConflict, Unauthenticated
from core.ids import Prefix, parse, public
from core.operators.service import Operator
from core.rights import certify, erase, seen
from core.rights.models import ErasureCertificate, Step, Tombstone
from core.rights.seen import Progress


class OperatorErasureSummary(Struct, frozen=True, kw_only=True):
    """An erasure in a list."""

    id: Annotated[str, Meta(examples=["ers_0199b3c4d5e67f8090a1b2c3d4e5f607"])]
    tenant: Annotated[str, Meta(description="Id of the tenant.")]
    state: Annotated[str, Meta(description="`shredded`: nothing can be read again. `erased`: removed as well.")]
    progress: Annotated[str, Meta(description="`open`, `stuck` or `certified`.")]
    steps_done: int
    steps: Annotated[int, Meta(description="Of how many.")]
    shredded_at: datetime
    erased_at: datetime | None
    certified_at: datetime | None
    objects_deleted: int
    attempts: Annotated[int, Meta(description="Tries since it last got on.")]
    next_at: Annotated[datetime | None, Meta(description="When it is tried next, while it is open.")]
    last_error: Annotated[str | None, Meta(description="The kind of what stopped the last try.")]


class OperatorErasureView(OperatorErasureSummary, frozen=True, kw_only=True):
    """An erasure, step by step."""

    step_times: list[StepView]
    scans: list[ScanView]
    receivers: list[ReceiverView]
    certificate: Annotated[str | None, Meta(description="Id of the certificate, once it is issued.")]


class OperatorErasurePage(Struct, frozen=True, kw_only=True):
    """Erasures: those that wait the oldest first, all others the latest first."""

    data: list[OperatorErasureSummary]
    next_cursor: str | None


def _progress(row: Tombstone) -> str:
    if row.certified_at is not None:
        return Progress.CERTIFIED
    return Progress.STUCK if erase.is_stuck(row) else Progress.OPEN


def _summary(row: Tombstone) -> dict[str, object]:
    return {
        "id": public(Prefix.ERASURE, row.subject_id),
        "tenant": public(Prefix.TENANT, row.tenant_id),
        "state": row.state,
        "progress": _progress(row),
        "steps_done": sum(step.value in row.steps for step in Step),
        "steps": len(Step),
        "shredded_at": row.shredded_at,
        "erased_at": row.erased_at,
        "certified_at": row.certified_at,
        "objects_deleted": row.objects_deleted,
        "attempts": row.attempts,
        "next_at": None if row.certified_at is not None else row.next_at,
        "last_error": row.last_error,
    }


async def _of(parts: Parts, erasure_id: str) -> tuple[UUID, UUID]:
    subject_id = parse(Prefix.ERASURE, erasure_id)
    async with parts.database.system() as session:
        return (await seen.erasure(session, subject_id)).tenant_id, subject_id


async def _view(parts: Parts, erasure_id: str) -> OperatorErasureView:
    tenant_id, subject_id = await _of(parts, erasure_id)
    async with parts.database.tenant(tenant_id) as session:
        row = await erase.tombstone_of(session, subject_id)
        certificate = await certify.of_subject(session, subject_id)
        receivers = await certify.receivers_of(session, subject_id)
    times = {step: datetime.fromisoformat(at) for step, at in row.steps.items()}
    return OperatorErasureView(
        **_summary(row),  # type: ignore[arg-type]  # the fields of the summary, each of its type
        step_times=[StepView(step=step.value, done_at=times.get(step.value)) for step in Step],
        scans=[ScanView(**scan) for scan in row.scans or []],
        receivers=[receiver_view(receiver) for receiver in receivers],
        certificate=None if certificate is None else public(Prefix.CERTIFICATE, certificate.id),
    )


async def _certificate(parts: Parts, erasure_id: str) -> ErasureCertificate:
    tenant_id, subject_id = await _of(parts, erasure_id)
    async with parts.database.tenant(tenant_id) as session:
        found = await certify.of_subject(session, subject_id)
    if found is None:
        raise NotFound("There is no certificate yet: it is issued when everything is gone.")
    return found


class OperatorErasureController(Controller):
    """`/operator/v1/erasures`."""

    path = "/erasures"
    tags = ("Operators",)

    @get(
        summary="List erasures of all tenants",
        guards=(requires_viewer,),
        responses=documented(Unauthenticated, RoleMissing, NotFound, *PAGED),
    )
    async def list_all_erasures(
        self,
        parts: NamedDependency[Parts],
        progress: Annotated[
            Progress | None, QueryParameter(required=False, description="Only `open`, `stuck` or `certified` ones.")
        ] = None,
        tenant_id: OfTenant = None,
        limit: Limit = 20,
        cursor: Cursor = None,
    ) -> OperatorErasurePage:
        """Who is being forgotten, by random ids; open and stuck ones the oldest first, because they wait."""
        async with parts.database.system() as session:
            rows = await seen.erasures(
                session,
                progress=progress,
                tenant_id=None if tenant_id is None else parse(Prefix.TENANT, tenant_id),
                after=paging.decode_place(cursor),
                limit=limit + 1,
            )
        last = rows[limit - 1] if len(rows) > limit else None
        following = None if last is None else paging.encode_place(last.shredded_at, last.subject_id)
        data = [OperatorErasureSummary(**_summary(row)) for row in rows[:limit]]  # type: ignore[arg-type]  # its members are those of the view
        return OperatorErasurePage(data=data, next_cursor=following)

    @get(
        "/{erasure_id:str}",
        summary="Read an erasure of any tenant",
        guards=(requires_viewer,),
        responses=documented(Unauthenticated, RoleMissing, NotFound),
    )
    async def read_any_erasure(self, parts: NamedDependency[Parts], erasure_id: FromPath[str]) -> OperatorErasureView:
        """Each step with its time, what the rescan looked at, who was told, and the certificate."""
        return await _view(parts, erasure_id)

    @post(
        "/{erasure_id:str}/retry",
        status_code=202,
        summary="Try an erasure again now",
        guards=(requires_privacy_officer,),
        responses=documented(Unauthenticated, RoleMissing, NotFound, StateConflict),
    )
    async def retry_erasure(
        self, parts: NamedDependency[Parts], operator: NamedDependency[Operator], erasure_id: FromPath[str]
    ) -> OperatorErasureView:
        """Do not wait for its next turn. Each step may be repeated: nothing that was done is done otherwise."""
        tenant_id, subject_id = await _of(parts, erasure_id)
        async with parts.database.tenant(tenant_id) as session:
            await seen.retry(session, subject_id, actor=operator.actor)
        return await _view(parts, erasure_id)

    @get(
        "/{erasure_id:str}/certificate",
        summary="Read the certificate of an erasure",
        guards=(requires_approver,),
        responses={
            **documented(Unauthenticated, RoleMissing, NotFound),
            200: ResponseSpec(
                data_container=SignedCertificate, generate_examples=False, description="The signed file, byte for byte."
            ),
        },
    )
    async def read_erasure_certificate(
        self, parts: NamedDependency[Parts], erasure_id: FromPath[str]
    ) -> Response[bytes]:
        """The signed file: random ids, counts and times. Check it offline with `likeness verify-certificate`."""
        found = await _certificate(parts, erasure_id)
        return download(found.document, MediaType.JSON, "erasure-certificate.json")

    @get(
        "/{erasure_id:str}/certificate/pdf",
        summary="Read the certificate of an erasure on paper",
        guards=(requires_approver,),
        responses={
            **documented(Unauthenticated, RoleMissing, NotFound),
            200: ResponseSpec(
                data_container=bytes, generate_examples=False, media_type="application/pdf", description="A PDF."
            ),
        },
    )
    async def read_erasure_certificate_pdf(
        self, parts: NamedDependency[Parts], erasure_id: FromPath[str]
    ) -> Response[bytes]:
        """The same data as a sheet."""
        found = await _certificate(parts, erasure_id)
        return download(found.rendering, "application/pdf", "erasure-certificate.pdf")
