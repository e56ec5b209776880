import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "diffusers", "transformers", "cv2", "PIL", "pillow_heif", "mediapipe", "numpy", "streamlit")

START = """
import json, sys
from api.main import create_app
create_app()
# Not getrusage: a child inherits the peak of the process that it was forked from.
peak = int(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))) // 1024
print(json.dumps({"modules": list(sys.modules), "megabytes": peak}))
"""


def started(environment: dict[str, str]) -> dict[str, Any]:
    done = subprocess.run(  # noqa: S603 (our own program)
        [sys.executable, "-c", START], cwd=ROOT, env=environment, check=True, capture_output=True, text=True
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_the_api_starts_small_and_loads_no_picture_library(settings_env: dict[str, str]) -> None:
    found = started(settings_env)
    assert [name for name in HEAVY if name in found["modules"]] == []
    assert found["megabytes"] < 150
