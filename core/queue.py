"""The wake-up line to the workers: the only file of core that knows arq.

PostgreSQL is the truth. A token in Redis says no more than "there is work of this kind"; losing one, or all, delays
work until the next sweep and loses nothing. Tokens carry ids only, as JSON (arq would pickle), and keep no result.
"""

import json
from collections.abc import MutableMapping
from enum import StrEnum
from functools import partial
from typing import Any, Protocol
from uuid import UUID

from arq.connections import ArqRedis, RedisSettings, create_pool

from core.settings import QueueSettings


class Lane(StrEnum):
    """A queue and the workers that serve it. Neither rights nor the look at an upload wait behind pictures."""

    CHECKS = "likeness:checks"
    STUDIO = "likeness:studio"
    COURIER = "likeness:courier"
    RIGHTS = "likeness:rights"


class Task(StrEnum):
    """The functions of the worker, by name. Each is served by one lane."""

    CHECK_PHOTO = "check_photo"
    RUN_JOB = "run_job"
    PREVIEW_STYLE = "preview_style"
    DELIVER = "deliver"
    ERASE = "erase"
    LEAVE = "leave"
    EXPORT = "export"
    ROTATE_KEYS = "rotate_keys"


class _Session(Protocol):
    """What a session of `core.db` lends: a place to leave things for after the commit."""

    @property
    def info(self) -> MutableMapping[Any, Any]: ...


LANES: dict[Task, Lane] = {
    Task.CHECK_PHOTO: Lane.CHECKS,
    Task.RUN_JOB: Lane.STUDIO,
    Task.PREVIEW_STYLE: Lane.CHECKS,
    Task.DELIVER: Lane.COURIER,
    Task.ERASE: Lane.RIGHTS,
    Task.LEAVE: Lane.RIGHTS,
    Task.EXPORT: Lane.RIGHTS,
    Task.ROTATE_KEYS: Lane.RIGHTS,
}


def encode(value: dict[str, Any]) -> bytes:
    """JSON for arq; anything that is not plain data is an error, not a pickle."""
    return json.dumps(value, separators=(",", ":"), default=_plain).encode()


def _plain(value: object) -> str:
    # arq puts the exception of a failed task where its result would be; only its type may travel.
    if isinstance(value, BaseException):
        return type(value).__name__
    raise TypeError(f"{type(value).__name__} cannot travel in a token")


def decode(value: bytes) -> dict[str, Any]:
    """What `encode` wrote."""
    found: dict[str, Any] = json.loads(value)
    return found


def redis_settings(settings: QueueSettings) -> RedisSettings:
    """The connection that a worker or a client of the queue opens."""
    found = RedisSettings.from_dsn(settings.url.get_secret_value())
    found.conn_retries = 5
    found.conn_retry_delay = 1
    return found


class Queue:
    """Sends tokens."""

    def __init__(self, redis: ArqRedis) -> None:
        self.redis = redis

    @classmethod
    async def open(cls, settings: QueueSettings) -> "Queue":
        """Connect."""
        pool = await create_pool(redis_settings(settings), job_serializer=encode, job_deserializer=decode)
        return cls(pool)

    async def wake(self, task: Task, *ids: UUID, defer_seconds: float | None = None, once: str | None = None) -> None:
        """Send a token for `task` with ids as its arguments. Sending it twice is harmless.

        once: a name; while a token of that name waits or is worked on, no second one is sent.
        """
        arguments = [value.hex for value in ids]
        await self.redis.enqueue_job(
            task.value,
            *arguments,
            _job_id=once,
            _queue_name=LANES[task].value,
            _defer_by=defer_seconds,
        )

    async def close(self) -> None:
        """Disconnect."""
        await self.redis.aclose()


def wake_after_commit(session: _Session, task: Task, *ids: UUID) -> None:
    """Send a token once the session's transaction has committed; a rollback drops it, the sweep re-sends a lost one."""
    queue: Queue = session.info["queue"]
    session.info.setdefault("after_commit", []).append(partial(queue.wake, task, *ids))
