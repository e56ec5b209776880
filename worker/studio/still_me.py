"""The gate: measures whether the face in the finished picture is still the face in the photo.

The face lock proves that the studio touched nothing; this gate trusts no stage, not even the lock, and measures the
encoded result. Dense optical flow between the two faces, less the best similarity transform, shows any bend of eyes,
nose or jaw; mesh, structure and skin tone are further witnesses. Figures are kept, no template of the face is.
"""

from dataclasses import asdict, dataclass

import cv2
import numpy as np
import numpy.typing as npt

from worker.studio import vision
from worker.studio.find_face import LEFT_IRIS, RIGHT_IRIS, face_hull
from worker.studio.findings import Refused
from worker.studio.light import skin_shift
from worker.studio.vision import Box, Picture, Plane, Points, pixels, plane

FLOW_LIMIT = 0.15
"""Per cent of the eyes' distance, root mean square. Measured on one portrait and its variations (docs/still-me.md):
faithful pictures up to 0.09, eyes four per cent larger 0.17, a jaw moved by two per cent 0.31."""
MESH_LIMIT = 3.0
"""Per cent of the eyes' distance, root mean square over the mesh's points after Procrustes alignment. The mesh's own
noise reaches 1.7 on a face that speaks or smiles; another person's face lies at 5 and more."""
SSIM_LIMIT = 0.95
"""Structural similarity of luma inside the face, after local contrast is evened out: smoothed skin falls below."""
SKIN_LIMIT = 2.5
"""CIEDE2000 between the median skin colours; encoding moves them by less than 1."""

_EYES_APART = 128.0  # px to which both faces are brought before flow is measured


@dataclass(frozen=True, slots=True)
class Likeness:
    """How alike two faces are. See the limits above for the units."""

    flow: float
    mesh: float
    ssim: float
    skin: float

    def figures(self) -> dict[str, float]:
        """The measures by name, rounded: they describe the change, not the face."""
        return {name: round(float(value), 4) for name, value in asdict(self).items()}


def measure(made: Picture, photo: Picture, points: Points) -> Likeness:
    """Compare two pictures of the same framing.

    Args:
        made: uint8 [H, W, 3] sRGB, the finished picture, decoded.
        photo: uint8 [H, W, 3] sRGB, the framed photo under the same declared light.
        points: float32 [478, 2], the photo's mesh in px of both.
    """
    hull = face_hull(points, photo.shape, inset=0.06)
    apart = float(np.linalg.norm(points[LEFT_IRIS] - points[RIGHT_IRIS]))
    before, after = _close_up(photo, points, apart), _close_up(made, points, apart)
    inside = _close_up(hull.astype(np.uint8) * 255, points, apart) > 127  # noqa: PLR2004 - half of 255
    # Both get the photo's surroundings: a new backdrop next to the cheek is no movement of the cheek.
    luma = [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32) for picture in (before, after)]
    even = [_even(luma[0]), _even(np.where(inside, _like(luma[1], luma[0], inside), luma[0]))]
    skin = [np.median(picture[hull], axis=0).astype(np.float32) / 255 for picture in (photo, made)]
    return Likeness(
        flow=_flow(even[0], even[1], inside),
        mesh=_mesh(made, photo, points),
        ssim=_ssim(even[0], even[1], inside),
        skin=skin_shift(skin[0], skin[1]),
    )


def require_still_me(likeness: Likeness) -> None:
    """Let a faithful picture through.

    Raises:
        Refused: `face_altered` or `skin_altered`.
    """
    if not (likeness.flow <= FLOW_LIMIT and likeness.mesh <= MESH_LIMIT and likeness.ssim >= SSIM_LIMIT):
        raise Refused("face_altered", "The finished picture did not keep the face as it is, so it was thrown away.")
    if not likeness.skin <= SKIN_LIMIT:
        raise Refused(
            "skin_altered", "The finished picture did not keep the skin tone as it is, so it was thrown away."
        )


def _close_up(picture: npt.NDArray[np.uint8], points: Points, apart: float) -> npt.NDArray[np.uint8]:
    """The face at 128 px between the eyes: uint8 [410, 410] or [410, 410, 3]."""
    side = int(3.2 * _EYES_APART)
    scale = _EYES_APART / apart
    shift = side / 2 - scale * points.mean(axis=0)
    matrix = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]], np.float64)
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return cv2.warpAffine(picture, matrix, (side, side), flags=how, borderMode=cv2.BORDER_REPLICATE).astype(np.uint8)


def _like(luma: Plane, other: Plane, inside: npt.NDArray[np.bool_]) -> Plane:
    """Brought to the mean and contrast of `other` inside the face, so that exposure does not look like movement."""
    spread = max(float(luma[inside].std()), 1e-3)
    return plane((luma - luma[inside].mean()) * (other[inside].std() / spread) + other[inside].mean())


def _even(luma: Plane) -> npt.NDArray[np.uint8]:
    """Local contrast evened out, so that soft light does not look like movement either."""
    return pixels(cv2.createCLAHE(clipLimit=2.0, tileGridSize=(8, 8)).apply(pixels(np.clip(luma, 0, 255).round())))


def _flow(before: npt.NDArray[np.uint8], after: npt.NDArray[np.uint8], inside: npt.NDArray[np.bool_]) -> float:
    """Rms of DIS flow (Kroeger et al., 2016) less its best similarity transform, per cent of the eyes' distance."""
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    moved = dis.calc(before, after, np.zeros((*before.shape, 2), np.float32))[inside].astype(np.float64)
    places = np.argwhere(inside)[:, ::-1].astype(np.float64)
    rest = moved + places - _similar(places, places + moved)
    return float(100 * np.sqrt((rest**2).sum(axis=1).mean()) / _EYES_APART)


def _similar(source: npt.NDArray[np.float64], target: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """`source` under the similarity transform that brings it closest to `target` (Umeyama, 1991; no reflection)."""
    from_middle, to_middle = source.mean(axis=0), target.mean(axis=0)
    s, t = source - from_middle, target - to_middle
    size = max(float((s**2).sum()), 1e-9)
    cosine = float((s * t).sum()) / size
    sine = float((s[:, 0] * t[:, 1] - s[:, 1] * t[:, 0]).sum()) / size
    turn = np.array([[cosine, sine], [-sine, cosine]])
    return np.asarray(s @ turn + to_middle, np.float64)


def _mesh(made: Picture, photo: Picture, points: Points) -> float:
    """Rms distance between the meshes found in both, aligned, per cent of the eyes' distance; infinite if lost."""
    low, top = points.min(axis=0), points.max(axis=0)
    box = Box(float(low[0]), float(low[1]), float(top[0] - low[0]), float(top[1] - low[1]), 1.0)
    after, before = vision.face_mesh(made, box), vision.face_mesh(photo, box)
    if after is None or before is None:
        return float("inf")
    source, target = after[:, :2].astype(np.float64), before[:, :2].astype(np.float64)
    rest = _similar(source, target) - target
    apart = float(np.linalg.norm(target[LEFT_IRIS] - target[RIGHT_IRIS]))
    return float(100 * np.sqrt((rest**2).sum(axis=1).mean()) / apart)


def _ssim(before: npt.NDArray[np.uint8], after: npt.NDArray[np.uint8], inside: npt.NDArray[np.bool_]) -> float:
    """Structural similarity (Wang et al., 2004; Gaussian window of 1.5 px), averaged inside the face."""

    def smooth(plane: Plane) -> Plane:
        return cv2.GaussianBlur(plane, (11, 11), 1.5).astype(np.float32)

    x, y = before.astype(np.float32), after.astype(np.float32)
    mean_x, mean_y = smooth(x), smooth(y)
    var_x, var_y = smooth(x * x) - mean_x**2, smooth(y * y) - mean_y**2
    both = smooth(x * y) - mean_x * mean_y
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    ssim = (2 * mean_x * mean_y + c1) * (2 * both + c2) / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2))
    return float(ssim[inside].mean())
