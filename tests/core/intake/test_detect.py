import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.intake.detect import CATEGORIES, Findings, detect
from core.intake.sniff import SourceFormat, sniff
from tests.core.intake.specimens import CANARY, FORMATS, encoded, exif_block, jpeg_segment, laden, quarters


@pytest.mark.parametrize("source_format", FORMATS)
def test_a_picture_with_nothing_beside_its_pixels_reports_nothing(source_format: SourceFormat) -> None:
    findings = detect(encoded(quarters(), source_format), source_format)
    assert findings.categories == set()
    assert findings.orientation == 1


def test_a_laden_jpeg_reports_each_kind() -> None:
    assert detect(laden("jpeg"), "jpeg").categories == CATEGORIES - {"ai_source", "animation", "depth_map"}


@pytest.mark.parametrize(
    ("segment", "expected"),
    [
        (jpeg_segment(0xFE, CANARY), {"comment"}),
        (jpeg_segment(0xE2, b"MPF\0" + CANARY), {"thumbnail"}),
        (jpeg_segment(0xE0, b"JFXX\0\x10" + CANARY), {"thumbnail"}),
        (jpeg_segment(0xEC, b"Ducky" + CANARY), {"other_metadata"}),
        (jpeg_segment(0xE1, b"Exif\0\0damaged" + CANARY), {"other_metadata"}),
        (jpeg_segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0 GDepth:Data"), {"xmp", "depth_map"}),
        (jpeg_segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0 trainedAlgorithmicMedia"), {"xmp", "ai_source"}),
        (jpeg_segment(0xEB, b"JP\0\1 c2pa compositeWithTrainedAlgorithmicMedia"), {"c2pa", "ai_source"}),
        (jpeg_segment(0xED, b"Photoshop 3.0\0008BIM\4\x0c" + CANARY), {"other_metadata"}),
    ],
)
def test_a_jpeg_segment_is_named_by_what_it_holds(segment: bytes, expected: set[str]) -> None:
    bare = encoded(quarters(), "jpeg")
    assert detect(bare[:2] + segment + bare[2:], "jpeg").categories == expected


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_read(orientation: int) -> None:
    findings = Findings()
    findings.add_exif(exif_block(orientation=orientation))
    assert findings.orientation == orientation


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_orientation_outside_the_standard_is_ignored(orientation: int) -> None:
    findings = Findings()
    findings.add_exif(exif_block(orientation=orientation))
    assert findings.orientation == 1


def test_an_exif_directory_that_points_to_itself_ends() -> None:
    findings = Findings()
    loop = b"MM\0*\0\0\0\x08" + b"\0\1\x87\x69\0\4\0\0\0\1\0\0\0\x08" + b"\0\0\0\x08"
    findings.add_exif(loop)
    assert findings.categories <= CATEGORIES


SEEDS = [laden(source_format) for source_format in FORMATS]


@settings(max_examples=600, deadline=None)
@given(
    seed=st.sampled_from(SEEDS),
    edits=st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=4)), max_size=12),
)
def test_damage_never_makes_the_report_fail_or_invent_a_name(seed: bytes, edits: list[tuple[float, bytes]]) -> None:
    data = bytearray(seed)
    for place, value in edits:
        at = 16 + int(place * (len(data) - 24))
        data[at : at + len(value)] = value
    findings = detect(bytes(data), sniff(seed))
    assert findings.categories <= CATEGORIES
    assert findings.orientation in range(1, 9)
