"""Render every error as `application/problem+json` (RFC 9457), and say nothing more than it should.

- The tree of `core.errors` answers with its own status, code and members.
- Litestar's own refusals (no such route, wrong method, unreadable or invalid body) are put into the same form. What was
  sent is never echoed: a message about a field is one of a few that hold no value, or a general one.
- Anything else is a plain 500, logged by its type and place alone.
"""

import logging
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Any

from litestar import Request, Response
from litestar.exceptions import (
    HTTPException,
    InternalServerException,
    MethodNotAllowedException,
    NotFoundException,
    ValidationException,
)
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example
from litestar.types import ExceptionHandlersMap
from msgspec import UNSET, Meta, Struct, UnsetType
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolExhausted

from api.visit import visit_of
from core.errors import (
    CursorInvalid,
    IdempotencyInFlight,
    IdempotencyMismatch,
    LikenessError,
    MalformedRequest,
    NotFound,
    PayloadTooLarge,
    RateLimited,
    ScopeMissing,
    TenantSuspended,
    Unauthenticated,
    Unavailable,
    UploadTooSlow,
    ValidationFailed,
)
from core.logs import place_of

logger = logging.getLogger("likeness.api")

PROBLEM_JSON = "application/problem+json"
CATALOGUE_PATH = "/docs/errors"


class RouteUnknown(NotFound):
    code = "route_unknown"
    title = "There is no such route."
    remedy = "Check the path against the API reference at /docs."


class MethodNotAllowed(LikenessError):
    status = 405
    code = "method_not_allowed"
    title = "This route does not take that method."
    remedy = "Use one of the methods in the Allow header."


class FieldError(Struct, frozen=True):
    """One field that is not acceptable."""

    field: Annotated[str, Meta(description="Path of the field in the body, or name of the parameter.")]
    message: Annotated[str, Meta(description="What is wrong with it. Never contains what was sent.")]


class Problem(Struct, frozen=True, kw_only=True):
    """An error, as RFC 9457 has it. Some codes add members of their own; the catalogue names them."""

    type: Annotated[str, Meta(description="The catalogue entry of this error.")]
    title: str
    status: int
    detail: Annotated[str, Meta(description="What happened this time.")]
    code: Annotated[str, Meta(description="Stable and machine-readable.")]
    docs: str
    request_id: Annotated[str, Meta(description="Quote it when you ask for help.")]
    errors: list[FieldError] | UnsetType = UNSET


# The only messages of msgspec that are passed on: their shape leaves no room for a value that was sent.
_SAFE_MESSAGES = tuple(
    re.compile(pattern)
    for pattern in (
        r"Expected `[\w |]+`(, got `[\w |]+`)?",
        r"Expected `(str|array|object|bytes)` of length (>=|<=|==) \d+",
        r"Expected `(int|float)` (>=|<=|>|<) -?[\d.]+",
        r"Expected `str` matching regex .*",
        r"Expected `datetime` with a timezone component",
        r"Object missing required field `\w+`",
        r"Missing required .* parameter .*",
    )
)
_GENERAL = (
    ("Invalid enum value", "This is not one of the allowed values."),
    ("Object contains unknown field", "There is a field here that is not known."),
    ("Invalid RFC3339", "Expected a time in RFC 3339, with its offset."),
)


def _safe(message: str) -> str:
    text = message.split(" - at `", maxsplit=1)[0]
    for beginning, said in _GENERAL:
        if text.startswith(beginning):
            return said
    return text if any(pattern.fullmatch(text) for pattern in _SAFE_MESSAGES) else "This value is not acceptable."


def _field(entry: Mapping[str, Any]) -> str:
    name = str(entry.get("key") or "body")
    return name.removeprefix("data.") if name != "data" else "body"


def document(error: type[LikenessError], *, root: str, request_id: str) -> dict[str, Any]:
    """The members that every problem of this kind has."""
    link = f"{root}{CATALOGUE_PATH}#{error.code}"
    return {
        "type": link,
        "title": error.title,
        "status": error.status,
        "detail": error.title,
        "code": error.code,
        "docs": link,
        "request_id": request_id,
    }


def render(request: Request[Any, Any, Any], error: LikenessError, headers: Mapping[str, str] | None = None) -> Any:
    """The response for an error of the tree."""
    body = document(type(error), root=_root(request), request_id=visit_of(request.scope).request_id)
    body["detail"] = error.detail
    sent = dict(headers or {})
    if isinstance(error, Unauthenticated):
        sent["WWW-Authenticate"] = 'Bearer realm="likeness"'
    if isinstance(error, RateLimited):
        sent["Retry-After"] = str(error.extra.get("retry_after", 1))
    if isinstance(error, Unavailable):
        sent["Retry-After"] = "2"
    if isinstance(error, UploadTooSlow):
        sent["Connection"] = "close"  # RFC 9110, section 15.5.9: the rest of the body is not waited for
    return Response(
        content=body | {name: value for name, value in error.extra.items() if name not in body},
        status_code=error.status,
        media_type=PROBLEM_JSON,
        headers=sent,
    )


def _root(request: Request[Any, Any, Any]) -> str:
    root: str = request.app.state.public_url
    return root.rstrip("/")


def _from_tree(request: Request[Any, Any, Any], error: LikenessError) -> Any:
    if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR and not isinstance(error, Unavailable):
        return _unexpected(request, error)
    return render(request, error)


def _from_litestar(request: Request[Any, Any, Any], error: HTTPException) -> Any:
    if isinstance(error, ValidationException):
        found = error.extra if isinstance(error.extra, list) else []
        errors = [{"field": _field(entry), "message": _safe(str(entry.get("message", "")))} for entry in found]
        return render(request, ValidationFailed(errors=errors))
    if isinstance(error, NotFoundException):
        return render(request, RouteUnknown())
    if isinstance(error, MethodNotAllowedException):
        return render(request, MethodNotAllowed(), {"Allow": _ordered((error.headers or {}).get("allow", ""))})
    if error.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        limit = request.route_handler.resolve_request_max_body_size()
        return render(request, PayloadTooLarge(max_bytes=limit))
    # A sender that hangs up in the middle of a body is no fault of ours; nobody reads this answer.
    hung_up = isinstance(error, InternalServerException) and "disconnected" in error.detail
    if hung_up or error.status_code < HTTPStatus.INTERNAL_SERVER_ERROR:
        return render(request, MalformedRequest())
    return _unexpected(request, error)


def _ordered(methods: str) -> str:
    return ", ".join(sorted({method.strip() for method in methods.split(",")} - {""}))


def _part_missing(request: Request[Any, Any, Any], error: Exception) -> Any:
    logger.warning("a part did not answer", extra={"error_type": type(error).__name__, "place": place_of(error)})
    return render(request, Unavailable())


def _too_deep(request: Request[Any, Any, Any], error: RecursionError) -> Any:
    # JSON nested deeper than the decoder goes. One of our own would be a bug, so it is logged like one.
    logger.warning("nested too deep", extra={"error_type": type(error).__name__, "place": place_of(error)})
    return render(request, MalformedRequest("The body is nested too deep."))


def _unexpected(request: Request[Any, Any, Any], error: Exception) -> Any:
    visit = visit_of(request.scope)
    logger.error(
        "an unexpected error",
        extra={"error_type": type(error).__name__, "place": place_of(error), "request_id": visit.request_id},
    )
    return render(request, LikenessError())


HANDLERS: ExceptionHandlersMap = {
    LikenessError: _from_tree,
    HTTPException: _from_litestar,
    OperationalError: _part_missing,
    InterfaceError: _part_missing,
    PoolExhausted: _part_missing,
    ConnectionError: _part_missing,
    RecursionError: _too_deep,
    Exception: _unexpected,
}


# What the routes of a tenant have in common: any of them, those that answer a page, those that create.
ALWAYS = (Unauthenticated, ScopeMissing, RateLimited)
PAGED = (CursorInvalid, ValidationFailed)
CREATING = (MalformedRequest, TenantSuspended, IdempotencyInFlight, ValidationFailed, IdempotencyMismatch)


def documented(*errors: type[LikenessError]) -> dict[int, ResponseSpec]:
    """The OpenAPI responses for these errors and those that any route has: one per status, an example per code."""
    by_status: dict[int, list[type[LikenessError]]] = {}
    every: tuple[type[LikenessError], ...] = (MalformedRequest, *errors, Unavailable, LikenessError)
    for error in every:
        same = by_status.setdefault(error.status, [])
        if error not in same:
            same.append(error)
    return {
        status: ResponseSpec(
            data_container=Problem,
            generate_examples=False,
            description=" · ".join(f"`{error.code}` {error.title}" for error in group),
            media_type=PROBLEM_JSON,
            examples=[
                Example(
                    summary=error.code, value=document(error, root="https://api.example.com", request_id="req_0199")
                )
                for error in group
            ],
        )
        for status, group in sorted(by_status.items())
    }
