import io

import numpy as np
import pytest
from PIL import Image

from core.intake.decode import Limits, TooManyPixels, render
from core.intake.detect import detect
from core.intake.sniff import SourceFormat
from tests.core.intake.specimens import (
    FORMATS,
    P3_PRIMARIES,
    SRGB_PRIMARIES,
    decoded,
    encoded,
    exif_block,
    p3,
    quarters,
)

LIMITS = Limits(max_pixels=60_000_000, max_edge=4096)
RED, GREEN, BLUE, WHITE = (200, 40, 40), (40, 180, 60), (40, 60, 200), (250, 250, 250)


def rendered(data: bytes, source_format: SourceFormat, limits: Limits = LIMITS) -> Image.Image:
    picture, width, height = render(data, source_format, detect(data, source_format), limits)
    image = decoded(picture)
    assert image.size == (width, height)
    assert image.mode == "RGB"
    return image


def corners(image: Image.Image) -> list[tuple[int, ...]]:
    x, y = image.width // 8, image.height // 8
    right, bottom = image.width - 1 - x, image.height - 1 - y
    points = ((x, y), (right, y), (x, bottom), (right, bottom))
    return [tuple(np.atleast_1d(np.asarray(image.getpixel(point))).tolist()) for point in points]


def assert_close(found: list[tuple[int, ...]], expected: list[tuple[int, ...]], within: int = 4) -> None:
    assert np.abs(np.array(found) - np.array(expected)).max() <= within, (found, expected)


@pytest.mark.parametrize("source_format", FORMATS)
def test_colours_and_places_survive(source_format: SourceFormat) -> None:
    assert_close(corners(rendered(encoded(quarters(), source_format), source_format)), [RED, GREEN, BLUE, WHITE])


# Where the stored picture must be turned from, so that it stands upright after its orientation is applied.
STORED = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.mark.parametrize("source_format", ["jpeg", "png", "webp"])
@pytest.mark.parametrize("orientation", STORED)
def test_orientation_is_applied(source_format: SourceFormat, orientation: int) -> None:
    turn = STORED[orientation]
    stored = quarters() if turn is None else quarters().transpose(turn)
    prefix = 0 if source_format == "jpeg" else 6
    data = encoded(stored, source_format, exif=exif_block(orientation=orientation)[prefix:])
    image = rendered(data, source_format)
    assert image.size == (320, 240)
    assert_close(corners(image), [RED, GREEN, BLUE, WHITE])


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_heic_is_turned_once_by_its_own_transform(orientation: int) -> None:
    # The encoder writes the file's own rotation from the EXIF tag and leaves the tag, as phones do.
    turn = STORED[orientation]
    stored = quarters() if turn is None else quarters().transpose(turn)
    image = rendered(encoded(stored, "heic", exif=exif_block(orientation=orientation)), "heic")
    assert image.size == (320, 240)
    assert_close(corners(image), [RED, GREEN, BLUE, WHITE])


def p3_as_srgb(colour: tuple[int, ...]) -> tuple[int, ...]:
    """IEC 61966-2-1's curve, through XYZ (D50) from one set of primaries to the other, clipped to the gamut."""
    value = np.array(colour) / 255
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    other = np.clip(np.linalg.inv(np.array(SRGB_PRIMARIES).T) @ np.array(P3_PRIMARIES).T @ linear, 0, 1)
    encoded_value = np.where(other <= 0.0031308, other * 12.92, 1.055 * other ** (1 / 2.4) - 0.055)
    return tuple(round(v) for v in encoded_value * 255)


@pytest.mark.parametrize("source_format", FORMATS)
def test_display_p3_becomes_srgb(source_format: SourceFormat) -> None:
    skin, dark, grey = (214, 160, 130), (90, 60, 50), (128, 128, 128)
    image = Image.new("RGB", (320, 240), skin)
    image.paste(dark, (160, 0, 320, 120))
    image.paste(grey, (0, 120, 160, 240))
    found = corners(rendered(encoded(image, source_format, icc_profile=p3()), source_format))
    assert p3_as_srgb(skin) != skin
    assert_close(found, [p3_as_srgb(colour) for colour in (skin, dark, grey, skin)], within=3)


@pytest.mark.parametrize("profile", [b"no profile at all", p3()[:200], p3()[:128] + bytes(400)])
def test_a_damaged_profile_is_taken_for_srgb(profile: bytes) -> None:
    image = rendered(encoded(quarters(), "jpeg", icc_profile=profile), "jpeg")
    assert_close(corners(image), [RED, GREEN, BLUE, WHITE])


def test_a_profile_of_another_colour_space_is_ignored() -> None:
    grey = quarters().convert("L")
    image = rendered(encoded(grey, "png", icc_profile=p3()), "png")
    assert_close(corners(image), [(value,) * 3 for (value,) in corners(grey)])


@pytest.mark.parametrize("mode", ["L", "LA", "1", "P", "I;16", "RGBA", "CMYK"])
def test_every_mode_becomes_opaque_rgb(mode: str) -> None:
    grey = quarters().convert("L")
    if mode == "I;16":
        source = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    elif mode == "1":
        source = grey.point(lambda value: 255 * (value > 100), "1")
    else:
        source = quarters().quantize(4) if mode == "P" else quarters().convert(mode)
    assert source.mode == mode
    source_format: SourceFormat = "jpeg" if mode == "CMYK" else "png"
    image = rendered(encoded(source, source_format), source_format)
    reference = {"1": source, "L": grey, "LA": grey, "I;16": grey}.get(mode, quarters())
    assert_close(corners(image), corners(reference.convert("RGB")))


def test_what_shows_through_is_a_light_neutral() -> None:
    image = quarters().convert("RGBA")
    image.putalpha(0)
    assert_close(corners(rendered(encoded(image, "png"), "png")), [(224, 224, 224)] * 4)
    palette = Image.new("P", (320, 240), 0)
    palette.putpalette([255, 0, 0, 0, 0, 255])
    assert_close(corners(rendered(encoded(palette, "png", transparency=0), "png")), [(224, 224, 224)] * 4)


@pytest.mark.parametrize("source_format", FORMATS)
def test_a_large_photo_is_shrunk_in_bands_without_a_seam(source_format: SourceFormat) -> None:
    # A ramp from top to bottom: a band that is shifted or lost would break its steps.
    ramp = Image.fromarray(np.linspace(0, 255, 1500, dtype=np.uint8)[:, None].repeat(1000, axis=1)).convert("RGB")
    small = rendered(encoded(ramp, source_format), source_format, Limits(max_pixels=2_000_000, max_edge=300))
    assert small.size == (200, 300)
    column = np.asarray(small)[:, 100, 0].astype(int)
    steps = np.diff(column)
    assert steps.min() >= -1
    assert steps.max() <= 3
    assert (column[0], column[-1]) == (pytest.approx(0, abs=3), pytest.approx(255, abs=3))


def test_the_clean_picture_is_never_larger_than_asked() -> None:
    for size in ((4097, 211), (801, 799), (1200, 1200), (601, 600)):
        image = rendered(encoded(Image.new("RGB", size), "png"), "png", Limits(max_pixels=2_000_000, max_edge=400))
        assert max(image.size) <= 400


@pytest.mark.parametrize("source_format", FORMATS)
def test_the_decoder_checks_the_pixels_itself(source_format: SourceFormat) -> None:
    with pytest.raises(TooManyPixels):
        rendered(encoded(quarters(), source_format), source_format, Limits(max_pixels=76_799, max_edge=4096))


@pytest.mark.parametrize(("source_format", "options"), [("webp", {"duration": 100}), ("png", {"duration": 100})])
def test_of_an_animation_the_first_picture_is_kept(source_format: SourceFormat, options: dict[str, int]) -> None:
    second = Image.new("RGB", (320, 240), (0, 0, 0))
    data = encoded(quarters(), source_format, save_all=True, append_images=[second], **options)
    findings = detect(data, source_format)
    picture, _, _ = render(data, source_format, findings, LIMITS)
    assert findings.categories == {"animation"}
    assert_close(corners(decoded(picture)), [RED, GREEN, BLUE, WHITE])


def test_of_a_heic_with_several_pictures_the_primary_is_kept() -> None:
    second = Image.new("RGB", (400, 400), (0, 0, 0))
    data = encoded(quarters(), "heic", save_all=True, append_images=[second], primary_index=0)
    findings = detect(data, "heic")
    picture, _, _ = render(data, "heic", findings, LIMITS)
    assert findings.categories == {"other_metadata"}
    assert_close(corners(decoded(picture)), [RED, GREEN, BLUE, WHITE])


def test_the_encoding_keeps_colour_at_full_resolution() -> None:
    data = encoded(quarters(), "jpeg")
    picture, _, _ = render(data, "jpeg", detect(data, "jpeg"), LIMITS)
    with Image.open(io.BytesIO(picture)) as image:
        assert {layer[1:3] for layer in image.layer} == {(1, 1)}  # type: ignore[attr-defined] # only on JPEG's class
