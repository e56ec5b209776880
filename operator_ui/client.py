"""The operator API over HTTP: the only way by which anything reaches the console.

Answers are decoded into the structs of `views/`, which name what the console shows and ignore the rest. What goes wrong
becomes a `Trouble` that says in a sentence what happened and what to do; a session that has ended becomes `SignedOut`.
A token is sent with each request and kept by nothing here.
"""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from typing import Any, Final, TypeVar

import httpx
import msgspec

from operator_ui.place import API_URL
from operator_ui.views.approvals import Proposal

T = TypeVar("T")

_TIMEOUT = httpx.Timeout(10.0, connect=3.0)
LARGEST_PAGE: Final = 100

# What an operator can do about it, where the API's own words do not say.
_REMEDIES: Final[Mapping[str, str]] = {
    "forbidden": "Ask a colleague who has the role that this page names, or an admin to change yours.",
    "rate_limited": "Wait a few seconds. Nothing was changed.",
    "route_unknown": "This API is older than the console. Bring both to the same version.",
    "state_conflict": "Reload to see how it stands now.",
    "not_found": "Check that the whole id was copied.",
}
_REMEDIES_BY_STATUS: Final[Mapping[int, str]] = {
    403: _REMEDIES["forbidden"],
    404: _REMEDIES["not_found"],
    409: "Somebody else was faster. Reload to see what they did, then decide again.",
    429: _REMEDIES["rate_limited"],
    500: "Nothing was changed as far as we know. Try again; if it stays, give the request id to whoever runs this.",
    503: "A part of the service does not answer. Nothing was changed; try again in a moment.",
}


class SignedOut(Exception):
    """The API does not know this session any more: it ended, or the operator was removed."""


class Trouble(Exception):
    """What went wrong, for a person."""

    def __init__(
        self,
        said: str,
        *,
        remedy: str = "",
        status: int = 0,
        code: str = "",
        request_id: str = "",
        fields: tuple[tuple[str, str], ...] = (),
    ) -> None:
        super().__init__(said)
        self.said = said
        self.remedy = remedy
        self.status = status
        self.code = code
        self.request_id = request_id
        self.fields = fields


class _FieldError(msgspec.Struct):
    field: str = ""
    message: str = ""


class _Problem(msgspec.Struct):
    title: str = ""
    detail: str = ""
    code: str = ""
    request_id: str = ""
    errors: list[_FieldError] = []


@dataclass(frozen=True, slots=True)
class Answer:
    """What an act came to: done, or a proposal that waits for a second person."""

    content: bytes
    etag: str
    proposal: Proposal | None

    def read(self, kind: type[T]) -> T:
        """The body as this struct. Raises `Trouble`."""
        return _decode(self.content, kind)


@cache
def _connections() -> httpx.Client:
    return httpx.Client(
        base_url=f"{API_URL}/operator/v1",
        timeout=_TIMEOUT,
        trust_env=False,
        follow_redirects=False,
        headers={"User-Agent": "likeness-console", "Accept": "application/json"},
        limits=httpx.Limits(max_connections=64, max_keepalive_connections=16),
    )


class Api:
    """The operator API in the name of one operator."""

    def __init__(self, token: str) -> None:
        self._token = token

    def read(self, path: str, kind: type[T], /, **query: object) -> T:
        """GET one thing. Parameters that are None or empty are left out. Raises `Trouble` or `SignedOut`."""
        return _decode(self._send("GET", path, query=query).content, kind)

    def file(self, path: str, /, **query: object) -> bytes:
        """GET a file as it is. Raises `Trouble` or `SignedOut`."""
        return self._send("GET", path, query=query).content

    def published(self, path: str) -> bytes:
        """What the service publishes to anyone, outside of the operator API: its signing keys. Raises `Trouble`."""
        return self._send("GET", f"{API_URL}{path}").content

    def act(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Do something. Where two people are needed it comes back as a proposal. Raises `Trouble` or `SignedOut`."""
        answer = self._send(method, path, body=body, headers=headers)
        proposal = None
        if answer.status_code == HTTPStatus.ACCEPTED:
            # An act that goes on by itself, a redelivery say, is accepted as well: only a proposal has a proposer.
            with suppress(msgspec.DecodeError):
                proposal = msgspec.json.decode(answer.content, type=Proposal)
        return Answer(content=answer.content, etag=answer.headers.get("etag", ""), proposal=proposal)

    def every(self, path: str, page: type[T], /, *, most: int, **query: object) -> Iterator[T]:
        """The pages of a list one after another, until `most` rows were read. Raises `Trouble` or `SignedOut`."""
        cursor: str | None = None
        read = 0
        while read < most:
            content = self._send("GET", path, query={**query, "limit": LARGEST_PAGE, "cursor": cursor}).content
            yield _decode(content, page)
            shape = _decode(content, _Shape)
            read += len(shape.data)
            cursor = shape.next_cursor
            if cursor is None:
                return

    def _send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, object] | None = None,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        wanted = {name: _written(value) for name, value in (query or {}).items() if value not in {None, ""}}
        try:
            answer = _connections().request(
                method,
                path,
                params=wanted,
                json=body,
                headers={**(headers or {}), "Authorization": f"Bearer {self._token}"},
            )
        except httpx.TimeoutException:
            raise Trouble(
                "The service did not answer within ten seconds.",
                remedy="It may be busy. Look again in a moment; before you repeat an action, see whether it was done.",
            ) from None
        except httpx.HTTPError:
            raise Trouble(
                "The service does not answer.",
                remedy="Nothing was changed. The console tries again by itself; if it stays, see `likeness doctor`.",
            ) from None
        if answer.is_success:
            return answer
        raise _trouble(answer)


class _Shape(msgspec.Struct):
    data: list[msgspec.Raw] = []
    next_cursor: str | None = None


def _written(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _decode(content: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(content, type=kind)
    except msgspec.DecodeError:
        raise Trouble(
            "The service answered in a form that this console does not know.",
            remedy="Bring the console and the API to the same version.",
        ) from None


def _trouble(answer: httpx.Response) -> Exception:
    if answer.status_code == HTTPStatus.UNAUTHORIZED:
        return SignedOut()
    try:
        problem = msgspec.json.decode(answer.content, type=_Problem)
    except msgspec.DecodeError:
        problem = _Problem()
    remedy = _REMEDIES.get(problem.code) or _REMEDIES_BY_STATUS.get(answer.status_code, "")
    return Trouble(
        problem.detail or problem.title or f"The service answered with status {answer.status_code}.",
        remedy=remedy,
        status=answer.status_code,
        code=problem.code,
        request_id=problem.request_id,
        fields=tuple((error.field, error.message) for error in problem.errors),
    )
