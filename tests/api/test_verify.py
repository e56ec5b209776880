"""Anyone may ask whether a picture is ours; the answer is right, and says nothing about anybody."""

import asyncio
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data

from core.intake.clean import Intake, IntakeLimits
from core.provenance.verify import Checker
from core.settings import Settings
from tests.api.conftest import Api, served
from tests.delivered import a_bomb, a_delivered_file, as_jpeg, resaved, screenshot, tampered
from tests.queueing import Studio

FOREIGN = as_jpeg(Image.fromarray(data.rocket()))  # type: ignore[no-untyped-call]  # skimage ships no types


async def ask(api: Api, file: bytes, *, language: str = "en") -> dict[str, object]:
    answer = await api.http.post(
        "/v1/verify", content=file, headers={"Content-Type": "image/jpeg", "Accept-Language": language}
    )
    assert answer.status_code == 200, answer.text
    found: dict[str, object] = answer.json()
    return found


async def test_each_verdict_is_given_to_the_picture_that_earns_it_and_nobody_is_named(api: Api) -> None:
    studio = await Studio.open(api.parts)
    file = await a_delivered_file(api.parts, studio)
    genuine = await ask(api, file, language="de-AT")
    assert genuine["verdict"] == "genuine"
    assert genuine["card"][0] == "Ihr Gesicht wurde nicht verändert; nur das Licht darauf wurde angepasst."  # type: ignore[index]
    assert [genuine[layer]["state"] for layer in ("manifest", "watermark", "fingerprint")] == [  # type: ignore[index]
        "valid",
        "found",
        "known",
    ]
    copies = {
        "altered": tampered(file),
        "marked": resaved(file),
        "unknown": FOREIGN,
    }
    answers = [genuine, *[await ask(api, copy) for copy in copies.values()], await ask(api, screenshot(file))]
    assert [answer["verdict"] for answer in answers] == ["genuine", *copies, "marked"]
    for answer in answers:
        assert answer["limits"]
        text = json.dumps(answer)
        for secret in (studio.platform.tenant_id, studio.subject_id, studio.photo_id):
            assert secret.hex not in text
            assert str(secret) not in text
        assert "Some Platform" not in text
        assert "Canary" not in text


async def test_after_an_erasure_every_copy_answers_erased_and_nothing_more(api: Api) -> None:
    studio = await Studio.open(api.parts)
    file = await a_delivered_file(api.parts, studio)
    await studio.erase_person()
    for copy in (file, tampered(file), resaved(file)):
        answer = await ask(api, copy)
        assert answer["verdict"] == "erased"
        assert {name for name, value in answer.items() if value} == {"verdict", "summary"}


async def test_a_manifest_of_somebody_elses_authority_is_not_ours(api: Api) -> None:
    from tests.core.provenance.test_sign import signed

    small = Image.open(io.BytesIO(signed()))
    assert min(small.size) >= 200
    answer = await ask(api, signed())
    assert answer["verdict"] == "unknown"
    assert answer["manifest"]["state"] == "foreign"  # type: ignore[index]


@pytest.mark.parametrize("body", [b"", b"only a text", b"\xff\xd8\xff\xe0 cut", as_jpeg(Image.new("RGB", (40, 40)))])
async def test_what_is_no_usable_picture_is_told_so(api: Api, body: bytes) -> None:
    answer = await api.http.post("/v1/verify", content=body, headers={"Content-Type": "image/jpeg"})
    assert answer.status_code in {415, 422}
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_bomb_is_refused_from_its_header(api: Api, tmp_path: Path) -> None:
    answer = await api.http.post("/v1/verify", content=a_bomb(tmp_path), headers={"Content-Type": "image/png"})
    assert (answer.status_code, answer.json()["code"]) == (422, "photo_too_many_pixels")


async def test_a_stranger_may_ask_so_often(api_environment: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIKENESS_PROVENANCE_CHECKS_PER_MINUTE", "3")
    async with served(Settings()) as api:
        answers = [await api.http.post("/v1/verify", content=b"text") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [415, 415, 415, 429]
    assert "Retry-After" in answers[-1].headers


async def test_a_full_house_is_told_before_a_byte_is_read_and_a_place_is_given_back(api: Api) -> None:
    checker = api.app.state.checker = Checker(Intake(IntakeLimits()), concurrency=1, waiting=0)
    read = []

    async def body() -> AsyncIterator[bytes]:
        read.append(1)
        yield b"text"

    with checker.place():
        refused = await api.http.post("/v1/verify", content=body())
    assert (refused.status_code, refused.json()["code"], read) == (503, "intake_busy", [])
    assert [(await api.http.post("/v1/verify", content=body())).status_code for _ in range(2)] == [415, 415]


async def test_a_body_that_never_ends_is_given_up_and_its_place_with_it(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.upload._PATIENCE_SECONDS", 0.2)
    api.app.state.checker = Checker(Intake(IntakeLimits()), concurrency=1, waiting=0)

    async def body() -> AsyncIterator[bytes]:
        yield b"\xff\xd8"
        await asyncio.Event().wait()

    for _ in range(2):
        answer = await api.http.post("/v1/verify", content=body())
        assert (answer.status_code, answer.json()["code"]) == (408, "upload_too_slow")
        assert answer.headers["connection"] == "close"


async def test_the_anchors_are_published_and_suffice(api: Api) -> None:
    from tests.core.provenance.test_sign import read

    file = await a_delivered_file(api.parts, await Studio.open(api.parts))
    directory = (await api.http.get("/.well-known/likeness")).json()
    anchors = await api.http.get(directory["trust_anchors"])
    assert read(file, anchors=anchors.text)[0] == "Trusted"
    await api.parts.provenance.rotate_root()
    both = (await api.http.get(directory["trust_anchors"])).text
    assert both.count("BEGIN CERTIFICATE") == 2
    assert read(file, anchors=both)[0] == "Trusted"


async def test_a_delivered_file_holds_nothing_of_the_person_or_their_photo(api: Api) -> None:
    studio = await Studio.open(api.parts)
    file = await a_delivered_file(api.parts, studio)
    for secret in (studio.platform.tenant_id, studio.subject_id, studio.photo_id):
        assert secret.hex.encode() not in file
        assert str(secret).encode() not in file
        assert secret.bytes not in file
    for text in (b"Canary", b"canary", b"Some Platform", b"GPS", b"Exif"):
        assert text not in file
    image = Image.open(io.BytesIO(file))
    assert np.asarray(image).shape == (640, 640, 3)


async def test_the_page_loads_nothing_from_elsewhere(api: Api) -> None:
    page = await api.http.get("/verify")
    assert page.status_code == 200
    assert "script-src 'self'" in page.headers["content-security-policy"]
    assert "http" not in page.text.replace("https://likeness.test", "")
    for name in ("verify.js", "verify.css", "mark.svg"):
        assert (await api.http.get(f"/verify/static/{name}")).status_code == 200
    assert (await api.http.get("/verify/static/verify.html")).status_code == 404


async def test_whose_time_stamps_count_is_published_apart(
    api_environment: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "time.pem").write_text("-----BEGIN CERTIFICATE-----\n…\n")
    monkeypatch.setenv("LIKENESS_PROVENANCE_TIME_STAMP_ANCHORS", str(tmp_path / "time.pem"))
    async with served(Settings()) as api:
        directory = (await api.http.get("/.well-known/likeness")).json()
        stamps = await api.http.get(directory["time_stamp_anchors"])
        anchors = await api.http.get(directory["trust_anchors"])
    assert stamps.text == (tmp_path / "time.pem").read_text()
    assert "…" not in anchors.text
