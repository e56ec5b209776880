"""The worker process: which lanes it serves, how it starts, and how it leaves.

    studio  the look at uploads, previews of styles, and headshots; loads the picture libraries and the engine
    light   webhooks, erasure, retention; starts in a second and needs no GPU

It leaves within `drain_seconds` of a SIGTERM or SIGINT: it picks up nothing more, lets work end that can, and hands
back the rest with its place in line kept.
"""

import asyncio
import logging
import os
import secrets
import signal
import socket
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from enum import StrEnum
from typing import Any, cast

from arq.worker import Worker, func
from redis.exceptions import RedisError

from core.bootstrap import open_parts
from core.logs import configure
from core.queue import Lane, decode, encode, redis_settings
from core.settings import Settings
from core.webhooks.deliver import Courier
from worker import sweep, tasks
from worker.hands import EXPORTS_AT_ONCE, Hands, Studio
from worker.hold import Drain
from worker.presence import keep_reporting, say_goodbye
from worker.sweep import HOUSEKEEPING, LIGHT_ROUNDS, RETENTION, SLOWER, STUDIO_ROUNDS

logger = logging.getLogger("likeness.worker")

LOOKS_AT_ONCE = 2
DELIVERIES_AT_ONCE = 4
ERASURES_AT_ONCE = 4
# After `drain_seconds` (25 by default) these two end the process within 30 seconds of the signal.
LAST_STEP_SECONDS = 2.0
LAST_WRITES_SECONDS = 1.0
LIGHT_PATIENCE_SECONDS = 5.0
RECONNECT_SECONDS = 1.0
LONGEST_TASK_SECONDS = 1200


class Kind(StrEnum):
    """What a worker process is for."""

    STUDIO = "studio"
    LIGHT = "light"


LANES_OF: dict[Kind, tuple[Lane, ...]] = {
    Kind.STUDIO: (Lane.CHECKS, Lane.STUDIO),
    Kind.LIGHT: (Lane.COURIER, Lane.RIGHTS),
}


def serve_lane(lane: Lane, hands: Hands) -> Worker:
    """An arq worker for one lane: JSON only, no results kept, no tries of its own, no signal handlers."""
    settings = hands.parts.settings
    served: tuple[Any, ...]
    served, at_once = {
        Lane.CHECKS: ((tasks.check_photo, tasks.preview_style), LOOKS_AT_ONCE),
        Lane.STUDIO: ((tasks.run_job,), settings.worker.concurrency),
        Lane.COURIER: ((tasks.deliver,), DELIVERIES_AT_ONCE),
        Lane.RIGHTS: ((tasks.erase, tasks.leave, tasks.export, tasks.rotate_keys), ERASURES_AT_ONCE + EXPORTS_AT_ONCE),
    }[lane]
    return Worker(
        functions=[func(cast("Any", function), name=function.__name__) for function in served],
        queue_name=lane.value,
        redis_settings=redis_settings(settings.queue),
        job_serializer=encode,
        job_deserializer=decode,
        max_jobs=at_once,
        poll_delay=settings.queue.poll_seconds,
        job_timeout=LONGEST_TASK_SECONDS,
        keep_result=0,
        retry_jobs=False,
        max_tries=1000,  # a token that outlived its worker may come back: the tasks bear it
        handle_signals=False,
        log_results=False,
        ctx={"hands": hands},
    )


async def keep_lane(lane: Lane, hands: Hands) -> None:
    """Serve a lane until the worker leaves. When Redis goes away, end the work in hand and wait for Redis."""
    begun = asyncio.create_task(hands.drain.begun.wait())
    while not hands.drain.begun.is_set():
        worker = serve_lane(lane, hands)
        serving = asyncio.create_task(worker.async_run())
        await asyncio.wait({serving, begun}, return_when=asyncio.FIRST_COMPLETED)
        worker.allow_pick_jobs = False
        if serving.done():
            error = serving.exception()
            if not isinstance(error, RedisError | OSError):
                raise error or RuntimeError("a lane ended by itself")
            logger.warning("the queue is away", extra={"lane": lane.value, "error_type": type(error).__name__})
            await asyncio.gather(*worker.tasks.values(), return_exceptions=True)
            await asyncio.sleep(RECONNECT_SECONDS)
        else:
            await _leave(worker, hands.drain, patience=_patience(lane, hands))
            serving.cancel()
        with suppress(RedisError, OSError, asyncio.CancelledError):
            await worker.close()


def _patience(lane: Lane, hands: Hands) -> float:
    # An erasure goes on where it stopped, and the courier needs the time for what is on the road.
    whole = hands.parts.settings.worker.drain_seconds
    return whole if lane in LANES_OF[Kind.STUDIO] else min(whole, LIGHT_PATIENCE_SECONDS)


async def _leave(worker: Worker, drain: Drain, *, patience: float) -> None:
    in_hand = set(worker.job_tasks.values())
    if not in_hand:
        return
    # 1. Let work end by itself.
    _, in_hand = await asyncio.wait(in_hand, timeout=patience)
    if in_hand:
        # 2. Ask it to hand back at its next step.
        drain.over.set()
        _, in_hand = await asyncio.wait(in_hand, timeout=LAST_STEP_SECONDS)
    if in_hand:
        # 3. A step that takes too long: hand back over its head; its thread ends with the process.
        for task in in_hand:
            task.cancel()
        await asyncio.wait(in_hand, timeout=LAST_WRITES_SECONDS)


@asynccontextmanager
async def open_studio(settings: Settings) -> AsyncIterator[Studio]:
    """Load the engine and the picture models once, before the first token is picked up."""
    from worker.engine.engine import Engine
    from worker.studio import pipeline

    loop = asyncio.get_running_loop()
    threads = ThreadPoolExecutor(settings.worker.concurrency + LOOKS_AT_ONCE, thread_name_prefix="studio")
    try:
        await loop.run_in_executor(threads, pipeline.warm)
        engine = await loop.run_in_executor(threads, Engine.load, settings.model)
        try:
            yield Studio(engine=engine, threads=threads)
        finally:
            await asyncio.to_thread(engine.close)
    finally:
        threads.shutdown(wait=False, cancel_futures=True)


async def serve(kind: Kind) -> None:
    """Run until SIGTERM or SIGINT."""
    settings = Settings()
    configure(settings, service=f"worker-{kind.value}")
    drain = Drain()
    loop = asyncio.get_running_loop()
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signal_number, drain.begun.set)
    name = f"{kind.value}-{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
    async with AsyncExitStack() as stack:
        parts = await stack.enter_async_context(open_parts(settings))
        studio = courier = None
        if kind is Kind.STUDIO:
            studio = await stack.enter_async_context(open_studio(settings))
        else:
            courier = await stack.enter_async_context(Courier(parts.database, parts.keyring, settings.webhooks))
        hands = Hands(name=name, parts=parts, drain=drain, studio=studio, courier=courier)
        if settings.worker.ready_file:
            await asyncio.to_thread(settings.worker.ready_file.touch)
        logger.info("worker ready", extra={"worker": name, "region": settings.worker.region})
        try:
            await _serve_all(kind, hands)
        finally:
            await say_goodbye(hands)
    logger.info("worker left", extra={"worker": name})


async def _serve_all(kind: Kind, hands: Hands) -> None:
    pause = hands.parts.settings.worker.sweep_seconds
    async with asyncio.TaskGroup() as group:
        group.create_task(keep_reporting(hands, kind.value))
        for lane in LANES_OF[kind]:
            group.create_task(keep_lane(lane, hands))
        if kind is Kind.STUDIO:
            group.create_task(sweep.go_round(hands, STUDIO_ROUNDS, every_seconds=pause))
        else:
            group.create_task(sweep.go_round(hands, LIGHT_ROUNDS, every_seconds=pause))
            group.create_task(sweep.go_round(hands, HOUSEKEEPING, every_seconds=pause * SLOWER))
            group.create_task(sweep.go_round(hands, RETENTION, every_seconds=pause * SLOWER))
