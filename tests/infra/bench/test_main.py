"""`python -m infra.bench` knows each benchmark by its name."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_the_benchmark_of_erasure_runs_by_its_name(tmp_path: Path) -> None:
    done = subprocess.run(  # noqa: S603 (our own program)
        [sys.executable, "-m", "infra.bench", "--quick", "--only", "C11", "--out", str(tmp_path)],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "C11" in done.stdout
    assert "object by object / shred, 100 objects" in done.stdout
    assert not list(tmp_path.iterdir())  # a quick run shows that it works, and keeps nothing
