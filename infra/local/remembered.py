"""What the embedded parts keep from one start to the next: ports and passwords, in files for their owner alone."""

import asyncio
import json
import os
import secrets
import socket
import time
from pathlib import Path
from typing import Any

from infra.local.errors import PartFailed

HOST = "127.0.0.1"


def private_folder(folder: Path) -> Path:
    """Make a folder that its owner alone can enter."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def write_private(path: Path, text: str) -> None:
    """Replace a file in one step; nobody but its owner could read it at any moment."""
    draft = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def read_json(path: Path) -> dict[str, Any] | None:
    """What was remembered, None at the first start."""
    try:
        found: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    return found


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Remember."""
    private_folder(path.parent)
    write_private(path, json.dumps(value))


def password() -> str:
    """256 random bits that need no quoting anywhere."""
    return secrets.token_hex(32)


def port_is_free(port: int) -> bool:
    """Whether a server could listen on the port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


async def settle_port(kept: int | None, *, patience: float = 3, insist: bool = False) -> int:
    """The port of the last start, waiting `patience` seconds for a dying server to leave it; else another free one.

    insist: raise PartFailed instead of taking another port, because others know this one.
    """
    deadline = time.monotonic() + patience
    while kept:
        if port_is_free(kept):
            return kept
        if time.monotonic() > deadline:
            break
        await asyncio.sleep(0.1)
    if insist:
        raise PartFailed(f"The port {kept} is used by another program.")
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
    return port


async def listen(kept: int | None, *, patience: float, insist: bool) -> socket.socket:
    """A socket that listens on the port of the last start, or on another as `settle_port` does.

    Whoever holds it owns the port: no other program can take it between two starts of the server behind it, and whoever
    connects meanwhile waits instead of being refused.
    """
    while True:
        port = await settle_port(kept, patience=patience, insist=insist)
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
        except OSError:
            listener.close()  # another program was faster
            continue
        listener.listen(1024)
        listener.setblocking(False)
        return listener
