"""The home of an instance that runs on one machine (LIKENESS_HOME, by default ./var), and the files in it.

postgres/ valkey/   the data of the embedded servers (or links to it, see `infra.local.account`)
objects/            sealed objects
tombstones/         what must stay erased, apart from every backup
keys/               the root key
log/                one log a part
run/                ports, passwords, the operator token, the lock of the supervisor: for their owner alone
"""

import contextlib
import fcntl
import hashlib
import os
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path

from infra.local.account import unprivileged
from infra.local.errors import AlreadyRunning
from infra.local.remembered import private_folder, write_private


class Home:
    """The places under one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self.run = self.folder / "run"
        self.log = self.folder / "log"
        self.operator_token_file = self.run / "operator_token"
        self._environment_file = self.run / "likeness.env"

    @classmethod
    def from_environment(cls) -> "Home":
        """LIKENESS_HOME, or `var` in the current folder."""
        return cls(Path(os.environ.get("LIKENESS_HOME") or "var"))

    def make(self) -> None:
        """Make the folders. The home itself may be passed through by the account that PostgreSQL runs under."""
        self.folder.mkdir(mode=0o711 if unprivileged() else 0o700, parents=True, exist_ok=True)
        for folder in (self.run, self.log, self.folder / "objects", self.folder / "keys", self.folder / "tombstones"):
            private_folder(folder)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the home for one supervisor. The kernel lets go of it when the process dies, however it dies.

        Raises AlreadyRunning.
        """
        path = self.run / "lock"
        with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = file.read().strip() or "unknown"
                raise AlreadyRunning(
                    f"Likeness runs on {self.folder} already (process {holder}). Stop that one first,"
                    " or set LIKENESS_HOME to another folder."
                ) from None
            file.truncate(0)
            file.write(f"{os.getpid()}\n")
            file.flush()
            yield

    def operator_token(self) -> str:
        """The token for /operator/v1, made at the first call."""
        with contextlib.suppress(FileNotFoundError):
            return self.operator_token_file.read_text().strip()
        private_folder(self.run)
        token = f"lkop_{secrets.token_urlsafe(32)}"
        write_private(self.operator_token_file, token + "\n")
        return token

    def keep_environment(self, environment: Mapping[str, str]) -> None:
        """Let other commands find the running instance."""
        write_private(self._environment_file, "".join(f"{name}={value}\n" for name, value in environment.items()))

    def forget_environment(self) -> None:
        """The instance is down."""
        self._environment_file.unlink(missing_ok=True)

    def kept_environment(self) -> dict[str, str]:
        """The settings of the instance that runs on this home; empty when none does."""
        with contextlib.suppress(FileNotFoundError):
            lines = self._environment_file.read_text().splitlines()
            return dict(line.split("=", 1) for line in lines if "=" in line)
        return {}


def sha256_of(token: str) -> str:
    """What the API is told of the operator token."""
    return hashlib.sha256(token.encode()).hexdigest()
