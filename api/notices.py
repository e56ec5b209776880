"""Notices: what people are told before they agree."""

from datetime import datetime
from typing import Annotated, Any

from litestar import Controller, Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import Meta, Struct

from api import paging
from api.auth import requires_active, requires_scope, seen_by
from api.idempotency import IdempotencyKey, once
from api.paging import Cursor, Limit
from api.problems import ALWAYS, CREATING, PAGED, documented
from api.wire import Text
from core.bootstrap import Parts
from core.consent import service as consent
from core.consent.models import LegalBasis, Notice, Purpose
from core.errors import NotFound, Unacceptable
from core.ids import Prefix, parse, public
from core.tenants.service import Caller


class NewNotice(Struct, kw_only=True, forbid_unknown_fields=True):
    """A version to publish."""

    slug: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$", examples=["headshots"])]
    locale: Annotated[str, Meta(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}$", examples=["en"])]
    text: Annotated[Text, Meta(examples=["We make headshots from your photo, and use it for nothing else."])]
    purposes: Annotated[
        dict[Purpose, LegalBasis],
        Meta(
            min_length=1,
            description="Purpose → legal basis. Biometric processing, training and sharing rest on consent only.",
            examples=[{"headshot": "consent", "biometric_processing": "consent"}],
        ),
    ]
    retention_days: Annotated[int, Meta(ge=1, le=3650, examples=[30])]


class NoticeView(Struct, frozen=True, kw_only=True):
    """One published version."""

    id: Annotated[str, Meta(examples=["ntc_0199b3c4d5e67f8090a1b2c3d4e5f603"])]
    slug: str
    version: Annotated[int, Meta(examples=[1])]
    locale: str
    text: str
    text_sha256: Annotated[str, Meta(description="Of the text in UTF-8: what a consent refers to, checkable.")]
    purposes: dict[str, str]
    retention_days: int
    published_at: datetime


class NoticePage(Struct, frozen=True, kw_only=True):
    """Notices, newest first."""

    data: list[NoticeView]
    next_cursor: str | None


def _view(notice: Notice) -> NoticeView:
    return NoticeView(
        id=public(Prefix.NOTICE, notice.id),
        slug=notice.slug,
        version=notice.version,
        locale=notice.locale,
        text=notice.text,
        text_sha256=notice.text_sha256,
        purposes=dict(notice.purposes),
        retention_days=notice.retention_days,
        published_at=notice.published_at,
    )


class NoticeController(Controller):
    """`/v1/notices`."""

    path = "/notices"
    tags = ("Notices",)

    @get(
        guards=[requires_scope("notices:read")],
        summary="List notices",
        responses=documented(*ALWAYS, *PAGED),
    )
    async def list_notices(
        self,
        parts: NamedDependency[Parts],
        caller: NamedDependency[Caller],
        limit: Limit = 20,
        cursor: Cursor = None,
    ) -> NoticePage:
        """Every version of every notice, newest first."""
        async with seen_by(caller, parts) as session:
            rows = await consent.page_notices(session, before=paging.decode(cursor), limit=limit + 1)
        page, following = paging.cut(rows, limit)
        return NoticePage(data=[_view(row) for row in page], next_cursor=following)

    @post(
        guards=[requires_scope("notices:write"), requires_active],
        summary="Publish a notice",
        responses=documented(*ALWAYS, *CREATING, Unacceptable),
    )
    async def publish_notice(
        self,
        request: Request[Any, Any, Any],
        parts: NamedDependency[Parts],
        caller: NamedDependency[Caller],
        data: JSONBody[NewNotice],
        idempotency_key: IdempotencyKey = None,
    ) -> Response[NoticeView]:
        """Publish the next version of a notice. What is published never changes."""
        async with once(request, parts, caller) as ticket, seen_by(caller, parts) as session:
            if ticket.made is not None:
                notice = await consent.get_notice(session, ticket.made)
            else:
                notice = await consent.publish_notice(
                    session,
                    tenant_id=caller.tenant_id,
                    actor=caller.actor,
                    slug=data.slug,
                    locale=data.locale,
                    text=data.text,
                    purposes={purpose.value: basis.value for purpose, basis in data.purposes.items()},
                    retention_days=data.retention_days,
                )
                await ticket.note(session, notice.id)
        view = _view(notice)
        return Response(view, status_code=201, headers={"Location": f"/v1/notices/{view.id}"})

    @get(
        "/{notice_id:str}",
        guards=[requires_scope("notices:read")],
        summary="Read a notice",
        responses=documented(*ALWAYS, NotFound),
    )
    async def get_notice(
        self, parts: NamedDependency[Parts], caller: NamedDependency[Caller], notice_id: FromPath[str]
    ) -> NoticeView:
        """One published version."""
        async with seen_by(caller, parts) as session:
            return _view(await consent.get_notice(session, parse(Prefix.NOTICE, notice_id)))
