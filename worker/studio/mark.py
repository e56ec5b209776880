"""The mark of the sandbox and of previews: plain on any backdrop, impossible to crop away, never on the face."""

import cv2
import numpy as np
import numpy.typing as npt

from worker.studio.vision import Picture

TEXT = "SANDBOX"
_ANGLE = 30.0  # degrees
_LETTERS, _OUTLINE = 0.8, 0.6  # how far white letters and their dark outline cover the picture


def mark(picture: Picture, hull: npt.NDArray[np.bool_], *, text: str = TEXT, strength: float = 1.0) -> Picture:
    """Write the mark across the picture, white letters with a dark outline, leaving the face free.

    Args:
        picture: uint8 [H, W, 3] sRGB.
        hull: bool [H, W], the locked face.
        text: what is written, in capitals.
        strength: 0..1, how much of the mark's own cover it has.

    Returns:
        uint8 [H, W, 3] sRGB, equal to `picture` inside the hull.
    """
    side = picture.shape[0]
    scale, thick = side / 560, max(round(side / 220), 1)
    font = cv2.FONT_HERSHEY_SIMPLEX
    (wide, high), _ = cv2.getTextSize(text, font, scale, thick)
    # Drawn on a sheet large enough that its turned middle covers the picture.
    letters = np.zeros((2 * side, 2 * side), np.uint8)
    for row, top in enumerate(range(0, 2 * side, round(4.2 * high))):
        for left in range(-(row % 2) * wide * 3 // 4, 2 * side, round(1.5 * wide)):
            cv2.putText(letters, text, (left, top), font, scale, 255, thick, cv2.LINE_AA)
    brim = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * thick + 1, 2 * thick + 1))
    outline = cv2.dilate(letters, brim)
    turn = cv2.getRotationMatrix2D((side, side), _ANGLE, 1.0)
    turn[:, 2] -= side / 2
    dark, bright = (
        strength
        * most
        / 255
        * cv2.warpAffine(layer, turn, (side, side), flags=cv2.INTER_LINEAR)[..., None].astype(np.float32)
        for layer, most in ((outline, _OUTLINE), (letters, _LETTERS))
    )
    marked = picture.astype(np.float32) * (1 - dark)
    marked = marked * (1 - bright) + 255 * bright
    return np.where(hull[..., None], picture, np.round(marked)).astype(np.uint8)
