"""The demo's pictures: the NASA portrait that scikit-image ships, as a camera and as a phone would send it."""

import io
from pathlib import Path

import pillow_heif
from PIL import Image
from skimage import data

# A phone writes such things into every photo. None of it may survive the upload.
_GPS = {1: "N", 2: (29.0, 33.0, 28.6), 3: "W", 4: (95.0, 5.0, 20.4), 5: b"\x00", 6: 12.5}
_MAKE, _MODEL, _SOFTWARE, _DATETIME, _ARTIST, _GPS_IFD = 0x010F, 0x0110, 0x0131, 0x0132, 0x013B, 0x8825


def portrait() -> Image.Image:
    """Astronaut Eileen Collins, NASA, public domain: RGB, 512 × 512."""
    return Image.fromarray(data.astronaut())  # type: ignore[no-untyped-call]  # scikit-image ships no types


def _exif() -> bytes:
    exif = Image.Exif()
    exif[_MAKE] = "Phone Company"
    exif[_MODEL] = "Phone 17 Pro"
    exif[_SOFTWARE] = "Camera 4.2"
    exif[_DATETIME] = "2026:11:20 09:41:00"
    exif[_ARTIST] = "Likeness Demo"
    exif.get_ifd(_GPS_IFD).update(_GPS)
    return exif.tobytes()


def as_jpeg() -> bytes:
    """As a camera sends it."""
    out = io.BytesIO()
    portrait().save(out, "JPEG", quality=95, subsampling=0)
    return out.getvalue()


def as_phone_heic() -> bytes:
    """As a phone sends it: HEIC, with place, device, time and author in its EXIF."""
    pillow_heif.register_heif_opener()
    out = io.BytesIO()
    portrait().save(out, "HEIF", quality=92, exif=_exif())
    return out.getvalue()


MEDIA_TYPES = {
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
    ".heic": "image/heic",
}


def from_file(path: Path) -> tuple[bytes, str]:
    """Any photo of yours: its bytes and media type."""
    media_type = MEDIA_TYPES.get(path.suffix.lower())
    if media_type is None:
        raise ValueError(f"{path.name}: a photo ends in one of {', '.join(MEDIA_TYPES)}")
    return path.read_bytes(), media_type
