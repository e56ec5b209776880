"""Which operator is asking, and may they? The roles that an operation needs are its guard, and the reference says them.

A guard authenticates once and counts the request. The role comes from our own table, read at every call, so a removal
or a change of role bites at once. `stated` writes the roles of each guard into the OpenAPI document, and refuses to
start with an operation that has none.
"""

import hashlib
import inspect
import secrets
from collections.abc import Iterable
from typing import Any

from litestar import Controller, Request
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler

from api.auth import bearer
from api.visit import visit_of
from core.bootstrap import Parts
from core.errors import Unauthenticated
from core.operators.service import Operator, Role

Connection = ASGIConnection[Any, Any, Any, Any]

SCHEME = "operator"
STRANGERS_PER_MINUTE = 60
# Lives as long as the process, so a digest of an address means nothing to anybody else.
_SALT = secrets.token_bytes(16)


async def authenticated(connection: Connection) -> Operator:
    """The operator, looked up once a request and counted."""
    known = connection.scope.get("user")
    if isinstance(known, Operator):
        return known
    parts: Parts = connection.app.state.parts
    try:
        operator = await parts.door.authenticate(bearer(connection))
    except Unauthenticated:
        await count_stranger(connection)
        raise
    connection.scope["user"] = operator
    await connection.app.state.limiter.count(visit_of(connection.scope), operator.actor)
    return operator


async def count_stranger(connection: Connection) -> None:
    """Count somebody whom we do not know, by a digest that another process cannot repeat. Raises `RateLimited`."""
    who = hashlib.blake2b(address_of(connection).encode(), key=_SALT, digest_size=16).hexdigest()
    visit = visit_of(connection.scope)
    await connection.app.state.limiter.count(visit, f"operator:stranger:{who}", quota=STRANGERS_PER_MINUTE)


def address_of(connection: Connection) -> str:
    """The address that asks. Behind a proxy it is the one that the proxy names, as the server was told to believe."""
    return connection.client.host if connection.client is not None else "unknown"


class RoleGuard:
    """Lets pass whoever has one of the roles."""

    def __init__(self, *roles: Role) -> None:
        self.roles = roles

    async def __call__(self, connection: Connection, _: BaseRouteHandler) -> None:
        """Raise `Unauthenticated` or `RoleMissing`."""
        (await authenticated(connection)).require(*self.roles)


requires_viewer = RoleGuard(*Role)
requires_support = RoleGuard(Role.SUPPORT, Role.ADMIN)
requires_privacy_officer = RoleGuard(Role.PRIVACY_OFFICER)
requires_admin = RoleGuard(Role.ADMIN)
requires_approver = RoleGuard(Role.PRIVACY_OFFICER, Role.ADMIN)


async def requires_nothing(connection: Connection, _: BaseRouteHandler) -> None:
    """For the few operations that bring a credential of their own: signing in, and an invitation's token."""
    await count_stranger(connection)


def provide_operator(request: Request[Any, Any, Any]) -> Operator:
    """The operator that the guard has let pass."""
    operator: Operator = request.scope["user"]
    return operator


def stated(controllers: Iterable[type[Controller]]) -> list[type[Controller]]:
    """The controllers, each operation with its roles in `security` and in words. Raises TypeError on one without."""
    found = list(controllers)
    for controller in found:
        for handler in vars(controller).values():
            if isinstance(handler, HTTPRouteHandler):
                _state(handler, [*vars(controller).get("guards", ()), *(handler.guards or ())])
    return found


def _state(handler: HTTPRouteHandler, guards: list[Any]) -> None:
    guard = next((one for one in guards if isinstance(one, RoleGuard)), None)
    said = inspect.cleandoc(handler.fn.__doc__ or "")
    if guard is not None:
        roles = [role.value for role in guard.roles]
        handler.security = [{SCHEME: roles}]
        handler.description = f"{said}\n\n**Roles:** {', '.join(roles)}."
    elif requires_nothing in guards:
        handler.security = [{}]
        handler.description = f"{said}\n\n**Roles:** none; the request brings a credential of its own."
    else:
        raise TypeError(f"the operation {handler.handler_name} says no role")
