"""One instance, started by the command as a person would, and mistreated."""

import json
import os
import re
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).parents[3]
pytestmark = pytest.mark.timeout(400)


class Command:
    """`likeness` on one home, without the settings of whoever runs the tests."""

    def __init__(self, home: Path) -> None:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("LIKENESS_")}
        # Without a model, which takes seconds to load; `tests/worker/studio/test_shipped.py` has it.
        self.environment = {**inherited, "LIKENESS_HOME": str(home), "LIKENESS_MODEL_PATH": ""}
        self.home = home
        self.output = home.parent / "up.txt"

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "infra.cli", *arguments]
        return subprocess.run(  # noqa: S603 (our own program)
            command, cwd=ROOT, env=self.environment, check=False, capture_output=True, text=True
        )

    def up(self) -> subprocess.Popen[bytes]:
        with self.output.open("wb") as file:
            command = [sys.executable, "-m", "infra.cli", "up"]
            process = subprocess.Popen(command, cwd=ROOT, env=self.environment, stdout=file, stderr=file)  # noqa: S603
        wait_until(lambda: "Ctrl-C stops it" in self.said() or process.poll() is not None, seconds=240)
        assert process.poll() is None, self.said()
        return process

    def said(self) -> str:
        return self.output.read_text()

    @property
    def api_url(self) -> str:
        found = re.search(r"API\s+(\S+)", self.said())
        assert found is not None
        return found[1]


def wait_until(holds: Callable[[], bool], *, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)


def children_of(pid: int) -> dict[str, int]:
    """The parts by name, from the process table."""
    listed = subprocess.run(  # noqa: S603 (ps is on the PATH)
        ["ps", "-ww", "-o", "pid=,args=", "--ppid", str(pid)],  # noqa: S607
        check=False,
        capture_output=True,
        text=True,
    ).stdout
    marks = {"postgres -D": "postgres", "valkey-server": "valkey", "uvicorn": "api"}
    marks |= {"worker studio": "studio", "worker light": "light", "streamlit run": "console"}
    found: dict[str, int] = {}
    for line in listed.splitlines():
        number, arguments = line.split(None, 1)
        found |= {name: int(number) for mark, name in marks.items() if mark in arguments}
    return found


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def is_ready(url: str) -> bool:
    try:
        return bool(httpx.get(f"{url}/health/ready", trust_env=False).json()["status"] == "ready")
    except (httpx.HTTPError, ValueError):
        return False


@pytest.fixture(scope="module")
def likeness(home: Path) -> Command:
    home.parent.mkdir(exist_ok=True)
    return Command(home)


@pytest.fixture(scope="module")
def running(likeness: Command) -> Iterator[subprocess.Popen[bytes]]:
    process = likeness.up()
    yield process
    process.send_signal(signal.SIGINT)
    process.wait(60)


def test_before_the_first_start_the_doctor_says_what_to_do_and_makes_nothing(likeness: Command) -> None:
    done = likeness("doctor", "--json")
    findings = {finding["part"]: finding for finding in json.loads(done.stdout)}
    assert done.returncode == 1
    assert findings["postgresql"]["state"] == "broken"
    assert "likeness up" in findings["postgresql"]["remedy"]
    assert findings["python"]["state"] == "well"
    assert not likeness.home.exists()


def test_a_running_instance_is_well_and_says_where_everything_is(
    likeness: Command, running: subprocess.Popen[bytes]
) -> None:
    done = likeness("doctor", "--json")
    states = {finding["part"]: finding["state"] for finding in json.loads(done.stdout)}
    assert done.returncode == 0, done.stdout
    assert set(states.values()) <= {"well", "off"}
    token_file = likeness.home / "run" / "operator_token"
    assert str(token_file) in likeness.said()
    wait_until(lambda: "/join?token=lkoi_" in likeness.said(), seconds=30)
    assert likeness.said().count("lkoi_") == 1
    assert token_file.read_text().strip() not in likeness.said()
    for path in (likeness.home / "run").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_second_start_on_the_same_home_is_refused(likeness: Command, running: subprocess.Popen[bytes]) -> None:
    done = likeness("up")
    assert done.returncode == 1
    assert f"process {running.pid}" in done.stderr
    assert is_ready(likeness.api_url)


def test_no_part_that_runs_on_knows_the_owner_of_the_tables(running: subprocess.Popen[bytes]) -> None:
    for name in ("api", "studio", "light"):
        environment = Path(f"/proc/{children_of(running.pid)[name]}/environ")
        if environment.exists():
            assert b"LIKENESS_DATABASE_URL" in environment.read_bytes()
            assert b"likeness_owner" not in environment.read_bytes()


def test_the_console_runs_and_holds_no_credential_of_database_queue_storage_or_keys(
    likeness: Command, running: subprocess.Popen[bytes]
) -> None:
    found = re.search(r"console\s+(http\S+)", likeness.said())
    assert found is not None
    page = httpx.get(f"{found[1]}/", headers={"Accept": "text/html"}, trust_env=False, follow_redirects=True)
    assert page.status_code == 200
    assert "Sign in" in page.text
    environment = Path(f"/proc/{children_of(running.pid)['console']}/environ")
    if environment.exists():
        told = {line.partition(b"=")[0] for line in environment.read_bytes().split(b"\0")}
        ours = {name for name in told if name.startswith(b"LIKENESS_")}
        assert ours == {b"LIKENESS_CONSOLE_API_URL", b"LIKENESS_CONSOLE_PUBLIC_URL"}


@pytest.mark.parametrize("part", ["postgres", "valkey", "api", "light", "console"])
def test_a_killed_part_comes_back_and_nothing_is_lost(
    likeness: Command, running: subprocess.Popen[bytes], part: str
) -> None:
    made = json.loads(likeness("tenant", "create", "Kept", "--json").stdout)
    before = children_of(running.pid)[part]
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: children_of(running.pid).get(part, before) != before, seconds=60)
    wait_until(lambda: is_ready(likeness.api_url), seconds=60)
    assert tenant_of(likeness.api_url, made["live_key"]) == made["tenant"]


def test_killing_the_supervisor_ends_its_parts_and_the_next_start_finds_all_data(
    likeness: Command, running: subprocess.Popen[bytes]
) -> None:
    made = json.loads(likeness("tenant", "create", "Kept", "--json").stdout)
    url, parts = likeness.api_url, children_of(running.pid)
    assert len(parts) == 6
    running.kill()
    running.wait()
    wait_until(lambda: all(gone(pid) for pid in parts.values()), seconds=40)
    again = likeness.up()
    try:
        assert likeness.api_url == url
        assert tenant_of(url, made["live_key"]) == made["tenant"]
    finally:
        again.send_signal(signal.SIGINT)
        began = time.monotonic()
        assert again.wait(60) == 0
    assert time.monotonic() - began < 30
    assert "stopped" in likeness.said()
    assert children_of(again.pid) == {}
    assert not (likeness.home / "run" / "likeness.env").exists()


def tenant_of(url: str, key: str) -> str:
    answer = httpx.get(f"{url}/v1/tenant", headers={"Authorization": f"Bearer {key}"}, trust_env=False)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["tenant"]["id"])
