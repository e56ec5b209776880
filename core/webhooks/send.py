"""Carry one message to one address: guarded, bounded in time and size, and told in words that name nobody.

httpcore and not httpx: it reads no environment, knows no proxy unless given one, follows no redirect, keeps no cookie.
"""

import asyncio
import ssl
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus

import httpcore

from core.errors import WebhookTargetRefused
from core.settings import WebhookSettings
from core.webhooks.guard import AddressRefused, GuardedBackend, NameUnknown, Resolver, SystemResolver, parse_target

_READ_AT_MOST = 16 * 1024
_DRAIN_SECONDS = 2.0


class Failure(StrEnum):
    """Why a try failed, as the delivery log shows it."""

    BAD_STATUS = "bad_status"
    REDIRECT_REFUSED = "redirect_refused"
    GONE = "gone"
    TIMEOUT = "timeout"
    NAME_UNKNOWN = "name_unknown"
    TARGET_REFUSED = "target_refused"
    TLS_FAILED = "tls_failed"
    CONNECTION_FAILED = "connection_failed"
    PROTOCOL_ERROR = "protocol_error"
    ENDPOINT_DISABLED = "endpoint_disabled"
    INTERNAL_ERROR = "internal_error"


@dataclass(frozen=True)
class Outcome:
    """What came of a try. `failure` is None when the receiver answered 2xx; `status` is None when it did not answer."""

    status: int | None
    failure: Failure | None


class Sender:
    """Posts messages over guarded connections. One per process; close it."""

    def __init__(
        self,
        settings: WebhookSettings,
        *,
        resolve: Resolver | None = None,
        dial: httpcore.AsyncNetworkBackend | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._settings = settings
        self._resolver = SystemResolver()
        backend = GuardedBackend(allowed_hosts=settings.allowed_hosts, resolve=resolve or self._resolver, dial=dial)
        # How many connections there are is the courier's decision; a second limit here would let a receiver that hangs
        # keep others waiting.
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=tls or httpcore.default_ssl_context(),
            max_connections=None,
            max_keepalive_connections=64,
            keepalive_expiry=15,
            network_backend=backend,
        )

    async def post(self, url: str, *, body: bytes, headers: Mapping[str, str]) -> Outcome:
        """Send once. Never raises for what a receiver or a network does: that is an `Outcome`."""
        try:
            # One limit over all of it, so that a receiver cannot stretch it by sending a byte now and then.
            async with asyncio.timeout(self._settings.timeout_seconds):
                return await self._post(url, body, headers)
        except (TimeoutError, httpcore.TimeoutException):
            return Outcome(None, Failure.TIMEOUT)
        except NameUnknown:
            return Outcome(None, Failure.NAME_UNKNOWN)
        except (AddressRefused, WebhookTargetRefused):
            return Outcome(None, Failure.TARGET_REFUSED)
        except (httpcore.NetworkError, OSError) as error:
            return Outcome(None, Failure.TLS_FAILED if _by_tls(error) else Failure.CONNECTION_FAILED)
        except httpcore.ProtocolError:
            return Outcome(None, Failure.PROTOCOL_ERROR)

    async def _post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Outcome:
        target = parse_target(url, allowed_hosts=self._settings.allowed_hosts)
        async with self._pool.stream(
            "POST",
            httpcore.URL(scheme=target.scheme, host=target.host, port=target.port, target=target.path),
            headers=[
                ("host", target.authority),
                ("content-type", "application/json"),
                ("user-agent", "Likeness-Webhooks/1"),
                *headers.items(),
            ],
            content=body,
        ) as response:
            await _drain(response)
            return _judge(response.status)

    async def close(self) -> None:
        """Close every connection."""
        await self._pool.aclose()
        self._resolver.close()


async def _drain(response: httpcore.Response) -> None:
    """Read a short answer to its end, which keeps the connection. The status is the answer; the rest may fail."""
    read = 0
    with suppress(TimeoutError, httpcore.NetworkError, httpcore.ProtocolError):
        async with asyncio.timeout(_DRAIN_SECONDS):
            async for piece in response.aiter_stream():
                read += len(piece)
                if read > _READ_AT_MOST:
                    return


def _by_tls(error: BaseException | None) -> bool:
    """Whether TLS is at the root of an error that httpcore and anyio have wrapped."""
    while error is not None and not isinstance(error, ssl.SSLError):
        error = error.__cause__ or error.__context__
    return error is not None


def _judge(status: int) -> Outcome:
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return Outcome(status, None)
    if status == HTTPStatus.GONE:
        return Outcome(status, Failure.GONE)
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        return Outcome(status, Failure.REDIRECT_REFUSED)
    return Outcome(status, Failure.BAD_STATUS)
