"""`likeness verify`: with the service, with its kit alone, and as a stranger with nothing but the anchors."""

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest

from core.bootstrap import open_parts
from core.provenance.words import OFFLINE, in_locale
from core.settings import Settings
from infra.local.errors import LocalError
from infra.local.home import Home
from infra.verify import check, keep_kit
from tests.delivered import a_delivered_file, resaved, tampered
from tests.queueing import Studio


async def test_the_kit_alone_tells_genuine_altered_and_marked(
    settings: Settings, settings_env: dict[str, str], tmp_path: Path
) -> None:
    home = Home(tmp_path / "var")
    home.make()
    await keep_kit(home, settings_env)
    async with open_parts(settings) as parts:
        studio = await Studio.open(parts)
        file = await a_delivered_file(parts, studio)
        key = await parts.provenance.watermark_key()
        # With the service it can be told that a picture was erased; without it that is said to be unknown.
        await studio.erase_person()
    online = await check(file, home=home, anchors=None, locale="en", running=True)
    assert set(online) == {"verdict", "summary"}
    assert online["verdict"] == "erased"
    for copy, verdict in ((file, "genuine"), (tampered(file), "altered"), (resaved(file), "marked")):
        found = await check(copy, home=home, anchors=None, locale="fr", running=False)
        assert found["verdict"] == verdict
        assert in_locale(OFFLINE, "fr") in found["limits"]
    assert all(key not in kept.read_bytes() for kept in (tmp_path / "var").rglob("*") if kept.is_file())
    assert {kept.stat().st_mode & 0o777 for kept in (tmp_path / "var" / "verify").iterdir()} == {0o600}


async def test_a_stranger_needs_the_anchors_alone(settings: Settings, tmp_path: Path) -> None:
    async with open_parts(settings) as parts:
        file = await a_delivered_file(parts, await Studio.open(parts))
        anchors = "".join(await parts.provenance.anchors())
    (tmp_path / "anchors.pem").write_text(anchors)
    for name, content, verdict in (
        ("genuine.jpg", file, "genuine"),
        ("unknown.jpg", resaved(file), "unknown"),
    ):
        (tmp_path / name).write_bytes(content)
        ran = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "infra.cli", "verify", name, "--json", "--anchors", "anchors.pem"),
            cwd=tmp_path,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parents[2])},
            stdout=asyncio.subprocess.PIPE,
        )
        said, _ = await ran.communicate()
        found = json.loads(said)
        assert found["verdict"] == verdict
        assert ran.returncode == (0 if verdict == "genuine" else 1)
        assert any("invisible mark was not looked for" in limit for limit in found["limits"])


async def test_without_anchors_it_is_said_where_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(LocalError, match=r"trust-anchors\.pem"):
        await check(b"", home=Home(tmp_path), anchors=None, locale="en", running=False)


async def test_the_command_rotates_every_certificate_and_old_pictures_stay_genuine(
    settings: Settings, settings_env: dict[str, str], tmp_path: Path
) -> None:
    async with open_parts(settings) as parts:
        studio = await Studio.open(parts)
        file = await a_delivered_file(parts, studio)
        before = await parts.provenance.credential(studio.platform.tenant_id)
        ran = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "infra.cli", "rotate-certificates"),
            env={**settings_env, "LIKENESS_HOME": str(tmp_path / "nowhere")},
        )
        assert await ran.wait() == 0
        assert (await parts.provenance.credential(studio.platform.tenant_id)).certificate != before.certificate
        anchors = await parts.provenance.anchors()
    assert len(anchors) == 2
    found = await check(file, home=Home(tmp_path), anchors="".join(anchors), locale="en", running=False)
    assert found["verdict"] == "genuine"
