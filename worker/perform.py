"""One claimed job, from the sealed photo to sealed headshots: the list of stages, and what ends them."""

import asyncio
import logging
from dataclasses import replace
from functools import partial
from time import perf_counter
from typing import Any
from uuid import UUID

from core.errors import Gone, Unavailable
from core.headshots import complete, visible_marks
from core.headshots.brand_styles import mark_of, style_of
from core.headshots.complete import Outcome, Picture
from core.headshots.styles import Attire, Retouch, Style
from core.jobs.claim import Claim
from core.jobs.lease import LeaseLost, Stopped, StopReason, hand_back
from core.photos import service as photos
from core.queue import Task
from core.subjects import access
from core.tenants.models import Mode
from worker.hands import Hands
from worker.hold import Drained, Hold, Part
from worker.studio import pipeline
from worker.studio.findings import Refused
from worker.studio.logo import Logo
from worker.studio.pipeline import Made
from worker.studio.watermark import Stamp

logger = logging.getLogger("likeness.worker")

# A part that is away (key provider, object store) is no fault of the job: it rests and counts no death.
REST_SECONDS = 10.0
LONGEST_JOB_SECONDS = 900.0
# Where the parts of a job begin, as shares of the whole, for the progress that is shown.
PREPARE_AT, MAKE_AT, SEAL_AT = 0.05, 0.35, 0.95


async def perform(hands: Hands, claim: Claim) -> None:
    """Do a claimed job and bring it to an end, or give it back. Never raises for what the job did."""
    facts = {"job": claim.job_id.hex, "attempt": claim.fence}
    began = perf_counter()
    state = "failed"
    try:
        state = await _attempt(hands, claim)
    except LeaseLost:
        state = "lost"
    except (Drained, asyncio.CancelledError) as leaving:
        await asyncio.shield(_give_back(hands, claim))
        state = "handed_back"
        if isinstance(leaving, asyncio.CancelledError):
            raise
    except Unavailable as error:
        await hand_back(hands.parts.database, claim, delay_seconds=REST_SECONDS)
        state = "parked"
        logger.warning("a part is away, the job rests", extra={**facts, "error_type": type(error).__name__})
    finally:
        logger.info("job left", extra={**facts, "state": state, "seconds": round(perf_counter() - began, 3)})


async def _attempt(hands: Hands, claim: Claim) -> str:
    try:
        async with (
            asyncio.timeout(LONGEST_JOB_SECONDS),
            Hold(hands.parts.database, claim, hands.parts.settings.worker, hands.drain) as hold,
        ):
            outcomes, timings = await _make(hands, claim, hold)
            await hold.begin(Part("sealing", SEAL_AT, 1.0))
            job = await complete.complete(
                hands.parts.database,
                hands.parts.store,
                claim,
                outcomes,
                provenance=hands.parts.provenance,
                timings=timings,
            )
    except Stopped as stopped:
        job = await complete.stop(hands.parts.database, claim, stopped)
    except Refused as refused:
        job = await complete.refuse(hands.parts.database, claim, code=refused.code, message=refused.message)
    except (LeaseLost, Drained, Unavailable):
        raise
    except Exception as error:
        # The error's text may carry what it should not, so the log gets its type and place alone.
        logger.exception(
            "a try at a job failed",
            extra={"job": claim.job_id.hex, "attempt": claim.fence, "error_type": type(error).__name__},
        )
        job = await complete.fail(hands.parts.database, claim)
    return job.state


async def _make(hands: Hands, claim: Claim, hold: Hold) -> tuple[list[Outcome], dict[str, Any]]:
    # 1. Open the photo, in memory only.
    began = perf_counter()
    await hold.begin(Part("opening", 0.0, PREPARE_AT))
    photo = await _open(hands, claim)
    timings: dict[str, Any] = {"open": _since(began)}
    # 2. Find the face, frame, cut out: once for all styles.
    began = perf_counter()
    await hold.begin(Part("preparing", PREPARE_AT, MAKE_AT))
    sitting = await hands.in_studio.run(partial(pipeline.prepare, photo, check=hold.check))
    timings["prepare"] = _since(began)
    # 3. Each style. A picture that is not the person any more is refused by itself, and costs nothing.
    outcomes: list[Outcome] = []
    marks = _Marks(hands, claim)
    each = (SEAL_AT - MAKE_AT) / len(claim.styles)
    for number, name in enumerate(claim.styles):
        style = style_of(name, claim.looks)
        if claim.retouch is not None:
            style = replace(style, retouch=Retouch(claim.retouch))
        if claim.attire is not None:
            style = replace(style, attire=Attire(claim.attire))
        stamp = Stamp(
            mark=await hands.parts.provenance.mark_for(claim.job_id, name),
            key=await hands.parts.provenance.watermark_key(),
        )
        laid = await marks.of(claim.mark_id or mark_of(name, claim.looks))
        began = perf_counter()
        await hold.begin(Part(name, MAKE_AT + number * each, MAKE_AT + (number + 1) * each))
        try:
            made = await pipeline.make(
                sitting,
                style,
                seed=claim.seed,
                engine=hands.in_studio.engine,
                sandbox=claim.mode == Mode.TEST,
                stamp=stamp,
                laid=laid,
                check=hold.check,
                asker=pipeline.Asker(claim.tenant_id.hex, claim.fair_tag),
            )
        except Refused as refused:
            outcomes.append(_refused(refused, style, seconds=_since(began)))
            timings[name] = _since(began)
        else:
            outcomes.append(_outcome(made, style, mark=stamp.mark, seconds=_since(began)))
            timings[name] = made.timings
    return outcomes, timings


class _Marks:
    """The visible marks of one job's styles, each opened once."""

    def __init__(self, hands: Hands, claim: Claim) -> None:
        self._hands = hands
        self._claim = claim
        self._opened: dict[UUID, Logo] = {}

    async def of(self, mark_id: UUID | None) -> Logo | None:
        if mark_id is not None and mark_id not in self._opened:
            async with self._hands.parts.database.tenant(self._claim.tenant_id) as session:
                row = await visible_marks.get(session, mark_id)
            self._opened[mark_id] = Logo.of(row, await visible_marks.logo(self._hands.parts.store, row))
        return None if mark_id is None else self._opened[mark_id]


async def _open(hands: Hands, claim: Claim) -> bytes:
    async with hands.parts.database.tenant(claim.tenant_id) as session:
        try:
            asset = await photos.asset_of(session, await photos.get(session, claim.photo_id))
            await access.note(
                session,
                subject_id=claim.subject_id,
                what=asset.kind,
                resource_id=asset.id,
                actor=f"job:{claim.job_id.hex}",
                why="headshots",
            )
        except Gone:
            raise Stopped(StopReason.PHOTO_ERASED) from None
    try:
        return await hands.parts.store.read(asset)
    except Gone:
        raise Stopped(StopReason.ERASED) from None


def _since(began: float) -> float:
    return round(perf_counter() - began, 3)


async def _give_back(hands: Hands, claim: Claim) -> None:
    if await hand_back(hands.parts.database, claim):
        await hands.parts.queue.wake(Task.RUN_JOB)


def _refused(refused: Refused, style: Style, *, seconds: float) -> Outcome:
    return Outcome(
        style=style.name,
        style_version=style.version,
        seconds=seconds,
        reason_code=refused.code,
        reason=refused.message,
    )


def _outcome(made: Made, style: Style, *, mark: bytes, seconds: float) -> Outcome:
    return Outcome(
        style=style.name,
        style_version=style.version,
        seconds=seconds,
        pictures=tuple(
            Picture(
                variant=variant,
                data=output.data,
                media_type=output.media_type,
                width=output.width,
                height=output.height,
            )
            for variant, output in made.outputs.items()
        ),
        ledger=made.ledger,
        mark=mark,
        likeness=made.likeness,
    )
