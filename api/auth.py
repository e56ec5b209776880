"""Who is asking, and may they? Guards run before anything of the request is read.

A guard authenticates once, counts the request against the tenant's limit, and checks the scope that the route names.
Handlers receive the `Caller`; the tenant comes from the credential, never from the path.
"""

from contextlib import AbstractAsyncContextManager
from typing import Any

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.types import Guard
from sqlmodel.ext.asyncio.session import AsyncSession

from api.visit import visit_of
from core.bootstrap import Parts
from core.errors import CredentialInvalid, CredentialMissing
from core.ids import Prefix, public
from core.tenants import service as tenants
from core.tenants.service import Caller

Connection = ASGIConnection[Any, Any, Any, Any]


def bearer(connection: Connection) -> str:
    """The token of the Authorization header. Raises `CredentialMissing` or `CredentialInvalid`."""
    header = connection.headers.get("authorization")
    if header is None:
        raise CredentialMissing
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise CredentialInvalid("The Authorization header has another form than `Bearer <key>`.")
    return token.strip()


async def authenticated(connection: Connection) -> Caller:
    """The caller, looked up once a request and counted against their limit."""
    known = connection.scope.get("user")
    if isinstance(known, Caller):
        return known
    parts: Parts = connection.app.state.parts
    caller = await tenants.authenticate(parts.database, bearer(connection))
    connection.scope["user"] = caller
    visit = visit_of(connection.scope)
    visit.tenant = public(Prefix.TENANT, caller.tenant_id)
    await connection.app.state.limiter.count(visit, caller.tenant_id.hex)
    return caller


def seen_by(caller: Caller, parts: Parts) -> AbstractAsyncContextManager[AsyncSession]:
    """A transaction that sees what the caller may: their tenant's rows, and of people those of their key's mode."""
    return parts.database.tenant(caller.tenant_id, mode=caller.mode)


def requires_scope(scope: str) -> Guard:
    """A guard that lets pass a key with this scope."""

    async def requires_scope_guard(connection: Connection, _: BaseRouteHandler) -> None:
        caller = await authenticated(connection)
        caller.require_scope(scope)

    return requires_scope_guard


async def requires_active(connection: Connection, _: BaseRouteHandler) -> None:
    """A guard for what a suspended tenant may not start."""
    caller = await authenticated(connection)
    caller.require_active()


def provide_caller(request: Request[Any, Any, Any]) -> Caller:
    """The caller that the guard has let pass."""
    caller: Caller = request.scope["user"]
    return caller


def provide_parts(request: Request[Any, Any, Any]) -> Parts:
    """The parts of this process."""
    parts: Parts = request.app.state.parts
    return parts
