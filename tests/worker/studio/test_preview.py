"""A preview of a style: the style's backdrop, a head that is nobody's, the logo, and PREVIEW plain to see."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from core.headshots.styles import get_style
from tests.worker.studio.logos import a_logo
from worker.studio import encode, find_face, preview


@pytest.mark.parametrize("name", ["studio-white", "low-key"])
def test_a_preview_is_marked_on_light_and_dark_and_shows_nobody(name: str) -> None:
    drawn = preview.draw(get_style(name), None)
    picture = encode.decode(drawn)
    assert picture.shape == (1024, 1024, 3)
    assert drawn == preview.draw(get_style(name), None)
    report, face = find_face.find_face(picture)
    assert face is None
    assert [finding.code for finding in report.findings] == ["no_face"]
    # Letters, in each upper quarter and in both lower corners, differ plainly from the ground beside them.
    level = picture.astype(np.float32).mean(axis=-1)
    for corner in (level[:400, :300], level[:400, 724:]):
        assert np.ptp(np.percentile(corner, [2, 98])) > 40
    assert not Image.open(BytesIO(drawn)).getexif()


def test_the_logo_lies_whole_over_the_preview() -> None:
    without, laid = (encode.decode(preview.draw(get_style("studio-white"), one)) for one in (None, a_logo(width=0.3)))
    changed = np.abs(without.astype(int) - laid.astype(int)).max(axis=-1) > 60
    assert changed[870:1000, 640:1000].mean() > 0.1
    assert changed[:700].mean() < 0.002
