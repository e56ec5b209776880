"""How often a tenant may ask: a count per minute, shared by all API processes through Redis.

The answer carries `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10). Redis only counts: when
it does not answer, this process counts alone for a while, so that losing Redis never takes the API down.
"""

import asyncio
import logging
import time

from limits.aio.storage import MemoryStorage, RedisStorage
from redis.asyncio import Redis

from api.visit import Visit
from core.errors import RateLimited
from core.settings import Settings

logger = logging.getLogger("likeness.api")

WINDOW_SECONDS = 60
_PATIENCE_SECONDS = 0.25
_RETRY_SECONDS = 10.0


class Limiter:
    """Counts requests per window of a minute."""

    def __init__(self, settings: Settings) -> None:
        self._quota = settings.api.requests_per_minute
        url = settings.queue.url.get_secret_value()
        self._shared = RedisStorage(f"async+{url}", implementation="redispy", key_prefix="likeness:limit")
        self._alone = MemoryStorage()
        self._alone_until = 0.0

    async def count(self, visit: Visit, who: str, *, quota: int | None = None) -> None:
        """Count one request of `who` and note the state in the answer's headers. Raises `RateLimited`.

        quota: requests in a minute, where it is not the one of the settings.
        """
        quota = self._quota if quota is None else quota
        moment = time.time()
        window = int(moment // WINDOW_SECONDS)
        reset = max(1, round((window + 1) * WINDOW_SECONDS - moment))
        used = await self._add_one(f"{who}:{window}")
        left = max(0, quota - used)
        visit.headers["RateLimit-Policy"] = f'"requests";q={quota};w={WINDOW_SECONDS}'
        visit.headers["RateLimit"] = f'"requests";r={left};t={reset}'
        if used > quota:
            raise RateLimited(retry_after=reset)

    async def _add_one(self, key: str) -> int:
        if time.monotonic() >= self._alone_until:
            try:
                async with asyncio.timeout(_PATIENCE_SECONDS):
                    return await self._shared.incr(key, 2 * WINDOW_SECONDS)
            except Exception as error:  # noqa: BLE001 (whatever ails Redis, the request goes on)
                self._alone_until = time.monotonic() + _RETRY_SECONDS
                logger.warning("rate limits are counted alone", extra={"error_type": type(error).__name__})
        return await self._alone.incr(key, 2 * WINDOW_SECONDS)

    async def close(self) -> None:
        """Disconnect."""
        await self.client.aclose()

    @property
    def client(self) -> Redis:
        """The connection that counts."""
        client: Redis = self._shared.bridge.get_connection()  # type: ignore[attr-defined]  # that of redis-py has it
        return client
