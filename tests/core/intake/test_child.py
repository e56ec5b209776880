"""The child program by itself, spoken to over its pipes."""

import json
import os
import struct
import subprocess
from typing import Any

from core.intake.converse import CHILD
from tests.core.intake.specimens import CANARY, encoded, laden, quarters

REQUEST = {
    "format": "jpeg",
    "max_pixels": 60_000_000,
    "max_edge": 4096,
    "memory_bytes": 512 << 20,
    "cpu_seconds": 5,
    "parent": os.getpid(),
}


def speak(data: bytes, **changes: Any) -> tuple[subprocess.CompletedProcess[bytes], list[dict[str, Any]], bytes]:
    """The finished process, its frames' headers, and the bytes after the last."""
    head = json.dumps(REQUEST | {"size": len(data)} | changes).encode()
    finished = subprocess.run(  # noqa: S603 - our own program
        CHILD, input=struct.pack(">I", len(head)) + head + data, capture_output=True, timeout=20, check=False
    )
    rest = finished.stdout
    headers: list[dict[str, Any]] = []
    while len(rest) > 4 and (not headers or headers[-1]["size"] == 0):
        length = struct.unpack(">I", rest[:4])[0]
        headers.append(json.loads(rest[4 : 4 + length]))
        rest = rest[4 + length :]
    return finished, headers, rest


def test_one_photo_gets_one_answer_and_the_child_is_gone() -> None:
    finished, (ready, answer), picture = speak(laden("jpeg"))
    assert finished.returncode == 0
    assert "rlimits" in ready["ready"]
    assert (answer["width"], answer["height"]) == (320, 240)
    assert answer["size"] == len(picture)
    assert picture.startswith(b"\xff\xd8")
    assert CANARY not in finished.stdout


def test_damage_is_answered_without_a_word_of_it() -> None:
    data = laden("jpeg")
    finished, (_, answer), _ = speak(data[: len(data) // 2])
    assert answer == {"refused": "unreadable", "size": 0}
    assert finished.stderr == b""


def test_more_pixels_than_allowed_and_more_memory_than_allowed_are_told_apart() -> None:
    assert speak(encoded(quarters(), "jpeg"), max_pixels=1000)[1][1]["refused"] == "pixels"
    large = encoded(quarters(3000, 3000), "png")
    assert speak(large, format="png", memory_bytes=96 << 20)[1][1]["refused"] == "memory"


def test_an_orphan_reads_nothing() -> None:
    finished, headers, _ = speak(encoded(quarters(), "jpeg"), parent=1)
    assert finished.returncode == 1
    assert headers == []


def test_a_photo_cut_off_in_the_pipe_is_not_answered() -> None:
    finished, headers, _ = speak(encoded(quarters(), "jpeg"), size=10_000_000)
    assert finished.returncode == 1
    assert len(headers) == 1
