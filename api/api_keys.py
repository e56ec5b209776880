"""API keys: create, list, rotate, revoke. The key itself is shown once, by the answer that makes it."""

from datetime import datetime
from typing import Annotated, Any

from litestar import Controller, Request, Response, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import Meta, Struct

from api import paging
from api.auth import requires_active, requires_scope, seen_by
from api.idempotency import IdempotencyKey, once
from api.paging import Cursor, Limit
from api.problems import ALWAYS, CREATING, PAGED, documented
from api.wire import AwareTime, Label, in_future
from core.bootstrap import Parts
from core.errors import NotFound, Unacceptable
from core.ids import Prefix, parse, public
from core.tenants import service as tenants
from core.tenants.models import ApiKey, Mode
from core.tenants.service import SCOPES, Caller


class NewApiKey(Struct, kw_only=True, forbid_unknown_fields=True):
    """A key to create."""

    name: Annotated[Label, Meta(description="For you to tell your keys apart.", examples=["production backend"])]
    mode: Mode = Mode.LIVE
    scopes: Annotated[
        list[str] | None,
        Meta(description="What it may do; left out, everything this key may.", examples=[["subjects:write"]]),
    ] = None
    expires_at: AwareTime | None = None


class Rotation(Struct, kw_only=True, forbid_unknown_fields=True):
    """How long the old key lives on beside the new one."""

    overlap_seconds: Annotated[int, Meta(ge=0, le=604_800, examples=[86_400])] = 86_400


class ApiKeyView(Struct, frozen=True, kw_only=True):
    """A key, without its text."""

    id: Annotated[str, Meta(examples=["key_0199b3c4d5e67f8090a1b2c3d4e5f602"])]
    name: str
    mode: Annotated[str, Meta(examples=["live"])]
    scopes: list[str]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    replaces: Annotated[str | None, Meta(description="The key that this one succeeds.")]


class CreatedApiKey(ApiKeyView, frozen=True, kw_only=True):
    """A key as it is made: the only answer with its text."""

    key: Annotated[
        str | None,
        Meta(
            description="The key itself. Shown now and never again; null when the request is a repeat.",
            examples=["lk_live_0199b3c4d5e67f8090a1b2c3d4e5f602_…"],
        ),
    ]


class ApiKeyPage(Struct, frozen=True, kw_only=True):
    """Keys, newest first."""

    data: list[ApiKeyView]
    next_cursor: str | None


def _fields(key: ApiKey) -> dict[str, Any]:
    return {
        "id": public(Prefix.API_KEY, key.id),
        "name": key.name,
        "mode": key.mode,
        "scopes": list(key.scopes),
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
        "replaces": None if key.replaces is None else public(Prefix.API_KEY, key.replaces),
    }


def created_view(key: ApiKey, text: str | None) -> CreatedApiKey:
    """What the outside sees of a key just made."""
    return CreatedApiKey(**_fields(key), key=text)


class ApiKeyController(Controller):
    """`/v1/api-keys`."""

    path = "/api-keys"
    tags = ("Tenant",)
    guards = (requires_scope("api_keys:write"),)

    @get(summary="List your API keys", responses=documented(*ALWAYS, *PAGED))
    async def list_api_keys(
        self,
        parts: NamedDependency[Parts],
        caller: NamedDependency[Caller],
        limit: Limit = 20,
        cursor: Cursor = None,
    ) -> ApiKeyPage:
        """Your keys, newest first, ended ones among them."""
        async with seen_by(caller, parts) as session:
            rows = await tenants.page_api_keys(session, before=paging.decode(cursor), limit=limit + 1)
        page, following = paging.cut(rows, limit)
        return ApiKeyPage(data=[ApiKeyView(**_fields(row)) for row in page], next_cursor=following)

    @post(guards=[requires_active], summary="Create an API key", responses=documented(*ALWAYS, *CREATING, Unacceptable))
    async def create_api_key(
        self,
        request: Request[Any, Any, Any],
        parts: NamedDependency[Parts],
        caller: NamedDependency[Caller],
        data: JSONBody[NewApiKey],
        idempotency_key: IdempotencyKey = None,
    ) -> Response[CreatedApiKey]:
        """Make a key. It gets no scope that the asking key has not, and no live key comes from the sandbox."""
        scopes = _within(caller, data.scopes)
        if caller.mode is Mode.TEST and data.mode is Mode.LIVE:
            raise Unacceptable("A key of the sandbox makes keys of the sandbox only.")
        expires_at = in_future(data.expires_at, field="expires_at")
        async with once(request, parts, caller) as ticket, seen_by(caller, parts) as session:
            if ticket.made is not None:
                return _created(await tenants.get_api_key(session, ticket.made), None)
            key, text = await tenants.create_api_key(
                session,
                tenant_id=caller.tenant_id,
                name=data.name,
                mode=data.mode,
                actor=caller.actor,
                scopes=scopes,
                expires_at=expires_at,
            )
            await ticket.note(session, key.id)
            return _created(key, text)

    @post(
        "/{key_id:str}/rotate",
        summary="Rotate an API key",
        responses=documented(*ALWAYS, *CREATING, Unacceptable, NotFound),
    )
    async def rotate_api_key(
        self,
        request: Request[Any, Any, Any],
        parts: NamedDependency[Parts],
        caller: NamedDependency[Caller],
        key_id: FromPath[str],
        data: JSONBody[Rotation | None] = None,
        idempotency_key: IdempotencyKey = None,
    ) -> Response[CreatedApiKey]:
        """Make a successor with the same name, mode and scopes. Both work until the old one ends."""
        overlap = (data or Rotation()).overlap_seconds
        async with once(request, parts, caller) as ticket, seen_by(caller, parts) as session:
            if ticket.made is not None:
                return _created(await tenants.get_api_key(session, ticket.made), None)
            old = await tenants.get_api_key(session, parse(Prefix.API_KEY, key_id))
            _within(caller, old.scopes)
            if caller.mode is Mode.TEST and old.mode == Mode.LIVE:
                raise Unacceptable("A key of the sandbox rotates keys of the sandbox only.")
            key, text = await tenants.rotate_api_key(
                session, tenant_id=caller.tenant_id, key_id=old.id, actor=caller.actor, overlap_seconds=overlap
            )
            await ticket.note(session, key.id)
            return _created(key, text)

    @delete("/{key_id:str}", status_code=200, summary="Revoke an API key", responses=documented(*ALWAYS, NotFound))
    async def revoke_api_key(
        self, parts: NamedDependency[Parts], caller: NamedDependency[Caller], key_id: FromPath[str]
    ) -> ApiKeyView:
        """End a key at once. Revoking it again changes nothing."""
        async with seen_by(caller, parts) as session:
            key = await tenants.revoke_api_key(
                session, tenant_id=caller.tenant_id, key_id=parse(Prefix.API_KEY, key_id), actor=caller.actor
            )
            return ApiKeyView(**_fields(key))


def _created(key: ApiKey, text: str | None) -> Response[CreatedApiKey]:
    view = created_view(key, text)
    return Response(view, status_code=201)


def _within(caller: Caller, scopes: list[str] | None) -> tuple[str, ...]:
    """The scopes asked for. A key hands on no more than it has: else a narrow key could make itself a broad one."""
    if scopes is None:
        return tuple(sorted(caller.scopes))
    for scope in scopes:
        if scope in SCOPES:
            caller.require_scope(scope)
    return tuple(scopes)
