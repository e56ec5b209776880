from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest

from worker.studio import pipeline
from worker.studio.find_face import face_hull, find_face
from worker.studio.findings import Severity, Verdict
from worker.studio.vision import Picture

Change = Callable[[Picture], Any]

REFUSED: dict[str, tuple[Change, str]] = {
    "nobody": (lambda p: p[:, 300:][:200], "no_face"),
    "one colour": (lambda p: np.full_like(p, 128), "no_face"),
    "one pixel": (lambda p: p[:1, :1], "no_face"),
    "two people": (lambda p: np.hstack([p, p]), "several_faces"),
    "far away": (lambda p: cv2.resize(p, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), "face_too_small"),
    "out of focus": (lambda p: cv2.GaussianBlur(p, (0, 0), 2.2), "face_blurred"),
    "large and out of focus": (
        lambda p: cv2.GaussianBlur(cv2.resize(p, None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC), (0, 0), 7),
        "face_blurred",
    ),
    "half the face": (lambda p: p[:, :235], "face_cut_off"),
    "no forehead": (lambda p: p[95:], "face_cut_off"),
    "no shoulders": (lambda p: p[:182, 130:310], "face_cut_off"),
    "in the dark": (lambda p: p * 0.15, "too_dark"),
    "burnt out": (lambda p: np.clip(p * 1.6, 0, 255), "too_bright"),
    "lying down": (lambda p: cv2.warpAffine(p, cv2.getRotationMatrix2D((226, 130), 45, 1), (512, 512)), "face_turned"),
}

ADVISED: dict[str, tuple[Change, str]] = {
    "rather small": (lambda p: p, "face_too_small"),
    "a little soft": (lambda p: cv2.GaussianBlur(p, (0, 0), 1.5), "face_blurred"),
    "rather dark": (lambda p: p * 0.35, "too_dark"),
}


@pytest.mark.parametrize(("change", "code"), REFUSED.values(), ids=REFUSED)
def test_an_unusable_photo_is_refused_with_its_code_and_a_sentence(
    portrait: Picture, as_photo: Callable[[Picture], bytes], change: Change, code: str
) -> None:
    report = pipeline.examine(as_photo(np.asarray(change(portrait), np.uint8)))
    assert report.verdict is Verdict.REFUSED
    assert code in {finding.code for finding in report.refusals}
    assert all(finding.message.endswith(".") for finding in report.findings)


@pytest.mark.parametrize(("change", "code"), ADVISED.values(), ids=ADVISED)
def test_a_usable_photo_with_a_flaw_is_ready_with_advice(
    portrait: Picture, as_photo: Callable[[Picture], bytes], change: Change, code: str
) -> None:
    report = pipeline.examine(as_photo(np.asarray(change(portrait), np.uint8)))
    assert report.verdict is Verdict.READY
    assert (code, Severity.ADVISE) in {(finding.code, finding.severity) for finding in report.findings}


def test_a_large_crisp_face_has_no_finding(portrait: Picture, as_photo: Callable[[Picture], bytes]) -> None:
    large = cv2.resize(portrait, None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC)
    report = pipeline.examine(as_photo(np.asarray(large, np.uint8)))
    assert report.findings == ()


def test_a_small_face_in_a_wide_panorama_is_found(portrait: Picture) -> None:
    wall = np.tile(portrait[:, 350:370], (1, 60, 1))
    report, face = find_face(np.hstack([wall, portrait, wall]))
    assert report.verdict is Verdict.READY
    assert face is not None
    assert 1200 + 150 < face.points[:, 0].mean() < 1200 + 300


def test_the_public_report_has_no_coordinate_and_no_template(
    portrait: Picture, as_photo: Callable[[Picture], bytes]
) -> None:
    public = pipeline.examine(as_photo(portrait)).public()
    assert set(public) == {"verdict", "findings", "scores"}
    assert set(public["scores"]) == {"faces", "eye_distance_px", "sharpness", "brightness", "turn_degrees"}
    assert all(isinstance(score, float) for score in public["scores"].values())


def test_looking_at_another_photo_in_between_changes_nothing(portrait: Picture) -> None:
    first, _ = find_face(portrait)
    find_face(np.ascontiguousarray(portrait[:, ::-1]))
    second, _ = find_face(portrait)
    assert first == second


def test_the_face_hull_shrinks_with_its_inset_and_holds_the_eyes(portrait: Picture) -> None:
    _, face = find_face(portrait)
    assert face is not None
    whole, inner = (face_hull(face.points, portrait.shape, inset=inset) for inset in (0.0, 0.1))
    assert whole.sum() > inner.sum() > 0.7 * whole.sum()
    assert all(inner[round(float(y)), round(float(x))] for x, y in face.points[[468, 473], :2])
