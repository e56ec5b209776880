"""What was opened of a person, by whom and why; and what was known of them before it was corrected."""

from datetime import datetime
from typing import Annotated

from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.params import FromPath
from msgspec import Meta, Struct

from api import paging
from api.auth import requires_scope, seen_by
from api.paging import Cursor, Limit
from api.problems import ALWAYS, PAGED, documented
from core.bootstrap import Parts
from core.errors import Gone, NotFound
from core.ids import Prefix, parse
from core.subjects import access
from core.subjects import service as subjects
from core.tenants.service import Caller


class AccessView(Struct, frozen=True, kw_only=True):
    """One opening of something sealed."""

    what: Annotated[str, Meta(description="`photo`, `headshot`, `identity`, `rights_request`, …", examples=["photo"])]
    resource_id: Annotated[str, Meta(examples=["ast_0199b3c4d5e67f8090a1b2c3d4e5f609"])]
    actor: Annotated[str, Meta(description="An API key, a job, a link or the person.", examples=["api_key:0199b3c4…"])]
    why: Annotated[str, Meta(examples=["download"])]
    opened_at: datetime


class AccessPage(Struct, frozen=True, kw_only=True):
    """What was opened of one person, newest first."""

    data: list[AccessView]
    next_cursor: str | None


class CorrectionView(Struct, frozen=True, kw_only=True):
    """What a field said until it was corrected."""

    field: Annotated[str, Meta(examples=["display_name"])]
    before: str | None
    actor: str
    replaced_at: datetime


class Corrections(Struct, frozen=True, kw_only=True):
    """Every correction of a person's fields, newest first."""

    data: list[CorrectionView]


class AccessLogController(Controller):
    """`/v1/subjects/{subject_id}/…`: for the person's right to know (GDPR Art. 15) and to have it right (Art. 16)."""

    path = "/subjects/{subject_id:str}"
    tags = ("Rights requests",)

    @get(
        "/access-log",
        guards=[requires_scope("rights:read")],
        summary="Read who opened what",
        responses=documented(*ALWAYS, *PAGED, NotFound, Gone),
    )
    async def read_access_log(
        self,
        parts: NamedDependency[Parts],
        caller: NamedDependency[Caller],
        subject_id: FromPath[str],
        limit: Limit = 20,
        cursor: Cursor = None,
    ) -> AccessPage:
        """Every decryption of something of this person: what, by which key or job, why. Newest first."""
        async with seen_by(caller, parts) as session:
            subject = await subjects.get(session, parse(Prefix.SUBJECT, subject_id))
            rows = await access.page(session, subject.id, before=paging.decode(cursor), limit=limit + 1)
        page, following = paging.cut(rows, limit)
        data = [
            AccessView(
                what=row.what,
                resource_id=access.named(row),
                actor=row.actor,
                why=row.why,
                opened_at=row.opened_at,
            )
            for row in page
        ]
        return AccessPage(data=data, next_cursor=following)

    @get(
        "/corrections",
        guards=[requires_scope("rights:read")],
        summary="Read what was corrected",
        responses=documented(*ALWAYS, NotFound, Gone),
    )
    async def list_corrections(
        self, parts: NamedDependency[Parts], caller: NamedDependency[Caller], subject_id: FromPath[str]
    ) -> Corrections:
        """What was known of this person before each correction. It goes with them when they are erased."""
        async with seen_by(caller, parts) as session:
            subject = await subjects.get(session, parse(Prefix.SUBJECT, subject_id))
            await access.note(
                session,
                subject_id=subject.id,
                what="identity",
                resource_id=subject.id,
                actor=caller.actor,
                why="corrections",
            )
            found = await subjects.corrections(session, parts.keyring, subject)
        return Corrections(
            data=[
                CorrectionView(field=one.field, before=one.before, actor=one.actor, replaced_at=one.replaced_at)
                for one in found
            ]
        )
