import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
VAGUE = {"utils", "util", "common", "helpers", "helper", "misc", "base"}
LONGEST_FILE_LINES = 480


def tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],  # noqa: S607 (git is on the PATH)
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return [Path(name) for name in listed.split("\0") if name and (ROOT / name).exists()]


def test_imports_run_one_way() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([linter], cwd=ROOT, check=False, capture_output=True, text=True)  # noqa: S603 (our own linter)
    assert done.returncode == 0, done.stdout


def test_every_thing_lives_with_what_it_serves() -> None:
    vague = [str(path) for path in tracked() if VAGUE & {part.split(".")[0] for part in path.parts}]
    assert vague == []


def test_no_file_has_grown_into_two_rooms() -> None:
    # A migration is written once and read as one story, so it may be long.
    rooms = [path for path in tracked() if path.suffix == ".py" and "versions" not in path.parts]
    assert {str(path): count for path in rooms if (count := lines(path)) > LONGEST_FILE_LINES} == {}


def lines(path: Path) -> int:
    return (ROOT / path).read_bytes().count(b"\n")
