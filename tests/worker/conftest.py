"""Real worker processes over the same PostgreSQL, Valkey and folders as the test."""

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image
from skimage import data

from core.bootstrap import Parts, open_parts
from core.settings import Settings

REPOSITORY = Path(__file__).parents[2]
LEASE_SECONDS = 4


class Process:
    """`python -m worker …`, its log in a file of the test."""

    def __init__(self, kind: str, environment: dict[str, str], log: Path) -> None:
        self.log = log
        with log.open("wb") as out:
            self._process = subprocess.Popen(  # noqa: S603 (our own worker)
                [sys.executable, "-m", "worker", kind], cwd=REPOSITORY, env=environment, stdout=out, stderr=out
            )

    def send(self, number: signal.Signals) -> None:
        os.kill(self._process.pid, number)

    def leave(self, *, seconds: float = 30) -> int:
        """SIGTERM, and the exit status."""
        self.send(signal.SIGTERM)
        return self._process.wait(seconds)

    def kill(self) -> None:
        if self._process.poll() is None:
            self.send(signal.SIGKILL)
        self._process.wait(10)

    def said(self) -> str:
        return self.log.read_text()

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    async def ready(self) -> bool:
        assert self.alive, self.said()
        return '"worker ready"' in self.said()


Start = Callable[[str], Process]


@pytest.fixture
def worker_env(settings_env: dict[str, str]) -> dict[str, str]:
    """Leases and sweeps at a pace that a test can wait for."""
    return {
        **settings_env,
        "LIKENESS_WORKER_CONCURRENCY": "1",
        "LIKENESS_WORKER_LEASE_SECONDS": str(LEASE_SECONDS),
        "LIKENESS_WORKER_HEARTBEAT_SECONDS": "1",
        "LIKENESS_WORKER_SWEEP_SECONDS": "0.5",
        "LIKENESS_WORKER_DRAIN_SECONDS": "10",
        "LIKENESS_DATABASE_IDLE_TRANSACTION_SECONDS": "5",
    }


@pytest.fixture
async def parts(worker_env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Parts]:
    for name, value in worker_env.items():
        if name.startswith("LIKENESS_"):
            monkeypatch.setenv(name, value)
    async with open_parts(Settings()) as opened:
        yield opened


@pytest.fixture
def start(worker_env: dict[str, str], tmp_path: Path) -> Iterator[Start]:
    """Start worker processes; none outlives the test."""
    started: list[Process] = []

    def one(kind: str) -> Process:
        started.append(Process(kind, worker_env, tmp_path / f"worker-{len(started)}.log"))
        return started[-1]

    yield one
    for process in started:
        process.kill()


@pytest.fixture(scope="session")
def portrait() -> bytes:
    """A JPEG of one face, as intake leaves it (NASA, public domain)."""
    out = BytesIO()
    picture = Image.fromarray(data.astronaut())  # type: ignore[no-untyped-call]
    picture.save(out, "JPEG", quality=92)
    return out.getvalue()


@pytest.fixture(scope="session")
def nobody() -> bytes:
    """A JPEG of a wall."""
    out = BytesIO()
    Image.linear_gradient("L").resize((640, 640)).convert("RGB").save(out, "JPEG")
    return out.getvalue()
