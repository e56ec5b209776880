"""Previews and marks through a real worker's hands: sealed logo in, marked pictures out."""

from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from core.bootstrap import Parts
from core.clock import frozen_at, now
from core.headshots import brand_styles, previews, queries, submit, visible_marks
from core.headshots.models import PreviewState
from core.headshots.visible_marks import Draft, Place
from core.intake.clean import Intake, IntakeLimits
from core.jobs.models import JobState
from core.queue import Lane
from tests import scenes
from tests.core.headshots.test_brand_styles import DRAFT as STYLE
from tests.queueing import Studio
from tests.worker.conftest import Start
from tests.worker.studio.logos import a_logo_file
from worker import sweep
from worker.engine.engine import Engine
from worker.hands import Hands
from worker.hands import Studio as Room
from worker.hold import Drain
from worker.perform import perform
from worker.preview import draw_preview


@pytest.fixture
async def hands(parts: Parts) -> AsyncIterator[Hands]:
    threads = ThreadPoolExecutor(2)
    yield Hands(name="a worker", parts=parts, drain=Drain(), studio=Room(engine=Engine(), threads=threads))
    threads.shutdown()


async def _with_a_marked_style(parts: Parts) -> scenes.Platform:
    platform = await scenes.a_platform(parts)
    logo = await Intake(IntakeLimits()).clean_logo(a_logo_file((255, 255, 255)))
    draft = Draft(name="acme", place=Place.TOP_RIGHT, width=0.2, opacity=1.0)
    async with parts.database.tenant(platform.tenant_id) as session:
        named = {"tenant_id": platform.tenant_id, "actor": "test"}
        await visible_marks.publish(session, parts.store, draft=draft, logo=logo, **named)  # type: ignore[arg-type]
        await brand_styles.publish(session, draft=replace(STYLE, mark="acme"), **named)  # type: ignore[arg-type]
    return platform


def _white_in_the_corner(picture: bytes) -> float:
    pixels = np.asarray(Image.open(BytesIO(picture)).convert("L").resize((512, 512)))
    return float((pixels[10:70, 390:500] > 235).mean())


async def test_a_preview_with_the_styles_own_mark_is_drawn_and_a_lost_token_is_sent_again(
    hands: Hands, parts: Parts
) -> None:
    platform = await _with_a_marked_style(parts)
    async with parts.database.tenant(platform.tenant_id) as session:
        row = await previews.ask(session, tenant_id=platform.tenant_id, style="acme-blue", mark=None)
    assert await parts.queue.redis.zcard(Lane.CHECKS.value) == 1
    await parts.queue.redis.flushall()
    await sweep.wake_for_previews(hands)
    assert await parts.queue.redis.zcard(Lane.CHECKS.value) == 0
    with frozen_at(now() + timedelta(seconds=30)):
        for _ in range(3):
            await sweep.wake_for_previews(hands)
    assert 1 <= await parts.queue.redis.zcard(Lane.CHECKS.value) <= 2
    await draw_preview(hands, tenant_id=platform.tenant_id, preview_id=row.id)
    async with parts.database.tenant(platform.tenant_id) as session:
        row = await previews.get(session, row.id)
    assert row.state == PreviewState.READY
    assert _white_in_the_corner(await previews.picture(parts.store, row)) > 0.2


async def test_a_headshot_in_a_marked_style_carries_the_logo(hands: Hands, parts: Parts, portrait: bytes) -> None:
    platform = await _with_a_marked_style(parts)
    subject_id = await scenes.a_person(parts, platform)
    granted = await scenes.consents(parts, platform, subject_id)
    photo_id = await scenes.a_photo(parts, platform, subject_id, data=portrait)
    studio = Studio(parts=parts, platform=platform, subject_id=subject_id, photo_id=photo_id, consents=granted)
    async with parts.database.tenant(platform.tenant_id) as session:
        job = await submit.submit(session, caller=platform.caller, photo_id=photo_id, styles=["acme-blue"], seed=1)
    await perform(hands, await studio.claim())
    assert (await studio.job(job.id)).state == JobState.DONE
    (headshot,) = await studio.headshots()
    assert [line["action"] for line in headshot.ledger or [] if line["region"] == "corner"] == ["marked"]
    assert "acme-blue" in {line.get("style") for line in headshot.ledger or []}
    async with parts.database.tenant(platform.tenant_id) as session:
        files = [(asset.variant, await parts.store.read(asset)) for asset in await queries.assets(session, headshot)]
    for variant, file in files:
        assert _white_in_the_corner(file) > 0.15, variant
        # Neither the style's name nor the mark's, either of which may name the platform.
        assert b"acme" not in file
        assert b"brand" in file


async def test_a_worker_process_serves_previews(parts: Parts, start: Start) -> None:
    platform = await _with_a_marked_style(parts)
    worker = start("studio")
    async with parts.database.tenant(platform.tenant_id) as session:
        row = await previews.ask(session, tenant_id=platform.tenant_id, style="acme-blue", mark="acme")

    async def drawn() -> bool:
        assert worker.alive, worker.said()
        async with parts.database.tenant(platform.tenant_id) as session:
            return (await previews.get(session, row.id)).state == PreviewState.READY

    await scenes.eventually(drawn, seconds=120)
