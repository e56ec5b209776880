"""Logos read in the sandbox: raw samples come out, and nothing of the file that held them."""

from io import BytesIO

import pytest
from PIL import Image

from core.errors import LikenessError, PhotoTooLarge, PhotoTooSmall, PhotoUnreadable, UnsupportedPhotoType
from core.intake.clean import LOGO_EDGE, CleanLogo, Intake, IntakeLimits
from tests.core.intake.specimens import CANARY, bomb_png, encoded, laden, quarters


def a_file(*, size: tuple[int, int] = (300, 200), form: str = "PNG", mode: str = "RGBA") -> bytes:
    image = Image.new("RGBA", size, (0, 0, 0, 0))
    image.paste((200, 40, 20, 255), (50, 60, size[0] - 50, size[1] - 40))
    file = BytesIO()
    image.convert(mode).save(file, form, lossless=True)
    return file.getvalue()


async def read(data: bytes) -> CleanLogo:
    return await Intake(IntakeLimits()).clean_logo(data)


@pytest.mark.parametrize(("form", "mode"), [("PNG", "RGBA"), ("WEBP", "RGBA"), ("PNG", "LA"), ("PNG", "P")])
async def test_a_transparent_margin_is_cut_off_and_cover_is_kept(form: str, mode: str) -> None:
    logo = await read(a_file(form=form, mode=mode))
    assert (logo.width, logo.height) == (200, 100)
    image = Image.frombytes("RGBA", (logo.width, logo.height), logo.samples)
    assert image.getchannel("A").getextrema() == (255, 255)


async def test_a_jpeg_covers_all_of_its_ground() -> None:
    logo = await read(encoded(quarters(), "jpeg"))
    assert (logo.width, logo.height) == (320, 240)
    assert set(logo.samples[3::4]) == {255}


async def test_a_large_logo_is_shrunk_and_nothing_beside_the_samples_is_kept() -> None:
    big = await read(a_file(size=(2400, 900)))
    assert max(big.width, big.height) == LOGO_EDGE
    assert CANARY not in (await read(laden("png"))).samples


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", UnsupportedPhotoType),
        (encoded(quarters(), "heic"), UnsupportedPhotoType),
        (bomb_png(20_000, 20_000), PhotoTooLarge),
        (a_file()[:300], PhotoUnreadable),
        (a_file(size=(102, 102)), PhotoTooSmall),
        (encoded(Image.new("RGBA", (100, 100), (9, 9, 9, 0)), "png"), PhotoUnreadable),
    ],
    ids=["svg", "heic", "bomb", "cut", "a speck", "nothing to see"],
)
async def test_what_is_no_logo_is_refused_by_its_name(data: bytes, error: type[LikenessError]) -> None:
    with pytest.raises(error):
        await read(data)
