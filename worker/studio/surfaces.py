"""Backdrops that stand close behind the person: paper, walls, canvas. In linear light, at the master's size."""

import cv2
import numpy as np

from core.headshots.styles import Style
from worker.studio.frame import MASTER
from worker.studio.optics import Colours, Rng, cloud, grid, lamp_side, ramp
from worker.studio.vision import Plane, plane


def paper(colours: Colours, style: Style, rng: Rng) -> Plane:
    """A seamless paper roll: a pool of light behind the shoulders, leaning to the key light, falling to the corners."""
    across, down = grid(MASTER)
    lamp_x, lamp_y = lamp_side(style)
    shift = rng.uniform(-0.05, 0.05, 2)
    x = across - np.float32(0.22 * lamp_x + shift[0])
    y = down - np.float32(0.05 + 0.18 * lamp_y + shift[1])
    # The fall of a soft box: an ellipse, flat in the middle and even outwards.
    fall = 1 - 1 / (1 + 0.55 * x * x + 0.45 * y * y) ** 1.5
    fall += 0.06 * (1 - np.cos(np.pi / 2 * np.clip(down, 0, 1)))
    fall += 0.010 * cloud(rng, 4, MASTER)
    return ramp(colours, plane(1.35 * fall))


def spotlight(colours: Colours, style: Style, rng: Rng) -> Plane:
    """A dark wall with one soft-edged pool of light beside the head."""
    across, down = grid(MASTER)
    lamp_x, _ = lamp_side(style)
    shift = rng.uniform(-0.04, 0.04, 2)
    x = across - np.float32(0.30 * lamp_x + shift[0])
    y = down + np.float32(0.10 + shift[1])
    distance = np.hypot(0.95 * x, y)
    pool = np.exp(-((distance / 0.62) ** 2.2))
    vignette = np.clip(np.hypot(across, down) / 1.5, 0, 1) ** 1.6
    wall = colours[1] * (1 - vignette)[..., None] + colours[2] * vignette[..., None]
    # A plastered wall is never quite even.
    plaster = 1 + 0.05 * cloud(rng, 5, MASTER) + 0.025 * cloud(rng, 16, MASTER)
    return plane((wall + (colours[0] - colours[1]) * pool[..., None]) * plaster[..., None])


def canvas(colours: Colours, style: Style, rng: Rng) -> Plane:
    """Hand-painted canvas: overlapping washes, brushed about a brighter middle, a trace of weave under the paint."""
    across, down = grid(MASTER)
    bend_x, bend_y = (26 * cloud(rng, 5, MASTER) + 14 * cloud(rng, 18, MASTER) for _ in range(2))
    washes = sum(weight * cloud(rng, cells, MASTER) for cells, weight in ((5, 0.8), (10, 0.6), (22, 0.42), (48, 0.22)))
    places_x, places_y = np.meshgrid(np.arange(MASTER, dtype=np.float32), np.arange(MASTER, dtype=np.float32))
    paint = cv2.remap(
        np.asarray(washes, np.float32),
        (places_x + bend_x).astype(np.float32),
        (places_y + bend_y).astype(np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REFLECT_101,
    )
    lamp_x, lamp_y = lamp_side(style)
    x, y = across - np.float32(0.2 * lamp_x), down - np.float32(0.15 * lamp_y)
    fall = 1 - np.exp(-0.85 * (0.9 * x * x + 0.75 * y * y))
    picture = ramp(colours, 0.16 + 0.80 * fall - 0.15 * paint)
    # The sitter's lens is focused on the eyes: the weave is only just there.
    across_threads, down_threads = (rng.standard_normal((MASTER, MASTER)).astype(np.float32) for _ in range(2))
    weave = plane(cv2.GaussianBlur(across_threads, (0, 0), sigmaX=3.2, sigmaY=1.4))
    weave = weave + plane(cv2.GaussianBlur(down_threads, (0, 0), sigmaX=1.4, sigmaY=3.2))
    return plane(picture * (1 + 0.010 * weave / weave.std())[..., None])


def plain(colours: Colours, style: Style, rng: Rng) -> Plane:
    """One colour from edge to edge, as directories and badges ask for."""
    del style, rng
    return np.broadcast_to(colours[0], (MASTER, MASTER, 3)).copy()


def gradient(colours: Colours, style: Style, rng: Rng) -> Plane:
    """A wall washed by coloured light: the first colour on the key light's side, the last one away from it."""
    across, down = grid(MASTER)
    lamp_x, lamp_y = lamp_side(style)
    reach = abs(lamp_x) + abs(lamp_y)
    # Light from a strip falls off along a gentle bow, never along a ruler.
    bow = 0.10 * (across * lamp_y - down * lamp_x) ** 2
    place = 0.5 - 0.5 * (across * lamp_x + down * lamp_y) / reach + bow + rng.uniform(-0.03, 0.03)
    return ramp(colours, plane(place + 0.008 * cloud(rng, 4, MASTER)))


def sunlit(colours: Colours, style: Style, rng: Rng) -> Plane:
    """A plastered wall on which the sun draws a window and the shadow of leaves, both softened by distance."""
    sun, wall, shade = colours
    across, down = grid(MASTER)
    lamp_x, _ = lamp_side(style)
    away = np.float32(-1 if lamp_x > 0 else 1)
    # The sun stands high at one side: panes become slanted quadrilaterals, taller than wide.
    x = 0.86 * across * away + 0.30 * down + 0.16 + rng.uniform(-0.05, 0.05)
    y = 0.86 * down - 0.26 * across * away + rng.uniform(-0.05, 0.05)
    lit = np.zeros((MASTER, MASTER), np.float32)
    for left in (-0.82, -0.30, 0.22):
        for top in (-1.05, -0.42, 0.21):
            lit[(x > left) & (x < left + 0.46) & (y > top) & (y < top + 0.57)] = 1.0
    # The penumbra widens with the distance from the frame.
    near, far = (plane(cv2.GaussianBlur(lit, (0, 0), blur)) for blur in (20, 44))
    lit = near + (far - near) * np.clip(0.5 + 0.5 * across * away, 0, 1)
    leaf = cloud(rng, 11, MASTER) + 0.8 * cloud(rng, 23, MASTER)
    leaf = plane(cv2.GaussianBlur(np.clip(leaf - 0.35, 0, 0.5) / 0.5, (0, 0), 15))
    lit = lit * (1 - 0.55 * leaf * np.clip(0.75 - 0.8 * across * away, 0, 1))
    fall = np.clip(0.5 + 0.30 * down + 0.22 * across * away, 0, 1)
    ambient = wall * (1 - fall)[..., None] + shade * fall[..., None]
    plaster = 1 + 0.030 * cloud(rng, 6, MASTER) + 0.016 * cloud(rng, 40, MASTER)
    return plane((ambient + (sun - ambient) * (0.8 * lit)[..., None]) * plaster[..., None])
