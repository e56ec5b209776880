"""First stage: is there one usable face, and where.

The findings are about the photo, never about the person: no threshold looks at skin lightness (only at the brightest
and the clipped parts of the face), and narrow or closed eyes only ever advise, because a camera that refuses people for
their eyes' shape is a known wrong.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from worker.studio import vision
from worker.studio.findings import FaceReport, Finding, Severity
from worker.studio.vision import Box, Picture, Plane, Points

# Indices into the mediapipe mesh (github.com/google-ai-edge/mediapipe, face_mesh_connections.py).
OVAL = (
    *(10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377),
    *(152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109),
)
LEFT_IRIS, RIGHT_IRIS = 468, 473  # as the viewer sees them
CHIN, NOSE, FOREHEAD, LEFT_CHEEK, RIGHT_CHEEK = 152, 1, 10, 234, 454
_CHEEKS = (205, 425)
EYES = ((33, 160, 158, 133, 153, 144), (362, 385, 387, 263, 373, 380))  # corner, two lids, corner, two lids

# Distances between the irises, in px of the photo. A 400 px avatar shows about 55.
EYES_APART_REFUSE = 32.0
EYES_APART_ADVISE = 60.0
# Sharpness as in `_sharpness`: a blur of 4 per cent of the eyes' distance gives 0.25, a crisp face 0.6 and more.
SHARP_REFUSE, SHARP_ADVISE = 0.25, 0.45
# A second face of this share of the first's width is another sitter; a smaller one is a passer-by, who is matted away.
SECOND_FACE = 0.45
TURN_REFUSE, TURN_ADVISE = 42.0, 25.0  # degrees of yaw or pitch
TILT_REFUSE = 40.0  # degrees of roll; less is levelled
DARK_REFUSE, DARK_ADVISE = 0.22, 0.38  # luma 0..1 of the face's highlights (95th percentile)
CLIPPED_REFUSE, CLIPPED_ADVISE = 0.35, 0.10  # share of the face with two channels at their end
EYE_OPEN = 0.12  # lid gap over eye width
EYES_COVERED = 0.4  # light of the lids over that of the cheeks, so that no skin is too dark to show its eyes

_MESSAGES = {
    "no_face": "We see no face in this photo. Use one that shows your face from the front, well lit and not covered.",
    "several_faces": "There is more than one face in this photo. Use one that shows you alone.",
    "passers_by": "There are other people in the background; they will be removed along with it.",
    "face_too_small": "Your face is too small in this photo. Come closer, or send the photo at its full size.",
    "face_small": "Your face is rather small in this photo, so the headshot will look soft when it is shown large.",
    "face_blurred": "Your face is blurred. Hold the camera still, tap on your face to focus and wipe the lens.",
    "face_soft": "Your face is a little soft. A sharper photo would give a crisper headshot.",
    "face_cut_off": "Part of your head is outside the photo. Leave some room around your head and show your shoulders.",
    "face_turned": "Your face is turned too far away. Look towards the camera.",
    "face_half_turned": "Your face is turned a little away. Looking straight at the camera works best.",
    "too_dark": "Your face is too dark. Face a window or switch on a light in front of you.",
    "rather_dark": "Your face is rather dark. Light from the front would help.",
    "too_bright": "Your face is overexposed. Step out of direct sun, or turn the flash off.",
    "rather_bright": "Parts of your face are overexposed. Softer light would help.",
    "eyes_covered": "Your eyes look covered. If these are sunglasses, take them off.",
    "eyes_closed": "Your eyes look closed. Choose a photo with open eyes if you have one.",
}
# Several sentences share a public code: the code names the topic, the severity says how bad it is.
_CODES = {
    "passers_by": "several_faces",
    "face_small": "face_too_small",
    "face_soft": "face_blurred",
    "face_half_turned": "face_turned",
    "rather_dark": "too_dark",
    "rather_bright": "too_bright",
}


@dataclass(frozen=True, slots=True)
class Face:
    """Where the one face is. Lives as long as the sitting, in memory alone.

    Attributes:
        box: the detector's box in px of the photo.
        points: float32 [478, 3], the mesh in px of the photo.
    """

    box: Box
    points: Points

    @property
    def eye_distance(self) -> float:
        """Between the iris centres, px."""
        return float(np.linalg.norm(self.points[LEFT_IRIS, :2] - self.points[RIGHT_IRIS, :2]))


def find_face(picture: Picture) -> tuple[FaceReport, Face | None]:
    """Look for the one face and judge whether a headshot can be made of it.

    Args:
        picture: uint8 [H, W, 3] sRGB, upright.

    Returns:
        The report, and the face: None when no face or no mesh was found. A face may come with refusals.
    """
    boxes = vision.find_faces(picture)
    if not boxes:
        return FaceReport((_refuse("no_face"),), {"faces": 0.0}), None
    box = boxes[0]
    others = [other for other in boxes[1:] if other.width >= SECOND_FACE * box.width]
    points = vision.face_mesh(picture, box)
    measures = {"faces": float(len(boxes))}
    if points is None:
        code = "face_too_small" if box.width < 2 * EYES_APART_REFUSE else "no_face"
        return FaceReport((_refuse("several_faces") if others else _refuse(code),), measures), None
    face = Face(box, points)
    yaw, pitch, roll = _turn(points)
    light = _face_light(picture, points)
    measures |= {
        "eye_distance_px": face.eye_distance,
        "sharpness": _sharpness(picture, face),
        "brightness": light[0],
        "turn_degrees": max(abs(yaw), abs(pitch)),
    }
    found: list[Finding | None] = [
        _refuse("several_faces") if others else _advise("passers_by") if len(boxes) > 1 else None,
        _refuse("face_cut_off") if _outside(points, picture.shape) else None,
        _grade(face.eye_distance, EYES_APART_REFUSE, EYES_APART_ADVISE, names=("face_too_small", "face_small")),
        _grade(-measures["turn_degrees"], -TURN_REFUSE, -TURN_ADVISE, names=("face_turned", "face_half_turned")),
        _refuse("face_turned") if abs(roll) > TILT_REFUSE else None,
        _grade(light[0], DARK_REFUSE, DARK_ADVISE, names=("too_dark", "rather_dark")),
        _grade(-light[1], -CLIPPED_REFUSE, -CLIPPED_ADVISE, names=("too_bright", "rather_bright")),
        _grade(measures["sharpness"], SHARP_REFUSE, SHARP_ADVISE, names=("face_blurred", "face_soft")),
        _advise("eyes_covered")
        if _lids_light(picture, points) < EYES_COVERED
        else _advise("eyes_closed")
        if _eyes_open(points) < EYE_OPEN
        else None,
    ]
    findings = sorted((f for f in found if f is not None), key=lambda f: f.severity is not Severity.REFUSE)
    return FaceReport(tuple(findings), measures), face


def cut_off() -> Finding:
    """The finding of a later stage that the head or the shoulders leave the photo."""
    return _refuse("face_cut_off")


def face_hull(points: Points, shape: tuple[int, ...], *, inset: float) -> npt.NDArray[np.bool_]:
    """The pixels of the face: the mesh's oval, drawn in by `inset` of the eyes' distance.

    Args:
        points: float32 [478, 2 or 3], px.
        shape: of the picture, [H, W, ...].
        inset: share of the eyes' distance, 0 or more.

    Returns:
        bool [H, W].
    """
    hull = np.zeros(shape[:2], np.uint8)
    cv2.fillPoly(hull, [np.round(points[list(OVAL), :2]).astype(np.int32)], 1)
    radius = round(inset * float(np.linalg.norm(points[LEFT_IRIS, :2] - points[RIGHT_IRIS, :2])))
    if radius > 0:
        size = 2 * radius + 1
        hull = cv2.erode(hull, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))).astype(np.uint8)
    return hull.astype(np.bool_)


def _refuse(name: str) -> Finding:
    return Finding(_CODES.get(name, name), Severity.REFUSE, _MESSAGES[name])


def _advise(name: str) -> Finding:
    return Finding(_CODES.get(name, name), Severity.ADVISE, _MESSAGES[name])


def _grade(value: float, refuse: float, advise: float, *, names: tuple[str, str]) -> Finding | None:
    """Refuse below one bound, advise below the other."""
    if value < refuse:
        return _refuse(names[0])
    return _advise(names[1]) if value < advise else None


def _outside(points: Points, shape: tuple[int, ...]) -> bool:
    """Whether the oval of the face leaves the photo by more than a hair."""
    oval = points[list(OVAL), :2]
    slack = 0.02 * (oval[:, 0].max() - oval[:, 0].min())
    high, wide = shape[:2]
    return bool((oval < -slack).any() or (oval[:, 0] > wide - 1 + slack).any() or (oval[:, 1] > high - 1 + slack).any())


def _turn(points: Points) -> tuple[float, float, float]:
    """Yaw, pitch and roll in degrees, from the mesh's depth across and along the face. A straight look is 0, 0, 0."""
    across = points[RIGHT_CHEEK] - points[LEFT_CHEEK]
    along = points[CHIN] - points[FOREHEAD]
    eyes = points[RIGHT_IRIS] - points[LEFT_IRIS]
    yaw = np.degrees(np.arctan2(across[2], np.hypot(across[0], across[1])))
    pitch = np.degrees(np.arctan2(along[2], np.hypot(along[0], along[1])))
    roll = np.degrees(np.arctan2(eyes[1], eyes[0]))
    return float(yaw), float(pitch), float(roll)


def _face_light(picture: Picture, points: Points) -> tuple[float, float]:
    """Luma 0..1 of the face's highlights, and the share of the face where two channels are clipped."""
    box = _bounds(points, picture.shape)
    crop = picture[box]
    offset = np.array([box[1].start, box[0].start], np.float32)
    inside = face_hull(points[:, :2] - offset, crop.shape, inset=0.05)
    if not inside.any():
        return 0.0, 0.0
    skin = crop[inside]
    luma = skin @ np.array([0.299, 0.587, 0.114])
    # Red alone clips on warm skin in ordinary light: two channels at their end mean that detail is lost.
    second = np.sort(skin, axis=1)[:, 1]
    return float(np.percentile(luma, 95) / 255), float((second >= 251).mean())  # noqa: PLR2004 - JPEG rounds 255


def _bounds(points: Points, shape: tuple[int, ...]) -> tuple[slice, slice]:
    low = np.floor(points[:, :2].min(axis=0)).astype(int).clip(0)
    top = np.ceil(points[:, :2].max(axis=0)).astype(int) + 1
    return slice(low[1], min(top[1], shape[0])), slice(low[0], min(top[0], shape[1]))


def _sharpness(picture: Picture, face: Face) -> float:
    """0 for a smear, 1 for crisp: how much the face's strongest edges lose when blurred once more.

    After F. Crete et al., The Blur Effect (SPIE 2007): what was sharp loses much, what was blurred loses little. The
    face is first brought to 64 px between the eyes, so that the answer does not depend on the photo's size.
    """
    eyes_apart = 64.0
    scale = eyes_apart / max(face.eye_distance, 1.0)
    side = int(2.6 * eyes_apart)
    centre = face.points[:, :2].mean(axis=0)
    luma: Plane = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
    if scale < 1:
        luma = cv2.GaussianBlur(luma, (0, 0), 0.4 / scale).astype(np.float32)
    shift = side / 2 - scale * centre
    crop = cv2.warpAffine(
        luma,
        np.array([[scale, 0, shift[0]], [0, scale, shift[1]]], np.float64),
        (side, side),
        flags=cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REPLICATE,
    )
    again = cv2.GaussianBlur(crop, (0, 0), 0.03 * eyes_apart)
    edges, softened = (float(np.percentile(_slope(vision.plane(luma)), 99)) for luma in (crop, again))
    return float(np.clip((1 - softened / max(edges, 1e-6)) / 0.6, 0, 1))


def _slope(luma: Plane) -> Plane:
    across, down = cv2.Sobel(luma, cv2.CV_32F, 1, 0), cv2.Sobel(luma, cv2.CV_32F, 0, 1)
    return np.hypot(across, down).astype(np.float32)


def _lids_light(picture: Picture, points: Points) -> float:
    """How bright the brighter eye's lids are, as a share of the cheeks: about 0.8, and 0.1 behind dark glasses."""
    apart = float(np.linalg.norm(points[LEFT_IRIS, :2] - points[RIGHT_IRIS, :2]))
    luma = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)

    def about(middle: Points, reach: float) -> float:
        """The upper quartile of luma within `reach` of a place: of lids and skin, not of lashes and pupils."""
        low = np.clip(np.floor(middle - reach * apart), 0, None).astype(int)
        top = np.ceil(middle + reach * apart).astype(int) + 1
        patch = luma[low[1] : top[1], low[0] : top[0]]
        return float(np.percentile(patch, 75)) if patch.size else 0.0

    eyes = max(about(points[index, :2], 0.2) for index in (LEFT_IRIS, RIGHT_IRIS))
    cheeks = max(about(points[index, :2], 0.12) for index in _CHEEKS)
    return eyes / max(cheeks, 1.0)


def _eyes_open(points: Points) -> float:
    """Lid gap over eye width of the more open eye (eye aspect ratio, Soukupová and Čech 2016)."""
    ratios = []
    for corner, lid1, lid2, far, lid3, lid4 in EYES:
        p = points[[corner, lid1, lid2, far, lid3, lid4], :2]
        ratios.append((np.linalg.norm(p[1] - p[5]) + np.linalg.norm(p[2] - p[4])) / (2 * np.linalg.norm(p[0] - p[3])))
    return float(max(ratios))
