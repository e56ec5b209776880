"""Records for reviewers: one signed document per platform, and who else processes for it."""

from datetime import datetime
from typing import Annotated, Any

from litestar import Controller, MediaType, Response, get, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import JSONBody
from msgspec import Meta, Struct

from api.auth import requires_scope
from api.problems import ALWAYS, documented
from core.bootstrap import Parts
from core.errors import MalformedRequest, NotFound, StateConflict, Unacceptable, ValidationFailed
from core.records import build, page, subprocessors
from core.records.models import SubprocessorList, SubprocessorNotice
from core.tenants.service import Caller


class SignedRecords(Struct, frozen=True, kw_only=True):
    """The file. Store it as it is: any other spelling of the same JSON does not verify."""

    format: Annotated[str, Meta(examples=["likeness-records/1"])]
    tenant: str
    platform: str
    issuer: str
    created_at: str
    meaning: str
    to_complete: Annotated[list[str], Meta(description="What the law asks for and this service cannot know.")]
    controller_record: Annotated[dict[str, Any], Meta(description="GDPR Art. 30(1).")]
    processor_record: Annotated[dict[str, Any], Meta(description="GDPR Art. 30(2).")]
    impact_assessment: Annotated[dict[str, Any], Meta(description="Inputs for GDPR Art. 35(7), with figures.")]
    subprocessors: Annotated[dict[str, Any], Meta(description="GDPR Art. 28(2), 28(4).")]
    rights_requests: Annotated[dict[str, Any], Meta(description="Month by month: received, in time, late, denied.")]
    log: Annotated[dict[str, Any], Meta(description="The newest signed checkpoint of the audit log.")]
    signature: Annotated[dict[str, str], Meta(description="Ed25519, by a key of `/.well-known/likeness/keys`.")]


class SubprocessorView(Struct, frozen=True, kw_only=True):
    """One company that processes on behalf of whoever runs the service."""

    name: str
    task: str
    country: str
    safeguard: Annotated[str, Meta(description="What a transfer rests on, where there is one.")]
    data_classes: list[str]


class SubprocessorListView(Struct, frozen=True, kw_only=True):
    """One version of the list."""

    version: int
    effective_at: datetime
    entries: list[SubprocessorView]


class SubprocessorAnswer(Struct, frozen=True, kw_only=True):
    """What you were told, and what you said."""

    version: int
    told_at: datetime
    acknowledged_at: datetime | None
    objected_at: datetime | None
    reason_code: str | None


class Subprocessors(Struct, frozen=True, kw_only=True):
    """Who processes now, who will from when, and your answer to the newest version."""

    current: SubprocessorListView | None
    upcoming: SubprocessorListView | None
    answer: SubprocessorAnswer | None


class Acknowledgement(Struct, kw_only=True, forbid_unknown_fields=True):
    """That you have seen a version."""

    version: Annotated[int, Meta(ge=1, le=2**31 - 1)]


class Objection(Struct, kw_only=True, forbid_unknown_fields=True):
    """That you do not agree, before the version takes effect."""

    version: Annotated[int, Meta(ge=1, le=2**31 - 1)]
    reason_code: Annotated[
        str, Meta(max_length=64, description=", ".join(f"`{one}`" for one in subprocessors.OBJECTIONS) + ".")
    ]


def _list_view(row: SubprocessorList | None) -> SubprocessorListView | None:
    if row is None:
        return None
    entries = [SubprocessorView(**entry) for entry in row.entries]
    return SubprocessorListView(version=row.version, effective_at=row.effective_at, entries=entries)


def _answer_view(row: SubprocessorNotice) -> SubprocessorAnswer:
    return SubprocessorAnswer(
        version=row.version,
        told_at=row.told_at,
        acknowledged_at=row.acknowledged_at,
        objected_at=row.objected_at,
        reason_code=row.reason_code,
    )


async def _records(parts: Parts, caller: Caller) -> bytes:
    return await build.build(parts.database, parts.keyring, parts.settings, tenant_id=caller.tenant_id)


class RecordsController(Controller):
    """`/v1/records` and `/v1/subprocessors`."""

    path = ""
    tags = ("Records",)
    guards = (requires_scope("audit:read"),)

    @get(
        "/records",
        summary="Read the records for reviewers",
        responses={
            **documented(*ALWAYS),
            200: ResponseSpec(
                data_container=SignedRecords, generate_examples=False, description="The signed file, byte for byte."
            ),
        },
    )
    async def get_records(self, parts: NamedDependency[Parts], caller: NamedDependency[Caller]) -> Response[bytes]:
        """Everything that a reviewer asks for, from live configuration and data, without anything personal.

        Check it offline with `likeness verify-records`, and the published keys.
        """
        headers = {"Content-Disposition": 'attachment; filename="records.json"', "Cache-Control": "no-store"}
        return Response(await _records(parts, caller), media_type=MediaType.JSON, headers=headers)

    @get(
        "/records/sheet",
        summary="Read the records as a page",
        responses={
            **documented(*ALWAYS),
            200: ResponseSpec(
                data_container=str, generate_examples=False, media_type="text/html", description="A page that prints."
            ),
        },
    )
    async def get_records_sheet(
        self, parts: NamedDependency[Parts], caller: NamedDependency[Caller]
    ) -> Response[bytes]:
        """The same data for people. It proves nothing by itself: the signed file does."""
        headers = {"Content-Disposition": 'attachment; filename="records.html"', "Cache-Control": "no-store"}
        return Response(page.render(await _records(parts, caller)), media_type="text/html", headers=headers)

    @get("/subprocessors", summary="Read who else processes", responses=documented(*ALWAYS))
    async def list_subprocessors(self, parts: NamedDependency[Parts], caller: NamedDependency[Caller]) -> Subprocessors:
        """The list that is in effect, the one that comes, and your answer. `subprocessors.changed` tells you ahead."""
        async with parts.database.tenant(caller.tenant_id) as session:
            found = await subprocessors.standing(session)
        return Subprocessors(
            current=_list_view(found.current),
            upcoming=_list_view(found.upcoming),
            answer=None if found.notice is None else _answer_view(found.notice),
        )

    @post(
        "/subprocessors/acknowledge",
        status_code=200,
        guards=[requires_scope("rights:write")],
        summary="Say that you have seen a version",
        responses=documented(*ALWAYS, MalformedRequest, NotFound, ValidationFailed),
    )
    async def acknowledge_subprocessors(
        self, parts: NamedDependency[Parts], caller: NamedDependency[Caller], data: JSONBody[Acknowledgement]
    ) -> SubprocessorAnswer:
        """Note that you have seen a version of the list. Saying so again changes nothing."""
        async with parts.database.tenant(caller.tenant_id) as session:
            return _answer_view(await subprocessors.acknowledge(session, version=data.version, actor=caller.actor))

    @post(
        "/subprocessors/object",
        status_code=200,
        guards=[requires_scope("rights:write")],
        summary="Object to a version",
        responses=documented(*ALWAYS, MalformedRequest, NotFound, StateConflict, Unacceptable, ValidationFailed),
    )
    async def object_to_subprocessors(
        self, parts: NamedDependency[Parts], caller: NamedDependency[Caller], data: JSONBody[Objection]
    ) -> SubprocessorAnswer:
        """Object before it takes effect (GDPR Art. 28(2)). Whoever runs the service hears of it at once."""
        async with parts.database.tenant(caller.tenant_id) as session:
            return _answer_view(
                await subprocessors.object_to(
                    session, version=data.version, reason_code=data.reason_code, actor=caller.actor
                )
            )
