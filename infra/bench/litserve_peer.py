"""LitServe as a peer of C1: the same model and steps behind its batching server, in a process of its own.

It is no dependency: `uv pip install --no-config litserve` brings it; without it the benchmark says that it is missing.
LitServe gives a whole batch to one call, so rows of mixed steps stay until the longest is done. Requests go over HTTP
on this machine, as they would to any LitServe; they carry a number alone, since all is prepared on both sides.
"""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from time import perf_counter, sleep

import httpx

MISSING = "LitServe is not installed, so it is not among the peers: uv pip install --no-config litserve"
_START_SECONDS = 300.0


def installed() -> bool:
    """Whether it can take part."""
    return find_spec("litserve") is not None


@contextmanager
def serving(*, jobs: int, rows: int, quick: bool) -> Iterator[Callable[[], float]]:
    """Start the server with the workload of C1; what comes back measures its throughput, requests/s."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "infra.bench.litserve_server",
        str(port),
        str(jobs),
        str(rows),
        "quick" if quick else "full",
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    server = subprocess.Popen(  # noqa: S603 - a file of ours
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        _wait(server, port)
        yield lambda: asyncio.run(_throughput(port, jobs))
    finally:
        # It starts processes of its own, which would outlive it.
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def _wait(server: "subprocess.Popen[bytes]", port: int) -> None:
    until = perf_counter() + _START_SECONDS
    while perf_counter() < until and server.poll() is None:
        try:
            if httpx.get(f"http://127.0.0.1:{port}/health").is_success:
                return
        except httpx.TransportError:
            pass
        sleep(0.5)
    raise RuntimeError("LitServe did not start")


async def _throughput(port: int, jobs: int) -> float:
    limits = httpx.Limits(max_connections=jobs)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=600, limits=limits) as http:
        began = perf_counter()
        answers = await asyncio.gather(*(http.post("/predict", json={"number": number}) for number in range(jobs)))
        for answer in answers:
            answer.raise_for_status()
        return jobs / (perf_counter() - began)
