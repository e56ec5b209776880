"""What people really send, through the whole service: each ends in a clear code or a headshot, never in a traceback."""

import asyncio
import uuid
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import pytest
from skimage import data

from infra.local.supervisor import Supervisor
from tests.e2e.person import Person, Platform
from tests.worker.studio.test_odd_photos import NOT_EVEN_LOOKED_AT, READY, REFUSED, as_jpeg
from worker.studio.vision import Picture

Bytes = Callable[[Picture], bytes]

CUT_SHORT: dict[str, Bytes] = {
    "half a JPEG": lambda p: as_jpeg(p)[: len(as_jpeg(p)) // 2],
    "no picture at all": lambda _: b"%PDF-1.7 this is something else",
}


async def sent(person: Person, content: bytes) -> httpx.Response:
    return await person.platform.http.post(
        f"/v1/subjects/{person.id}/photos",
        content=content,
        headers={"Content-Type": "image/jpeg", "Idempotency-Key": str(uuid.uuid4())},
    )


async def verdict(person: Person, answer: httpx.Response) -> dict[str, Any]:
    """The photo, once it was looked at."""
    assert answer.status_code in {201, 202}, answer.text
    photo_id = answer.json()["id"]
    async with asyncio.timeout(120):
        while True:
            photo: dict[str, Any] = await person.platform.call("GET", f"/v1/photos/{photo_id}")
            if photo["state"] in {"ready", "refused"}:
                return photo
            await asyncio.sleep(0.2)


@pytest.fixture(scope="module")
def portrait() -> Picture:
    return np.asarray(data.astronaut(), np.uint8)  # type: ignore[no-untyped-call]  # skimage ships no types


@pytest.mark.timeout(400)
async def test_every_odd_photo_ends_in_a_code_or_a_headshot(
    instance: Supervisor, platform: Platform, portrait: Picture
) -> None:
    person = await platform.meet()
    await person.consent()
    for name, make in (CUT_SHORT | {name: make for name, (make, _) in NOT_EVEN_LOOKED_AT.items()}).items():
        answer = await sent(person, make(portrait))
        assert answer.status_code in {413, 415, 422}, (name, answer.text)
        assert answer.json()["code"], name
    for name, (make, code) in REFUSED.items():
        photo = await verdict(person, await sent(person, make(portrait)))
        assert photo["state"] == "refused", name
        assert code in str(photo), (name, photo)
    ready = {name: await verdict(person, await sent(person, make(portrait))) for name, make in READY.items()}
    assert {name: photo["state"] for name, photo in ready.items()} == dict.fromkeys(READY, "ready")
    person.photo_id = ready["16-bit PNG"]["id"]
    job = await person.reaches(await person.order("studio-grey"), "done", seconds=180)
    assert job["headshots"][0]["state"] == "done", job
    for log in instance.home.log.glob("*.log"):
        assert "Traceback" not in log.read_text(errors="replace"), log.name
