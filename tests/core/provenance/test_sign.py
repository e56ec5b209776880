"""The manifest in a delivered file: valid for a reader who has nothing but the anchor, and silent about the person."""

import io
import json
from datetime import timedelta
from typing import Any

import c2pa
import pytest
from PIL import Image

from core.clock import now
from core.provenance.certificates import Credential, new_root, new_signer
from core.provenance.sign import sign

ROOT = new_root(now())
SIGNER = new_signer(ROOT, moment=now(), term=timedelta(days=3650))
MARK = bytes.fromhex("0123456789abcdef")
LEDGER: list[dict[str, Any]] = [
    {"region": "whole", "action": "enlarged", "source": "own", "share": 1.0, "factor": 1.5},
    {"region": "face", "action": "light", "source": "own", "share": 0.1, "gains": [1.01, 1.0, 0.99]},
    {"region": "background", "action": "replaced", "source": "generated", "share": 0.6, "model": "some-model"},
    {"region": "all_but_face", "action": "watermarked", "source": "mark", "share": 0.9},
]
FORMATS = {"image/jpeg": "JPEG", "image/png": "PNG", "image/webp": "WEBP"}


def a_file(media_type: str) -> bytes:
    file = io.BytesIO()
    Image.linear_gradient("L").convert("RGB").save(file, FORMATS[media_type])
    return file.getvalue()


def signed(
    media_type: str = "image/jpeg",
    *,
    credential: Credential = SIGNER,
    training_allowed: bool = False,
    ledger: Any = LEDGER,
) -> bytes:
    return sign(
        a_file(media_type),
        media_type,
        ledger=ledger,
        mark=MARK,
        training_allowed=training_allowed,
        credential=credential,
        time_stamps=None,
        version="test",
    )


def read(data: bytes, media_type: str = "image/jpeg", *, anchors: str = ROOT.certificate) -> tuple[str, dict[str, Any]]:
    settings = {"trust": {"trust_anchors": anchors}, "verify": {"verify_trust": True, "remote_manifest_fetch": False}}
    with c2pa.Reader(media_type, io.BytesIO(data), context=c2pa.Context(c2pa.Settings.from_dict(settings))) as reader:
        return str(reader.get_validation_state()), json.loads(reader.json())


def assertions(report: dict[str, Any]) -> dict[str, Any]:
    manifest = report["manifests"][report["active_manifest"]]
    return {entry["label"]: entry["data"] for entry in manifest["assertions"]}


@pytest.mark.parametrize("media_type", FORMATS)
def test_every_format_validates_with_the_anchor_alone(media_type: str) -> None:
    data = signed(media_type)
    state, report = read(data, media_type)
    assert state == "Trusted"
    said = assertions(report)
    actions = said["c2pa.actions.v2"]["actions"]
    assert [action["action"] for action in actions] == [
        "c2pa.opened",
        "c2pa.resized",
        "c2pa.color_adjustments",
        "c2pa.edited",
        "c2pa.watermarked.bound",
    ]
    assert actions[3]["digitalSourceType"].endswith("/compositeWithTrainedAlgorithmicMedia")
    assert {entry["use"] for entry in said["cawg.training-mining"]["entries"].values()} == {"notAllowed"}
    assert said["c2pa.soft-binding"]["blocks"][0]["value"] == "ASNFZ4mrze8="
    assert [line["region"] for line in said["dev.likeness.edit-ledger"]["lines"]][1] == "face"
    Image.open(io.BytesIO(data)).load()


@pytest.mark.parametrize("media_type", FORMATS)
def test_readers_that_know_no_c2pa_find_the_same_in_xmp(media_type: str) -> None:
    image = Image.open(io.BytesIO(signed(media_type)))
    xmp = image.info.get("xmp") or image.info["XML:com.adobe.xmp"].encode()
    assert b"digitalsourcetype/compositeWithTrainedAlgorithmicMedia" in xmp
    assert b"vocab/DMI-PROHIBITED" in xmp


def test_a_drawn_backdrop_is_synthetic_and_not_a_models() -> None:
    ledger = [line | ({"source": "procedural"} if line["region"] == "background" else {}) for line in LEDGER]
    said = assertions(read(signed(ledger=ledger))[1])
    assert said["c2pa.actions.v2"]["actions"][3]["digitalSourceType"].endswith("/compositeSynthetic")


def test_training_is_allowed_only_to_who_was_allowed() -> None:
    entries = assertions(read(signed(training_allowed=True))[1])["cawg.training-mining"]["entries"]
    assert entries["cawg.ai_training"]["use"] == "allowed"
    assert entries["cawg.data_mining"]["use"] == "notAllowed"


def test_no_picture_of_the_picture_and_no_measure_of_the_face_is_in_the_file() -> None:
    data = signed()
    _, report = read(data)
    assert "thumbnail" not in json.dumps(report)
    assert "gains" not in json.dumps(report)
    assert data.count(b"\xff\xd8\xff") == 1
    assert len(data) - len(a_file("image/jpeg")) < 8000


def test_another_root_is_not_trusted() -> None:
    assert read(signed(), anchors=new_root(now()).certificate)[0] != "Trusted"


def test_a_file_still_validates_after_its_signer_and_its_root_were_replaced() -> None:
    old = signed()
    root = new_root(now())
    new = signed(credential=new_signer(root, moment=now(), term=timedelta(days=30)))
    for data in (old, new):
        assert read(data, anchors=ROOT.certificate + root.certificate)[0] == "Trusted"


def test_a_changed_pixel_is_noticed_and_no_changed_byte_says_anything_else() -> None:
    data = signed()
    start = data.index(b"\xff\xeb")
    end = start + 2 + int.from_bytes(data[start + 2 : start + 4], "big")
    said = assertions(read(data)[1])
    for place in [*range(end, len(data) - 2, 61), *range(start + 40, end, 23)]:
        changed = bytearray(data)
        changed[place] ^= 0x01
        try:
            state, report = read(bytes(changed))
        except c2pa.C2paError:
            continue
        # The format leaves room unsigned inside the manifest's box; what is said, and every pixel, is signed.
        assert state != "Trusted" or (start < place < end and assertions(report) == said), place


def test_a_manifest_taken_from_another_file_does_not_fit() -> None:
    one, other = signed(), a_file("image/jpeg")
    start = one.index(b"\xff\xeb")
    end = start + 2 + int.from_bytes(one[start + 2 : start + 4], "big")
    moved = other[:2] + one[start:end] + other[2:]
    assert read(moved)[0] != "Trusted"
