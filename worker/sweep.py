"""What goes round by the clock: it finds in PostgreSQL whatever the queue has lost, and whoever died.

The rounds run in the process, not as arq's cron jobs: what mends the queue must not depend on it. Any number of
workers may sweep at once.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from time import time

from core.clock import now
from core.db import restoring
from core.headshots import previews
from core.idempotency import service as idempotency
from core.jobs import rescue
from core.operators import proposals
from core.photos import service as photos
from core.queue import Task
from core.records import subprocessors
from core.retention import sweep as retention
from core.rights import checkpoints, deadlines, exports, horizon, replay
from core.rights import erase as erasure
from core.rights import leave as departure
from core.workers import service as workers
from worker.hands import Hands

logger = logging.getLogger("likeness.worker")

AT_ONCE = 100
SLOWER = 12  # housekeeping comes round once in so many sweeps
ORPHAN_AGE = timedelta(hours=1)

Round = Callable[[Hands], Awaitable[None]]


async def rescue_jobs(hands: Hands) -> None:
    """Take jobs back from workers that died."""
    found = await rescue.rescue_dead(hands.parts.database, region=hands.parts.settings.worker.region)
    if found.again or found.buried:
        logger.warning("jobs taken back from dead workers", extra={"count": found.again + found.buried})


async def wake_for_jobs(hands: Hands) -> None:
    """Send a token for every job that is due, again and again, but no more than one per worker and place."""
    async with hands.parts.database.system() as session:
        due = await rescue.due(session, region=hands.parts.settings.worker.region)
    for place in range(min(due, AT_ONCE)):
        await hands.parts.queue.wake(Task.RUN_JOB, once=f"{hands.name}:{place}")


async def wake_for_photos(hands: Hands) -> None:
    """Send a token for every upload that has waited too long for its look, one per lease time."""
    patience = hands.parts.settings.worker.lease_seconds
    async with hands.parts.database.system() as session:
        waiting = await photos.unchecked(session, older_than_seconds=patience / 3, limit=AT_ONCE)
    for tenant_id, photo_id in waiting:
        once = f"look:{photo_id.hex}:{int(time() / patience)}"
        await hands.parts.queue.wake(Task.CHECK_PHOTO, tenant_id, photo_id, once=once)


async def wake_for_previews(hands: Hands) -> None:
    """Send a token for every preview of a style that has waited too long, one per lease time."""
    patience = hands.parts.settings.worker.lease_seconds
    async with hands.parts.database.system() as session:
        waiting = await previews.waiting(session, older_than_seconds=patience / 3, limit=AT_ONCE)
    for tenant_id, preview_id in waiting:
        once = f"preview:{preview_id.hex}:{int(time() / patience)}"
        await hands.parts.queue.wake(Task.PREVIEW_STYLE, tenant_id, preview_id, once=once)


async def wake_for_erasures(hands: Hands) -> None:
    """Send a token for every erasure that was left unfinished, or uncertified."""
    async with hands.parts.database.system() as session:
        unfinished = await erasure.unfinished(session, limit=AT_ONCE)
    for tenant_id, subject_id in unfinished:
        await hands.parts.queue.wake(Task.ERASE, tenant_id, subject_id, once=f"{hands.name}:{subject_id.hex}")


async def wake_for_departures(hands: Hands) -> None:
    """Send a token for every tenant that left and is not certified yet."""
    async with hands.parts.database.system() as session:
        unfinished = await departure.unfinished(session, limit=AT_ONCE)
    for tenant_id in unfinished:
        await hands.parts.queue.wake(Task.LEAVE, tenant_id, once=f"{hands.name}:{tenant_id.hex}")


async def renew_model(hands: Hands) -> None:
    """Change to the model that is pinned now. Headshots in flight end on the one that they began with."""
    if await hands.in_studio.engine.renew(hands.parts.settings.model):
        logger.info("another model was pinned and serves now", extra={"worker": hands.name})


async def wake_for_exports(hands: Hands) -> None:
    """Send a token for every export that nobody builds at present."""
    async with hands.parts.database.system() as session:
        unfinished = await exports.unfinished(session, limit=AT_ONCE)
    for tenant_id, export_id in unfinished:
        await hands.parts.queue.wake(Task.EXPORT, tenant_id, export_id, once=f"{hands.name}:{export_id.hex}")


async def settle_tombstones(hands: Hands) -> None:
    """Enter what was announced in the tombstone ledger and then committed; withdraw what was rolled back."""
    await replay.settle(hands.parts.database, hands.parts.tombstones)


async def pass_horizons(hands: Hands) -> None:
    """Rotate tenant keys for erasures whose backups are past, and issue the second parts of their certificates."""
    parts = hands.parts
    days = parts.settings.backup.keys_days
    await horizon.pass_horizons(parts.database, parts.keyring, parts.tombstones, days=days)


async def sequence_logs(hands: Hands) -> None:
    """Give the newest leaves of every audit log their numbers, and sign them."""
    async with hands.parts.database.system() as session:
        tenants = await checkpoints.waiting(session, limit=AT_ONCE)
    for tenant_id in tenants:
        try:
            await checkpoints.sequence(hands.parts.database, hands.parts.keyring, tenant_id=tenant_id)
        except Exception as error:
            # One tenant's log that cannot be sequenced holds up nobody else's.
            facts = {"tenant": tenant_id.hex, "error_type": type(error).__name__}
            logger.exception("an audit log could not be sequenced", extra=facts)


async def mind_rights_requests(hands: Hands) -> None:
    """Warn of deadlines, shout over those that passed, close what an erasure has answered."""
    await deadlines.mind(hands.parts.database, limit=AT_ONCE)


async def retain(hands: Hands) -> None:
    """Tell of what is about to expire, and erase what has reached its day."""
    await retention.sweep(hands.parts.database, hands.parts.store, stop=hands.drain.begun.is_set)


async def forget_keys(hands: Hands) -> None:
    """Forget old idempotency keys."""
    async with hands.parts.database.system() as session:
        await idempotency.forget_old(session)


async def announce_subprocessors(hands: Hands) -> None:
    """Tell every platform of a list of sub-processors that it has not heard of."""
    await subprocessors.announce(hands.parts.database, limit=AT_ONCE)


async def lapse_proposals(hands: Hands) -> None:
    """Let what nobody decided in 72 hours expire."""
    async with hands.parts.database.system() as session:
        await proposals.lapse(session)


async def reap(hands: Hands) -> None:
    """Remove objects that no row names: what a crash between an object and its row left."""
    await hands.parts.store.reap_orphans(hands.parts.database, older_than=now() - ORPHAN_AGE)


async def forget_workers(hands: Hands) -> None:
    """Drop what is known of workers that have been gone for a week."""
    async with hands.parts.database.system() as session:
        await workers.forget_old(session)


async def go_round(hands: Hands, rounds: tuple[Round, ...], *, every_seconds: float) -> None:
    """Make these rounds until the worker leaves. One that fails is logged, and comes round again."""
    while not hands.drain.begun.is_set():
        for one in rounds:
            try:
                if await restoring(hands.parts.database):
                    break  # nothing goes round before everybody who was erased is erased again
                await one(hands)
            except Exception as error:
                logger.exception("a sweep failed", extra={"task": one.__name__, "error_type": type(error).__name__})
        try:
            async with asyncio.timeout(every_seconds):
                await hands.drain.begun.wait()
        except TimeoutError:
            continue


STUDIO_ROUNDS: tuple[Round, ...] = (rescue_jobs, wake_for_photos, wake_for_previews, wake_for_jobs, renew_model)
LIGHT_ROUNDS: tuple[Round, ...] = (
    rescue_jobs,
    wake_for_erasures,
    wake_for_departures,
    wake_for_exports,
    sequence_logs,
    mind_rights_requests,
)
HOUSEKEEPING: tuple[Round, ...] = (
    announce_subprocessors,
    forget_keys,
    lapse_proposals,
    reap,
    settle_tombstones,
    pass_horizons,
    forget_workers,
)
# By itself, because it may have millions to do.
RETENTION: tuple[Round, ...] = (retain,)
