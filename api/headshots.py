"""Headshots: one photo, a list of styles, one job. Ask what it costs, ask for it, follow it, stop it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from litestar import Controller, Request, Response, get, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, HeaderParameter, JSONBody
from litestar.response import ServerSentEvent
from msgspec import Meta, Struct
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from api import paging
from api.assets import AssetView, asset_view
from api.auth import requires_active, requires_scope, seen_by
from api.follow import RETRY_MS, events
from api.idempotency import IdempotencyKey, once
from api.paging import Cursor, Limit
from api.problems import ALWAYS, CREATING, PAGED, documented
from api.wire import PLAIN_TEXT, ExpiresAfter, Filter
from core.bootstrap import Parts
from core.errors import (
    AttireNeedsFullModel,
    ConsentRequired,
    Gone,
    IdempotencyKeyMissing,
    MalformedRequest,
    NotFound,
    PhotoNotReady,
    PhotoRefused,
    QuotaExceeded,
    RetentionOutOfRange,
    StateConflict,
    UnknownMark,
    UnknownStyle,
)
from core.headshots import queries as headshots
from core.headshots import submit
from core.headshots.models import Headshot
from core.headshots.styles import Attire, Retouch
from core.ids import Prefix, parse, public
from core.jobs import queries as jobs
from core.jobs.models import Job, JobState
from core.provenance.card import LOCALES, card
from core.storage.models import Asset, AssetState
from core.tenants.service import Caller


class NewHeadshots(Struct, kw_only=True, forbid_unknown_fields=True):
    """What to make."""

    photo_id: Annotated[str, Meta(max_length=64, examples=["pho_0199b3c4d5e67f8090a1b2c3d4e5f608"])]
    styles: Annotated[
        list[Annotated[str, Meta(max_length=64, examples=["studio-grey"])]],
        Meta(
            min_length=1,
            max_length=submit.MOST_STYLES,
            description="One headshot is made per style.",
            examples=[["studio-grey", "office-window"]],
        ),
    ]
    retouch: (
        Annotated[
            Retouch,
            Meta(
                description="What is done to the face's skin: `none`, `light` (temporary marks go; moles, freckles, "
                "scars and wrinkles stay) or `studio` (blotches and shine are evened too). Left out, each style's own."
            ),
        ]
        | None
    ) = None
    attire: Annotated[
        Attire,
        Meta(description="`keep` your clothes. `smart` and `formal` need a full-size inpainting model."),
    ] = Attire.KEEP
    mark: (
        Annotated[str, Meta(max_length=64, description="A visible mark of yours. Left out, each style's own.")] | None
    ) = None
    seed: (
        Annotated[int, Meta(ge=0, le=submit.LARGEST_SEED, description="The same seed gives the same backdrop.")] | None
    ) = None
    expires_after: ExpiresAfter | None = None
    dry_run: Annotated[bool, Meta(description="Only say what it would cost and when it would be done.")] = False


class QuoteView(Struct, frozen=True, kw_only=True):
    """What a request would cost. Nothing was made."""

    credits: Annotated[int, Meta(description="Exactly what it would cost.", examples=[2])]
    available: Annotated[int, Meta(examples=[874])]
    position: Annotated[int, Meta(description="Jobs that would be taken before it.", examples=[0])]
    estimate_seconds: Annotated[float, Meta(examples=[9.5])]


class HeadshotView(Struct, frozen=True, kw_only=True):
    """One style of a job."""

    id: Annotated[str, Meta(examples=["hs_0199b3c4d5e67f8090a1b2c3d4e5f60a"])]
    style: Annotated[str, Meta(examples=["studio-grey"])]
    style_version: int
    state: Annotated[str, Meta(description="`done`, `refused` (not charged) or `erased`.", examples=["done"])]
    reason_code: str | None
    reason: str | None
    seconds: Annotated[float, Meta(examples=[4.2])]
    assets: list[AssetView]
    edits: Annotated[
        list[dict[str, Any]], Meta(description="What was done to the picture, region by region: the edit ledger.")
    ]
    card: Annotated[
        dict[str, list[str]],
        Meta(description="The same in plain words, for the person: `en`, `de`, `fr`, `es`.", examples=[{"en": ["…"]}]),
    ]
    created_at: datetime
    expires_at: datetime


class JobView(Struct, frozen=True, kw_only=True):
    """A request for headshots, and how far it has come."""

    id: Annotated[str, Meta(examples=["job_0199b3c4d5e67f8090a1b2c3d4e5f60b"])]
    subject_id: Annotated[str, Meta(examples=["sub_0199b3c4d5e67f8090a1b2c3d4e5f607"])]
    photo_id: Annotated[str, Meta(examples=["pho_0199b3c4d5e67f8090a1b2c3d4e5f608"])]
    mode: Annotated[str, Meta(examples=["live"])]
    state: Annotated[
        str,
        Meta(
            description="`pending`, `running`; then `done`, `failed`, `cancelled` or `refused`.", examples=["running"]
        ),
    ]
    styles: list[Annotated[str, Meta(examples=["studio-grey"])]]
    seed: int
    credits: Annotated[int, Meta(description="Held while it runs.")]
    charged: Annotated[int, Meta(description="Paid in the end: what was delivered.")]
    stage: Annotated[str | None, Meta(examples=["matte"])]
    progress: Annotated[float, Meta(description="From 0 to 1.", examples=[0.4])]
    position: Annotated[int | None, Meta(description="Jobs that will be taken before it, while it is pending.")]
    estimate_seconds: Annotated[float | None, Meta(description="Until it is done, by how long jobs took of late.")]
    cancel_requested_at: datetime | None
    reason_code: str | None
    reason: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    expires_after: Annotated[int, Meta(description="Seconds that its headshots are kept.")]
    headshots: Annotated[list[HeadshotView], Meta(description="What was made, one per style.")]


class JobSummary(Struct, frozen=True, kw_only=True):
    """A job in a list."""

    id: str
    subject_id: Annotated[str, Meta(examples=["sub_0199b3c4d5e67f8090a1b2c3d4e5f607"])]
    photo_id: Annotated[str, Meta(examples=["pho_0199b3c4d5e67f8090a1b2c3d4e5f608"])]
    state: str
    styles: list[Annotated[str, Meta(examples=["studio-grey"])]]
    progress: float
    created_at: datetime
    finished_at: datetime | None


class JobPage(Struct, frozen=True, kw_only=True):
    """Jobs, newest first."""

    data: list[JobSummary]
    next_cursor: str | None


def _summary(job: Job) -> JobSummary:
    return JobSummary(
        id=public(Prefix.JOB, job.id),
        subject_id=public(Prefix.SUBJECT, job.subject_id),
        photo_id=public(Prefix.PHOTO, job.photo_id),
        state=job.state,
        styles=list(job.styles),
        progress=job.progress,
        created_at=job.created_at,
        finished_at=job.finished_at,
    )


def _made(row: Headshot, assets: dict[str, Asset]) -> HeadshotView:
    return HeadshotView(
        id=public(Prefix.HEADSHOT, row.id),
        style=row.style,
        style_version=row.style_version,
        state=row.state,
        reason_code=row.reason_code,
        reason=row.reason,
        seconds=row.seconds,
        assets=[asset_view(assets[name]) for name in row.assets.values() if name in assets],
        edits=list(row.ledger or []),
        card={locale: card(row.ledger, locale) for locale in LOCALES} if row.ledger else {},
        created_at=row.created_at,
        expires_at=row.expires_at,
    )


def _view(job: Job, made: Sequence[HeadshotView], outlook: jobs.Outlook | None) -> JobView:
    return JobView(
        id=public(Prefix.JOB, job.id),
        subject_id=public(Prefix.SUBJECT, job.subject_id),
        photo_id=public(Prefix.PHOTO, job.photo_id),
        mode=job.mode,
        state=job.state,
        styles=list(job.styles),
        seed=job.seed,
        credits=job.cost,
        charged=job.charged,
        stage=job.stage,
        progress=job.progress,
        position=None if outlook is None else outlook.position,
        estimate_seconds=None if outlook is None else outlook.seconds,
        cancel_requested_at=job.cancel_requested_at,
        reason_code=job.reason_code,
        reason=job.reason,
        created_at=job.created_at,
        started_at=job.started_at,
        finished_at=job.finished_at,
        expires_after=job.retain_seconds,
        headshots=list(made),
    )


async def _with_all(parts: Parts, caller: Caller, job_id: UUID) -> JobView:
    """The job with what it made and where it stands. Raises `NotFound` and `Gone`."""
    async with seen_by(caller, parts) as session:
        job = await jobs.get(session, job_id)
        rows = await headshots.of_job(session, job_id)
        assets = await _assets(session, rows)
    outlook = None
    if job.state == JobState.PENDING:
        async with parts.database.system() as session:
            outlook = await jobs.outlook(
                session, region=job.region, fair_start=job.fair_start, work=job.work, job_id=job.id
            )
    return _view(job, [_made(row, assets) for row in rows], outlook)


async def _assets(session: AsyncSession, rows: Sequence[Headshot]) -> dict[str, Asset]:
    ids = [UUID(hex=name) for row in rows for name in row.assets.values()]
    if not ids:
        return {}
    query = select(Asset).where(col(Asset.id).in_(ids), Asset.state == AssetState.STORED)
    return {asset.id.hex: asset for asset in (await session.exec(query)).all()}


class HeadshotController(Controller):
    """`/v1/headshots`."""

    path = "/headshots"
    tags = ("Headshots",)

    @get(
        guards=[requires_scope("headshots:read")],
        summary="List jobs",
        responses=documented(*ALWAYS, *PAGED, NotFound, Gone),
    )
    async def list_jobs(
        self,
        parts: NamedDependency[Parts],
        caller: NamedDependency[Caller],
        subject_id: Filter = None,
        limit: Limit = 20,
        cursor: Cursor = None,
    ) -> JobPage:
        """Your requests for headshots, newest first; of one subject, if you name one."""
        person = None if subject_id is None else parse(Prefix.SUBJECT, subject_id)
        async with seen_by(caller, parts) as session:
            rows = await jobs.page(session, subject_id=person, before=paging.decode(cursor), limit=limit + 1)
        page, following = paging.cut(rows, limit)
        return JobPage(data=[_summary(row) for row in page], next_cursor=following)

    @post(
        status_code=202,
        guards=[requires_scope("headshots:write"), requires_active],
        summary="Ask for headshots",
        responses={
            200: ResponseSpec(QuoteView, generate_examples=False, description="The answer to a `dry_run`."),
            **documented(
                *ALWAYS,
                *CREATING,
                IdempotencyKeyMissing,
                QuotaExceeded,
                ConsentRequired,
                NotFound,
                PhotoNotReady,
                Gone,
                UnknownStyle,
                UnknownMark,
                AttireNeedsFullModel,
                PhotoRefused,
                RetentionOutOfRange,
            ),
        },
    )
    async def request_headshots(
        self,
        request: Request[Any, Any, Any],
        parts: NamedDependency[Parts],
        caller: NamedDependency[Caller],
        data: JSONBody[NewHeadshots],
        idempotency_key: IdempotencyKey = None,
    ) -> Response[JobView | QuoteView]:
        """Make one headshot per style from one photo. Costs one credit per style that is delivered.

        Needs an `Idempotency-Key`, unless it is a `dry_run`, which answers 200 with the exact cost and an estimate.
        """
        photo_id = parse(Prefix.PHOTO, data.photo_id)
        full_model = parts.settings.model.attire
        submit.require_attire(data.attire, full_model=full_model)
        if data.dry_run:
            quote = await submit.quote(
                parts.database,
                caller=caller,
                photo_id=photo_id,
                styles=data.styles,
                expires_after=data.expires_after,
                mark=data.mark,
            )
            return Response(
                QuoteView(
                    credits=quote.credits,
                    available=quote.available,
                    position=quote.position,
                    estimate_seconds=quote.seconds,
                ),
                status_code=200,
            )
        async with once(request, parts, caller, costs=True) as ticket:
            job_id = ticket.made
            if job_id is None:
                async with seen_by(caller, parts) as session:
                    job = await submit.submit(
                        session,
                        caller=caller,
                        photo_id=photo_id,
                        styles=data.styles,
                        seed=data.seed,
                        expires_after=data.expires_after,
                        retouch=data.retouch,
                        attire=data.attire,
                        mark=data.mark,
                        full_model=full_model,
                    )
                    await ticket.note(session, job.id, status=202)
                job_id = job.id
        view = await _with_all(parts, caller, job_id)
        return Response(view, status_code=202, headers={"Location": f"/v1/headshots/{view.id}"})

    @get(
        "/{job_id:str}",
        guards=[requires_scope("headshots:read")],
        summary="Read a job",
        responses=documented(*ALWAYS, NotFound, Gone),
    )
    async def get_job(
        self, parts: NamedDependency[Parts], caller: NamedDependency[Caller], job_id: FromPath[str]
    ) -> JobView:
        """A job: state, progress, place in line, and what it made."""
        return await _with_all(parts, caller, parse(Prefix.JOB, job_id))

    @post(
        "/{job_id:str}/cancel",
        status_code=202,
        guards=[requires_scope("headshots:write")],
        summary="Cancel a job",
        responses=documented(*ALWAYS, NotFound, StateConflict, Gone),
    )
    async def cancel_job(
        self, parts: NamedDependency[Parts], caller: NamedDependency[Caller], job_id: FromPath[str]
    ) -> JobView:
        """Stop a job: at once while it waits, at its next step while it runs. It costs nothing then."""
        found = parse(Prefix.JOB, job_id)
        async with seen_by(caller, parts) as session:
            await jobs.get(session, found)
            await submit.cancel(session, found, actor=caller.actor)
        return await _with_all(parts, caller, found)

    @get(
        "/{job_id:str}/events",
        guards=[requires_scope("headshots:read")],
        summary="Follow a job",
        media_type="text/event-stream",
        responses=documented(*ALWAYS, MalformedRequest, NotFound, Gone),
    )
    async def follow_job(
        self,
        parts: NamedDependency[Parts],
        caller: NamedDependency[Caller],
        job_id: FromPath[str],
        last_event_id: Annotated[
            str | None,
            HeaderParameter(
                name="Last-Event-ID",
                required=False,
                max_length=64,
                schema_extra=PLAIN_TEXT,
                description="Go on after this event; left out, from the beginning.",
            ),
        ] = None,
    ) -> ServerSentEvent:
        """Server-sent events: what happened, from the beginning or after `Last-Event-ID`, then as it happens.

        Events with an id are those of the webhooks, in the same form. `outlook`, without one, tells the place in line.
        The stream ends when the job has.
        """
        found = parse(Prefix.JOB, job_id)
        after = _after(last_event_id)
        async with seen_by(caller, parts) as session:
            await jobs.get(session, found)
        return ServerSentEvent(events(parts, caller, found, after=after), retry_duration=RETRY_MS)


def _after(last_event_id: str | None) -> UUID | None:
    if not last_event_id:
        return None
    try:
        return parse(Prefix.EVENT, last_event_id)
    except NotFound:
        raise MalformedRequest("The Last-Event-ID is not one that we gave.") from None
