import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "diffusers", "transformers", "cv2", "PIL", "pillow_heif", "mediapipe", "numpy", "streamlit")

# Processor seconds, so that a busy machine does not fail the test.
START = """
import json, resource, sys, time
from api.main import create_app
create_app()
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
print(json.dumps({"modules": list(sys.modules), "seconds": time.process_time(), "megabytes": peak}))
"""


def test_the_api_starts_fast_and_small_and_loads_no_picture_library(settings_env: dict[str, str]) -> None:
    done = subprocess.run(  # noqa: S603 (our own program)
        [sys.executable, "-c", START], cwd=ROOT, env=settings_env, check=True, capture_output=True, text=True
    )
    found = json.loads(done.stdout.splitlines()[-1])
    assert [name for name in HEAVY if name in found["modules"]] == []
    assert found["seconds"] < 2
    assert found["megabytes"] < 150
