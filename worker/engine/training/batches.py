"""Training batches: drawn plates as latents, with captions, masks and the masked picture that inpainting is given.

Six plates in ten are one of the studio's own backdrops: that is what the model is asked to refine, so that is what it
must know best. Some stand under their style's own prompt, some in other colours under the prompt of a tenant's style.
"""

import colorsys
import functools
import itertools
import random
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from core.headshots.brand_styles import prompt_of
from core.headshots.styles import CATALOGUE, Style
from worker.engine.training.autoencoder import area_average, mix
from worker.engine.training.draw import draw
from worker.engine.training.grammar import Scene, paraphrase, scenes
from worker.studio import backdrop

PLATES = 3000
"""How many different plates of the grammar there are; each is drawn when it is first asked for."""

SEEDS = 96
"""How many pictures of each of the studio's styles there are."""

_STYLES = tuple(CATALOGUE.values())
_OWN = 0.6  # share of the studio's own backdrops
_RECOLOURED = 0.5  # share of these that have other colours
_LATENT = 64  # a 512 px picture has 64×64 latents, and a plate is drawn at that size: the encoder is an area average
_SKIN = ((0.93, 0.76, 0.65), (0.78, 0.58, 0.45), (0.55, 0.38, 0.28), (0.33, 0.22, 0.17))


@dataclass(frozen=True, slots=True)
class Batch:
    """One step's data, each first dimension N.

    Attributes:
        latents: float32 [N, 4, s, s], the clean plates.
        condition: float32 [N, 5, s, s], the mask (1 is painted) and the latents of the masked picture.
        captions: the text of each; empty where guidance learns to do without.
    """

    latents: torch.Tensor
    condition: torch.Tensor
    captions: tuple[str, ...]


class Batches:
    """All batches of one seed: batch `step` is the same whenever it is asked for."""

    def __init__(self, *, seed: int) -> None:
        self._seed = seed
        self._scenes: list[Scene] = list(itertools.islice(scenes(seed), PLATES))
        self._plate = functools.cache(self._draw)
        self._backdrop = functools.cache(self._draw_backdrop)

    def batch(self, step: int, *, count: int, size: int) -> Batch:
        """The batch of that step, with latents of size×size (32 or 64)."""
        chance = random.Random(f"{self._seed}/{step}")  # noqa: S311 (data, not secrets)
        chosen = [self._choose(chance) for _ in range(count)]
        plates = np.stack([area_average(plate, _LATENT // size) for plate, _ in chosen])
        seen = [_masked(plate, chance) for plate in plates]
        masks = np.stack([mask for mask, _ in seen])
        masked = np.stack([picture for _, picture in seen])
        condition = torch.cat([torch.from_numpy(masks)[:, None], mix(_channels_first(masked))], dim=1)
        captions = tuple(caption for _, caption in chosen)
        return Batch(mix(_channels_first(plates)), condition, captions)

    def _choose(self, chance: random.Random) -> tuple[NDArray[np.float32], str]:
        """A plate and what is said of it."""
        if chance.random() < _OWN:
            number, seed = chance.randrange(len(_STYLES)), chance.randrange(SEEDS)
            if chance.random() < _RECOLOURED:
                seed += SEEDS
            return self._backdrop(number, seed), "" if chance.random() < _EMPTY else _style(number, seed).prompt
        number = chance.randrange(PLATES)
        return self._plate(number), _caption(self._scenes[number], chance)

    def _draw_backdrop(self, number: int, seed: int) -> NDArray[np.float32]:
        drawn = backdrop.draw(_style(number, seed), seed=self._seed * SEEDS + seed)
        return area_average(drawn, drawn.shape[0] // _LATENT)

    def _draw(self, number: int) -> NDArray[np.float32]:
        return draw(self._scenes[number], seed=self._seed * PLATES + number, size=_LATENT).picture


def _style(number: int, seed: int) -> Style:
    """A style of the catalogue; from `SEEDS` on, in other colours and another light, as a tenant's own would be."""
    style = _STYLES[number]
    if seed < SEEDS:
        return style
    chance = random.Random(f"{number}/{seed}")  # noqa: S311 (data, not secrets)
    turn, vivid, lighter = chance.random(), chance.uniform(0.3, 2.5), chance.uniform(-0.12, 0.12)
    palette = tuple(_recoloured(colour, turn, vivid, lighter) for colour in style.palette)
    light = replace(style.light, azimuth=chance.uniform(0, 360))
    prompt = prompt_of(style.backdrop, palette, light)
    return replace(style, palette=palette, light=light, prompt=prompt)


def _recoloured(colour: str, turn: float, vivid: float, lighter: float) -> str:
    red, green, blue = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    hue, lightness, saturation = colorsys.rgb_to_hls(red, green, blue)
    lightness = min(max(lightness + lighter, 0.02), 0.98)
    # Greys take a little colour too, or half of the catalogue would stay grey.
    made = colorsys.hls_to_rgb((hue + turn) % 1, lightness, min(0.05 + saturation * vivid, 0.95))
    return "#" + "".join(f"{round(255 * channel):02x}" for channel in made)


def person(chance: random.Random, size: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """A crude head and shoulders: cover float32 [size, size] of 0 or 1, and colours float32 [size, size, 3]."""
    cover = np.zeros((size, size), np.uint8)
    picture = np.full((size, size, 3), 0.5, np.float32)
    x, y = chance.uniform(0.4, 0.6) * size, chance.uniform(0.33, 0.47) * size
    head = chance.uniform(0.11, 0.2) * size
    skin = tuple(channel * chance.uniform(0.85, 1.1) for channel in chance.choice(_SKIN))
    shoulders = (round(head * chance.uniform(1.9, 2.6)), round(head * chance.uniform(1.2, 1.7)))
    hair = round(head * chance.uniform(0.85, 1.5))
    body_y = round(y + head * chance.uniform(2.2, 2.7))
    parts = (
        ((round(x), body_y), shoulders, _any_colour(chance)),
        ((round(x), round(y + head)), (round(head * 0.5), round(head * 0.9)), skin),
        ((round(x), round(y - head * 0.25)), (hair, round(head * 1.2)), _any_colour(chance)),
        ((round(x), round(y)), (round(head * 0.8), round(head * 1.1)), skin),
    )
    for centre, axes, colour in parts:
        cv2.ellipse(cover, centre, axes, 0, 0, 360, 1, cv2.FILLED)
        cv2.ellipse(picture, centre, axes, 0, 0, 360, colour, cv2.FILLED)
    below = (max(0, round(x) - shoulders[0]), body_y), (round(x) + shoulders[0], size)
    cv2.rectangle(cover, *below, 1, cv2.FILLED)
    cv2.rectangle(picture, *below, parts[0][2], cv2.FILLED)
    return cover.astype(np.float32), np.clip(picture, 0, 1)


def _any_colour(chance: random.Random) -> tuple[float, float, float]:
    grey = chance.uniform(0.05, 0.9)
    return (grey * chance.uniform(0.6, 1.1), grey * chance.uniform(0.6, 1.1), grey * chance.uniform(0.6, 1.1))


def _masked(plate: NDArray[np.float32], chance: random.Random) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What inpainting is told: nothing (all is painted), the person who stays, or the plate around the person.

    The answer is the same clean plate each time. Hidden pixels are mid-grey, the zero of the pipeline's −1..1.
    """
    size = plate.shape[0]
    case = chance.random()
    if case < _NOTHING:
        return np.ones((size, size), np.float32), np.full_like(plate, 0.5)
    cover, picture = person(chance, size)
    if case < _PERSON:
        hidden, shown = 1 - cover, picture
    else:
        hidden, shown = cover, plate
    return hidden, (shown * (1 - hidden[..., None]) + 0.5 * hidden[..., None]).astype(np.float32)


_NOTHING, _PERSON = 0.8, 0.93


def _caption(scene: Scene, chance: random.Random) -> str:
    """The canonical caption, other words for it, or none; now and then with words that mean nothing here.

    Words outside the grammar, alone, are taught as no caption at all, so that any negative prompt is harmless.
    """
    kind = chance.random()
    if kind < _EMPTY:
        return ""
    if kind < _NONSENSE:
        return " ".join(_nonsense(chance) for _ in range(chance.randint(1, 9)))
    words = (scene.caption if kind < _CANONICAL else paraphrase(scene, chance)).split()
    if chance.random() < _STRAY:
        for _ in range(chance.randint(1, 3)):
            words.insert(chance.randint(0, len(words)), _nonsense(chance))
    return " ".join(words)


_EMPTY, _NONSENSE, _CANONICAL, _STRAY = 0.08, 0.12, 0.75, 0.15
_STRANGERS = (
    "person people face text watermark logo noise pattern modern large warm professional corporate photo sharp",
    "high quality blurry ugly grain artefacts hands hair suit daylight empty bright nice good beautiful real",
)


def _nonsense(chance: random.Random) -> str:
    if chance.random() < 0.5:  # noqa: PLR2004 (a coin)
        return chance.choice(" ".join(_STRANGERS).split())
    return "".join(chance.choices("abcdefghijklmnopqrstuvwxyz", k=chance.randint(2, 8)))


def _channels_first(pictures: NDArray[np.float32]) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(pictures.transpose(0, 3, 1, 2)))
