"""What a token sets off: one thin function per task, with ids as its only arguments.

A token says that there is work; PostgreSQL says which, and whether there still is. So a task may run twice, late, or
for nothing. arq never tries one again: what failed is found again in PostgreSQL by the sweep. No task raises, because
arq would print the error's text.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import wraps
from typing import Any, Concatenate, ParamSpec
from uuid import UUID

from core.audit import service as audit
from core.db import restoring
from core.errors import StateConflict
from core.jobs.claim import claim
from core.portability.build import build
from core.queue import Task
from core.rights import erase as erasure
from core.rights import leave as departure
from core.rights.certify import certify, due_in
from worker.hands import Hands

logger = logging.getLogger("likeness.worker")

P = ParamSpec("P")
Context = dict[str, Any]


def quiet(
    task: Callable[Concatenate[Hands, P], Awaitable[None]],
) -> Callable[Concatenate[Context, P], Awaitable[None]]:
    """A task as arq calls it: no error gets out. A worker that is leaving, or sees a restore, begins nothing."""

    @wraps(task)
    async def run(context: Context, /, *arguments: P.args, **named: P.kwargs) -> None:
        hands: Hands = context["hands"]
        if hands.drain.begun.is_set():
            return
        try:
            if await restoring(hands.parts.database):
                return  # the sweep finds the work again
            await task(hands, *arguments, **named)
        except asyncio.CancelledError:
            if not hands.drain.begun.is_set():
                raise
        except Exception as error:
            logger.exception("a task failed", extra={"task": task.__name__, "error_type": type(error).__name__})

    return run


@quiet
async def check_photo(hands: Hands, tenant: str, photo: str) -> None:
    """Look for the face in an upload."""
    from worker.look import look

    await look(hands, tenant_id=UUID(hex=tenant), photo_id=UUID(hex=photo))


@quiet
async def preview_style(hands: Hands, tenant: str, preview: str) -> None:
    """Draw a style with nobody in it."""
    from worker.preview import draw_preview

    await draw_preview(hands, tenant_id=UUID(hex=tenant), preview_id=UUID(hex=preview))


@quiet
async def run_job(hands: Hands) -> None:
    """Make the headshots of the fairest pending job."""
    from worker.perform import perform

    settings = hands.parts.settings.worker
    claimed = await claim(
        hands.parts.database, worker=hands.name, region=settings.region, lease_seconds=settings.lease_seconds
    )
    if claimed is None:
        return
    with hands.held.one():
        await perform(hands, claimed)
    if claimed.capped:
        # Tokens that came while its tenant had no room bought nothing: the place that is free now is worth another.
        await hands.parts.queue.wake(Task.RUN_JOB)


@quiet
async def deliver(hands: Hands) -> None:
    """Let the courier look at once; it carries what is due, and looks by itself as well."""
    hands.at_the_post.wake()


@quiet
async def export(hands: Hands, tenant: str, export_id: str) -> None:
    """Build the file with everything that is held of a person. A few at a time, so that erasures keep their places."""
    if hands.exports.locked():
        return  # the sweep brings it back
    async with hands.exports:
        parts = hands.parts
        await build(
            parts.database,
            parts.store,
            tenant_id=UUID(hex=tenant),
            export_id=UUID(hex=export_id),
            root=parts.settings.api.public_url.rstrip("/"),
        )


@quiet
async def erase(hands: Hands, tenant: str, subject: str) -> None:
    """Remove what a shredded key left behind; once every process has forgotten the key, certify it."""
    parts, tenant_id, subject_id = hands.parts, UUID(hex=tenant), UUID(hex=subject)
    tombstone = await erasure.finish(parts.database, parts.store, tenant_id=tenant_id, subject_id=subject_id)
    too_soon = due_in(tombstone).total_seconds()
    if too_soon > 0:
        await parts.queue.wake(Task.ERASE, tenant_id, subject_id, defer_seconds=too_soon)
        return
    with suppress(StateConflict):  # a worker still holds a job of theirs: the erasure stays due, and is swept up
        await certify(parts.database, parts.store, tenant_id=tenant_id, subject_id=subject_id)


@quiet
async def leave(hands: Hands, tenant: str) -> None:
    """Erase what is left of a tenant whose keys are destroyed, and certify it."""
    with suppress(StateConflict):  # a process may still hold a key, or a worker a job: it is swept up
        await departure.finish(hands.parts.database, hands.parts.store, tenant_id=UUID(hex=tenant))


@quiet
async def rotate_keys(hands: Hands, tenant: str) -> None:
    """Move a tenant to a new key. One that is cut off is completed by the next that is asked for."""
    tenant_id = UUID(hex=tenant)
    version = await hands.parts.keyring.rotate_tenant(tenant_id)
    async with hands.parts.database.tenant(tenant_id) as session:
        await audit.append(
            session, tenant_id=tenant_id, kind="keys.rotated", actor="worker", facts={"version": version}
        )
