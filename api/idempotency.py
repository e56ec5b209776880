"""`Idempotency-Key`: a request sent twice makes one thing, and both times the answer is that thing.

The claim on the key is committed before the work starts, and what the work made is noted in the work's own
transaction: so there is never a thing without its note. A request that fails frees its key.
"""

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

from litestar import Request
from litestar.params import HeaderParameter
from sqlmodel.ext.asyncio.session import AsyncSession

from api.auth import seen_by
from api.wire import PLAIN_TEXT
from core.bootstrap import Parts
from core.errors import IdempotencyKeyMissing, MalformedRequest
from core.idempotency import service as idempotency
from core.tenants.service import Caller

LONGEST_KEY = 255

IdempotencyKey = Annotated[
    str | None,
    HeaderParameter(
        name="Idempotency-Key",
        required=False,
        min_length=1,
        max_length=LONGEST_KEY,
        schema_extra=PLAIN_TEXT,
        description="A fresh random text per request, the same one again on a retry. Remembered for 24 hours.",
    ),
]


@dataclass(frozen=True)
class Ticket:
    """A claim on a key. made: the id of what this request has made before, or None when the work is to be done."""

    key: str | None
    made: UUID | None

    async def note(self, session: AsyncSession, resource_id: UUID, *, status: int = 201) -> None:
        """Note what was made, in the transaction that makes it."""
        if self.key is not None:
            await idempotency.finish(session, key=self.key, resource_id=resource_id, status=status)


@asynccontextmanager
async def once(
    request: Request[Any, Any, Any], parts: Parts, caller: Caller, *, body: bytes | None = None, costs: bool = False
) -> AsyncIterator[Ticket]:
    """Claim the request's key for the block.

    body: what the request says, when it was read by other means than `request.body()`.
    costs: whether a repeat would cost money, so that the key is a must.
    Raises `IdempotencyKeyMissing`, `IdempotencyInFlight`, `IdempotencyMismatch`.
    """
    key = request.headers.get("idempotency-key")
    if key is None:
        if costs:
            raise IdempotencyKeyMissing
        yield Ticket(key=None, made=None)
        return
    if not 1 <= len(key) <= LONGEST_KEY:
        raise MalformedRequest(f"An Idempotency-Key has 1 to {LONGEST_KEY} characters.")
    digest = _digest(request, caller, await request.body() if body is None else body)
    async with seen_by(caller, parts) as session:
        made = await idempotency.begin(session, tenant_id=caller.tenant_id, key=key, request_hash=digest)
    try:
        yield Ticket(key=key, made=made)
    except BaseException:
        async with seen_by(caller, parts) as session:
            await idempotency.abandon(session, key=key)
        raise


def _digest(request: Request[Any, Any, Any], caller: Caller, body: bytes) -> bytes:
    query = request.scope["query_string"]
    # A sandbox request and a live one are two requests, however alike.
    head = f"{caller.mode.value} {request.method} {request.url.path}?".encode() + query
    return hashlib.sha256(hashlib.sha256(head).digest() + hashlib.sha256(body).digest()).digest()
