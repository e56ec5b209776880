"""Between matte and light: other clothes, when a style asks for them and a full-size inpainting model is mounted.

1. What is cloth: the person's own matte less face, hair, neck, hands and all that might be skin. In doubt it stays.
2. What is asked for: a grammar of a few words, never about the person.
3. What is taken: the model's pixels inside the cloth alone, under the person's own outline.
4. What is proved: the finished picture equals the one in their own clothes, pixel for pixel, wherever cloth is not.
"""

from collections.abc import Mapping
from types import MappingProxyType

import cv2
import numpy as np
import numpy.typing as npt

from core.errors import IntegrityError
from core.headshots.styles import Attire, Style
from worker.studio.find_face import CHIN, LEFT_CHEEK, RIGHT_CHEEK, face_hull
from worker.studio.findings import Refused
from worker.studio.frame import MASTER, Framed
from worker.studio.matte import Matte
from worker.studio.vision import Picture, Plane, pixels, plane

NEGATIVE = "face, head, hair, skin, hands, jewellery, logo, badge, text, pattern, watermark, noise"

_GARMENTS: Mapping[Attire, str] = MappingProxyType(
    {
        Attire.SMART: "a plain well fitted blazer over a fine plain knit",
        Attire.FORMAL: "a plain dark suit jacket over a plain white collared shirt",
    }
)
# Lightness, and the two colour axes, CIELAB: how far from their own median skin or hair may still be.
_SKIN_NEAR, _HAIR_NEAR = (38.0, 9.0, 11.0), (16.0, 9.0, 9.0)
# In eyes' distances.
_BELOW_CHIN = 0.12  # above this line under the chin nothing is cloth
_HAIR_DOWN, _HAIR_ASIDE = 2.2, 1.5  # so far below the chin, and beside the face's middle, hair may hang
_GUARD = 0.10  # kept about everything that is locked
_LEAST_BLOB = 0.02  # of the squared eyes' distance: smaller spots in skin's colour are buttons, pins and prints
_FEATHER = 0.05  # over this the new cloth fades in, inside the cloth
_SOLID = 0.98  # alpha of cloth proper; the outline keeps its own pixels
_LEAST = 0.04  # share of the square below which there is no cloth to speak of
_UNCLEAR = 0.5  # share of the person below the chin that may stay locked before the picture would be patchwork


class AttireLeaked(IntegrityError):
    """A pixel beside the clothes changed with them. The picture must not be delivered."""


def prompt(style: Style) -> str:
    """What the model is asked for. Says nothing about the person: garment, cloth, light."""
    return f"{_GARMENTS[style.attire]}, matte fabric, natural folds, {_light(style.light.azimuth)}, photograph"


def cloth(framed: Framed, matte: Matte) -> Plane:
    """Where clothes may change, and how much of the new shows there.

    Args:
        framed: the master square.
        matte: the person, cut free.

    Returns:
        float32 [1024, 1024], 0..1: 0 wherever anything but cloth might be.

    Raises:
        Refused: `attire_unclear`, clothes cannot be told from hair and skin, or hardly any are to be seen.
    """
    apart = framed.eye_distance
    rows = np.arange(MASTER)[:, None]
    below = np.broadcast_to(rows > framed.points[CHIN, 1] + _BELOW_CHIN * apart, (MASTER, MASTER))
    body = below & (matte.alpha >= _SOLID)
    locked = _skin(framed, matte) | _hair(framed, matte) | ~below
    # A guard about what is locked, so that no collar is painted over a neck's last pixel.
    near = cv2.distanceTransform((~locked).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    free = body & (near > _GUARD * apart) & framed.inside
    free = cv2.morphologyEx(free.astype(np.uint8), cv2.MORPH_OPEN, np.ones((5, 5), np.uint8)).astype(np.bool_)
    if free.mean() < _LEAST or free.sum() < (1 - _UNCLEAR) * body.sum():
        raise Refused(
            "attire_unclear",
            "We could not tell your clothes from your hair and skin well enough to change them. Ask with your own "
            "clothes, or use a photo in which they differ.",
        )
    inward = cv2.distanceTransform(free.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    return plane(np.clip(inward / (_FEATHER * apart), 0, 1))


def sketch(framed: Framed, weight: Plane, size: int) -> tuple[Picture, Picture]:
    """What the model begins from: the framed photo, uint8 [size, size, 3], and the mask, 255 where it paints."""
    small = pixels(cv2.resize(framed.picture, (size, size), interpolation=cv2.INTER_AREA))
    share = cv2.resize(weight, (size, size), interpolation=cv2.INTER_AREA)
    return small, pixels(np.where(share > 0, 255, 0))


def dress(foreground: Plane, painted: Picture, weight: Plane) -> Plane:
    """The person in the new clothes.

    Args:
        foreground: float32 [1024, 1024, 3], 0..1 sRGB, the person in their own.
        painted: uint8 [N, N, 3] sRGB, what the model made.
        weight: float32 [1024, 1024], from `cloth`.

    Returns:
        float32 [1024, 1024, 3], 0..1 sRGB, the same object's values wherever `weight` is 0.
    """
    new = cv2.resize(painted.astype(np.float32) / 255, (MASTER, MASTER), interpolation=cv2.INTER_CUBIC)
    mixed = weight[..., None] * np.clip(new, 0, 1) + (1 - weight[..., None]) * foreground
    return plane(np.where(weight[..., None] > 0, mixed, foreground))


def require_own_elsewhere(dressed: Picture, own: Picture, weight: Plane) -> None:
    """Prove that nothing but cloth changed.

    Args:
        dressed: uint8 [1024, 1024, 3] sRGB, the composite in the new clothes.
        own: uint8 [1024, 1024, 3] sRGB, the same composite in their own.
        weight: float32 [1024, 1024], from `cloth`.

    Raises:
        AttireLeaked: some pixel outside differs at all, or there is nothing to compare.
    """
    beside = weight == 0
    if dressed.shape != own.shape or not beside.any():
        raise AttireLeaked("there is nothing to compare")
    changed = (dressed[beside] != own[beside]).any(axis=1)
    if changed.any():
        raise AttireLeaked(f"{changed.mean():.2%} of what is no cloth changed")


def _skin(framed: Framed, matte: Matte) -> npt.NDArray[np.bool_]:
    """Whatever has the colour of this face's skin: neck, chest, hands. Small spots do not count."""
    face = face_hull(framed.points, framed.picture.shape, inset=0.15)
    alike = _alike(framed, face, _SKIN_NEAR) & (matte.alpha > 0.5)  # noqa: PLR2004 - more person than not
    _, pieces, figures, _ = cv2.connectedComponentsWithStats(alike.astype(np.uint8))
    large = figures[:, cv2.CC_STAT_AREA] >= _LEAST_BLOB * framed.eye_distance**2
    large[0] = False
    neck = _neck(framed)
    return np.asarray(large[pieces] | neck | face_hull(framed.points, framed.picture.shape, inset=0.0))


def _neck(framed: Framed) -> npt.NDArray[np.bool_]:
    """Right under the chin there is neck, whatever its colour: shade, a beard, a scarf."""
    chin, left, right = (framed.points[index] for index in (CHIN, LEFT_CHEEK, RIGHT_CHEEK))
    half, apart = 0.36 * abs(float(right[0] - left[0])), framed.eye_distance
    across, down = np.meshgrid(np.arange(MASTER), np.arange(MASTER))
    depth = (down - chin[1]) / (0.75 * apart)
    return np.asarray((depth <= 1) & (np.abs(across - chin[0]) < half * (1.15 - 0.45 * np.clip(depth, 0, 1))))


def _hair(framed: Framed, matte: Matte) -> npt.NDArray[np.bool_]:
    """Hair, or whatever covers the head, as far as it hangs down beside the neck in one piece."""
    apart, chin = framed.eye_distance, framed.points[CHIN]
    across, down = np.meshgrid(np.arange(MASTER), np.arange(MASTER))
    face = face_hull(framed.points, framed.picture.shape, inset=0.0)
    wide = int(0.1 * apart) * 2 + 1
    about = cv2.dilate(face.astype(np.uint8), np.ones((wide, wide), np.uint8)) > 0
    head = (down < chin[1]) & ~about & (matte.alpha > _SOLID)
    if head.sum() < 0.3 * apart**2:
        return np.asarray(down < chin[1])
    reach = (down < chin[1] + _HAIR_DOWN * apart) & (np.abs(across - chin[0]) < _HAIR_ASIDE * apart)
    alike = (_alike(framed, head, _HAIR_NEAR) & reach & (matte.alpha > 0.5)) | head  # noqa: PLR2004 - more person than not
    _, pieces = cv2.connectedComponents(alike.astype(np.uint8))
    hanging = np.unique(pieces[head])
    return np.asarray(np.isin(pieces, hanging[hanging > 0]) | (down < chin[1]))


def _alike(framed: Framed, where: npt.NDArray[np.bool_], near: tuple[float, float, float]) -> npt.NDArray[np.bool_]:
    """Where the picture has about the median colour of a region: bool [1024, 1024]."""
    smooth = plane(cv2.GaussianBlur(framed.picture.astype(np.float32) / 255, (0, 0), 2))
    lab = plane(cv2.cvtColor(smooth, cv2.COLOR_RGB2LAB))
    away = (lab - np.median(lab[where], axis=0)) / np.array(near, np.float32)
    return np.asarray((away**2).sum(axis=-1) < 1)


def _light(azimuth: float) -> str:
    turn = azimuth % 360
    side = "right" if turn < 75 or turn > 285 else "left" if 105 < turn < 255 else ""  # noqa: PLR2004 - degrees
    return f"soft light from the {side}" if side else "soft light from above"
