"""Uploads: what is taken in, what is refused, and how it is said."""

import asyncio
import io
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from PIL import Image

from core.consent.models import Purpose
from core.ids import Prefix, parse
from core.photos import service as photos
from core.photos.models import PhotoState
from core.settings import Settings
from tests.api.conftest import Api, served
from tests.api.pictures import as_jpeg, as_png
from tests.scenes import Platform, a_person, a_platform, consents


async def _person(api: Api, platform: Platform, *purposes: Purpose) -> str:
    subject_id = await a_person(api.parts, platform)
    await consents(api.parts, platform, subject_id, *purposes)
    return f"/v1/subjects/sub_{subject_id.hex}/photos"


async def _upload(
    api: Api, platform: Platform, path: str, data: bytes, media_type: str | None = "image/jpeg", **headers: str
) -> httpx.Response:
    if media_type is not None:
        headers["Content-Type"] = media_type
    return await api.call(platform, "POST", path, content=data, headers=headers)


async def test_a_photo_is_cleaned_sealed_and_says_what_was_removed(
    api: Api, platform: Platform, tmp_path: Path
) -> None:
    path = await _person(api, platform)
    source = as_jpeg(gps=True)
    answer = await _upload(api, platform, path, source)
    photo = answer.json()
    assert answer.status_code == 201
    assert "gps" in photo["removed_metadata"]
    assert (photo["state"], photo["width"], photo["height"]) == ("checking", 400, 300)
    assert (await api.call(platform, "GET", answer.headers["location"])).json() == photo
    content = await api.call(platform, "GET", f"/v1/photos/{photo['id']}/content")
    assert content.headers["content-type"] == "image/jpeg"
    assert content.headers["cache-control"] == "no-store"
    opened = Image.open(io.BytesIO(content.content))
    assert (opened.size, dict(opened.getexif())) == ((400, 300), {})
    on_disk = b"".join(file.read_bytes() for file in (tmp_path / "objects").rglob("*") if file.is_file())
    assert len(on_disk) > len(content.content)
    assert b"Phone Company" not in on_disk
    assert content.content[200:264] not in on_disk


async def test_a_form_with_one_file_is_taken_like_a_raw_body(api: Api, platform: Platform) -> None:
    path = await _person(api, platform)
    files = {"photo": ("me.png", as_png(), "image/png")}
    answer = await api.call(platform, "POST", path, files=files, data={"note": "ignored"})
    assert (answer.status_code, answer.json()["source_format"]) == (201, "png")


CASES = {
    "text named jpg": (b"this is no picture", "image/jpeg", 415, "photo_type_unsupported"),
    "nothing": (b"", "image/jpeg", 422, "photo_empty"),
    "truncated": (as_jpeg()[:2000], "image/jpeg", 422, "photo_unreadable"),
    "wrong content type": (as_jpeg(), "application/pdf", 415, "photo_type_unsupported"),
    "json": (b"{}", "application/json", 415, "photo_type_unsupported"),
    "too small": (as_jpeg(width=60, height=60), "image/jpeg", 422, "photo_too_small"),
    "a form without a boundary": (as_jpeg(), "multipart/form-data", 400, "malformed_request"),
    "a form without a file": (
        b"--x\r\n\r\nabc\r\n--x--\r\n",
        "multipart/form-data; boundary=x",
        400,
        "malformed_request",
    ),
    "a form cut short": (
        b'--x\r\nContent-Disposition: form-data; name="photo"; filename="a.jpg"\r\n\r\nabc',
        "multipart/form-data; boundary=x",
        400,
        "malformed_request",
    ),
    "noise as a form": (b"\x00" * 500, "multipart/form-data; boundary=x", 400, "malformed_request"),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
async def test_what_is_no_photo_is_refused_with_its_reason(
    api: Api, platform: Platform, case: tuple[bytes, str, int, str]
) -> None:
    data, media_type, status, code = case
    path = await _person(api, platform)
    answer = await _upload(api, platform, path, data, media_type)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert (await api.call(platform, "GET", path)).json()["data"] == []


async def test_a_declared_size_above_the_cap_is_refused_before_a_byte_is_read(
    api_environment: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIKENESS_API_UPLOAD_MAX_BYTES", "10000")
    read = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal read
        for _ in range(200):
            read += 1000
            yield b"x" * 1000

    async with served(Settings()) as api:
        platform = await a_platform(api.parts)
        path = await _person(api, platform)
        declared = await api.call(
            platform, "POST", path, content=body(), headers={"Content-Length": "200000", "Content-Type": "image/jpeg"}
        )
        assert (declared.status_code, declared.json()["max_bytes"], read) == (413, 10_000, 0)
        counted = await api.call(platform, "POST", path, content=body(), headers={"Content-Type": "image/jpeg"})
        assert (counted.status_code, counted.json()["code"]) == (413, "payload_too_large")
        assert read <= 12_000
        form = await api.call(platform, "POST", path, files={"photo": ("a.jpg", b"x" * 20_000, "image/jpeg")})
        assert (form.status_code, form.json()["max_bytes"]) == (413, 10_000)


async def test_a_photo_that_does_not_come_in_time_is_given_up(
    api: Api, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.upload._PATIENCE_SECONDS", 0.2)
    path = await _person(api, platform)

    async def body() -> AsyncIterator[bytes]:
        yield b"\xff\xd8"
        await asyncio.Event().wait()

    slow = await api.call(platform, "POST", path, content=body(), headers={"Content-Type": "image/jpeg"})
    assert (slow.status_code, slow.json()["code"]) == (408, "upload_too_slow")


async def test_no_byte_of_a_photo_is_read_before_there_is_consent(api: Api, platform: Platform) -> None:
    path = await _person(api, platform, Purpose.HEADSHOT)

    async def body() -> AsyncIterator[bytes]:
        raise AssertionError("the body was read")
        yield b""

    refused = await api.call(platform, "POST", path, content=body(), headers={"Content-Type": "image/jpeg"})
    assert (refused.status_code, refused.json()["code"]) == (403, "consent_required")
    assert refused.json()["missing"] == ["biometric_processing"]


async def test_a_term_may_only_be_shortened(api: Api, platform: Platform) -> None:
    path = await _person(api, platform)
    for seconds in ("5", str(8 * 86_400), "99999999999999999999"):
        refused = await _upload(api, platform, f"{path}?expires_after={seconds}", as_jpeg())
        assert (refused.status_code, refused.json()["code"]) == (422, "retention_out_of_range")
    taken = await _upload(api, platform, f"{path}?expires_after=7200", as_jpeg())
    assert taken.status_code == 201


async def test_prefer_wait_holds_the_answer_until_the_check_is_done(api: Api, platform: Platform) -> None:
    path = await _person(api, platform)

    async def look() -> None:
        while not (found := (await api.call(platform, "GET", path)).json()["data"]):
            await asyncio.sleep(0.05)
        async with api.parts.database.tenant(platform.tenant_id) as session:
            finding = {"code": "no_face", "severity": "refuse", "message": "We found no face."}
            await photos.record_verdict(
                session,
                parse(Prefix.PHOTO, found[0]["id"]),
                verdict=PhotoState.REFUSED,
                report={"findings": [finding]},
            )

    looking = asyncio.create_task(look())
    answer = await _upload(api, platform, path, as_jpeg(), Prefer="respond-async, wait=10")
    await looking
    assert (answer.status_code, answer.json()["state"]) == (201, "refused")
    assert answer.json()["findings"][0]["code"] == "no_face"
    assert answer.headers["preference-applied"] == "wait=10"
    order = {"photo_id": answer.json()["id"], "styles": ["studio-grey"], "dry_run": True}
    refused = await api.call(platform, "POST", "/v1/headshots", json=order)
    assert (refused.status_code, refused.json()["code"]) == (422, "photo_refused")


async def test_an_upload_sent_twice_makes_one_photo(api: Api, platform: Platform) -> None:
    path = await _person(api, platform)
    headers = {"Idempotency-Key": "upload-1"}
    first, again = [await _upload(api, platform, path, as_jpeg(), **headers) for _ in range(2)]
    assert first.json()["id"] == again.json()["id"]
    other = await _upload(api, platform, path, as_jpeg(width=500), **headers)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_mismatch")
