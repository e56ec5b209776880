"""After a whole path and an erasure, no file of the instance holds the person in clear."""

import asyncio
import base64
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

from infra.demo import photos
from infra.local.supervisor import Supervisor
from tests.e2e.person import EMAIL, EVIDENCE, NAME, Platform

WINDOW = 48


def _windows(picture: bytes) -> set[bytes]:
    """Pieces of the compressed pixels that occur nowhere by chance: past the manifest, which has empty room in it."""
    return {picture[start : start + WINDOW] for start in range(8192, len(picture) - WINDOW, len(picture) // 40)}


def _files(home: Path) -> Iterator[Path]:
    # The root key and the credentials of the embedded servers have files of their own, for their owner alone.
    private = {home / "keys", home / "run"}
    return (path for path in home.rglob("*") if path.is_file() and not private & set(path.parents))


def _found(home: Path, needles: set[bytes]) -> list[tuple[str, bytes]]:
    return [
        (str(path.relative_to(home)), needle)
        for path in _files(home)
        for data in [path.read_bytes()]
        for needle in needles
        if needle in data
    ]


async def test_no_file_holds_the_photo_the_person_or_a_key_in_clear(instance: Supervisor, platform: Platform) -> None:
    person = await platform.meet()
    await person.consent()
    sent = photos.as_phone_heic()
    await person.upload(sent, media_type="image/heic")
    kept = (await platform.http.get(f"/v1/photos/{person.photo_id}/content")).content
    job = await person.reaches(await person.order("studio-grey"), "done")
    asset = job["headshots"][0]["assets"][0]
    made = (await platform.http.get(f"/v1/assets/{asset['id']}/content")).content
    assert min(len(sent), len(kept), len(made)) > 10_000
    asked = {"subject_id": person.id, "kind": "access", "identity_verified": True, "details": EVIDENCE}
    request = await platform.call("POST", "/v1/rights-requests", json=asked)
    export = f"/v1/exports/{request['export']['id']}"
    async with asyncio.timeout(60):
        while (await platform.call("GET", export))["state"] != "ready":
            await asyncio.sleep(0.2)
    # The file that the person gets holds them in clear; nothing that the instance keeps does.
    with zipfile.ZipFile(io.BytesIO((await platform.http.get(f"{export}/content")).content)) as archive:
        assert NAME.encode() in archive.read("data/person.json")
        assert kept in {archive.read(name) for name in archive.namelist() if name.startswith("photos/")}

    personal = {NAME, EMAIL, EVIDENCE, person.reference}
    in_exif = {"Phone 17 Pro", "Likeness Demo", "2026:11:20 09:41:00"}
    secret = platform.key.rsplit("_", 1)[1]
    needles = {text.encode() for text in personal | in_exif | {secret}}
    needles |= {base64.b64encode(text.encode())[:-4] for text in personal}
    needles |= _windows(sent) | _windows(kept) | _windows(made)
    home = instance.home.folder
    assert await asyncio.to_thread(_found, home, needles) == []

    while (await platform.call("DELETE", f"/v1/subjects/{person.id}"))["state"] != "erased":
        await asyncio.sleep(0.1)
    assert await asyncio.to_thread(_found, home, needles) == []
    for path in (f"/v1/photos/{person.photo_id}/content", f"/v1/assets/{asset['id']}/content", f"{export}/content"):
        assert (await platform.http.get(path)).status_code == 410


async def test_the_scan_finds_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "api.log").write_text(f"hello {NAME}")
    assert _found(tmp_path, {NAME.encode()}) == [("log/api.log", NAME.encode())]
