import contextlib
import struct
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import LikenessError, PhotoUnreadable, UnsupportedPhotoType
from core.intake.sniff import heif_boxes, jpeg_segments, measure, require_bare_jpeg, sniff
from tests.core.intake.specimens import BOMBS, CANARY, FORMATS, encoded, jpeg_segment, laden, quarters


@pytest.mark.parametrize("source_format", FORMATS)
def test_magic_bytes_name_the_format_and_the_header_its_size(source_format: str) -> None:
    data = encoded(quarters(320, 240), source_format)
    found = sniff(data, declared_type=None)
    assert found == source_format
    assert measure(data, found) == (320, 240)


@pytest.mark.parametrize("options", [{"lossless": True}, {"lossless": False}, {"exif": b"II*\0\x08\0\0\0\0\0\0\0\0\0"}])
def test_every_kind_of_webp_shows_its_size(options: dict[str, object]) -> None:
    assert measure(encoded(quarters(321, 243), "webp", **options), "webp") == (321, 243)


@pytest.mark.parametrize("declared", ["image/heic", "IMAGE/PNG; q=1", "application/octet-stream", "", None])
def test_magic_bytes_overrule_a_declared_type_that_we_read(declared: str | None) -> None:
    assert sniff(encoded(quarters(), "jpeg"), declared_type=declared) == "jpeg"


@pytest.mark.parametrize("declared", ["text/html", "image/svg+xml", "image/gif", "application/json", "image/avif"])
def test_a_declared_type_that_we_do_not_read_is_refused(declared: str) -> None:
    with pytest.raises(UnsupportedPhotoType):
        sniff(encoded(quarters(), "jpeg"), declared_type=declared)


AVIF = struct.pack(">I4s4sI4s4s4s", 28, b"ftyp", b"avif", 0, b"avif", b"mif1", b"miaf")
ANY_CODEC = struct.pack(">I4s4sI4s4s4s", 28, b"ftyp", b"mif1", 0, b"mif1", b"jpeg", b"miaf")
VIDEO = struct.pack(">I4s4sI4s", 20, b"ftyp", b"isom", 0, b"mp42")


@pytest.mark.parametrize(
    "data",
    [
        b"hello, I am a photo",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"GIF89a" + bytes(99),
        b"II*\0" + bytes(99),
        b"BM" + bytes(99),
        b"%PDF-1.7",
        b"PK\3\4" + bytes(99),
        b"\xff",
        b"\x89PNG",
        AVIF,
        ANY_CODEC,
        VIDEO,
    ],
)
def test_files_that_are_no_photo_of_ours_are_refused(data: bytes) -> None:
    with pytest.raises(UnsupportedPhotoType):
        sniff(data)


@pytest.mark.parametrize("source_format", FORMATS)
def test_a_header_that_announces_nothing_is_unreadable(source_format: str) -> None:
    data = encoded(quarters(), source_format)
    for cut in (12, 16, 20):
        with pytest.raises(PhotoUnreadable):
            measure(data[:cut], sniff(data))


@pytest.mark.parametrize("source_format", FORMATS)
def test_a_bomb_shows_its_size_in_the_header_at_no_cost(source_format: str) -> None:
    data = BOMBS[source_format](16_000, 16_000)
    started = time.perf_counter()
    assert measure(data, sniff(data)) == (16_000, 16_000)
    assert time.perf_counter() - started < 0.05


BARE = encoded(quarters(), "jpeg")
NOT_BARE = {
    "comment": BARE[:2] + jpeg_segment(0xFE, CANARY) + BARE[2:],
    "exif": BARE[:2] + jpeg_segment(0xE1, b"Exif\0\0" + CANARY) + BARE[2:],
    "long jfif": BARE[:2] + jpeg_segment(0xE0, b"JFIF\0" + bytes(9) + CANARY) + BARE[2:],
    "other app0": BARE[:2] + jpeg_segment(0xE0, CANARY) + BARE[2:],
    "comment after the scan": BARE[:-2] + jpeg_segment(0xFE, CANARY) + BARE[-2:],
    "bytes after the end": BARE + CANARY,
    "cut": BARE[:-2],
    "two frames": BARE[:2] + jpeg_segment(0xC0, bytes(15)) + BARE[2:],
    "progressive": encoded(quarters(), "jpeg", progressive=True),
    "another size": encoded(quarters(240, 320), "jpeg"),
    "no jpeg": encoded(quarters(), "png"),
    "nothing": b"",
    "everything": laden("jpeg"),
}


def test_a_bare_jpeg_passes() -> None:
    require_bare_jpeg(BARE, width=320, height=240)


@pytest.mark.parametrize("name", NOT_BARE)
def test_a_jpeg_with_anything_beside_its_pixels_is_not_let_out(name: str) -> None:
    with pytest.raises(PhotoUnreadable):
        require_bare_jpeg(NOT_BARE[name], width=320, height=240)


SEEDS = [encoded(quarters(64, 48), source_format)[:2000] for source_format in FORMATS] + [laden("jpeg")[:2000]]


@settings(max_examples=1500, deadline=None)
@given(
    seed=st.sampled_from(SEEDS),
    edits=st.lists(st.tuples(st.integers(0, 1999), st.binary(min_size=1, max_size=4)), max_size=8),
    cut=st.integers(0, 2000),
)
def test_no_header_makes_the_parent_fail_in_another_way(seed: bytes, edits: list[tuple[int, bytes]], cut: int) -> None:
    data = bytearray(seed)
    for at, value in edits:
        data[at : at + len(value)] = value
    hostile = bytes(data[:cut])
    try:
        width, height = measure(hostile, sniff(hostile))
        assert width * height > 0
    except LikenessError:
        pass
    with contextlib.suppress(PhotoUnreadable):
        require_bare_jpeg(hostile, width=64, height=48)
    assert len(list(jpeg_segments(hostile))) <= len(hostile)
    assert len(list(heif_boxes(hostile, 0, len(hostile)))) <= len(hostile)
