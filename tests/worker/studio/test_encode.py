from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageCms

from worker.studio import encode
from worker.studio.find_face import face_hull
from worker.studio.pipeline import Made, Sitting

SIZES = {
    "square_1024": (1024, 1024),
    "linkedin_800": (800, 800),
    "linkedin_400": (400, 400),
    "hris_600": (600, 600),
    "portrait_4x5": (816, 1020),
}


def segments(jpeg: bytes) -> list[tuple[int, bytes]]:
    """Marker and payload of every segment before the picture's own data, read by hand."""
    found, at = [], 2
    while jpeg[at + 1] != 0xDA:
        length = int.from_bytes(jpeg[at + 2 : at + 4], "big")
        found.append((jpeg[at + 1], jpeg[at + 4 : at + 2 + length]))
        at += 2 + length
    return found


@pytest.mark.parametrize(("name", "size"), SIZES.items(), ids=SIZES)
def test_every_variant_has_its_size_and_the_srgb_profile_and_nothing_else(
    made: Made, name: str, size: tuple[int, int]
) -> None:
    output = made.outputs[name]
    picture = Image.open(BytesIO(output.data))
    assert picture.size == size == (output.width, output.height)
    assert (picture.format, picture.mode, output.media_type) == ("JPEG", "RGB", "image/jpeg")
    assert not picture.getexif()
    profile = ImageCms.ImageCmsProfile(BytesIO(picture.info["icc_profile"]))
    assert "sRGB" in ImageCms.getProfileDescription(profile)
    for marker, payload in segments(output.data):
        # JFIF, one profile, and the tables that decoding needs: no APP1 (EXIF, XMP), no APP13, no comment.
        assert marker in {0xE0, 0xE2, 0xDB, 0xC0, 0xC2, 0xC4}, hex(marker)
        if marker == 0xE2:
            assert payload.startswith(b"ICC_PROFILE\0")
    assert output.data.endswith(b"\xff\xd9")


def test_no_other_variant_is_made(made: Made) -> None:
    assert set(made.outputs) == {*SIZES, encode.CUTOUT}


@pytest.mark.parametrize("name", SIZES)
def test_the_whole_face_is_in_every_variant(sitting: Sitting, name: str) -> None:
    variant = encode.VARIANTS[name]
    hull = face_hull(sitting.framed.points, (1024, 1024), inset=0).astype(np.uint8) * 255
    cut = encode.cut(hull, variant, sitting.framed.points) > 127
    edges = np.concatenate([cut[0], cut[-1], cut[:, 0], cut[:, -1]])
    assert not edges.any()
    scale = variant.height / (variant.share * 1024)
    assert cut.sum() == pytest.approx((hull > 0).sum() * scale**2, rel=0.02)


def test_the_same_picture_gives_the_same_bytes(made: Made) -> None:
    picture = encode.decode(made.outputs["hris_600"].data)
    assert encode.encode(picture).data == encode.encode(picture).data


def test_the_cut_out_is_the_person_on_transparent_ground(made: Made, sitting: Sitting) -> None:
    output = made.outputs[encode.CUTOUT]
    picture = Image.open(BytesIO(output.data))
    assert (picture.format, picture.mode, picture.size, output.media_type) == ("PNG", "RGBA", (1024, 1024), "image/png")
    assert set(picture.info) == {"icc_profile"}
    pixels = np.asarray(picture)
    assert (pixels[sitting.hull, 3] == 255).all()
    assert (pixels[:40, :40, 3] == 0).all()
    # Not a colour of the old room is left where nothing shows.
    assert (pixels[pixels[..., 3] == 0, :3] == 128).all()
    edge = (pixels[..., 3] > 0) & (pixels[..., 3] < 255)
    assert 0.002 < edge.mean() < 0.1


def test_files_have_sensible_sizes(made: Made) -> None:
    for name, most in {"square_1024": 700, "linkedin_800": 450, "linkedin_400": 150, "hris_600": 300}.items():
        assert 10 < len(made.outputs[name].data) / 1024 < most, name
    assert len(made.outputs[encode.CUTOUT].data) < 2 * 1024 * 1024
