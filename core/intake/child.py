"""The program of the sandbox: one photo in by standard input, one answer out by standard output, then gone.

Wire format, both ways: frames of u32 (big-endian length), then that many bytes of JSON; a frame's `size` member says
how many raw bytes follow it. The parent sends one request with the photo; the child sends `ready` once its walls stand
and before it reads the photo, then one answer, with the clean JPEG or with the reason for a refusal. A request with
`logo` in it gets raw RGBA samples instead.

It opens no file, so nothing of a photo ever touches a disk, and it writes no message: an error text could quote the
photo. Whatever it says is checked by the parent, which does not trust it either.
"""

import io
import json
import os
import struct
from typing import Any

from core.intake.confine import confine
from core.intake.decode import Limits, TooManyPixels, render
from core.intake.detect import detect
from core.intake.logo import render_logo


def main() -> None:
    """Serve one photo. Never returns."""
    request = json.loads(receive(struct.unpack(">I", receive(4))[0]))
    if os.getppid() != request["parent"]:
        # The parent died before this process could ask to die with it.
        os._exit(1)
    held = confine(
        memory_bytes=request["memory_bytes"],
        cpu_seconds=request["cpu_seconds"],
        threads=request["format"] == "heic",
    )
    send({"ready": held})
    send(*_answer(receive(request["size"]), request))
    # Leave at once: the interpreter's own ending would only run into the walls.
    os._exit(0)


def _answer(data: bytes, request: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    try:
        limits = Limits(max_pixels=request["max_pixels"], max_edge=request["max_edge"])
        if request.get("logo"):
            samples, width, height = render_logo(data, request["format"], limits)
            return {"width": width, "height": height}, samples
        findings = detect(data, request["format"])
        picture, width, height = render(data, request["format"], findings, limits)
    except MemoryError:
        return {"refused": "memory"}, b""
    except TooManyPixels:
        return {"refused": "pixels"}, b""
    except Exception:  # noqa: BLE001 - decoders raise whatever they like on damage; every kind means the same
        return {"refused": "unreadable"}, b""
    return {"width": width, "height": height, "removed": sorted(findings.categories)}, picture


def receive(size: int) -> bytes:
    """Read that many bytes from standard input; leave if the parent is gone."""
    buffer = bytearray(size)
    filled = 0
    with memoryview(buffer) as view, io.FileIO(0, closefd=False) as pipe:
        while filled < size:
            received = pipe.readinto(view[filled:])
            if not received:
                os._exit(1)
            filled += received
    return bytes(buffer)


def send(header: dict[str, Any], payload: bytes = b"") -> None:
    """Write one frame to standard output."""
    head = json.dumps(header | {"size": len(payload)}).encode()
    for part in (struct.pack(">I", len(head)) + head, payload):
        with memoryview(part) as view:
            sent = 0
            while sent < len(view):
                sent += os.write(1, view[sent:])


if __name__ == "__main__":
    main()
