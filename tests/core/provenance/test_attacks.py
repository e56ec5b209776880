"""What somebody who wants to deceive would try on our own files, against the service's own answer."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import c2pa
import numpy as np
import pytest
from PIL import Image
from skimage import data

from core.bootstrap import Parts
from core.clock import now
from core.errors import LikenessError
from core.intake.clean import Intake, IntakeLimits
from core.provenance.certificates import new_root, new_signer
from core.provenance.sign import sign
from core.provenance.verify import Checker, Report, verify
from core.provenance.watermark import find, texture
from tests.delivered import LEDGER, a_delivered_file, as_jpeg, resaved
from tests.queueing import Studio


@dataclass(frozen=True)
class Ours:
    """Two delivered files of one platform, the key of their marks, and how to ask the service."""

    parts: Parts
    checker: Checker
    one: bytes
    other: bytes
    key: bytes

    async def ask(self, file: bytes) -> Report:
        return await verify(
            file, declared_type=None, checker=self.checker, provenance=self.parts.provenance, locale="en"
        )


@pytest.fixture
async def ours(parts: Parts) -> Ours:
    studio = await Studio.open(parts)
    one, other = await a_delivered_file(parts, studio), await a_delivered_file(parts, studio)
    checker = Checker(Intake(IntakeLimits()))
    return Ours(parts, checker, one, other, await parts.provenance.watermark_key())


_CAMERA = "http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture"


def manifest_of(file: bytes) -> tuple[int, int]:
    """Where the manifest's segment begins and ends."""
    start = file.index(b"\xff\xeb")
    return start, start + 2 + int.from_bytes(file[start + 2 : start + 4], "big")


def with_manifest_of(file: bytes, giver: bytes) -> bytes:
    """A file whose own manifest, if it has one, gives way to another's, in the same place."""
    from_, to = manifest_of(giver)
    if b"\xff\xeb" in file[:8192]:
        start, end = manifest_of(file)
        return file[:start] + giver[from_:to] + file[end:]
    at = 2 + 2 + int.from_bytes(file[4:6], "big")
    return file[:at] + giver[from_:to] + file[at:]


TRIES: dict[str, tuple[Callable[[bytes, bytes], bytes], set[str]]] = {
    "the manifest of another picture of ours": (with_manifest_of, {"altered"}),
    "re-saved, and its own manifest put back": (lambda one, _: with_manifest_of(resaved(one, 90), one), {"altered"}),
    "a foreign picture with our manifest": (
        lambda one, _: with_manifest_of(as_jpeg(Image.fromarray(data.rocket())), one),  # type: ignore[no-untyped-call]
        {"altered"},
    ),
    "something hidden behind its end": (lambda one, _: one + b"PK\x03\x04 a whole archive", {"altered"}),
    "a comment added": (lambda one, _: one[:2] + b"\xff\xfe\x00\x06true" + one[2:], {"altered"}),
    "its last pixels cut off": (lambda one, _: one[: len(one) * 3 // 4], {"altered", "refused"}),
    "cut within the manifest": (lambda one, _: one[: manifest_of(one)[0] + 900], {"refused"}),
    "another's pixels before its own": (lambda one, other: other + one, {"altered"}),
}


async def test_no_rearranged_file_of_ours_is_called_genuine(ours: Ours) -> None:
    assert (await ours.ask(ours.one)).verdict == "genuine"
    for attack, (change, expected) in TRIES.items():
        try:
            verdict = (await ours.ask(change(ours.one, ours.other))).verdict.value
        except LikenessError:
            verdict = "refused"
        assert verdict in expected, attack


async def test_another_deployment_that_bears_our_name_is_somebody_else(ours: Ours) -> None:
    theirs = new_signer(new_root(now()), moment=now(), term=timedelta(days=30))
    forged = sign(
        as_jpeg(Image.fromarray(data.astronaut())),  # type: ignore[no-untyped-call]  # skimage ships no types
        "image/jpeg",
        ledger=LEDGER,
        mark=b"whatever",
        training_allowed=False,
        credential=theirs,
        time_stamps=None,
        version="test",
    )
    found = await ours.ask(forged)
    assert found.verdict == "unknown"
    assert found.manifest["state"] == "foreign"
    # The name in a certificate that nobody vouches for is not passed on, and neither is what it claims.
    assert "Likeness" not in str(found.manifest)
    assert found.card == ()


async def test_our_file_signed_over_by_somebody_else_is_a_copy_and_not_theirs_to_vouch_for(ours: Ours) -> None:
    theirs = new_signer(new_root(now()), moment=now(), term=timedelta(days=30))
    signer = c2pa.Signer.from_info(
        c2pa.C2paSignerInfo(
            alg=c2pa.C2paSigningAlg.ES256,
            sign_cert=theirs.certificate.encode(),
            private_key=theirs.key,
            ta_url=None,
        )
    )
    definition = {
        "claim_generator_info": [{"name": "Likeness", "version": "9"}],
        "assertions": [
            {
                "label": "c2pa.actions.v2",
                "data": {"actions": [{"action": "c2pa.created", "digitalSourceType": _CAMERA}]},
            }
        ],
    }
    over = io.BytesIO()
    with signer, c2pa.Builder(definition) as builder:
        builder.add_ingredient({"title": "x", "relationship": "componentOf"}, "image/jpeg", io.BytesIO(ours.one))
        builder.sign(signer, "image/jpeg", io.BytesIO(ours.one), over)
    found = await ours.ask(over.getvalue())
    assert (found.verdict, found.manifest["state"]) == ("marked", "foreign")


async def test_a_mark_averaged_from_many_pictures_is_no_mark_of_ours(ours: Ours) -> None:
    """The beacon is the same in every picture, so an average of many has it; the number in it is nobody's."""
    marks = [bytes([number]) * 4 + bytes([255 - number, 7, number, 99]) for number in range(12)]
    mean = np.mean([texture(mark, ours.key, width=512, height=512) for mark in marks], axis=0)
    foreign = np.asarray(Image.fromarray(data.rocket()).resize((512, 512)), np.float32)  # type: ignore[no-untyped-call]
    laid = np.clip(np.rint(foreign + 2.5 * mean[..., None]), 0, 255).astype(np.uint8)
    found = find(laid, ours.key)
    assert found is None or found.mark not in marks
    report = await ours.ask(as_jpeg(Image.fromarray(laid)))
    assert report.verdict == "unknown"


async def test_a_number_that_was_never_given_out_is_not_called_a_copy_of_ours(ours: Ours) -> None:
    foreign = np.asarray(Image.fromarray(data.rocket()).resize((512, 512)), np.float32)  # type: ignore[no-untyped-call]
    added = 2.0 * texture(b"made up!", ours.key, width=512, height=512)[..., None]
    found = await ours.ask(as_jpeg(Image.fromarray(np.clip(np.rint(foreign + added), 0, 255).astype(np.uint8))))
    assert (found.verdict, found.watermark["state"]) == ("unknown", "found")


async def test_a_crop_of_four_hundred_pixels_is_known_and_said_to_be_a_crop(ours: Ours) -> None:
    image = Image.open(io.BytesIO(ours.one)).convert("RGB")
    for left, top in ((0, 0), (190, 60), (240, 240)):
        found = await ours.ask(as_jpeg(image.crop((left, top, left + 400, top + 400)), 90))
        assert found.verdict == "marked"
        assert found.watermark["scale"] == pytest.approx(400 / 640, abs=0.02)
