"""What people really send, from bytes to verdict: a clear code or a good picture, never a traceback."""

from collections.abc import Callable
from io import BytesIO
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from core.errors import PhotoTooLarge, PhotoTooSmall, Unacceptable
from core.intake.clean import IntakeLimits, clean
from worker.studio import pipeline
from worker.studio.findings import FaceReport, Severity
from worker.studio.vision import Picture

Bytes = Callable[[Picture], bytes]


def as_jpeg(picture: npt.NDArray[Any], mode: str = "RGB") -> bytes:
    file = BytesIO()
    Image.fromarray(np.asarray(picture, np.uint8)).convert(mode).save(file, "JPEG", quality=92)
    return file.getvalue()


def sixteen_bits(picture: Picture) -> bytes:
    _, data = cv2.imencode(".png", (picture[..., ::-1].astype(np.uint16) * 257))
    return data.tobytes()


def panorama(picture: Picture) -> bytes:
    """12,000 px across, the person in the middle of a wall."""
    wide = np.full((2600, 12_000, 3), 180, np.uint8)
    wide[552:, 5000:7048] = cv2.resize(picture, (2048, 2048), interpolation=cv2.INTER_CUBIC)
    return as_jpeg(wide)


def with_dark_glasses(picture: Picture) -> Picture:
    """Two black lenses over the eyes of the portrait."""
    covered = picture.copy()
    for x, y in ((203, 102), (247, 104)):
        cv2.ellipse(covered, (x, y), (21, 15), 0, 0, 360, (12, 12, 14), -1, cv2.LINE_AA)
    return covered


def drawing(picture: Picture) -> Picture:
    sheet = np.full((600, 600, 3), 255, np.uint8)
    cv2.circle(sheet, (300, 300), 180, (0, 0, 0), 4)
    cv2.circle(sheet, (235, 250), 18, (0, 0, 0), -1)
    cv2.circle(sheet, (365, 250), 18, (0, 0, 0), -1)
    cv2.ellipse(sheet, (300, 360), (80, 45), 0, 0, 180, (0, 0, 0), 4)
    return sheet


def huge(picture: Picture) -> bytes:
    """12,000 px square: refused by what its header says."""
    file = BytesIO()
    Image.new("1", (12_000, 12_000)).save(file, "PNG")
    return file.getvalue()


READY: dict[str, Bytes] = {
    "greyscale": lambda p: as_jpeg(p, "L"),
    "CMYK JPEG": lambda p: as_jpeg(p, "CMYK"),
    "16-bit PNG": sixteen_bits,
    "panorama of 12,000 px": panorama,
}
REFUSED: dict[str, tuple[Bytes, str]] = {
    "200 px": (lambda p: as_jpeg(cv2.resize(p, (200, 200), interpolation=cv2.INTER_AREA)), "face_too_small"),
    "black": (lambda p: as_jpeg(np.zeros_like(p)), "no_face"),
    "drawing": (lambda p: as_jpeg(drawing(p)), "no_face"),
    "ten faces": (
        lambda p: as_jpeg(np.tile(cv2.resize(p[20:260, 110:350], (300, 300)), (2, 5, 1))),
        "several_faces",
    ),
}
NOT_EVEN_LOOKED_AT: dict[str, tuple[Bytes, type[Unacceptable]]] = {
    "12,000 px square": (huge, PhotoTooLarge),
    "150 px": (lambda p: as_jpeg(cv2.resize(p, (150, 150))), PhotoTooSmall),
}


async def taken_in(data: bytes) -> bytes:
    return (await clean(data, declared_type=None, limits=IntakeLimits())).data


async def report_of(data: bytes) -> FaceReport:
    return pipeline.examine(await taken_in(data))


@pytest.mark.parametrize("make", READY.values(), ids=READY)
async def test_an_unusual_file_of_a_good_portrait_is_usable(portrait: Picture, make: Bytes) -> None:
    photo = await taken_in(make(portrait))
    assert not pipeline.examine(photo).refusals


@pytest.mark.parametrize(("make", "code"), REFUSED.values(), ids=REFUSED)
async def test_a_hopeless_photo_is_refused_with_a_clear_code(portrait: Picture, make: Bytes, code: str) -> None:
    data = make(portrait)
    report = await report_of(data)
    assert code in {finding.code for finding in report.refusals}
    with pytest.raises(pipeline.Refused):
        pipeline.prepare(await taken_in(data), check=lambda _stage, _share: None)


@pytest.mark.parametrize(("make", "error"), NOT_EVEN_LOOKED_AT.values(), ids=NOT_EVEN_LOOKED_AT)
async def test_a_photo_of_an_impossible_size_never_reaches_the_studio(
    portrait: Picture, make: Bytes, error: type[Unacceptable]
) -> None:
    with pytest.raises(error):
        await taken_in(make(portrait))


async def test_dark_glasses_are_noticed_and_dark_skin_is_not_taken_for_them(portrait: Picture) -> None:
    covered = await report_of(as_jpeg(with_dark_glasses(portrait)))
    assert ("eyes_covered", Severity.ADVISE) in {(finding.code, finding.severity) for finding in covered.findings}
    for picture in (portrait, np.asarray(portrait * 0.45, np.uint8)):
        codes = {finding.code for finding in (await report_of(as_jpeg(picture))).findings}
        assert "eyes_covered" not in codes
