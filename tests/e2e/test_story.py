"""The demo's own story, against an instance that is running."""

import hashlib
from pathlib import Path

from PIL import Image
from rich.console import Console

from infra import verify_certificate
from infra.demo import photos
from infra.demo.story import STYLES, Story, Upload
from infra.local.supervisor import Supervisor


async def test_the_demo_makes_headshots_verifies_the_webhook_and_erases_the_person(
    instance: Supervisor, tmp_path: Path
) -> None:
    story = Story(
        api_url=instance.api_url, operator_token=instance.operator_token, out=tmp_path, console=Console(quiet=True)
    )
    summary = await story.run(
        [Upload("jpeg", photos.as_jpeg(), "image/jpeg"), Upload("phone_heic", photos.as_phone_heic(), "image/heic")]
    )
    assert [headshot["style"] for headshot in summary["headshots"]] == list(STYLES)
    for headshot in summary["headshots"]:
        data = Path(headshot["path"]).read_bytes()
        assert hashlib.sha256(data).hexdigest() == headshot["sha256"]
        with Image.open(headshot["path"]) as picture:
            assert picture.size == (headshot["width"], headshot["height"]) == (1024, 1024)
            assert not picture.getexif()
    assert {"gps", "device", "time"} <= set(summary["photos"][1]["removed_metadata"])
    assert summary["webhook"] == {"event": "headshot.completed", "verified": True}
    assert summary["export"]["verified"] is True
    assert summary["export"]["files"] > len(summary["headshots"])
    assert summary["erasure"] == {"state": "erased", "reopened": False}
    certificate = verify_certificate.verify_files(tmp_path / "erasure-certificate.json", tmp_path / "keys.json")
    assert certificate["subject"] == summary["subject"]
    erased = {one["class"]: one["count"] for one in certificate["erased"]["objects"]}
    pictures = [path for path in tmp_path.iterdir() if path.suffix in {".jpg", ".png"}]
    assert erased == {"photo": 2, "headshot": len(pictures), "export": 1}
    assert (tmp_path / "erasure-certificate.pdf").read_bytes().startswith(b"%PDF-")
