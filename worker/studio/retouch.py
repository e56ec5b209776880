"""Between light and lock: what may be done to skin, in levels, and the proof that no more was done.

`none` does nothing. `light` takes away temporary marks: small, round, and redder than the skin about them. Moles,
freckles, scars and wrinkles are the person's own and stay. `studio` also evens blotches and shine. All of it happens in
bands coarser than pores: what is fine is carried over untouched, so skin stays skin; nothing ever moves, so shape is
shape. Eyes, brows, lips and nostrils are left out.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from core.errors import IntegrityError
from core.headshots.styles import Retouch
from worker.studio import still_me
from worker.studio.find_face import face_hull
from worker.studio.frame import Framed
from worker.studio.light import skin_shift
from worker.studio.vision import Picture, Plane, pixels, plane

TEXTURE_LEAST = 0.9
"""Share of the skin's fine energy (detail below a fiftieth of the eyes' distance) that must be left."""
TONE_MOST = 1.0
"""The largest change of the skin's median colour, CIEDE2000."""
CHANGE_MOST = 60
"""Steps of 255: no pixel may change by more."""
_FLOW_SHARE, _SSIM_LEAST = 0.6, 0.96  # of the still-me gate's limit, and above the gate's own
# Strengths of marks and evening, tried in turn until the bounds hold; else the face stays as it was shot.
_TRIES = {
    Retouch.LIGHT: ((1.0, 0.0), (0.5, 0.0)),
    Retouch.STUDIO: ((1.0, 1.0), (1.0, 0.5), (1.0, 0.25), (1.0, 0.0), (0.5, 0.0)),
}

# Scales as shares of the eyes' distance: the detail that is measured, the finest that a mark may have, the finest that
# is evened, the skin about a mark, and the skin of half a cheek.
_PORES, _FINE, _MID, _ABOUT, _WIDE = 0.02, 0.01, 0.04, 0.10, 0.28
_SPOT_LARGEST, _SPOT_SMALLEST = 0.085, 0.03  # radius of the largest temporary mark, diameter of the smallest
_REDDER, _REDDER_FULL = 3.0, 6.0  # CIELAB a* above the skin about it: where removal begins, and where it is whole
_BLOTCHES, _UNEVEN, _SHINE = 0.45, 0.15, 0.35  # shares of colour, lightness and shine that `studio` takes away
_SHINY = 5.0  # CIELAB L* above the skin about it

# Features, by indices into the mediapipe mesh: eyes with their lids, brows, lips, the nose's lower edge.
_FEATURES = (
    (33, 246, 161, 160, 159, 158, 157, 173, 133, 155, 154, 153, 145, 144, 163, 7),
    (362, 398, 384, 385, 386, 387, 388, 466, 263, 249, 390, 373, 374, 380, 381, 382),
    (70, 63, 105, 66, 107, 55, 65, 52, 53, 46),
    (300, 293, 334, 296, 336, 285, 295, 282, 283, 276),
    (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, 375, 321, 405, 314, 17, 84, 181, 91, 146),
    (98, 97, 2, 326, 327, 294, 278, 275, 4, 45, 48, 64),
)
_FEATURE_BRIM, _RIM = 0.05, 0.04


class RetouchTooStrong(IntegrityError):
    """The retouch did more than its level may. The picture must not be delivered."""


@dataclass(frozen=True, slots=True)
class Touched:
    """What retouching does to one framed photo.

    Attributes:
        picture: uint8 [1024, 1024, 3] sRGB: the framed photo, retouched.
        change: float32 [1024, 1024, 3]: what was added, 0..1 sRGB; zero outside the skin of the face.
        texture: share of the skin's fine energy that is left, about 1.
        tone: CIEDE2000 between the median skin colours.
        share: share of the square's pixels that changed by two steps of 255 or more.
    """

    picture: Picture
    change: Plane
    texture: float = 1.0
    tone: float = 0.0
    share: float = 0.0

    @property
    def is_natural(self) -> bool:
        """Whether texture, tone and every pixel are within their bounds."""
        most = 255 * float(np.abs(self.change).max())
        return self.texture >= TEXTURE_LEAST and self.tone <= TONE_MOST and most <= CHANGE_MOST + 1


def retouch(framed: Framed, level: Retouch) -> Touched:
    """Retouch the skin of the face.

    Args:
        framed: the master square.
        level: how much.

    Returns:
        The level's work, at full strength, or at less where the bounds or the still-me gate are near.
    """
    if level is Retouch.NONE:
        return Touched(framed.picture, np.zeros(framed.picture.shape, np.float32))
    apart = framed.eye_distance
    skin = skin_of(framed)
    # Nothing beyond the face's own box can change, and nothing else need be computed.
    box = cv2.boundingRect(skin.astype(np.uint8))
    face = (slice(box[1], box[1] + box[3]), slice(box[0], box[0] + box[2]))
    marks, evening = _changes(framed.picture[face], skin[face], apart)
    for of_marks, of_evening in _TRIES[level]:
        picture = framed.picture.copy()
        change = np.clip(of_marks * marks + of_evening * evening, -CHANGE_MOST, CHANGE_MOST)
        picture[face] = np.round(np.clip(picture[face] + change, 0, 255))
        touched = _measured(framed.picture, picture, skin, apart)
        if touched.is_natural and _keeps_the_gate(framed, picture):
            return touched
    return retouch(framed, Retouch.NONE)


def _changes(picture: Picture, skin: npt.NDArray[np.bool_], apart: float) -> tuple[Plane, Plane]:
    """What takes marks away, and what evens: float32 [h, w, 3] each, steps of 255; zero outside the skin."""
    # Nothing at the very rim, so that no line shows along brows or lips.
    soft = cv2.GaussianBlur(skin.astype(np.float32), (0, 0), _RIM * apart, borderType=cv2.BORDER_CONSTANT)
    soft = plane(np.clip(2 * soft - 1, 0, 1))
    lab = plane(cv2.cvtColor(plane(picture / np.float32(255)), cv2.COLOR_RGB2LAB))
    fine, about = (_smooth(lab, skin, share * apart) for share in (_FINE, _ABOUT))
    cleared = lab + soft[..., None] * _marks(fine, about, skin, apart)[..., None] * (about - fine)
    mid, wide = (_smooth(plane(cleared), skin, share * apart) for share in (_MID, _WIDE))
    evened = cleared + soft[..., None] * _evened(mid, about, wide)
    first, second = (255 * cv2.cvtColor(plane(one), cv2.COLOR_LAB2RGB) for one in (cleared, evened))
    return plane((first - picture) * skin[..., None]), plane((second - first) * skin[..., None])


def skin_of(framed: Framed) -> npt.NDArray[np.bool_]:
    """The face without its features: bool [1024, 1024]."""
    apart = framed.eye_distance
    features = np.zeros(framed.picture.shape[:2], np.uint8)
    for ring in _FEATURES:
        cv2.fillPoly(features, [np.round(framed.points[list(ring)]).astype(np.int32)], 1)
    size = 2 * round(_FEATURE_BRIM * apart) + 1
    features = pixels(cv2.dilate(features, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))))
    return np.asarray(face_hull(framed.points, features.shape, inset=0.12) & (features == 0), np.bool_)


def _keeps_the_gate(framed: Framed, picture: Picture) -> bool:
    """Whether the still-me gate will pass it, with room for what encoding adds."""
    likeness = still_me.measure(picture, framed.picture, framed.points)
    return likeness.flow <= _FLOW_SHARE * still_me.FLOW_LIMIT and likeness.ssim >= _SSIM_LEAST


def require_natural(touched: Touched) -> None:
    """Hold a retouch against its bounds once more. Raises `RetouchTooStrong`."""
    if not touched.is_natural:
        raise RetouchTooStrong(f"texture kept {touched.texture:.2f}, tone moved by {touched.tone:.2f}")


def _smooth(lab: Plane, skin: npt.NDArray[np.bool_], sigma: float) -> Plane:
    """Blurred within the skin alone, so that lips and hair do not bleed into cheeks."""
    weight = skin.astype(np.float32)
    within = cv2.GaussianBlur(lab * weight[..., None], (0, 0), sigma)
    return plane(within / np.maximum(cv2.GaussianBlur(weight, (0, 0), sigma), 1e-3)[..., None])


def _marks(fine: Plane, about: Plane, skin: npt.NDArray[np.bool_], apart: float) -> Plane:
    """Where temporary marks are, 0..1: float32 [1024, 1024]."""
    lightness, redness = (fine - about)[..., 0], (fine - about)[..., 1]
    # A mole is first of all darker, a blemish first of all redder.
    red = skin & (redness > _REDDER) & (redness > -0.55 * lightness)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(red.astype(np.uint8))
    largest = 2 * _SPOT_LARGEST * apart
    wide, high, area = (stats[:, column] for column in (cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT, cv2.CC_STAT_AREA))
    # What is long is a wrinkle's shade or the edge of a feature, what is large is a birthmark or flushed skin.
    # What is smaller than this is the sensor's noise, or a freckle.
    size_of = np.maximum(wide, high)
    is_mark = (
        (size_of < largest) & (size_of > _SPOT_SMALLEST * apart) & (area > 0.4 * size_of**2) & (np.arange(count) > 0)
    )
    spots = is_mark[labels].astype(np.uint8)
    size = 2 * max(round(0.015 * apart), 1) + 1
    spots = cv2.dilate(spots, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)))
    strength = np.clip(redness / _REDDER_FULL, 0, 1) * spots
    return plane(cv2.GaussianBlur(plane(strength), (0, 0), 0.008 * apart))


def _evened(mid: Plane, about: Plane, wide: Plane) -> Plane:
    """What `studio` adds: blotches of colour, a little unevenness of lightness and shine towards the skin about."""
    change = np.empty_like(mid)
    change[..., 1:] = _BLOTCHES * (wide - about)[..., 1:]
    shine = np.clip((mid - wide)[..., 0] - _SHINY, 0, None)
    change[..., 0] = _UNEVEN * (about - mid)[..., 0] - _SHINE * shine
    return change


def _measured(before: Picture, after: Picture, skin: npt.NDArray[np.bool_], apart: float) -> Touched:
    was, made = (plane(picture / np.float32(255)) for picture in (before, after))
    energy = []
    for picture in (was, made):
        luma = plane(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY))
        energy.append(float(((luma - cv2.GaussianBlur(luma, (0, 0), _PORES * apart))[skin] ** 2).mean()))
    changed = np.abs(after.astype(np.int16) - before).max(axis=-1) >= 2  # noqa: PLR2004 - steps of 255
    return Touched(
        picture=after,
        change=made - was,
        texture=energy[1] / max(energy[0], 1e-12),
        tone=skin_shift(*(np.median(picture[skin], axis=0).astype(np.float32) for picture in (was, made))),
        share=float(changed.mean()),
    )
