import asyncio
import subprocess
import sys
import time
import zipfile
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from core.errors import (
    IntakeBusy,
    LikenessError,
    PayloadTooLarge,
    PhotoEmpty,
    PhotoTooLarge,
    PhotoTooSlow,
    PhotoTooSmall,
    PhotoUnreadable,
    UnsupportedPhotoType,
)
from core.intake.clean import CleanPhoto, Intake, IntakeLimits, clean
from core.intake.detect import CATEGORIES
from core.intake.sniff import require_bare_jpeg
from tests.core.intake.specimens import BOMBS, CANARY, FORMATS, decoded, encoded, laden, quarters

LIMITS = IntakeLimits()
NO_PROGRAM = ["/no/such/program"]
ROOT = Path(__file__).resolve().parents[3]

PRIVATE = {
    "author",
    "c2pa",
    "description",
    "device",
    "gps",
    "icc_profile",
    "maker_note",
    "software",
    "thumbnail",
    "time",
}
REPORTED = {
    "jpeg": PRIVATE | {"comment", "iptc", "other_metadata", "trailing_bytes", "xmp"},
    "png": PRIVATE | {"comment", "other_metadata", "trailing_bytes", "xmp"},
    "webp": PRIVATE | {"comment", "other_metadata", "trailing_bytes", "xmp"},
    "heic": PRIVATE | {"comment", "trailing_bytes", "xmp"},
}


async def cleaned(data: bytes, *, limits: IntakeLimits = LIMITS) -> CleanPhoto:
    return await clean(data, declared_type=None, limits=limits)


@pytest.mark.parametrize("source_format", FORMATS)
async def test_everything_beside_the_pixels_is_gone_and_reported(source_format: str) -> None:
    data = laden(source_format)
    assert CANARY in data
    photo = await cleaned(data)
    assert photo.source_format == source_format
    assert set(photo.removed) == REPORTED[source_format]
    assert list(photo.removed) == sorted(photo.removed)
    assert (photo.width, photo.height) == (320, 240)
    assert CANARY not in photo.data
    assert not any(word in photo.data for word in (b"Exif", b"adobe", b"ICC_PROFILE", b"c2pa", b"8BIM"))
    require_bare_jpeg(photo.data, width=320, height=240)
    # Cleaning what is clean removes nothing more.
    assert (await cleaned(photo.data)).removed == ()


@pytest.mark.parametrize("source_format", FORMATS)
async def test_the_picture_itself_survives(source_format: str) -> None:
    photo = await cleaned(encoded(quarters(), source_format))
    red = decoded(photo.data).getpixel((40, 30))
    assert isinstance(red, tuple)
    assert all(abs(a - b) <= 4 for a, b in zip(red, (200, 40, 40), strict=True))


@pytest.mark.parametrize("source_format", FORMATS)
async def test_a_bomb_is_refused_from_its_header_without_a_child(source_format: str) -> None:
    intake = Intake(LIMITS, program=NO_PROGRAM)
    size = 16_000 if source_format == "webp" else 60_000
    started = time.perf_counter()
    with pytest.raises(PhotoTooLarge) as caught:
        await intake.clean(BOMBS[source_format](size, size))
    assert time.perf_counter() - started < 0.5
    assert "max_pixels" in caught.value.extra


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", PhotoEmpty),
        (b"I am a text file named .jpg", UnsupportedPhotoType),
        (b"<svg xmlns='http://www.w3.org/2000/svg'><script/></svg>", UnsupportedPhotoType),
        (b"\xff\xd8\xff" + bytes(26 * 1024 * 1024), PayloadTooLarge),
        (b"\xff\xd8\xff\xe0", PhotoUnreadable),
        (encoded(quarters(199, 500), "jpeg"), PhotoTooSmall),
    ],
)
async def test_what_the_header_tells_is_refused_without_a_child(data: bytes, expected: type[LikenessError]) -> None:
    with pytest.raises(expected):
        await Intake(LIMITS, program=NO_PROGRAM).clean(data)


@pytest.mark.parametrize("pillow_name", ["GIF", "TIFF", "BMP", "ICO", "PDF"])
async def test_other_picture_formats_are_refused(pillow_name: str) -> None:
    output = BytesIO()
    quarters().save(output, pillow_name)
    for declared in (None, "image/jpeg"):
        with pytest.raises(UnsupportedPhotoType):
            await Intake(LIMITS, program=NO_PROGRAM).clean(output.getvalue(), declared_type=declared)


@pytest.mark.parametrize("source_format", FORMATS)
@pytest.mark.parametrize("kept", [0.3, 0.7, 0.98])
async def test_a_truncated_photo_is_unreadable(source_format: str, kept: float) -> None:
    data = encoded(Image.effect_noise((320, 240), 60).convert("RGB"), source_format)
    with pytest.raises(PhotoUnreadable):
        await cleaned(data[: int(len(data) * kept)])


async def test_a_polyglot_leaves_only_its_picture() -> None:
    archive = BytesIO()
    with zipfile.ZipFile(archive, "w") as bundle:
        bundle.writestr("payload.js", CANARY * 10)
    photo = await cleaned(encoded(quarters(), "jpeg") + archive.getvalue())
    assert photo.removed == ("trailing_bytes",)
    assert not zipfile.is_zipfile(BytesIO(photo.data))
    assert CANARY not in photo.data


async def test_a_png_under_a_jpeg_name_is_read_as_what_it_is() -> None:
    photo = await clean(encoded(quarters(), "png"), declared_type="image/jpeg", limits=LIMITS)
    assert photo.source_format == "png"
    assert photo.media_type == "image/jpeg"


async def test_a_photo_that_takes_too_long_is_given_up() -> None:
    with pytest.raises(PhotoTooSlow):
        await cleaned(encoded(quarters(3000, 2000), "webp"), limits=IntakeLimits(wall_seconds=0.02))


async def test_a_photo_that_takes_too_much_memory_is_too_large() -> None:
    with pytest.raises(PhotoTooLarge):
        await cleaned(encoded(quarters(3000, 3000), "png"), limits=IntakeLimits(memory_bytes=96 << 20))


async def test_a_strip_that_is_shrunk_to_nothing_is_too_small() -> None:
    with pytest.raises(PhotoTooSmall) as caught:
        await cleaned(encoded(quarters(9000, 220), "png"))
    assert caught.value.extra == {"min_edge": 200}


async def test_a_twelve_megapixel_photo_of_each_format_fits() -> None:
    for source_format in FORMATS:
        options = {"heic": {"quality": 50}, "webp": {"lossless": False, "method": 0}, "png": {"compress_level": 1}}
        data = encoded(quarters(4032, 3024), source_format, **options.get(source_format, {}))
        photo = await cleaned(data)
        assert (photo.width, photo.height) == (4032, 3024)


LYING_CHILD = """
import json, os, struct, sys
def send(header, payload=b""):
    head = json.dumps({"size": len(payload)} | header).encode()
    os.write(1, struct.pack(">I", len(head)) + head + payload)
send({"ready": ["rlimits"]})
head = json.loads(sys.stdin.buffer.read(struct.unpack(">I", sys.stdin.buffer.read(4))[0]))
data = sys.stdin.buffer.read(head["size"])
send(%s, data)
"""


@pytest.mark.parametrize(
    "answer",
    [
        "{'width': 320, 'height': 240, 'removed': []}",  # echoes the laden photo
        "{'width': 320, 'height': 240, 'removed': ['Ada Lovelace']}",
        "{'width': 320, 'height': 240, 'removed': 'gps'}",
        "{'width': 320, 'height': 240, 'removed': [['gps']]}",
        "{'width': 99999, 'height': 99999, 'removed': []}",
        "{'removed': []}",
        "{'refused': 'a reason of its own'}",
        "{'refused': ['memory']}",
    ],
)
async def test_a_child_taken_over_by_a_photo_is_not_believed(answer: str) -> None:
    intake = Intake(LIMITS, program=[sys.executable, "-I", "-c", LYING_CHILD % answer])
    with pytest.raises(PhotoUnreadable):
        await intake.clean(laden("jpeg"))


async def test_photos_beyond_the_queue_are_told_to_come_back() -> None:
    intake = Intake(LIMITS, concurrency=1, waiting=1)
    data = encoded(quarters(), "jpeg")
    outcomes = await asyncio.gather(*(intake.clean(data) for _ in range(4)), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [CleanPhoto, CleanPhoto, IntakeBusy, IntakeBusy]
    assert isinstance(await intake.clean(data), CleanPhoto)


async def test_the_event_loop_stays_free_while_photos_are_read() -> None:
    reading = asyncio.create_task(cleaned(encoded(quarters(3000, 3000), "png")))
    longest, last = 0.0, time.perf_counter()
    while not reading.done():
        await asyncio.sleep(0.005)
        now = time.perf_counter()
        longest, last = max(longest, now - last), now
    assert (await reading).width == 3000
    assert longest < 0.25


def test_the_process_that_takes_photos_in_loads_no_picture_library() -> None:
    program = (
        f"import sys; sys.path.append({str(ROOT)!r})\n"
        "import asyncio\n"
        "from core.intake.clean import clean, IntakeLimits\n"
        "data = sys.stdin.buffer.read()\n"
        "asyncio.run(clean(data, declared_type=None, limits=IntakeLimits()))\n"
        "print([name for name in ('PIL', 'pillow_heif', 'numpy', 'cv2') if name in sys.modules])"
    )
    finished = subprocess.run(  # noqa: S603 - our own text
        [sys.executable, "-I", "-c", program],
        input=encoded(quarters(), "jpeg"),
        capture_output=True,
        check=True,
        timeout=30,
    )
    assert finished.stdout.strip() == b"[]"


SEEDS = [laden(source_format, image=quarters(208, 204)) for source_format in FORMATS]


@settings(max_examples=160, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.sampled_from(SEEDS),
    edits=st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=6)), min_size=1, max_size=6),
)
def test_a_mutated_photo_is_cleaned_or_refused_and_nothing_else(seed: bytes, edits: list[tuple[float, bytes]]) -> None:
    data = bytearray(seed)
    for place, value in edits:
        at = 16 + int(place * (len(data) - 24))
        data[at : at + len(value)] = value
    try:
        photo = asyncio.run(cleaned(bytes(data)))
    except (PhotoUnreadable, PhotoTooLarge, PhotoTooSmall, PhotoTooSlow, UnsupportedPhotoType):
        pass
    else:
        require_bare_jpeg(photo.data, width=photo.width, height=photo.height)
        assert CANARY not in photo.data
        assert set(photo.removed) <= CATEGORIES
