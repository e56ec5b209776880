"""The invisible mark: what it survives, whom it does not answer, and how sure it is."""

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageFilter
from skimage import data

from core.provenance.watermark import BEACON, Picture, beacon_strength, find, find_in_place, fits, places, texture

KEY, OTHER = b"k" * 32, b"o" * 32
MARK = bytes.fromhex("0123456789abcdef")
Change = Callable[[Image.Image], Image.Image]


def a_picture(side: int = 1024) -> Image.Image:
    return Image.fromarray(data.astronaut()).resize((side, side), Image.Resampling.LANCZOS)  # type: ignore[no-untyped-call]


def marked(image: Image.Image, *, strength: float = 1.3, key: bytes = KEY, mark: bytes = MARK) -> Image.Image:
    added = strength * texture(mark, key, width=image.width, height=image.height)[..., None]
    return Image.fromarray(np.clip(np.rint(np.asarray(image, np.float32) + added), 0, 255).astype(np.uint8))


def again(image: Image.Image, quality: int = 85, form: str = "JPEG") -> Picture:
    file = io.BytesIO()
    image.save(file, form, quality=quality)
    return np.asarray(Image.open(file).convert("RGB"))


def half(image: Image.Image) -> Image.Image:
    return image.resize((image.width // 2, image.height // 2), Image.Resampling.BICUBIC)


def crop(image: Image.Image, left: float, top: float, share: float) -> Image.Image:
    wide, high = image.size
    box = (left * wide, top * high, (left + share) * wide, (top + share) * high)
    return image.crop(tuple(round(edge) for edge in box))  # type: ignore[arg-type]  # four of them


SURVIVED: dict[str, Callable[[Image.Image], Picture]] = {
    "jpeg 50": lambda image: again(image, 50),
    "webp 60": lambda image: again(image, 60, "WEBP"),
    "half size": lambda image: again(half(image)),
    "half size, jpeg 50": lambda image: again(half(image), 50),
    "10 % brighter": lambda image: again(ImageEnhance.Brightness(image).enhance(1.1)),
    "10 % darker": lambda image: again(ImageEnhance.Brightness(image).enhance(0.9)),
    "10 % more contrast": lambda image: again(ImageEnhance.Contrast(image).enhance(1.1)),
    "10 % less contrast": lambda image: again(ImageEnhance.Contrast(image).enhance(0.9)),
    "sharpened": lambda image: again(image.filter(ImageFilter.UnsharpMask(2, 100))),
    "resampled as by a screenshot": lambda image: again(image.resize((731, 731), 2).resize((877, 877), 2), 80),
    "cropped to 85 %": lambda image: again(crop(image, 0.1, 0.05, 0.85)),
    "cropped to 70 %": lambda image: again(crop(image, 0.2, 0.1, 0.7)),
    "cropped to 70 % and shrunk": lambda image: again(half(crop(image, 0.1, 0.3, 0.7))),
    "turned by 2°": lambda image: again(image.rotate(2, Image.Resampling.BILINEAR)),
    "turned by -4.3°": lambda image: again(image.rotate(-4.3, Image.Resampling.BILINEAR)),
}


@pytest.fixture(scope="module")
def original() -> Image.Image:
    return a_picture()


@pytest.fixture(scope="module")
def image(original: Image.Image) -> Image.Image:
    return marked(original)


@pytest.mark.parametrize("change", SURVIVED.values(), ids=SURVIVED)
def test_the_mark_survives(image: Image.Image, change: Callable[[Image.Image], Picture]) -> None:
    found = find(change(image), KEY)
    assert found is not None
    assert found.mark == MARK
    assert found.z >= BEACON


def test_a_crop_and_a_turn_are_told(image: Image.Image) -> None:
    cropped = find(again(crop(image, 0.15, 0.1, 0.8)), KEY)
    turned = find(again(image.rotate(3, Image.Resampling.BILINEAR)), KEY)
    assert cropped is not None
    assert cropped.scale == pytest.approx(0.8, abs=0.01)
    assert turned is not None
    assert turned.degrees == pytest.approx(3, abs=0.3)


def test_another_key_and_an_unmarked_picture_find_nothing(original: Image.Image, image: Image.Image) -> None:
    assert find(np.asarray(image), OTHER) is None
    assert find(np.asarray(original), KEY) is None
    assert beacon_strength(np.asarray(original), KEY) < BEACON - 2


def test_a_false_find_is_rarer_than_one_in_a_million() -> None:
    """The bound of the module's docstring, for the threshold and the number of places that are really used."""
    assert np.exp(-(BEACON**2) / 2) * places() < 1e-6


def test_the_fast_reader_agrees(image: Image.Image, original: Image.Image) -> None:
    found = find_in_place(again(image, 93), KEY)
    assert found is not None
    assert (found.mark, found.scale, found.degrees) == (MARK, 1.0, 0.0)
    assert find_in_place(np.asarray(original), KEY) is None


@pytest.mark.parametrize("size", [(400, 400), (816, 1020), (600, 600), (1920, 1080)])
def test_pictures_of_every_size_are_marked(size: tuple[int, int]) -> None:
    image = marked(a_picture().resize(size, Image.Resampling.BICUBIC), strength=1.6)
    found = find(again(image), KEY)
    assert found is not None
    assert found.mark == MARK


def test_what_is_too_small_has_no_mark() -> None:
    assert find(np.asarray(a_picture(150)), KEY) is None
    assert not fits(150, 150)


@pytest.mark.parametrize("mark", [bytes(8), b"\xff" * 8, MARK])
def test_every_mark_is_read_as_it_was_given(original: Image.Image, mark: bytes) -> None:
    found = find_in_place(np.asarray(marked(original, mark=mark)), KEY)
    assert found is not None
    assert found.mark == mark


def test_the_texture_is_the_same_wherever_it_is_made() -> None:
    plane = texture(MARK, KEY, width=512, height=512)
    assert plane.shape == (512, 512)
    assert plane.std() == pytest.approx(1, abs=0.02)
    assert [round(float(value), 3) for value in plane[0, :3]] == [round(float(value), 3) for value in plane[128, :3]]
